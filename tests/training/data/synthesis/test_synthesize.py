"""Exercises and passages: tested for real, disjoint from the held-out task, the same bytes each time."""

import random
from pathlib import Path

import msgspec
import pytest

from evals.sandbox import open_sandbox
from training.data.build import folder_of
from training.data.document import read_documents
from training.data.synthesis import synthesize as module
from training.data.synthesis.held_out import load_held_out, solution_key
from training.data.synthesis.synthesize import DraftPiece, DraftSlice, make_pieces, run_tests, synthesize
from training.data.synthesis.templates import CHAINS, FAMILIES, TemplateDraft, make_draft, make_draft_of
from zoo.errors import ZooError


def test_at_least_24_families_each_gives_drafts() -> None:
    assert len(FAMILIES) >= 24
    for family in FAMILIES:
        assert any(make_draft_of(family, random.Random(seed)) for seed in range(20)), family
    assert len(CHAINS) + 1 < len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_code_and_meaning_agree(family: str) -> None:
    for seed in range(30):
        one = make_draft_of(family, random.Random(f"{family}{seed}"))
        if one is None:
            continue
        space: dict[str, object] = {}
        exec(one.prompt + one.completion + one.test, space)
        space["check"](space[one.entry_point])  # type: ignore[operator]


def test_the_same_seed_the_same_draft() -> None:
    assert make_draft(random.Random("a")) == make_draft(random.Random("a"))
    assert make_draft(random.Random("a")) != make_draft(random.Random("b"))


def piece(number: int, completion: str) -> DraftPiece:
    one = TemplateDraft(
        family="f", entry_point="f", prompt="def f(x):\n    '''Gives x.'''", completion=completion,
        test="def check(candidate):\n    assert candidate(3) == 3\n",
    )  # fmt: skip
    return DraftPiece(number=number, text=one.prompt + completion, family="f", drafts=(one,), keys=("k",))


def test_only_what_passes_its_tests_is_kept() -> None:
    wrong = [piece(1, "\n    return 4\n"), piece(2, "\n    raise SystemExit(0)\n"), piece(3, "\n    return y\n")]
    with open_sandbox() as sandbox:
        verdicts = run_tests([piece(0, "\n    return x\n"), *wrong], sandbox)
    assert verdicts == {0: "passed", 1: "failed", 2: "failed", 3: "failed"}


def test_exercises_are_accounted_for_and_disjoint() -> None:
    made = synthesize("exercises", "few", 120, seed=3)
    assert made.dataset.documents == 120
    entered = [stage.entered for stage in made.dataset.stages]
    assert all(stage.entered == stage.kept + sum(stage.dropped.values()) for stage in made.dataset.stages)
    assert entered[1:] == [stage.kept for stage in made.dataset.stages[:-1]]
    folder = folder_of(made.dataset)
    kept = list(read_documents(folder))
    solutions = load_held_out().solutions
    assert not any(solution_key(one.text) in solutions for one in kept)
    lost = list(read_documents(folder, "dropped"))
    leaks = [one for one in lost if one.reason == "held-out solution"]
    assert leaks
    assert all(solution_key(one.text) in solutions for one in leaks)
    assert all("test" in one.facts and one.text[: one.facts["prompt_characters"]].endswith('"""') for one in kept)


def test_workers_and_rounds_do_not_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = synthesize("exercises", "few", 60, seed=3)
    monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(module, "BATCH", 7)
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "again"))
    again = synthesize("exercises", "few", 60, seed=3)
    assert again.fresh
    assert again.dataset.digest == first.dataset.digest
    assert synthesize("exercises", "few", 60, seed=4).dataset.digest != first.dataset.digest


def test_textbooks_hold_tested_functions() -> None:
    made = synthesize("textbooks", "books", 20, seed=0)
    for one in read_documents(folder_of(made.dataset)):
        assert one.text.startswith("# ")
        assert "def " in one.text
    solutions = load_held_out().solutions
    for one in make_pieces(DraftSlice(what="textbooks", seed=0, start=0, size=5)):
        assert one is None or msgspec.structs.asdict(one)["keys"] == tuple(
            solution_key(d.prompt + d.completion) for d in one.drafts
        )
    assert solutions


def test_a_teacher_with_nothing_new_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    same = make_pieces(DraftSlice(what="exercises", seed=0, start=0, size=1))
    monkeypatch.setattr(module, "CHUNK", 8)
    monkeypatch.setattr(module, "make_pieces", lambda given: same * given.size)
    monkeypatch.setattr("training.data.shards.cores", lambda: 1)
    with pytest.raises(ZooError, match="can make only 1 different exercises from seed 0"):
        synthesize("exercises", "few", 500, seed=0)
