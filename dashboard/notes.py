"""The lines above the table: what a reader must know before reading a difference off it."""

from math import sqrt

from dashboard.cells import Board, Cell
from dashboard.text import percent
from zoo.published import HEADLINE


def unpaired_z(one: Cell, other: Cell) -> float:
    """How many standard errors two independent shares are apart, pooled.

    Source  two-proportion z test with pooled variance.

    >>> cells = [Cell(origin="reported", value=v, low=None, high=None, n=164) for v in (55.5, 51.2)]
    >>> round(unpaired_z(*cells), 2)
    0.78
    """
    if not one.n or not other.n:
        raise ValueError("a z needs both n")
    a, b = one.value / 100, other.value / 100
    pooled = (a * one.n + b * other.n) / (one.n + other.n)
    return (a - b) / sqrt(pooled * (1 - pooled) * (1 / one.n + 1 / other.n))


def headline_note(board: Board) -> str:
    """What the talk's headline gain is worth: 55.5 against 51.2 on 164 problems."""
    by_name = {row.name: row for row in board.rows}
    reused, scratch = by_name.get(HEADLINE[-1]), by_name.get("phi-1 from scratch, 36K steps")
    if reused is None or scratch is None:
        return ""
    shared = [key for key in reused.cells if key in scratch.cells and reused.cells[key].n]
    if not shared:
        return ""
    one, other = reused.cells[shared[0]], scratch.cells[shared[0]]
    z = unpaired_z(one, other)
    return (
        f"Phi-1 (WR + Tile) {percent(one.value)} against {percent(other.value)} from scratch on HumanEval (n={one.n}): "
        f"{'significant' if abs(z) > 1.96 else 'not significant'} by itself (z {z:.2f}, unpaired); one run each."
    )


def notes_of(suite: str, board: Board) -> tuple[str, ...]:
    """The lines for a suite's view of a board."""
    notes = [headline_note(board)] if suite in ("talk", "headline") else []
    return tuple(note for note in notes if note)
