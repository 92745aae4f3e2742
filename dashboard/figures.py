"""The talk's figures as rows: what the papers print, and the same comparison measured here, side by side."""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboard import facts
from dashboard.cells import Board, Row
from dashboard.notes import LIFT, LIFT_TASK
from zoo import published, settings
from zoo.checkpoint import Record, Reported

if TYPE_CHECKING:
    from zoo.registry import Registry

Bar = dict[str, Any]
FIGURE_21 = "arXiv 2306.11644v2 Figure 2.1"
BLOG = 'Microsoft Research blog "Phi-2" Table 1'
PHI_STEPS = ("phi-1.5", "phi-2")
SCANNED = 4000  # documents read to find the filter's examples: a second, and spread over kinds enough


def _bar(name: str, value: float, low: float | None, high: float | None, own: bool) -> Bar:
    return {"name": name, "value": value, "low": low, "high": high, "kind": "measured here" if own else "reported"}


def _cell(row: Row, keys: Iterable[str]) -> Bar | None:
    """The bar of a row in the first of these columns that it has."""
    for key in keys:
        if cell := row.cells.get(key):
            return _bar(row.label, cell.value, cell.low, cell.high, row.own)
    return None


def from_source(board: Board, source: str, benchmark: str) -> list[Bar]:
    """The bars of one published source in its order."""
    wanted = [row.model for row in published.load() if row.source.startswith(source) and row.benchmark == benchmark]
    by_name = {row.name: row for row in board.rows if not row.own}
    keys = [c.key for c in board.columns if c.benchmark == benchmark and (c.source.startswith(source) or c.talk)]
    bars = (_cell(by_name[model], keys) for model in dict.fromkeys(wanted) if model in by_name)
    return [bar for bar in bars if bar is not None]


def data_ablation(board: Board) -> tuple[list[Bar], list[Bar]]:
    """Figure 2.1 (The Stack, CodeTextbook, + CodeExercises), and the own three on the held-out exercises."""
    return from_source(board, FIGURE_21, "humaneval"), own_steps(board)


def own_steps(board: Board) -> list[Bar]:
    """Unfiltered, base and finetuned on the held-out exercises."""
    by_name = {row.name: row for row in board.rows if row.own}
    keys = [column.key for column in board.columns if column.task == LIFT_TASK and column.main]
    bars = (_cell(by_name[name], keys) for name in LIFT if name in by_name)
    return [bar for bar in bars if bar is not None]


def weight_reuse(board: Board) -> list[Bar]:
    """The talk's chart: phi-1 from scratch, with weight reuse, and with reuse and tiling."""
    return from_source(board, published.WEIGHT_REUSE, "humaneval")


def grown(board: Board, registry: "Registry | None") -> list[Bar]:
    """Own checkpoints that were grown from a smaller one, and what they were grown from, on HumanEval."""
    if registry is None:
        return []
    held = registry.list(all_versions=True)
    parents = {p.digest for one in held for p in one.parents if p.relation == "grow"}
    wanted = {one.label for one in held if one.digest in parents or any(p.relation == "grow" for p in one.parents)}
    keys = [c.key for c in board.columns if c.task in (LIFT_TASK, "humaneval") and c.main]
    bars = (_cell(row, keys) for row in board.rows if row.label in wanted)
    return [bar for bar in bars if bar is not None]


def phi_steps() -> list[Bar]:
    """phi-1.5 and phi-2 by group of benchmarks, as the reports and the blog print them."""
    rows = [row for row in published.load() if row.model in PHI_STEPS and _in_both(row)]
    return [
        _bar(f"{facts.title_of(row.benchmark)} · {row.model}", row.value, None, None, own=False)
        for row in sorted(rows, key=_order)
    ]


def _in_both(row: Reported) -> bool:
    return row.source.startswith((BLOG, "arXiv 2309.05463"))


def _order(row: Reported) -> tuple[str, str]:
    return row.benchmark, row.model


class Example(Record, frozen=True):
    """A document and what the filter thought of it."""

    score: float | None
    kept: bool
    source: str
    reason: str
    text: str


def filter_examples(registry: "Registry", many: int = 3) -> tuple[list[Example], list[Example]]:
    """The filter's best and worst documents among the first few thousand: (high, low); empty where none is kept."""
    for dataset in reversed(registry.datasets()):
        if dataset.kind == "documents" and any(stage.dropped for stage in dataset.stages):
            folder = settings.datasets_dir() / dataset.digest
            kept = sorted(_read(folder, "documents-*", True), key=lambda one: -(one.score or 0.0))
            dropped = sorted(_read(folder, "dropped-*", False), key=lambda one: one.score or 0.0)
            if kept or dropped:
                return kept[:many], [one for one in dropped if one.score is not None][:many] or dropped[:many]
    return [], []


def _read(folder: Path, pattern: str, kept: bool) -> list[Example]:
    found = []
    for path in sorted(folder.glob(pattern + ".jsonl.gz")):
        for told in _lines(path):
            facts = told.get("facts") or {}
            score = facts.get("score")
            found.append(
                Example(
                    score=float(score) if isinstance(score, int | float) else None,
                    kept=kept,
                    source=str(told.get("source", "")),
                    reason=str(told.get("reason", "")),
                    text=str(told.get("text", ""))[:1500],
                )
            )
            if len(found) >= SCANNED:
                return found
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a gzipped JSONL file, ending where it is damaged: examples are no evidence."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                told = json.loads(line)
                if isinstance(told, dict):
                    yield told
    except (OSError, EOFError, ValueError):
        return
