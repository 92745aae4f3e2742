"""What stands behind a cell: its run's header and result lines, and the command that gives it again."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from dashboard.board.cells import Cell, Row
from evals.records import Result, Run
from evals.results.task_of_run import commands
from evals.run_folder import read_results

if TYPE_CHECKING:
    from zoo.registry import Registry


def results_of(registry: "Registry", run: str) -> tuple[Result, ...]:
    """A run's result lines, the last of each sample and draw. Raises ZooError when they are not kept."""
    last = {(one.sample, one.draw): one for one in read_results(registry.results(run))}
    return tuple(last.values())


def again(header: Mapping[str, Any], row: Row) -> str:
    """The commands that give the cell again: checked against the kept run, or as a run of its own."""
    run = msgspec.convert(dict(header), Run)
    cell = shlex.quote(f"{row.label}/{run.task}@{run.protocol['name']}")
    return "\n".join([f"phizoo eval reproduce {cell}", *commands(run)])


def run_facts(header: Mapping[str, Any], cell: Cell) -> list[tuple[str, str]]:
    """What a run's header tells, as (what, value) for a person."""
    backend = header.get("backend", {})
    scored = f"{cell.n} samples, {cell.clusters} independent"
    told = {
        "run": cell.run,
        "scored": scored + (f", {cell.unscored} unscored" if cell.unscored else ""),
        "engine": f"{backend.get('engine', '?')} {backend.get('version', '')}, {backend.get('dtype', '?')}",
        "device": str(backend.get("device", "?")),
        "seed, draws": f"{header.get('seed', '?')}, {header.get('draws', '?')}",
        "sandbox": header.get("sandbox") or "no program was run",
        "started": str(header.get("started", "")),
        "commit": str(header.get("commit", "")),
        "versions": ", ".join(f"{name} {version}" for name, version in header.get("versions", {}).items()),
    }
    return [(what, value) for what, value in told.items() if value.strip()]
