"""The bars of the talk's figures: the published numbers, and the same comparisons measured here."""

import json
from collections.abc import Iterable, Iterator, Sequence
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboard.board import benchmarks
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
# the blog's averages and their parts; a part that phi-1.5's report has in another form is named as there
PHI2_GROUPS = {
    "commonsense_avg": ("piqa", "winogrande", "arc_easy", "arc_challenge", "siqa"),
    "language_understanding_avg": ("hellaswag", "openbookqa", "mmlu", "squad", "boolq"),
    "math": ("gsm8k",),
    "coding_avg": ("humaneval", "mbpp"),
}
MAX_SCANNED = 4000  # documents read to find the filter's examples: takes a second and gives enough variety


def _bar(name: str, value: float, low: float | None, high: float | None, own: bool) -> Bar:
    return {"name": name, "value": value, "low": low, "high": high, "kind": "measured here" if own else "reported"}


def _first_bars(rows: Iterable[Row], keys: Sequence[str]) -> list[Bar]:
    """The bars of the rows that have a cell in one of these columns, each of the first that it has."""
    firsts = ((row, next((row.cells[key] for key in keys if key in row.cells), None)) for row in rows)
    return [
        _bar(row.label, cell.value, cell.low, cell.high, row.own and not cell.measured_at)
        for row, cell in firsts
        if cell is not None
    ]


def source_bars(board: Board, source: str, benchmark: str) -> list[Bar]:
    """The bars of one published source, in its order."""
    models = [row.model for row in published.load() if row.source.startswith(source) and row.benchmark == benchmark]
    by_name = {row.name: row for row in board.rows if not row.own}
    keys = [c.key for c in board.columns if c.benchmark == benchmark and (c.source.startswith(source) or c.talk)]
    return _first_bars((by_name[model] for model in dict.fromkeys(models) if model in by_name), keys)


def data_ablation(board: Board) -> tuple[list[Bar], list[Bar]]:
    """The bars of figure 2.1 (The Stack, CodeTextbook, + CodeExercises), and those of the own three models."""
    return source_bars(board, FIGURE_21, "humaneval"), own_step_bars(board)


def own_step_bars(board: Board) -> list[Bar]:
    """The unfiltered, base and finetuned own models on the held-out exercises."""
    by_name = {row.name: row for row in board.rows if row.own}
    keys = [column.key for column in board.columns if column.task == LIFT_TASK and column.main]
    return _first_bars((by_name[name] for name in LIFT if name in by_name), keys)


def weight_reuse_bars(board: Board) -> list[Bar]:
    """The bars of the talk's chart: phi-1 from scratch, with weight reuse, and with reuse and tiling."""
    return source_bars(board, published.WEIGHT_REUSE, "humaneval")


def grown_bars(board: Board, registry: "Registry | None") -> list[Bar]:
    """Own checkpoints grown from a smaller one, and their parents, on the exercises or HumanEval."""
    if registry is None:
        return []
    checkpoints = registry.list(all_versions=True)
    sources = {c.label: {parent.digest for parent in c.parents if parent.relation == "grow"} for c in checkpoints}
    parents = {digest for digests in sources.values() for digest in digests}
    labels = {c.label for c in checkpoints if sources[c.label] or c.digest in parents}
    keys = [c.key for c in board.columns if c.task in (LIFT_TASK, "humaneval") and c.main]
    return _first_bars((row for row in board.rows if row.label in labels), keys)


def phi_step_bars(board: Board) -> list[Bar]:
    """phi-1.5 → phi-2 by the blog's groups: phi-2's averages as printed, phi-1.5's computed from its report's tables.

    The two come from different pipelines (MMLU 2-shot against 5-shot, SQuAD against SQuAD v2, GSM8K by code against
    chain of thought), and the page says so. BBH is not in phi-1.5's report.
    """
    rows = {row.name: row for row in board.rows if not row.own}
    if not all(name in rows for name in PHI_STEPS):
        return []
    reports = [c for c in board.columns if c.origin == "reported" and c.source.startswith(PHI15_REPORT)]
    blog = [c for c in board.columns if c.origin == "reported" and c.source.startswith(BLOG)]
    bars = []
    for group, parts in PHI2_GROUPS.items():
        before = _mean_bar(rows[PHI_STEPS[0]], reports, parts, f"{_group_title(group)} · phi-1.5")
        after = _mean_bar(rows[PHI_STEPS[1]], blog, (group,), f"{_group_title(group)} · phi-2")
        bars += [bar for bar in (before, after) if bar is not None]
    return bars


def _group_title(group: str) -> str:
    return "Math (GSM8K)" if group == "math" else benchmarks.title_of(group)  # the blog's math group is GSM8K alone


def own_group_bars(board: Board, names: Sequence[str]) -> list[Bar]:
    """The same groups for the own checkpoints with these names, over the benchmarks that were measured."""
    columns = [column for column in board.columns if column.origin == "measured" and column.main]
    bars = []
    for group, parts in PHI2_GROUPS.items():
        for row in (row for row in board.rows if row.own and row.name in names):
            measured = [part for part in parts if any(c.benchmark == part and c.key in row.cells for c in columns)]
            share = f" ({len(measured)} of {len(parts)})" if len(measured) < len(parts) else ""
            bar = _mean_bar(row, columns, measured, f"{_group_title(group)}{share} · {row.label}")
            bars += [bar] if bar is not None else []
    return bars


def _mean_bar(row: Row, columns: Sequence[Column], parts: Sequence[str], name: str) -> Bar | None:
    """The bar of the mean over benchmarks, each in the row's first of these columns; None if one is missing.

    The interval is that of a mean of independent parts; there is none if a part has none.
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


class FilterExample(Record, frozen=True):
    """A document that the quality filter kept or dropped, with its score and the reason."""

    score: float | None
    kept: bool
    source: str
    reason: str
    text: str


def filter_examples(registry: "Registry", many: int = 3) -> tuple[list[FilterExample], list[FilterExample]]:
    """The filter's best kept and worst dropped documents among the first few thousand; empty if there are none.

    The newest filter that scored what it dropped, else the newest that dropped anything.
    """
    unscored: tuple[list[FilterExample], list[FilterExample]] = [], []
    for dataset in reversed(registry.datasets()):
        if dataset.kind == "documents" and any(stage.dropped for stage in dataset.stages):
            folder = settings.datasets_dir() / dataset.digest
            kept = sorted(_read_examples(folder, "documents-*", True), key=lambda example: -(example.score or 0.0))
            dropped = sorted(_read_examples(folder, "dropped-*", False), key=lambda example: example.score or 0.0)
            if scored := [example for example in dropped if example.score is not None]:
                return kept[:many], scored[:many]
            unscored = unscored if any(unscored) else (kept[:many], dropped[:many])
    return unscored


def _read_examples(folder: Path, pattern: str, kept: bool) -> list[FilterExample]:
    examples: list[FilterExample] = []
    for path in sorted(folder.glob(pattern + ".jsonl.gz")):
        for document in _read_documents(path):
            score = (document.get("facts") or {}).get("score")
            examples.append(
                FilterExample(
                    score=float(score) if isinstance(score, int | float) else None, kept=kept,
                    source=str(document.get("source", "")), reason=str(document.get("reason", "")),
                    text=str(document.get("text", ""))[:1500],
                )
            )  # fmt: skip
            if len(examples) >= MAX_SCANNED:
                return examples
    return examples


def _read_documents(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a gzipped JSONL file up to the first damage, which examples may ignore."""
    try:
        for line in gz.lines(path):
            document = json.loads(line)
            if isinstance(document, dict):
                yield document
    except (OSError, ValueError):
        return
