"""All pairs of checkpoints on one task: paired differences, what holds after Holm over all of them, ties as letters."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from evals.decisions.contrast import task_contrast
from evals.results.compare import find_first, main_readings, score_ends, scores_by_protocol
from evals.stats.equivalence import SIDE
from evals.stats.letters import shared_letters
from evals.stats.paired import Difference, holm, unpaired_difference
from zoo.cli.output import json_text, p_text
from zoo.digest import whole_file
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Checkpoint, Record, Score
from zoo.registry import Registry
from zoo.visible import plain

MOST_ROWS = 60  # 1,770 pairs; each is read sample by sample


class MatrixRow(Record, frozen=True, kw_only=True):
    """A checkpoint and its score, 0..1. letters: it shares one with each row that it is not told apart from."""

    label: str
    value: float
    low: float
    high: float
    n: int
    letters: str


class MatrixPair(Record, frozen=True, kw_only=True):
    """Two rows by their numbers, the better first. separated: p after Holm over all pairs is at most 0.05."""

    first: int
    second: int
    difference: Difference
    p_holm: float
    separated: bool


class Matrix(Record, frozen=True, kw_only=True):
    """Every pair under one protocol; rows best first. left_out: without a score of it, or beyond MOST_ROWS."""

    column: str
    metric: str
    rows: tuple[MatrixRow, ...]
    pairs: tuple[MatrixPair, ...]
    left_out: tuple[str, ...] = ()

    @property
    def table(self) -> list[list[MatrixPair | None]]:
        """The pair of each row and column; None on the diagonal."""
        cells: list[list[MatrixPair | None]] = [[None] * len(self.rows) for _ in self.rows]
        for pair in self.pairs:
            cells[pair.first][pair.second] = cells[pair.second][pair.first] = pair
        return cells

    def cell(self, row: int, column: int, pair: MatrixPair | None) -> str:
        """The difference of two rows in points, row minus column; a star where it holds after Holm."""
        if pair is None:
            return ""
        value = pair.difference.value * (1 if row == pair.first else -1) + 0.0  # no "-0.0"
        return metric_of(self.metric).text(value, "+") + ("*" if pair.separated else "")


def all_pairs(registry: Registry, names: Sequence[str], tasks: Sequence[str] = ()) -> list[Matrix]:
    """A matrix for each task, by its main metric under its default protocol, if two or more have it.

    names   checkpoints; all of the zoo, in their newest version, if empty
    tasks   only these: `humaneval`, or `humaneval@healed`
    Raises  ZooError for an unknown name, or if no two share a protocol
    """
    chosen = [find_first(registry, name) for name in dict.fromkeys(names)] if names else registry.list()
    chosen = list({checkpoint.digest: checkpoint for checkpoint in chosen}.values())
    protocols = registry.protocols()
    each = {checkpoint.digest: scores_by_protocol(registry, checkpoint, protocols, tasks) for checkpoint in chosen}
    by_key: dict[str, dict[str, Score]] = {}
    for digest, scores in each.items():
        for key, score in scores.items():
            by_key.setdefault(key, {})[digest] = score
    shared = {key: scores for key, scores in by_key.items() if len(scores) > 1}
    if not shared:
        step = f"phizoo eval run {' '.join(names[:6]) or 'NAME NAME'} --task {tasks[0] if tasks else 'humaneval'}"
        raise ZooError(f"no two of {len(chosen)} checkpoints share a protocol. Next: {step}")
    main = main_readings(registry, [next(iter(scores.values())) for scores in shared.values()], protocols)
    return [
        _matrix(registry, protocols[next(iter(scores.values())).protocol].column, scores, chosen)
        for key, scores in shared.items()
        if next(iter(scores.values())).protocol in main
    ]


def _matrix(registry: Registry, column: str, scores: Mapping[str, Score], chosen: Sequence[Checkpoint]) -> Matrix:
    metric = metric_of(next(iter(scores.values())).metric)
    have = sorted((c for c in chosen if c.digest in scores), key=lambda c: -metric.merit(scores[c.digest].value))
    rows, beyond = have[:MOST_ROWS], have[MOST_ROWS:]
    order = list(combinations(range(len(rows)), 2))
    stats = [_difference(registry, scores[rows[i].digest], scores[rows[j].digest]) for i, j in order]
    adjusted = holm([stat.p for stat in stats])
    pairs = tuple(
        MatrixPair(first=i, second=j, difference=stat, p_holm=p, separated=p <= SIDE)
        for (i, j), stat, p in zip(order, stats, adjusted, strict=True)
    )
    letters = shared_letters(len(rows), [(pair.first, pair.second) for pair in pairs if pair.separated])
    of_row = [scores[checkpoint.digest] for checkpoint in rows]
    left_out = [*beyond, *(checkpoint for checkpoint in chosen if checkpoint.digest not in scores)]
    return Matrix(
        column=column, metric=metric.name, pairs=pairs, left_out=tuple(c.label for c in left_out),
        rows=tuple(
            MatrixRow(label=c.label, value=s.value, low=s.low, high=s.high, n=s.n, letters=group)
            for c, s, group in zip(rows, of_row, letters, strict=True)
        ),
    )  # fmt: skip


def _difference(registry: Registry, first: Score, second: Score) -> Difference:
    contrast = task_contrast(registry, first, second)
    if contrast.tasks:
        return contrast.tasks[0].difference()
    return unpaired_difference(score_ends(first), score_ends(second), contrast.n, metric_of(first.metric))


def matrix_csv(matrices: Sequence[Matrix]) -> str:
    """One line a pair, in points or in the metric's unit."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = ("column", "first", "second", "difference", "low", "high", "p", "p_holm", "separated", "n", "kind")
    writer.writerow(names)
    for matrix in matrices:
        for pair in matrix.pairs:
            d = pair.difference
            ends = [f"{metric_of(matrix.metric).shown(end):.4g}" for end in (d.value, d.low, d.high)]
            labels = (matrix.rows[pair.first].label, matrix.rows[pair.second].label)
            writer.writerow([matrix.column, *labels, *ends, d.p, pair.p_holm, pair.separated, d.n, d.method])
    return file.getvalue()


