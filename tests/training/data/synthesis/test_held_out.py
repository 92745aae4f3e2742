"""The held-out task: the committed file is what its generator writes, right by its own tests, and unlearnt."""

import msgspec
import pytest

from evals.sandbox import Program, open_sandbox
from training.data.synthesis import held_out
from training.data.synthesis.templates import FAMILIES


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return [msgspec.json.decode(line) for line in held_out.task_file().read_bytes().splitlines()]


def test_the_committed_file_is_the_generated_one() -> None:
    assert held_out.file_bytes() == held_out.task_file().read_bytes(), (
        "rewrite it: python -m training.data.synthesis.held_out"
    )


def test_the_solutions_pass_and_an_empty_answer_does_not(rows: list[dict[str, str]]) -> None:
    keys = ("prompt", "test", "entry_point")
    right = [Program(id=r["task_id"], completion=r["canonical_solution"], **{k: r[k] for k in keys}) for r in rows]
    empty = [Program(id=r["task_id"], completion="\n    pass\n", **{k: r[k] for k in keys}) for r in rows[::40]]
    with open_sandbox() as sandbox:
        assert {one.verdict for one in sandbox.run(right)} == {"passed"}
        assert {one.verdict for one in sandbox.run(empty)} == {"failed"}


def test_form(rows: list[dict[str, str]]) -> None:
    assert len(rows) == held_out.PROBLEMS == len({row["task_id"] for row in rows})
    assert all(row["prompt"].endswith('"""') for row in rows)
    assert all(row["canonical_solution"].startswith("\n    ") for row in rows)
    assert all(row["canonical_solution"] not in row["prompt"] for row in rows)


def test_solutions_are_new_and_families_are_not(rows: list[dict[str, str]]) -> None:
    away = held_out.load_held_out()
    assert len(away.solutions) == len(rows)
    assert {row["family"] for row in rows} <= set(FAMILIES)
    assert len({row["family"] for row in rows}) >= 24


def test_a_family_keeps_most_of_its_solutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "POOL", 3_000)
    monkeypatch.setattr(held_out, "PROBLEMS", 40)
    chosen = held_out.choose_problems()
    assert len(chosen) == 40
    assert len({held_out.solution_key(one.prompt + one.completion) for one in chosen}) == 40
