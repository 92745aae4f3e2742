"""Everything that differs between training in one process and in many (torchrun and FSDP2).

Under `torchrun` each process holds a shard of every weight (FSDP2) and reads its part of each batch; a single
process wraps nothing and runs the same loop. Sums over processes are taken in float64.
"""

import os
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.engines.gpus import GPUS
from zoo.errors import ZooError

if TYPE_CHECKING:
    from training.loss import NextToken


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
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return World(dist.get_rank(), size, device)


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


def sum_over_processes(world: World, value: float) -> float:
    """The sum of a number over all processes."""
    if world.size == 1:
        return value
    import torch
    import torch.distributed as dist

    summed = torch.tensor(value, dtype=torch.float64, device=world.device)
    dist.all_reduce(summed)
    return float(summed)


def any_process(world: World, flag: bool) -> bool:
    """Whether the flag is set in any process, so that all act alike at the same step."""
    return flag if world.size == 1 else sum_over_processes(world, float(flag)) > 0


def clip(module: "NextToken", limit: float) -> float:
    """Clips the gradient's norm to `limit` (0: no limit) and returns the norm before."""
    import torch

    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), limit or float("inf"))
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
