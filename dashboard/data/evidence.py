"""The evidence of a measured cell: its run's results and facts, and the commands that reproduce it."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from dashboard.board.cells import Cell, Column, Row, overlap_text, run_texts
from evals.decisions.cost import cost_text
from evals.records import Result, Run
from evals.results.history import cell_history
from evals.results.task_of_run import commands
from evals.run_folder import read_results
from zoo.cli.output import share_cell
from zoo.coverage import NOT_SEARCHED

if TYPE_CHECKING:
    from zoo.registry import Registry


def read_run(registry: "Registry", run: str) -> tuple[Result, ...]:
    """A run's results, the last one of each sample and draw. Raises ZooError if they are not stored."""
    last = {(result.sample, result.draw): result for result in read_results(registry.results(run))}
    return tuple(last.values())


def flagged_samples(registry: "Registry", header: Mapping[str, Any]) -> frozenset[str] | None:
    """The samples that any search of the training data of a run's checkpoint flagged; None: nobody searched."""
    searches = registry.searches(header["checkpoint"], header["task"])
    return frozenset(sample for search in searches for sample in search.flagged) if searches else None


def reproduction_commands(header: Mapping[str, Any], row: Row) -> list[str]:
    """The commands that reproduce a cell: one checks it against the stored run, one makes a new run."""
    run = msgspec.convert(dict(header), Run)
    cell = shlex.quote(f"{row.label}/{run.task}@{run.protocol['name']}")
    return [f"phizoo eval reproduce {cell}", *commands(run)]


def history_rows(registry: "Registry", checkpoint: str, column: Column) -> list[dict[str, str]]:
    """Every run behind a cell and its namesakes under other versions, for display; the one that is shown first."""
    return [
        {
            "": past.role + (f" ({past.changed})" if past.changed else ""),
            "score": share_cell(past.value, past.low, past.high, past.n),
            "when": past.created[:16].replace("T", " "), "version": str(past.version),
            "engine": f"{past.engine} {past.dtype}".strip(), "seeds": str(past.seeds) if past.seeds > 1 else "",
            "run": ", ".join(run[:12] for run in past.runs or (past.run,)), "elsewhere": past.measured_at,
        }
        for past in cell_history(registry, checkpoint, column.fingerprint, column.metric)
    ]  # fmt: skip


def run_facts(header: Mapping[str, Any], cell: Cell) -> list[tuple[str, str]]:
    """The facts in a run's header, as (name, value) pairs for display."""
    backend = header.get("backend", {})
    scored = f"{cell.n} samples, {cell.clusters} independent"
    facts = {
        "run": cell.run,
        "seeds combined": ", ".join(run[:12] for run in cell.runs),
        "scored": ", ".join([scored, *run_texts(cell)]),
        "engine": f"{backend.get('engine', '?')} {backend.get('version', '')}, {backend.get('dtype', '?')}",
        "device": str(backend.get("device", "?")),
        "seed, draws": f"{header.get('seed', '?')}, {header.get('draws', '?')}",
        "training data": overlap_text(cell, why=True) or NOT_SEARCHED,
        "sandbox": header.get("sandbox") or "no program was run",
        "cost": cost_text(header),
        "started": str(header.get("started", "")),
        "commit": str(header.get("commit", "")),
        "versions": ", ".join(f"{name} {version}" for name, version in header.get("versions", {}).items()),
    }
    return [(name, value) for name, value in facts.items() if value.strip()]
