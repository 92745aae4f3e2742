"""The notes above the table: whether the quickstart's gains and the talk's headline gain are significant."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from dashboard.board import benchmarks
from dashboard.board.cells import Board, percent_text
from evals.stats.paired import z_unpaired
from zoo.cli.output import p_text
from zoo.published import HEADLINE

if TYPE_CHECKING:
    from dashboard.data.comparison import CheckpointComparison
    from zoo.registry import Registry

LIFT_TASK = "mini_exercises"
LIFT = ("phi-1-small-mini-unfiltered", "phi-1-small-mini-base", "phi-1-small-mini")  # the quickstart's three
LEVEL = 0.05
METHODS = {"mcnemar": "exact McNemar test"}


def headline_note(board: Board) -> str:
    """Whether the talk's headline gain is significant: 55.5 against 51.2 on 164 problems."""
    by_name = {row.name: row for row in board.rows if not row.own}
    reused, scratch = by_name.get(HEADLINE[-1]), by_name.get("phi-1 from scratch, 36K steps")
    if reused is None or scratch is None:
        return ""
    shared = [key for key in reused.cells if key in scratch.cells and reused.cells[key].n]
    if not shared:
        return ""
    high, low = reused.cells[shared[0]], scratch.cells[shared[0]]
    z = z_unpaired(high.value / 100, low.value / 100, high.n or 0, low.n or 0)
    values = f"{percent_text(high.value)} against {percent_text(low.value)} from scratch on HumanEval (n={high.n})"
    verdict = "significant" if abs(z) > 1.96 else "not significant"
    return f"The talk's Phi-1 (WR + Tile) {values}: {verdict} by itself (z {z:.2f}, unpaired)."


def _without_version(label: str) -> str:
    """A label without its version: `mini:1` is `mini`."""
    return label.rsplit(":", maxsplit=1)[0]


def lift_note(steps: Sequence["CheckpointComparison"], title: str) -> str:
    """Whether each step of the quickstart's lift is significant by a paired test, p adjusted over the steps."""
    if not steps:
        return ""
    from dashboard.data.comparison import difference_text

    texts = []
    for step in steps:
        p = 1.0 if step.p is None else step.p
        verdict = "significant" if p < LEVEL else "not significant"
        models = f"{_without_version(step.reference)} → {_without_version(step.checkpoint)}"
        texts.append(f"{models} {difference_text(step)}, p {p_text(p)}, {verdict}")
    first = steps[0].difference
    test = f"paired on the same {first.n} problems ({METHODS.get(first.method, first.method)})" if first else "unpaired"
    return f"{title}, {test}: " + "; ".join(texts) + "."


def lift_steps(board: Board, registry: "Registry") -> tuple["CheckpointComparison", ...]:
    """The steps unfiltered → base → finetuned, then unfiltered → finetuned, of the checkpoints in the zoo."""
    by_name = {row.name: row for row in board.rows if row.own}
    labels = [by_name[name].label for name in LIFT if name in by_name]
    if len(labels) < 2:
        return ()
    from dashboard.data.comparison import adjust, compare_checkpoints  # half of the time of a small board's import

    pairs = [*pairwise(labels), *([(labels[0], labels[-1])] if len(labels) > 2 else [])]
    steps = [step for pair in pairs for step in compare_checkpoints(registry, pair, (LIFT_TASK,)) if step.p is not None]
    return adjust(steps)


def board_notes(suite: str, board: Board, registry: "Registry | None" = None) -> tuple[str, ...]:
    """The notes above a suite's view of a board: the quickstart's lift and the talk's headline gain."""
    notes = []
    if registry is not None and suite != "headline":
        notes.append(lift_note(lift_steps(board, registry), benchmarks.title_of(LIFT_TASK)))
    if suite in ("talk", "headline"):
        notes.append(headline_note(board))
    return tuple(note for note in notes if note)
