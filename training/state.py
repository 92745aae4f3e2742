"""Saves and restores a training run's state: whole or absent, verified when read, pruned by rule.

One folder for each saved step (`states/00000200`): weights and optimizer tensors as safetensors, and
`state.json` with the step, the run's identity and the sha256 of both. A state is written beside its
place and renamed, so a kill at any moment leaves the older states intact. The schedule, the data
position and the dropout of a step are pure functions of (seed, step), so they need not be saved.
If several processes train, `training.sharded` writes the tensors instead, each process its own.
Optimizer tensors are named `<optimizer number>.<parameter name>.<state key>`.
"""

import contextlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from training.recipe import States
from zoo.digest import file_sha256, write_json
from zoo.errors import ZooError
from zoo.records import Record

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
WEIGHTS, OPTIMIZER, FACTS = "weights.safetensors", "optimizer.safetensors", "state.json"


class StateFacts(Record, frozen=True):
    """state.json. step: steps done. best: the step of lowest validation loss so far, and that loss."""

    step: int
    identity: dict[str, Any]
    files: dict[str, str]
    best: tuple[int, float] | None = None


@dataclass(frozen=True)
class Loaded:
    """A state as read: its facts and its tensors by name."""

    saved: StateFacts
    weights: "dict[str, torch.Tensor]"
    optimizer: "dict[str, torch.Tensor]"


@dataclass(frozen=True)
class Trunk:
    """The run and the step that a branch goes on from. read_before: sequences read of each of the branch's sources."""

    folder: Path
    identity: dict[str, Any]
    label: str
    step: int
    read_before: tuple[int, ...] | None


