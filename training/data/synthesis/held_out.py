"""Chooses the held-out exercises: 320 problems of the teacher's families whose solutions are not in training data.

`python -m training.data.synthesis.held_out` rewrites evals/tasks/mini_exercises.jsonl, with the same bytes each
time. The combinations of constants and operations are new, the families are not: each gives at most an eighth of
its distinct solutions, so that enough remain for training.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import msgspec

from training.data.synthesis.nameless import normalise_words, strip_names
from training.data.synthesis.templates import TemplateDraft, make_draft
from zoo.digest import whole_file
from zoo.records import Record

SEED = 23_06_11644  # phi-1's arXiv number
PROBLEMS = 320
POOL = 30_000
SHARE = 8
TASK = "mini_exercises"


class HeldOut(Record, frozen=True):
    """The solutions (without names) and prompts that training data must not contain."""

    solutions: frozenset[str]
    prompts: frozenset[str]


def task_file() -> Path:
    """The path of the committed file."""
    return Path(str(files("evals.tasks"))) / f"{TASK}.jsonl"


def solution_key(text: str) -> str:
    """The form in which solutions are compared: without names, or the text itself if it does not parse."""
    return strip_names(text) or text


def choose_problems() -> list[TemplateDraft]:
    """Chooses the held-out exercises, spread over the families and sorted by family."""
    pool: dict[str, dict[str, TemplateDraft]] = defaultdict(dict)
    for number in range(POOL):
        if draft := make_draft(random.Random(f"{TASK}:{SEED}:{number}")):  # noqa: S311
            pool[draft.family].setdefault(solution_key(draft.prompt + draft.completion), draft)
    room = {family: len(drafts) // SHARE for family, drafts in sorted(pool.items())}
    taken = dict.fromkeys(room, 0)
    while sum(taken.values()) < PROBLEMS:
        open_families = [family for family in room if taken[family] < room[family]]
        for family in open_families[: PROBLEMS - sum(taken.values())]:
            taken[family] += 1
    return [draft for family, number in taken.items() for draft in list(pool[family].values())[:number]]


def task_rows(chosen: Iterable[TemplateDraft]) -> list[dict[str, str]]:
    """The exercises as rows in HumanEval's form."""
    return [
        {
            "task_id": f"{TASK}/{number:03d}", "prompt": draft.prompt, "entry_point": draft.entry_point,
            "canonical_solution": draft.completion, "test": draft.test, "family": draft.family,
        }
        for number, draft in enumerate(chosen)
    ]  # fmt: skip


def load_held_out() -> HeldOut:
    """Reads the solutions and prompts of the committed file."""
    read = [msgspec.json.decode(line) for line in task_file().read_bytes().splitlines()]
    return HeldOut(
        solutions=frozenset(solution_key(row["prompt"] + row["canonical_solution"]) for row in read),
        prompts=frozenset(normalise_words(row["prompt"]) for row in read),
    )


def file_bytes() -> bytes:
    """The bytes of the committed file."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in task_rows(choose_problems()))


def main() -> None:
    """Writes the committed file."""
    with whole_file(task_file()) as file:
        file.write(file_bytes())
    print(f"wrote {task_file().name}: {PROBLEMS} problems")


if __name__ == "__main__":
    main()
