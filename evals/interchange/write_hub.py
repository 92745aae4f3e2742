"""Writes a checkpoint's scores as the hub's `.eval_results/*.yaml`, one file an evaluation set.

The hub shows an entry beside its evaluation set, so only scores whose set is on the hub are written. The value is in
percent, as the hub's own tables have it; n and the interval stand in the notes.

Source  huggingface_hub 1.x, `_eval_results.py` (`EvalResultEntry`), which reads and checks the form
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.interchange.cells import ExportedCell
from evals.interchange.facts import as_json, iso, made_by
from zoo.digest import whole_file
from zoo.metrics import metric_of
from zoo.records import Score

FOLDER = ".eval_results"


def write_hub(cells: Sequence[ExportedCell], folder: Path) -> list[Path]:
    """Writes the files of one model's cells below a folder. Returns them; sets that are not on the hub have none."""
    by_set: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        if cell.repository:
            by_set.setdefault(cell.protocol.task, []).extend(_entries(cell))
    files = []
    for task, entries in sorted(by_set.items()):
        path = folder / FOLDER / f"{task}.yaml"
        with whole_file(path) as file:
            file.write("".join(_yaml(entry) for entry in entries).encode())
        files.append(path)
    return files


def _entries(cell: ExportedCell) -> list[dict[str, Any]]:
    return [_entry(cell, score) for score in cell.scores if score.subset == "all"]


def _entry(cell: ExportedCell, score: Score) -> dict[str, Any]:
    tool, version = made_by(cell.run)
    kind = metric_of(score.metric)
    unit = (
        "percent"
        if kind.is_share
        else f"{kind.unit or kind.title}, lower is better"
        if kind.lower_is_better
        else kind.unit
    )
    notes = [
        f"{score.metric}, {unit}, 95% interval {kind.shown(score.low):.4g} to {kind.shown(score.high):.4g}, "
        f"n={score.n}",
        f"protocol {cell.protocol.name}" + (f", {cell.protocol.shots}-shot" if cell.protocol.shots else ""),
        *([f"{score.unscored} unscored"] if score.unscored else []),
        *([f"{score.seeds} seeds"] if score.seeds > 1 else []),
        *([f"sandbox {cell.run.sandbox}"] if cell.run.sandbox else []),
        f"{tool} {version}, {score.engine} {cell.run.backend.version} {score.dtype}, run {cell.run.id[:12]}",
    ]
    dataset = {"id": cell.repository, "task_id": f"{cell.protocol.task}/{score.metric}", "revision": cell.revision}
    source = {"url": f"https://huggingface.co/datasets/{cell.repository}", "name": f"{tool} {version}"}
    dated = {"date": iso(cell.run.started)} if cell.run.started else {}
    return {
        "dataset": dataset,
        "value": round(kind.shown(score.value), 4),
        **dated,
        "source": source,
        "notes": "; ".join(notes),
    }


def _yaml(entry: dict[str, Any]) -> str:
    """One item of a YAML list. Its values are JSON, which YAML is a superset of."""
    lines = [f"{key}: {as_json(value)}" for key, value in entry.items()]
    return "- " + "\n  ".join(lines) + "\n"
