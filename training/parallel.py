"""Everything that differs between training in one process and in many (torchrun and FSDP2).

Under `torchrun` each process holds a shard of every weight (FSDP2) and reads its part of each batch; a single
process wraps nothing and runs the same loop. Sums over processes are taken in float64.

A collective operation waits for all processes, so each decision that leads to one is taken on all of them: by
`any_of` (a flag that any has set), `first_says` (a number of the first) or `together` (an action that may fail in one).
"""

import datetime
import os
import resource
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from evals.engines.gpus import GPUS
from zoo.errors import ZooError

if TYPE_CHECKING:
    import torch

    from training.loss import NextToken


Result = TypeVar("Result")
JOIN_SECONDS = 900.0  # the time that all processes have to start
COLLECTIVE_DAYS = 30  # torch's own limit; a hung run is ended earlier, and with its reason, by training.watchdog


@dataclass(frozen=True)
class World:
    """This process's rank among the processes of a run, and its device."""

    rank: int
    size: int
    device: str

    @property
    def first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0


class Silent:
    """A progress bar for the processes that do not report."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Nothing."""

    def at(self, done: float, note: str = "") -> None:
        """Nothing."""


def process_count() -> int:
    """The number of processes that torchrun started; 1 without torchrun. Needs no torch."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def enter(device: str) -> World:
    """Joins the processes of this run. device: cpu, cuda or auto.

    Raises ZooError if `device` is cuda and there is no GPU.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ZooError("no CUDA device here, so --device cuda cannot train; see: phizoo doctor, or use --device cpu")
    size = process_count()
    if size == 1:
        return World(0, 1, device)
    import torch.distributed as dist

    if device == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    # joined in time or ended: a process that failed before this line would leave the others waiting
    late = threading.Timer(JOIN_SECONDS, _end_late, (size,))
    late.daemon = True
    late.start()
    backend = "nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, timeout=datetime.timedelta(days=COLLECTIVE_DAYS))
    late.cancel()
    return World(dist.get_rank(), size, device)


def _end_late(size: int) -> None:
    text = f"phizoo: not all of the {size} processes started within {JOIN_SECONDS:g} s; see the others' lines"
    print(text, file=sys.stderr, flush=True)
    os._exit(2)


def leave(world: World) -> None:
    """Leaves the processes of this run."""
    if world.size > 1:
        import torch.distributed as dist

        dist.destroy_process_group()


def shard(module: "NextToken", world: World) -> None:
    """Shards each layer, then the rest, over the processes (FSDP2, in place); does nothing in a single process."""
    if world.size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(world.device.partition(":")[0], (world.size,))
    for layer in module.phi.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)


def reshard(module: "NextToken") -> None:
    """Frees the root's gathered weights after a forward pass without a backward one, which would do it.

    Until then the module's parameters are the gathered ones, of which the optimizers know nothing: a state saved then
    would lack their moments.
    """
    if (free := getattr(module, "reshard", None)) is not None:
        free()


def sum_over_processes(world: World, value: float) -> float:
    """The sum of a number over all processes."""
    return sums(world, [value])[0]


def sums(world: World, values: Sequence[float]) -> list[float]:
    """The sums of several numbers over all processes, in one operation."""
    if world.size == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    summed = torch.tensor(values, dtype=torch.float64, device=world.device)
    dist.all_reduce(summed)
    return [float(value) for value in summed]


def any_of(world: World, flags: Sequence[bool]) -> list[bool]:
    """Whether each flag is set in any process, so that all act alike at the same step."""
    return [value > 0 for value in sums(world, [float(flag) for flag in flags])]


def any_process(world: World, flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return any_of(world, [flag])[0]


def first_says(world: World, value: float) -> float:
    """The first process's number, bit for bit, in every process."""
    return sum_over_processes(world, value if world.first else 0.0)


def together(world: World, action: Callable[[], Result]) -> Result:
    """Runs an action that may fail in one process alone. If it fails in any, none goes on.

    Raises  the action's own error in the first process where it failed, and SystemExit(2) in the others, so that the
            reason is one line
    """
    if world.size == 1:
        return action()
    fault: Exception | None = None
    result: Result
    try:
        result = action()
    except Exception as error:
        fault = error
    failed = sums(world, [float(fault is not None and rank == world.rank) for rank in range(world.size)])
    if not any(failed):
        return result
    if fault is not None and failed.index(max(failed)) == world.rank:
        raise fault
    raise SystemExit(2)


def lost(error: BaseException) -> bool:
    """Whether an error of a collective operation says that another process has ended."""
    import torch.distributed as dist

    text = str(error)
    return isinstance(error, dist.DistError) or "gloo" in text or "NCCL" in text or "Connection" in text


def clip(module: "torch.nn.Module", limit: float, scales: Mapping[str, float]) -> float:
    """Clips the gradient's norm to `limit` (0: no limit) and returns the norm before.

    scales  a weight for each parameter's square in the norm; {}: all 1
    """
    import torch

    if not scales:
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), limit or float("inf"))
    else:
        named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.grad is not None]
        squares = [torch.linalg.vector_norm(parameter.grad) ** 2 * scales[name] for name, parameter in named]
        norm = torch.stack(squares).sum().sqrt()
        torch.nn.utils.clip_grads_with_norm_(module.parameters(), limit or float("inf"), norm)
    whole = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return float(whole)


def peak_flops(world: World) -> float | None:
    """The device's bf16 peak in FLOP/s; None if it is not in the table, as for every CPU."""
    if not world.device.startswith("cuda"):
        return None
    import torch

    name = torch.cuda.get_device_name()
    return next((gpu.flops for kind, gpu in GPUS.items() if kind in name), None)


def memory_bytes(world: World) -> int:
    """The peak memory of this process: on the GPU if it trains there, else resident."""
    if world.device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
