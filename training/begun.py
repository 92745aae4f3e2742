"""Tells before anything is written whether a run was begun in another way: by other processes, or as another run.

A run's folder is named by everything that determines the weights, the number of processes too (sums run in another
order). So a run of two processes that one goes on with would begin anew, elsewhere, without a word. Not here: reading
the states themselves (`training.state`).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.state import check_same
from zoo.errors import ZooError
from zoo.settings import training_dir


def check_begun(wanted: Mapping[str, Any], place: Path, chosen: bool, command: Callable[[int], str]) -> None:
    """Raises ZooError, with the command that goes on, if the run that `wanted` identifies was begun in another way.

    place    the folder of its states
    chosen   the user chose that folder; otherwise the folders of all runs are looked at
    command  the command line that goes on with a number of processes
    """
    begun = _read_identity(place)
    if begun is None and not chosen:
        for file in sorted(training_dir().glob("*/run.json")):
            other = _read_identity(file.parent)
            if other is not None and {**other, "processes": wanted["processes"]} == wanted:
                place, begun = file.parent, other
    if begun is None:
        return
    was, now = begun.get("processes"), wanted["processes"]
    if isinstance(was, int) and was != now and {**begun, "processes": now} == wanted:
        raise ZooError(
            f"processes: {was} -> {now}; {place} holds this run's states, which {was} "
            f"process{'es' if was > 1 else ''} wrote, and nothing was changed. It goes on with: {command(was)} "
            f"(or begin anew with {now}: --folder DIR)"
        )
    check_same(begun, wanted, place)


def _read_identity(place: Path) -> dict[str, Any] | None:
    """The identity of the run whose states a folder holds; None if it has no state that can be read."""
    if not any((place / "states").glob("[0-9]*")):
        return None
    try:
        identity = json.loads((place / "run.json").read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return identity if isinstance(identity, dict) else None
