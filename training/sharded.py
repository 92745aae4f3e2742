"""Saves and restores the state of a run of several processes: each writes its own shards through torch's DCP.

Folders, rules and facts are those of `training.state` (whole or absent, digests checked when read, pruned by
rule); the tensors are in DCP's files instead of safetensors, and no process holds more than its part. Staging
blocks the step, writing does not; it uses its own process group, so its messages never mix with those of
training. All processes must see the folder.
"""

import datetime
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from training import parallel
from training.parallel import World
from training.state import Keeper, StateFacts

if TYPE_CHECKING:
    import torch

WEIGHT, MOMENT = "weight/", "optimizer/"


def open_group(world: World) -> Any:
    """Opens the process group of the writers; None for a single process."""
    if world.size == 1:
        return None
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=datetime.timedelta(days=parallel.COLLECTIVE_DAYS))


def _named_tensors(model: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]") -> "dict[str, torch.Tensor]":
    """This process's shards of all tensors of a run, by name and not copied."""
    parameters = dict(model.named_parameters())
    tensors: dict[str, Any] = {WEIGHT + name: parameter.detach() for name, parameter in parameters.items()}
    for number, optimizer in enumerate(optimizers):
        for name, parameter in parameters.items():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{MOMENT}{number}.{name}.{key}"] = value
    return tensors


def save(
    keeper: Keeper, step: int, model: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]", best: Any,
    group: Any, world: World,
) -> None:  # fmt: skip
    """Copies this process's shards and starts writing them; every process must call it."""
    import torch.distributed as dist
    from torch.distributed import checkpoint

    dcp: Any = checkpoint
    # a write that failed in one process alone (a full disk) ends all of them
    parallel.together(world, keeper.wait)
    part = keeper.folder / f".{step:08d}.part"
    parallel.together(world, lambda: keeper.open_part(step) if world.first else None)
    dist.barrier(group=group)
    writing: Any = dcp.async_save(
        _named_tensors(model, optimizers), storage_writer=dcp.FileSystemWriter(part), process_group=group
    )
    keeper.start_writer(threading.Thread(target=_finish, args=(keeper, writing, step, part, best, world), daemon=True))


def _finish(keeper: Keeper, writing: Any, step: int, part: Path, best: Any, world: World) -> None:
    """Waits for all shards; then the first process writes digests and facts and renames the folder into place."""
    try:
        writing.result()
        if world.first:
            keeper.publish(part, step, sorted(file.name for file in part.iterdir()), best)
    except BaseException as error:  # wait() raises it in the training loop
        if world.first:
            shutil.rmtree(part, ignore_errors=True)
        keeper.fault = _system_fault(error)


def _system_fault(error: BaseException) -> BaseException:
    """The operating system's error inside one of torch's (a full disk in one of the processes), or the error itself."""
    failures = getattr(error, "failures", None)
    inner = [pair[0] for pair in failures.values()] if isinstance(failures, dict) else []
    seen: BaseException | None
    for seen in (*inner, error):
        while seen is not None:
            if isinstance(seen, OSError) and seen.errno:
                return seen
            seen = seen.__cause__ or seen.__context__
    return error


def newest(keeper: Keeper, world: World) -> tuple[StateFacts | None, list[str]]:
    """The newest whole state, and a note for each damaged one; the first process checks and broadcasts."""
    import torch.distributed as dist

    shared: list[Any] = [None, []]

    def look() -> None:
        if world.first:
            shared[:] = keeper.newest(keeper.verify)

    parallel.together(world, look)
    dist.broadcast_object_list(shared, src=0)
    return shared[0], shared[1]


def load(
    keeper: Keeper, step: int, model: "torch.nn.Module", optimizers: "list[torch.optim.Optimizer]", group: Any,
    world: World,
) -> None:  # fmt: skip
    """Reads a state into the model and its optimizers; each process reads its own shards."""
    import torch
    from torch.distributed import checkpoint

    dcp: Any = checkpoint
    reader = dcp.FileSystemReader(keeper.folder / f"{step:08d}")
    parameters = dict(model.named_parameters())
    places: dict[str, Any] = {WEIGHT + name: parameter.detach() for name, parameter in parameters.items()}
    metadata = parallel.together(world, reader.read_metadata)  # a process that does not see the folder ends all
    for full, kind in metadata.state_dict_metadata.items():
        if not full.startswith(MOMENT):
            continue
        number, _, rest = full.removeprefix(MOMENT).partition(".")
        name, _, key = rest.rpartition(".")
        parameter, known = parameters[name], cast("Any", kind)
        if tuple(known.size) == tuple(parameter.shape):
            place = torch.zeros_like(parameter.detach(), dtype=known.properties.dtype)
        else:  # a count of steps
            place = torch.zeros(known.size, dtype=known.properties.dtype, device=parameter.device)
        optimizers[int(number)].state[parameter][key] = places[full] = place
    dcp.load(places, storage_reader=reader, process_group=group)
