"""The held-out exercises: 320 problems in the teacher's families whose solutions no training exercise has.

`python -m training.data.synthesis.held_out` writes evals/tasks/mini_exercises.jsonl again, the same bytes each
time. New are the combinations of constants and operations, not the families: a family gives at most
an eighth of its distinct solutions, so that enough of each is left to learn from.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import msgspec

from training.data.synthesis.nameless import nameless, words_of
from training.data.synthesis.templates import Draft, draft
from zoo.digest import whole_file
from zoo.records import Record

SEED = 23_06_11644  # phi-1's arXiv number
PROBLEMS = 320
POOL = 30_000
SHARE = 8
TASK = "mini_exercises"


class HeldOut(Record, frozen=True):
    """What training data must not contain: solutions without their names, and prompts."""

    solutions: frozenset[str]
    prompts: frozenset[str]


def path() -> Path:
    """The committed file."""
    return Path(str(files("evals.tasks"))) / f"{TASK}.jsonl"


def solution_key(text: str) -> str:
    """What identifies a solution; a text that does not parse is only itself."""
    return nameless(text) or text


def problems() -> list[Draft]:
    """The held-out exercises, spread over the families, in the order of their families and solutions."""
    pool: dict[str, dict[str, Draft]] = defaultdict(dict)
    for number in range(POOL):
        if one := draft(random.Random(f"{TASK}:{SEED}:{number}")):  # noqa: S311
            pool[one.family].setdefault(solution_key(one.prompt + one.completion), one)
    room = {family: len(found) // SHARE for family, found in sorted(pool.items())}
    taken = dict.fromkeys(room, 0)
    while sum(taken.values()) < PROBLEMS:
        open_families = [family for family in room if taken[family] < room[family]]
        for family in open_families[: PROBLEMS - sum(taken.values())]:
            taken[family] += 1
    return [one for family, number in taken.items() for one in list(pool[family].values())[:number]]


def rows(chosen: Iterable[Draft]) -> list[dict[str, str]]:
    """The exercises in HumanEval's form."""
    return [
        {
            "task_id": f"{TASK}/{number:03d}",
            "prompt": one.prompt,
            "entry_point": one.entry_point,
            "canonical_solution": one.completion,
            "test": one.test,
            "family": one.family,
        }
        for number, one in enumerate(chosen)
    ]


def held_out() -> HeldOut:
    """What the committed file keeps away from training."""
    read = [msgspec.json.decode(line) for line in path().read_bytes().splitlines()]
    return HeldOut(
        solutions=frozenset(solution_key(one["prompt"] + one["canonical_solution"]) for one in read),
        prompts=frozenset(words_of(one["prompt"]) for one in read),
    )


def lines() -> bytes:
    """The file's bytes."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows(problems()))


def main() -> None:
    """Writes the committed file."""
    with whole_file(path()) as file:
        file.write(lines())
    print(f"wrote {path().name}: {PROBLEMS} problems")


if __name__ == "__main__":
    main()
