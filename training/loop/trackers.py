"""Hands a run's numbers to where people watch: TensorBoard, trackio or Weights & Biases.

All three are optional and get the numbers of metrics.jsonl. TensorBoard is used if it is installed; the others only if
they are asked for (`--track`), since they may send the numbers elsewhere. No tracker decides anything about a run.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from zoo.errors import ZooError

ASKED = ("trackio", "wandb")
PROJECT = "phizoo"


class Tracker(NamedTuple):
    """An open tracker. log: takes one step's numbers and the step."""

    log: Callable[[Mapping[str, float], int], object]
    close: Callable[[], object]


def check_trackers(names: Sequence[str]) -> None:
    """Raises ZooError for a tracker that is not installed, before anything is trained."""
    for name in names:
        if find_spec(name) is None:
            raise ZooError(f"{name} is not installed; install it with: pip install {name}, or leave --track out")


def open_trackers(names: Sequence[str], folder: Path, step: int, name: str, config: Mapping[str, Any]) -> list[Tracker]:
    """Opens TensorBoard if it is installed, and the trackers that were asked for.

    step    the step that the run begins or resumes after
    name    the run's name; resumed, the run goes on under it
    config  the resolved recipe
    """
    trackers = []
    if find_spec("tensorboard"):
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        trackers.append(Tracker(lambda numbers, at: _add_scalars(writer, numbers, at), writer.close))
    for tracker in names:
        module = import_module(tracker)
        own = {"id": f"{name}-{folder.name}", "dir": str(folder)} if tracker == "wandb" else {}
        module.init(project=PROJECT, name=f"{name}-{folder.name}", config=dict(config), resume="allow", **own)
        trackers.append(Tracker(_log_of(module), module.finish))
    return trackers


def _log_of(module: Any) -> Callable[[Mapping[str, float], int], object]:
    return lambda numbers, step: module.log(dict(numbers), step=step)


def _add_scalars(writer: Any, numbers: Mapping[str, float], step: int) -> None:
    for key, value in numbers.items():
        writer.add_scalar(key, value, step)
