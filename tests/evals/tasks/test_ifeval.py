"""IFEval as a task: its data, its four metrics, and answers that follow every instruction of a prompt."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from evals.run_folder import read_results
from evals.scoring import language
from evals.scoring.instructions import VERIFIERS
from evals.tasks import ifeval
from evals.tasks import task as find
from zoo.cli import root
from zoo.registry import open_registry

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


def write_texts(path: Path, texts: dict[str, str]) -> Path:
    """A file of completions, as the engine of saved answers reads it."""
    path.write_text("".join(json.dumps({"task_id": name, "completion": text}) + "\n" for name, text in texts.items()))
    return path


def test_a_run_is_published_with_n_of_prompts_and_of_instructions_and_compared(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "good")
        other = tmp_path / "other"
        shutil.copytree(tiny_phi, other)
        (other / "generation_config.json").write_text('{"max_length": 99}')
        registry.add(other, "worse")
    good = {sample.id: ifeval.gold(sample) or "no" for sample in TASK.samples()}
    worse = {name: f"{text}," if number % 2 else text for number, (name, text) in enumerate(good.items())}
    for name, texts in (("good", good), ("worse", worse)):
        file = str(write_texts(tmp_path / f"{name}.jsonl", texts))
        assert root.run(["eval", "run", name, "--task", "ifeval", "--engine", "replay", "--generations", file]) == 0
    capsys.readouterr()
    with open_registry() as registry:
        scores = {score.metric: score for score in registry.scores("good")}
        assert {metric: (score.n, score.clusters) for metric, score in scores.items()} == {
            "prompt_strict": (541, 541), "inst_strict": (834, 541), "prompt_loose": (541, 541), "inst_loose": (834, 541),
        }  # fmt: skip
        assert scores["prompt_strict"].value == pytest.approx(535 / 541)
        lines = read_results(registry.results(scores["inst_strict"].run))
    followed = [outcome for line in lines for outcome in line.trials["inst_strict"]]
    assert scores["inst_strict"].value == pytest.approx(sum(followed) / 834)
    assert root.run(["eval", "compare", "good", "worse", "--json"]) == 0
    rows = {row["metric"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert (rows["inst_strict"]["difference"]["n"], rows["inst_strict"]["difference"]["clusters"]) == (834, 541)
    assert rows["inst_strict"]["kind"] == rows["prompt_strict"]["kind"] == "paired"
    assert rows["inst_strict"]["first"] == pytest.approx(scores["inst_strict"].value)
    assert rows["inst_strict"]["difference"]["p"] < 1e-6
    with open_registry() as registry:
        record = next(record for record in registry.protocols().values() if record.metric == "inst_loose")
        assert (record.samples, record.most, record.trials) == (541, 834, {"inst_strict": 834, "inst_loose": 834})
    # a pulled score may have as many instructions as its protocol's record, and no more
    shared = tmp_path / "shared"
    assert root.run(["models", "push", "good", str(shared)]) == 0
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "elsewhere"))
    assert root.run(["models", "pull", "good", str(shared)]) == 0
    with open_registry() as registry:
        assert {score.metric: score.n for score in registry.scores("good")}["inst_strict"] == 834
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "third"))
    record_file = next(path for path in shared.rglob("*.json") if '"inst_strict"' in path.read_text())
    record_file.write_text(record_file.read_text().replace('"n":834', '"n":835').replace('"n": 834', '"n": 835'))
    capsys.readouterr()
    assert root.run(["models", "pull", "good", str(shared)]) == 2
    assert "835 samples, its protocol 834" in capsys.readouterr().err
