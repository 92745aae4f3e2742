"""What stands behind a cell: its run's header, its result lines, how to get it again, and paired differences."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboard.cells import Cell, Column, Row
from evals.records import Result, decode_results
from evals.stats.paired import Difference, paired
from zoo.checkpoint import Record
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.registry import Registry


class Pair(Record, frozen=True):
    """Two rows compared on the samples that both were scored on, in one column.

    difference  second minus first, in 0..1
    flips       samples on which the two differ: (sample, first's score, second's score)
    """

    first: str
    second: str
    column: str
    difference: Difference
    flips: tuple[tuple[str, float, float], ...]


def results_of(registry: "Registry", run: str) -> tuple[Result, ...]:
    """A run's result lines, the last of each sample and draw. Raises ZooError when they are not kept."""
    return read_results(registry.results(run))


def read_results(path: Path) -> tuple[Result, ...]:
    """The result lines of a file, the last of each sample and draw."""
    last = {(one.sample, one.draw): one for one in decode_results(path.read_bytes())}
    return tuple(last.values())


def by_sample(results: Iterable[Result], metric: str) -> dict[str, tuple[float, str]]:
    """Each scored sample's mean over its draws under a metric, and its cluster."""
    held: dict[str, list[float]] = {}
    clusters: dict[str, str] = {}
    for one in results:
        value = one.metrics.get(metric, one.score) if one.score is not None else None
        if value is not None:
            held.setdefault(one.sample, []).append(value)
            clusters[one.sample] = one.cluster or one.sample
    return {sample: (sum(values) / len(values), clusters[sample]) for sample, values in held.items()}


def compare(column: Column, first: Row, second: Row, results: Mapping[str, Sequence[Result]]) -> Pair | None:
    """Two rows in one column, paired; None where one has no cell or they share no sample.

    results  run id -> its result lines
    """
    one, other = first.cells.get(column.key), second.cells.get(column.key)
    if one is None or other is None or one.run not in results or other.run not in results:
        return None
    a, b = by_sample(results[one.run], column.metric), by_sample(results[other.run], column.metric)
    shared = [sample for sample in a if sample in b]
    if not shared:
        return None
    clusters = [a[sample][1] for sample in shared]
    alone = len(set(clusters)) == len(shared)
    difference = paired([b[s][0] for s in shared], [a[s][0] for s in shared], None if alone else clusters)
    flips = tuple((s, a[s][0], b[s][0]) for s in shared if a[s][0] != b[s][0])
    return Pair(first=first.label, second=second.label, column=column.key, difference=difference, flips=flips)


def runs_of(registry: "Registry", rows: Iterable[Row], columns: Iterable[Column]) -> dict[str, tuple[Result, ...]]:
    """The result lines behind these rows' cells, by run id; runs whose lines are not kept are left out."""
    found: dict[str, tuple[Result, ...]] = {}
    keys = [column.key for column in columns]
    for row in rows:
        for run in {row.cells[key].run for key in keys if key in row.cells and row.cells[key].run}:
            try:
                found[run] = results_of(registry, run)
            except (ZooError, OSError):
                continue
    return found


def reproduce(header: Mapping[str, Any], row: Row, column: Column) -> str:
    """The command that gives the cell again: the run's own where it was kept, else the shortest."""
    if header.get("command"):
        return str(header["command"])
    name = column.title.split(" v", maxsplit=1)[0]
    return f"phizoo eval run {row.label} --tasks {column.task}@{name}"


def run_facts(header: Mapping[str, Any], cell: Cell) -> list[tuple[str, str]]:
    """What a run's header tells, as (what, value) for a person."""
    backend = header.get("backend", {})
    told = {
        "run": cell.run,
        "scored": f"{cell.n} samples, {cell.clusters} independent"
        + (f", {cell.unscored} unscored" * bool(cell.unscored)),
        "engine": f"{backend.get('engine', '?')} {backend.get('version', '')}, {backend.get('dtype', '?')}",
        "device": str(backend.get("device", "?")),
        "seed, draws": f"{header.get('seed', '?')}, {header.get('draws', '?')}",
        "sandbox": header.get("sandbox") or "no program was run",
        "started": str(header.get("started", "")),
        "commit": str(header.get("commit", "")),
        "versions": ", ".join(f"{name} {version}" for name, version in header.get("versions", {}).items()),
    }
    return [(what, value) for what, value in told.items() if value.strip()]