def differences(saved: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The differences of two identities, as `key: saved -> wanted` with dotted keys.

    >>> differences({"training": {"steps": 10}}, {"training": {"steps": 20}})
    ['training.steps: 10 -> 20']
    """
    lines = []
    for key in sorted(saved.keys() | wanted.keys()):
        was, now = saved.get(key), wanted.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            lines += differences(was, now, f"{prefix}{key}.")
        elif was != now:
            lines.append(f"{prefix}{key}: {json.dumps(was)} -> {json.dumps(now)}")
    return lines


def check_same(saved: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """Raises ZooError with the keys that differ between a saved run and the wanted one."""
    if wrong := differences(saved, wanted):
        raise ZooError(
            f"{folder} holds another run: {'; '.join(wrong[:4])}{' ...' if len(wrong) > 4 else ''}. "
            "Repeat that run as it was, or give this one its own folder: --folder DIR"
        )


class Keeper:
    """Saves, finds and prunes the states of one run. Writes in a thread, one state at a time."""

    def __init__(self, folder: Path, rule: States, identity: dict[str, Any]) -> None:
        self.folder, self.rule, self.identity = folder / "states", rule, identity
        self.saved_at = time.monotonic()
        self.writer: threading.Thread | None = None
        self.fault: BaseException | None = None

    def due(self, step: int) -> bool:
        """Whether to save a state after this many steps, by time or by count."""
        if self.rule.every_steps and step % self.rule.every_steps == 0:
            return True
        if self.rule.keep_every_steps and step % self.rule.keep_every_steps == 0:
            return True
        return bool(self.rule.every_seconds) and time.monotonic() - self.saved_at >= self.rule.every_seconds

    def save(
        self, step: int, weights: "dict[str, torch.Tensor]", optimizer: "dict[str, torch.Tensor]", best: Any
    ) -> None:
        """Starts writing these tensors, which must be copies, because training continues meanwhile."""
        self.wait()
        self.start_writer(threading.Thread(target=self._guarded, args=(step, weights, optimizer, best), daemon=True))

    def start_writer(self, writer: threading.Thread) -> None:
        """Starts a writing thread; `wait` waits for it."""
        self.saved_at = time.monotonic()
        self.writer = writer
        writer.start()

    def wait(self) -> None:
        """Waits until the current write is on disk. Raises its error, such as a full disk."""
        if self.writer is not None:
            self.writer.join()
            self.writer = None
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault

    def _guarded(self, *args: Any) -> None:
        try:
            self._write(*args)
        except BaseException as error:  # wait() raises it in the training loop
            self.fault = error

    def _write(self, step: int, weights: Any, optimizer: Any, best: Any) -> None:
        part = self.open_part(step)
        try:
            for name, tensors in ((WEIGHTS, weights), (OPTIMIZER, optimizer)):
                save_tensors(tensors, part / name)
            self.publish(part, step, (WEIGHTS, OPTIMIZER), best)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)  # on a full disk a half state is in the way of a whole one
            raise

    def open_part(self, step: int) -> Path:
        """Makes the empty folder in which a step's files are written."""
        part = self.folder / f".{step:08d}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        return part

    def publish(self, part: Path, step: int, names: Iterable[str], best: Any) -> None:
        """Writes the digests and facts of the files in a folder, renames it into place, and prunes."""
        final, digests = self.folder / f"{step:08d}", dict[str, str]()
        for name in names:
            digests[name] = file_sha256(part / name)
            flush_to_disk(part / name)
        write_json(part / FACTS, {"step": step, "identity": self.identity, "files": digests, "best": best})
        if final.exists():  # the same step again, after a resume and a kill: the same bytes, so keep the old one
            shutil.rmtree(part)
        else:
            os.rename(part, final)
            flush_to_disk(self.folder)
        self.prune(best)

    def prune(self, best: Any) -> None:
        """Removes the states that the rule does not retain."""
        steps = self.steps()
        kept = set(steps[-self.rule.keep_last :])
        if best:
            kept.add(best[0])
        if every := self.rule.keep_every_steps:
            kept.update(step for step in steps if step % every == 0)
        for step in sorted(set(steps) - kept):
            gone = self.folder / f".{step:08d}.gone"  # rename first: a kill here leaves no half-removed state
            os.rename(self.folder / f"{step:08d}", gone)
            shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Removes folders that a kill left half written or half removed; only the writing process calls this."""
        for left in self.folder.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)

    def steps(self) -> list[int]:
        """The saved steps, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(entry.name) for entry in self.folder.iterdir() if entry.name.isdigit())

    def newest(self, read: Callable[[int], Item]) -> tuple[Item | None, list[str]]:
        """The newest whole state as `read` or `verify` gives it, and a note for each damaged one.

        Raises ZooError if the state belongs to another run, with the differences.
        """
        notes: list[str] = []
        for step in reversed(self.steps()):
            try:
                return read(step), notes
            except ZooError:
                raise
            except (OSError, ValueError, KeyError) as error:
                notes.append(f"the state of step {step} is damaged ({error}); resuming from an older one")
                shutil.rmtree(self.folder / f"{step:08d}", ignore_errors=True)
        return None, notes

    def facts(self, step: int) -> StateFacts:
        """Reads a state's facts. Raises ValueError if they cannot be read, ZooError if they are another run's."""
        import msgspec

        try:
            saved = msgspec.json.decode((self.folder / f"{step:08d}" / FACTS).read_bytes(), type=StateFacts)
        except msgspec.DecodeError as error:
            raise ValueError(f"{FACTS}: {error}") from error
        check_same(saved.identity, self.identity, self.folder.parent)
        return saved

    def verify(self, step: int) -> StateFacts:
        """Checks every byte of a state and returns its facts. Raises as `facts`, and ValueError for a wrong digest."""
        saved = self.facts(step)
        for name, known in saved.files.items():
            if file_sha256(self.folder / f"{step:08d}" / name) != known:
                raise ValueError(f"{name} does not match its sha256")
        return saved

    def read(self, step: int) -> Loaded:
        """Reads the state of one step and checks its bytes. Raises ValueError if a digest does not match."""
        from safetensors.torch import load

        folder = self.folder / f"{step:08d}"
        return Loaded(self.verify(step), *(load((folder / name).read_bytes()) for name in (WEIGHTS, OPTIMIZER)))

    def whole(self, step: int) -> bool:
        """Whether a state holds whole tensors, not the shards of several processes."""
        return (self.folder / f"{step:08d}" / WEIGHTS).is_file()

    def remove(self) -> None:
        """Removes all states, once the checkpoint is in the zoo."""
        self.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def save_tensors(tensors: "dict[str, torch.Tensor]", path: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file. Raises OSError if the disk is full, as every other write does."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise


def load_whole(loaded: Loaded, model: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]") -> None:
    """Copies a whole state into a model and its optimizers, sharded or not."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scatter(parameter, loaded.weights[name])
    load_optimizer(model, optimizers, loaded.optimizer)


def flush_to_disk(path: Path) -> None:
    """Flushes a file or folder to disk."""
    with contextlib.suppress(OSError):  # some file systems cannot flush folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def weight_tensors(model: "torch.nn.Module") -> "dict[str, torch.Tensor]":
    """Copies of a model's parameters on the CPU, gathered whole if they are sharded."""
    return {name: _whole(parameter) for name, parameter in model.named_parameters()}


def optimizer_tensors(model: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]") -> "dict[str, torch.Tensor]":
    """Copies of all optimizer state on the CPU, named by optimizer number, parameter name and key."""
    tensors = {}
    for number, optimizer in enumerate(optimizers):
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{number}.{name}.{key}"] = _whole(value)
    return tensors


def load_optimizer(
    model: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]", tensors: "dict[str, torch.Tensor]"
) -> None:
    """Restores saved optimizer tensors in the layout of each parameter."""
    import torch

    parameters = dict(model.named_parameters())
    # sorted, because each placement is a collective operation of all processes
    for full, value in sorted(tensors.items()):
        number, _, rest = full.partition(".")
        name, _, key = rest.rpartition(".")
        parameter = parameters[name]
        if int(number) >= len(optimizers):
            raise ZooError("the optimizer state belongs to another kind of optimizer; set optimizer.kind to that kind")
        placed = value.to(parameter.device, copy=True)
        if value.shape == parameter.shape:
            with torch.no_grad():
                own = torch.zeros_like(parameter, dtype=value.dtype)
                scatter(own, placed)
            placed = own
        optimizers[int(number)].state[parameter][key] = placed


def scatter(own: "torch.Tensor", whole: "torch.Tensor") -> None:
    """Copies a whole tensor into a tensor that may be sharded over processes."""
    if hasattr(own, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor

        own.copy_(distribute_tensor(whole.to(own.device), own.device_mesh, own.placements))  # type: ignore[attr-defined]
    else:
        own.copy_(whole)


def _whole(value: "torch.Tensor") -> "torch.Tensor":
    detached = value.detach()
    if hasattr(detached, "full_tensor"):
        detached = detached.full_tensor()
    copied: torch.Tensor = detached.to("cpu", copy=True).contiguous()
    return copied
