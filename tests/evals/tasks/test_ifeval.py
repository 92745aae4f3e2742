"""IFEval as a task: its data, its four metrics, and answers that follow every instruction of a prompt."""

from collections import Counter
from pathlib import Path

import pytest

from evals.scoring import language
from evals.scoring.instructions import VERIFIERS
from evals.tasks import ifeval
from evals.tasks import task as find

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "evals"
TASK = find("ifeval")


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in language.NEEDED:
        pytest.importorskip(module)
    if not (SHARED / "ifeval").is_dir():
        pytest.skip("the shared data folder is not beside the repository")
    monkeypatch.setenv("PHIZOO_DATA", str(SHARED))


def test_the_set_has_541_prompts_with_834_instructions_of_25_kinds() -> None:
    kinds = Counter(kind for sample in TASK.samples() for kind in sample.target)
    assert (len(list(TASK.samples())), sum(kinds.values())) == (541, 834)
    assert set(kinds) == set(VERIFIERS)


def test_the_rows_of_the_hub_with_none_for_every_other_argument_are_the_same() -> None:
    row = {"key": 1, "prompt": "p", "instruction_id_list": ["a:b"], "kwargs": [{"num_words": 3, "letter": None}]}
    assert ifeval.form(row) == {"key": 1, "prompt": "p", "kinds": ["a:b"], "kwargs": [{"num_words": 3}]}


def test_all_but_six_prompts_can_be_followed_whole() -> None:
    """Of the six the request that the answer must repeat breaks another instruction."""
    never = []
    for sample in TASK.samples():
        text = ifeval.gold(sample)
        if text is None:
            never.append(sample)
            continue
        scored = ifeval.score(sample, text)
        assert set(scored.metrics.values()) == {1.0}, (sample.id, scored.detail)
        assert {len(outcomes) for outcomes in scored.trials.values()} == {len(sample.target)}
    assert len(never) == 6
    assert all("combination:repeat_prompt" in sample.target for sample in never)


def test_the_metrics_of_an_answer() -> None:
    sample = next(sample for sample in TASK.samples() if sample.id == "ifeval/1000")
    assert sample.target[0] == "punctuation:no_comma"  # three highlighted parts, 300 words or more
    scored = ifeval.score(sample, "*a* *b* *c*, too short")
    assert scored.metrics == {"prompt_strict": 0.0, "inst_strict": 1 / 3, "prompt_loose": 0.0, "inst_loose": 1 / 3}
    assert scored.trials == {"inst_strict": (0.0, 1.0, 0.0), "inst_loose": (0.0, 1.0, 0.0)}
    assert scored.detail == "1 of 3 followed; not: punctuation:no_comma, length_constraints:number_words"
    loose = ifeval.score(sample, "Yes, sure:\n*a* *b* *c* " + "word " * 300)
    assert (loose.metrics["prompt_strict"], loose.metrics["prompt_loose"]) == (0.0, 1.0)
    blank = ifeval.score(sample, ifeval.extract(sample, "\n"))
    assert set(blank.metrics.values()) == {0.0}
    assert blank.trials["inst_loose"] == (0.0, 0.0, 0.0)
