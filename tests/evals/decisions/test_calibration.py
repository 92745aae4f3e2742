"""A score beside a published number: a verdict under one protocol only, and every reason against one is named."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evals.decisions.calibration import Calibration, calibrate, judge, recognise
from evals.decisions.calibration_page import INTRO, fields, markdown, summary
from evals.stats.intervals import wilson
from evals.stats.paired import unpaired_difference
from tests.evals.decisions.conftest import right
from zoo import published
from zoo.cli.root import run as phizoo
from zoo.published.reported_here import keep_reported
from zoo.records import Checkpoint, File, Parent

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0, 1), st.integers(1, 20_000))
def test_a_number_inside_our_interval_agrees_and_never_differs(right: int, n: int, theirs: float, their_n: int) -> None:
    ours = wilson(min(right, n), n)
    difference = unpaired_difference(ours, wilson(theirs * their_n, their_n), min(n, their_n))
    inside, verdict = ours.low <= theirs <= ours.high, judge(ours, theirs, difference)
    assert (verdict == "AGREES") == inside
    assert not (inside and (difference.low > 0 or difference.high < 0))  # the two parts of the rule cannot conflict
    assert (verdict == "DIFFERS") == (difference.low > 0 or difference.high < 0)
    assert judge(ours, theirs, None) != "DIFFERS"  # without their n nothing is tested


def enter(made_up: Any, name: str, **facts: Any) -> Checkpoint:
    """A checkpoint of the size of SmolLM2-135M."""
    checkpoint: Checkpoint = made_up.checkpoint(name, parameters=134_515_008, **facts)
    return checkpoint


@pytest.fixture
def smollm2(made_up: Any) -> Checkpoint:
    files = (File(path="SmolLM2-135M-Instruct.Q4_1.gguf", sha256="1" * 64, bytes=1),)
    return enter(made_up, "small", files=files, quantisation="Q4_1")


def measure(made_up: Any, checkpoint: Checkpoint, share: float, n: int, spec: str, **changes: Any) -> Calibration:
    """The calibration after a run in which this share of the samples is right."""
    made_up.score(checkpoint.name, right(range(round(share * n)), n), spec, **changes)
    calibration = calibrate(made_up.registry, checkpoint)
    assert calibration is not None
    return calibration


def test_the_same_protocol_gets_a_verdict(made_up: Any, smollm2: Checkpoint) -> None:
    calibration = measure(made_up, smollm2, 0.55, 2376, "arc_easy@lm-eval")
    assert (calibration.model, calibration.by) == (SMOLLM2, "its file")
    (row,) = calibration.rows
    assert (row.theirs, row.their_n, row.verdict, row.differs) == (pytest.approx(0.5412), 2376, "AGREES", ())
    assert row.notes == ("our file is Q4_1",)
    assert "piqa" in calibration.unmeasured
    assert "arc_easy" not in calibration.unmeasured


@pytest.mark.parametrize(("share", "verdict"), [(0.515, "NOT RESOLVED"), (0.40, "DIFFERS"), (0.65, "DIFFERS")])
def test_outside_the_interval_the_difference_is_tested(
    share: float, verdict: str, made_up: Any, smollm2: Checkpoint
) -> None:
    (row,) = measure(made_up, smollm2, share, 2376, "arc_easy@lm-eval").rows
    assert row.verdict == verdict


def test_another_tool_is_another_protocol_with_what_differs(made_up: Any, smollm2: Checkpoint) -> None:
    same, other = measure(made_up, smollm2, 0.66, 1838, "piqa@lm-eval").rows
    assert (same.verdict, same.theirs) == ("AGREES", pytest.approx(0.6692))
    assert (other.verdict, other.theirs) == ("another protocol", pytest.approx(0.663))
    assert other.differs == ("lighteval's prompts and reading",)
    assert fields(other)[4] == "-0.3"  # a bare gap: an interval would look like a test


def test_other_shots_are_another_protocol(made_up: Any, smollm2: Checkpoint) -> None:
    rows = measure(made_up, smollm2, 0.01, 1319, "gsm8k@lm-eval", shots=5).rows
    assert {row.verdict for row in rows} == {"another protocol"}
    assert ("0-shot there, 5-shot here",) in [row.differs for row in rows]


def test_another_metric_is_another_protocol(made_up: Any, smollm2: Checkpoint) -> None:
    (row,) = measure(made_up, smollm2, 0.28, 1172, "arc_challenge@lm-eval").rows
    assert (row.verdict, row.differs) == ("another protocol", ("theirs is acc_norm, ours acc",))


def test_a_part_of_the_questions_is_said_and_gives_way_to_the_whole(made_up: Any, smollm2: Checkpoint) -> None:
    (row,) = measure(made_up, smollm2, 0.55, 600, "arc_easy@lm-eval-quick3").rows
    assert row.verdict == "AGREES"
    assert "a fixed part, 600 of its 2,376 questions" in row.notes
    (row,) = measure(made_up, smollm2, 0.55, 2376, "arc_easy@lm-eval").rows
    assert row.column == "arc_easy@lm-eval acc"


def test_unscored_samples_are_said(made_up: Any, smollm2: Checkpoint) -> None:
    made_up.score("small", [None, *right(range(1300), 2375)], "arc_easy@lm-eval")
    calibration = calibrate(made_up.registry, smollm2)
    assert calibration is not None
    assert "1 unscored" in calibration.rows[0].notes


def test_a_name_counts_only_with_its_size(made_up: Any) -> None:
    named = made_up.checkpoint("SmolLM2-135M-Instruct")  # of one parameter
    assert recognise(made_up.registry, named) is None
    hub = enter(made_up, "mine", source=f"hf://{SMOLLM2}@0123abc")
    assert [(model.model, by) for model, by in [recognise(made_up.registry, hub) or ()]] == [(SMOLLM2, "its source")]


def test_a_converted_checkpoint_is_its_parents_model(made_up: Any, smollm2: Checkpoint) -> None:
    parents = (Parent(digest=smollm2.digest, relation="convert"),)
    (row,) = measure(made_up, enter(made_up, "fp32", parents=parents), 0.55, 2376, "arc_easy@lm-eval").rows
    assert row.notes == ("our weights were Q4_1 before",)
    again = (Parent(digest=made_up.registry.get("fp32").digest, relation="convert"),)
    (row,) = measure(made_up, enter(made_up, "bf16", parents=again), 0.55, 2376, "arc_easy@lm-eval").rows
    assert row.notes == ("our weights were Q4_1 before",)
    assert (
        recognise(made_up.registry, enter(made_up, "tuned", parents=(replace(parents[0], relation="finetune"),)))
        is None
    )


def test_the_page_has_every_row_with_its_source(made_up: Any, smollm2: Checkpoint) -> None:
    calibration = measure(made_up, smollm2, 0.66, 1838, "piqa@lm-eval")
    page = markdown([calibration])
    assert page.startswith(INTRO)
    assert summary([calibration]) in page
    for row in calibration.rows:
        assert f"({row.address}) |" in page
    assert summary([calibration]).startswith("1 published number under the same protocol: 1 AGREES, 0 NOT RESOLVED")
    assert summary([calibration]).endswith("1 more of another protocol, without a verdict.")


def test_numbers_that_a_user_took_in_are_held_too_and_stay_text_on_the_page(made_up: Any, smollm2: Checkpoint) -> None:
    row = replace(
        published.by_model()[SMOLLM2][1], value=56.0, source="a [b](c) | d <e>", address="https://example.org/a)|b"
    )
    assert (row.benchmark, row.protocol) == ("arc_easy", "accuracy (lm-eval, acc)")
    keep_reported([row], "a board")
    calibration = measure(made_up, smollm2, 0.55, 2376, "arc_easy@lm-eval")
    assert [(one.theirs, one.verdict) for one in calibration.rows] == [
        (0.56, "AGREES"),
        (pytest.approx(0.5412), "AGREES"),
    ]
    assert r"[a \[b\](c) \| d \<e>](https://example.org/a%29%7Cb) |" in markdown([calibration])


def test_the_page_of_the_documentation_is_one_that_the_command_writes() -> None:
    text = (Path(__file__).parents[3] / "docs" / "calibration.md").read_text(encoding="utf-8")
    assert text.startswith(INTRO)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no scored checkpoint here is a published model. Next: phizoo quickstart --only real"),
        (["smal"], '(nearest: "small")'),
        (["small"], "has no score on a benchmark that is published of"),
        (["plain"], "is no published model by its source, file, name and size"),
        (["small", "--model", "SmolLM2"], 'no published model "SmolLM2"'),
        (["small", "--model", "phi-2"], "they are two models"),
        (["--model", "phi-2"], "--model names one checkpoint's model"),
    ],
)
def test_what_cannot_be_held_is_one_line(
    arguments: list[str], words: str, made_up: Any, smollm2: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(made_up, "plain")
    assert phizoo(["eval", "calibration", *arguments]) == 2
    message = capsys.readouterr().err.strip()
    assert words in message
    assert "\n" not in message


def test_the_command_prints_and_writes(
    made_up: Any, smollm2: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(made_up, smollm2, 0.55, 2376, "arc_easy@lm-eval")
    assert phizoo(["eval", "calibration", "--out", str(tmp_path / "page.md")]) == 0
    printed = capsys.readouterr().out
    assert f"small:1 is {SMOLLM2} (by its file)" in printed
    assert "AGREES" in printed
    assert "AGREES" in (tmp_path / "page.md").read_text()
