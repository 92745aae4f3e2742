"""The lines above the table: what a reader must know before reading a difference off it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from dashboard.board import benchmarks
from dashboard.board.cells import Board
from dashboard.data.comparison import Line, difference_text, lines
from dashboard.escape import percent, probability
from evals.stats.paired import z_unpaired
from zoo.published import HEADLINE

if TYPE_CHECKING:
    from zoo.registry import Registry

LIFT_TASK = "mini_exercises"
LIFT = ("phi-1-small-mini-unfiltered", "phi-1-small-mini-base", "phi-1-small-mini")  # the quickstart's three
LEVEL = 0.05
METHODS = {"mcnemar": "exact McNemar test"}


def headline_note(board: Board) -> str:
    """What the talk's headline gain is worth: 55.5 against 51.2 on 164 problems."""
    by_name = {row.name: row for row in board.rows if not row.own}
    reused, scratch = by_name.get(HEADLINE[-1]), by_name.get("phi-1 from scratch, 36K steps")
    if reused is None or scratch is None:
        return ""
    shared = [key for key in reused.cells if key in scratch.cells and reused.cells[key].n]
    if not shared:
        return ""
    one, other = reused.cells[shared[0]], scratch.cells[shared[0]]
    z = z_unpaired(one.value / 100, other.value / 100, one.n or 0, other.n or 0)
    return (
        f"The talk's Phi-1 (WR + Tile) {percent(one.value)} against {percent(other.value)} from scratch on HumanEval "
        f"(n={one.n}): {'significant' if abs(z) > 1.96 else 'not significant'} by itself (z {z:.2f}, unpaired)."
    )


def _bare(label: str) -> str:
    """A label without its version: `mini:1` is `mini`."""
    return label.rsplit(":", maxsplit=1)[0]


def lift_note(steps: Sequence[Line], title: str) -> str:
    """Whether each step of the quickstart's lift is one, by a paired test; it says so when it is not."""
    if not steps:
        return ""
    told = []
    for line in steps:
        p = 1.0 if line.difference is None else line.difference.p
        sure = "significant" if p < LEVEL else "not significant"
        way = f"{_bare(line.reference)} → {_bare(line.checkpoint)}"
        told.append(f"{way} {difference_text(line)}, {probability(p)}, {sure}")
    first = steps[0].difference
    how = f"paired on the same {first.n} problems ({METHODS.get(first.method, first.method)})" if first else "unpaired"
    return f"{title}, {how}: " + "; ".join(told) + "."


def lift(board: Board, registry: "Registry") -> tuple[Line, ...]:
    """The steps unfiltered → base → finetuned, and the whole way last, of the checkpoints that are there."""
    by_name = {row.name: row for row in board.rows if row.own}
    labels = [by_name[name].label for name in LIFT if name in by_name]
    steps = [*pairwise(labels), *([(labels[0], labels[-1])] if len(labels) > 2 else [])]
    found = [lines(registry, pair, (LIFT_TASK,)) for pair in steps]
    return tuple(one for step in found for one in step[:1])


def notes_of(suite: str, board: Board, registry: "Registry | None" = None) -> tuple[str, ...]:
    """The lines for a suite's view of a board: the own lift, and what the talk's gain is worth."""
    notes = []
    if registry is not None and suite != "headline":
        notes.append(lift_note(lift(board, registry), benchmarks.title_of(LIFT_TASK)))
    if suite in ("talk", "headline"):
        notes.append(headline_note(board))
    return tuple(note for note in notes if note)
