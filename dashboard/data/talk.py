"""The talk's figures as rows: what the papers print, and the same comparison measured here, side by side."""

import json
from collections.abc import Iterable, Iterator, Sequence
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboard.board import benchmarks as facts
from dashboard.board.cells import Board, Column, Row
from dashboard.data.notes import LIFT, LIFT_TASK
from zoo import gz, published, settings
from zoo.records import Record

if TYPE_CHECKING:
    from zoo.registry import Registry

Bar = dict[str, Any]
FIGURE_21 = "arXiv 2306.11644v2 Figure 2.1"
BLOG = 'Microsoft Research blog "Phi-2" Table 1'
PHI15_REPORT = "arXiv 2309.05463 Tables 2-4"
PHI_STEPS = ("phi-1.5", "phi-2")
# the blog's averages and the parts that it names; as the report of phi-1.5 has them where it has another form
PHI2_GROUPS = {
    "commonsense_avg": ("piqa", "winogrande", "arc_easy", "arc_challenge", "siqa"),
    "language_understanding_avg": ("hellaswag", "openbookqa", "mmlu", "squad", "boolq"),
    "math": ("gsm8k",),
    "coding_avg": ("humaneval", "mbpp"),
}
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


def phi_steps(board: Board) -> list[Bar]:
    """phi-1.5 → phi-2 by the blog's groups: phi-2's average as printed, phi-1.5's made here from its report's tables.

    The two come from different pipelines (MMLU 2-shot against 5-shot, SQuAD against SQuAD v2, GSM8K by code
    against chain of thought), which is why the page says so beside them. BBH is not in phi-1.5's report.
    """
    rows = {row.name: row for row in board.rows if not row.own}
    if not all(name in rows for name in PHI_STEPS):
        return []
    reports = [c for c in board.columns if c.origin == "reported" and c.source.startswith(PHI15_REPORT)]
    blog = [c for c in board.columns if c.origin == "reported" and c.source.startswith(BLOG)]
    told = []
    for group, parts in PHI2_GROUPS.items():
        before = _mean(rows[PHI_STEPS[0]], reports, parts, f"{_group(group)} · phi-1.5")
        after = _mean(rows[PHI_STEPS[1]], blog, (group,), f"{_group(group)} · phi-2")
        told += [bar for bar in (before, after) if bar is not None]
    return told


def _group(group: str) -> str:
    return "Math (GSM8K)" if group == "math" else facts.title_of(group)  # what the blog calls math is GSM8K alone


def own_groups(board: Board, names: Sequence[str]) -> list[Bar]:
    """The same groups of the own checkpoints with these names, over those of their benchmarks that were measured."""
    columns = [column for column in board.columns if column.origin == "measured" and column.main]
    told = []
    for group, parts in PHI2_GROUPS.items():
        for row in (row for row in board.rows if row.own and row.name in names):
            held = [part for part in parts if any(c.benchmark == part and c.key in row.cells for c in columns)]
            of = f" ({len(held)} of {len(parts)})" if len(held) < len(parts) else ""
            bar = _mean(row, columns, held, f"{_group(group)}{of} · {row.label}")
            told += [bar] if bar is not None else []
    return told


def _mean(row: Row, columns: Sequence[Column], parts: Sequence[str], name: str) -> Bar | None:
    """The mean over benchmarks, each in the first of these columns that the row has; None where one is missing.

    The interval is that of a mean of independent parts; none where a part has none.
    """
    by_part = [
        next((row.cells[c.key] for c in columns if c.benchmark == p and c.key in row.cells), None) for p in parts
    ]
    cells = [cell for cell in by_part if cell is not None]
    if not cells or len(cells) < len(parts):
        return None
    value = sum(cell.value for cell in cells) / len(cells)
    below = above = 0.0
    for cell in cells:
        if cell.low is None or cell.high is None:
            return _bar(name, value, None, None, row.own)
        below += (cell.value - cell.low) ** 2
        above += (cell.high - cell.value) ** 2
    return _bar(name, value, value - sqrt(below) / len(cells), value + sqrt(above) / len(cells), row.own)


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
        for line in gz.lines(path):
            told = json.loads(line)
            if isinstance(told, dict):
                yield told
    except (OSError, ValueError):
        return
