"""The lines above the table: what a reader must know before reading a difference off it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from dashboard import facts
from dashboard.cells import Board, Column, Row
from dashboard.evidence import Pair, compare, runs_of
from dashboard.text import percent, probability
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


def lift_note(pairs: Sequence[Pair], title: str) -> str:
    """Whether each step of the quickstart's lift is one, by a paired test; it says so when it is not."""
    if not pairs:
        return ""
    steps = []
    for pair in pairs:
        told = pair.difference
        sure = "significant" if told.p < LEVEL else "not significant"
        gain = f"{100 * told.value:+.1f} [{100 * told.low:+.1f} to {100 * told.high:+.1f}]"
        steps.append(f"{_bare(pair.first)} → {_bare(pair.second)} {gain}, {probability(told.p)}, {sure}")
    told = pairs[0].difference
    return (
        f"{title}, paired on the same {told.n} problems ({METHODS.get(told.method, told.method)}): "
        + "; ".join(steps)
        + "."
    )


def lift(board: Board, registry: "Registry") -> tuple[str, tuple[Pair, ...]]:
    """The benchmark's title and the paired steps unfiltered → base → finetuned, with the whole way last."""
    by_name = {row.name: row for row in board.rows if row.own}
    rows = [by_name[name] for name in LIFT if name in by_name]
    column = _shared_column(board, rows)
    if column is None:
        return "", ()
    rows = [row for row in rows if column.key in row.cells]
    steps = list(pairwise(rows)) + ([(rows[0], rows[-1])] if len(rows) > 2 else [])
    results = runs_of(registry, rows, [column])
    found = (compare(column, first, second, results) for first, second in steps)
    return facts.title_of(column.benchmark), tuple(pair for pair in found if pair is not None)


def _shared_column(board: Board, rows: Sequence[Row]) -> Column | None:
    """The main column of the lift's task that most of the rows have, if two have one."""
    held = [
        (sum(column.key in row.cells for row in rows), column)
        for column in board.columns
        if column.task == LIFT_TASK and column.main
    ]
    count, column = max(held, key=lambda pair: pair[0], default=(0, None))
    return column if count > 1 else None


def notes_of(suite: str, board: Board, registry: "Registry | None" = None) -> tuple[str, ...]:
    """The lines for a suite's view of a board: the own lift, and what the talk's gain is worth."""
    notes = []
    if registry is not None and suite != "headline":
        title, pairs = lift(board, registry)
        notes.append(lift_note(pairs, title))
    if suite in ("talk", "headline"):
        notes.append(headline_note(board))
    return tuple(note for note in notes if note)