def matrix_markdown(matrices: Sequence[Matrix]) -> str:
    """A table a task: row minus column in points, a star where it holds after Holm."""
    lines = []
    for matrix in matrices:
        titles = ["", "score", "letters", *(str(number + 1) for number in range(len(matrix.rows)))]
        lines += [f"## {plain(matrix.column)}", "", "| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
        for number, (row, cells) in enumerate(zip(matrix.rows, matrix.table, strict=True)):
            differences = [matrix.cell(number, other, pair) for other, pair in enumerate(cells)]
            label = plain(row.label).replace("|", "\\|")
            fields = [f"{number + 1} {label}", metric_of(matrix.metric).text(row.value), row.letters, *differences]
            lines.append("| " + " | ".join(fields) + " |")
        lines += ["", summary(matrix), ""]
    return "\n".join(lines)


def summary(matrix: Matrix) -> str:
    """What holds, in one sentence."""
    held = sum(pair.separated for pair in matrix.pairs)
    least = min((pair.p_holm for pair in matrix.pairs), default=1.0)
    text = f"{held} of {len(matrix.pairs)} pairs are told apart after Holm over all of them (least p {p_text(least)})"
    return f"{text}; rows that share a letter are not told apart."


WRITERS: dict[str, Callable[[Sequence[Matrix]], str]] = {
    ".csv": matrix_csv,
    ".md": matrix_markdown,
    ".json": lambda matrices: json_text(matrices) + "\n",
}


def check_export(path: Path) -> Path:
    """The path, if a matrix can be written to it. Raises ZooError for another ending."""
    if path.suffix not in WRITERS:
        raise ZooError(f"--out {path.name}: a matrix ends in {', '.join(WRITERS)}")
    return path


def write_matrices(matrices: Sequence[Matrix], path: Path) -> None:
    """Writes the matrices, whole or not at all."""
    with whole_file(path) as file:
        file.write(WRITERS[path.suffix](matrices).encode())
