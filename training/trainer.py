"""The training loop: one code path for one process and for many, with exact resume.

`train` runs a TrainJob, in which everything is resolved, and writes metrics and states to its folder. Each step
is a pure function of the state before it and of (seed, step). So a run that is killed at any moment and resumed
equals an uninterrupted one, bit for bit on one process. A loss that is not finite, or a spike, stops the run
before the weights change.
Shape legend: B sequences, T tokens.
"""

import contextlib
import itertools
import math
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

from training import optimizer, parallel, sharded, state
from training.data.tokens.loader import Loader, TokenBatch, TokenDataset, mix
from training.metrics import Metrics
from training.parallel import World
from training.recipe import Recipe
from zoo.errors import ZooError
from zoo.progress import progress

if TYPE_CHECKING:
    import torch
    from transformers import PhiConfig

    from training.loss import NextToken
    from training.online_eval import Scorer

RECENT = 50  # steps whose median a spike is measured against
SCATTER = 10  # times the mean change from one loss to the next: where sources differ by nats, a hard batch is no spike
# Compiling takes about a minute; a compiled run of this many FLOPs takes about 5 on an H100, and 7.5 uncompiled.
COMPILE_FROM_FLOPS = 1e17


@dataclass(frozen=True)
class TrainJob:
    """One run with everything resolved. start: its first weights, None for the seeded initialisation."""

    recipe: Recipe
    settings: "PhiConfig"
    sources: list[TokenDataset]
    folder: Path
    identity: dict[str, Any]
    start: "dict[str, torch.Tensor] | None" = None
    flops_per_token: float = 0.0
    stop_after: int | None = None
    score: "Scorer | None" = None  # scores the weights of a step (training.online_eval)
    command: str = ""  # the command that resumes this run
    moments: "dict[str, torch.Tensor] | None" = None  # its first optimizer state, named as in training.state


@dataclass(frozen=True)
class TrainOutcome:
    """How a run ended. step: steps done. weights: those of the chosen step, if the run is done."""

    status: Literal["done", "stopped"]
    step: int
    chosen_step: int
    weights: "dict[str, torch.Tensor]"
    seconds: float
    notes: tuple[str, ...] = ()
    signal: int = 0  # the signal that stopped it, or 0


@dataclass
class Parts:
    """The objects that the loop works with."""

    model: "NextToken"
    optimizers: "list[torch.optim.Optimizer]"
    loader: Loader
    keeper: state.Keeper
    world: World
    micro: int
    group: Any = None  # the process group that writes states, if there are several processes
    best: tuple[int, float] | None = None


def train(job: TrainJob, world: World) -> TrainOutcome:
    """Runs a job from its newest state to its end, or until a signal.

    SIGTERM or an interrupt finishes the step, saves, and returns `stopped`; a second interrupt raises at once.
    Raises ZooError for a damaged or foreign state, and for a loss that is not finite or spikes.
    """
    parts = _open(job, world)
    begin, notes = _restore(job, parts)
    steps = job.recipe.training.steps
    last = min(steps, job.stop_after or steps)
    metrics = Metrics(job.folder, begin) if world.first else None
    clock = time.monotonic() - (metrics.seconds if metrics else 0.0)
    try:
        with _signals() as received, _bar(job, world) as bar:
            bar.at(begin * _step_tokens(job))
            step = begin
            while step < last:
                before = time.monotonic()
                line = _step(job, parts, step, metrics.losses if metrics else [])
                step += 1
                line |= _validate(job, parts, step)
                line |= _score(job, parts, step)
                improved = parts.best is not None and parts.best[0] == step
                if metrics:
                    line |= _measure_speed(job, world, time.monotonic() - before, time.monotonic() - clock)
                    metrics.add(line)
                bar.advance(_step_tokens(job), note=_note(line, steps))
                stop = parallel.any_process(world, bool(received))
                if stop or step == last or improved or parallel.any_process(world, parts.keeper.due(step)):
                    _save(parts, step)
                if stop:
                    break
    finally:
        parts.keeper.wait()
        if metrics:
            metrics.close()
    seconds = time.monotonic() - clock
    if step < steps:
        return TrainOutcome("stopped", step, step, {}, seconds, tuple(notes), received[0] if received else 0)
    return _choose_weights(job, parts, step, seconds, notes)


def _open(job: TrainJob, world: World) -> Parts:
    """Builds the model (sharded if there are several processes), its optimizers and its data loader."""
    import torch

    from training import model as phi
    from training.loss import NextToken

    recipe = job.recipe
    how = recipe.execution
    apart = recipe.data.document_mask
    built = phi.build(job.settings, recipe.training.seed, recipe.training.dropout, world.device, apart)
    if job.start is not None:
        phi.load_weights(built, job.start)
    if how.activation_checkpointing:
        # transformers 6 drops the older name; transformers 4 lacks the newer one
        enable = getattr(built, "activation_checkpointing_enable", None) or built.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    built.train()
    earns = job.flops_per_token * _step_tokens(job) * recipe.training.steps > COMPILE_FROM_FLOPS
    compiled = how.compile == "yes" or (how.compile == "auto" and world.device.startswith("cuda") and earns)
    module = NextToken(built, how.loss_chunk_tokens, compiled)
    parallel.shard(module, world)
    if compiled:
        module.phi.model.compile()
    torch.set_float32_matmul_precision("high" if world.device.startswith("cuda") else "highest")
    optimizers = optimizer.build(built, recipe.optimizer, recipe.schedule.peak_learning_rate)
    loader = Loader(recipe.data, job.sources, recipe.training.batch_sequences, recipe.training.seed)
    keeper = state.Keeper(job.folder, recipe.states, job.identity)
    share = recipe.training.batch_sequences // world.size
    micro = min(how.microbatch_sequences or share, share)
    return Parts(module, optimizers, loader, keeper, world, micro, sharded.open_group(world))


def _restore(job: TrainJob, parts: Parts) -> tuple[int, list[str]]:
    """Restores the newest whole state; returns the number of steps done and notes on damaged states."""
    import torch

    if parts.world.first:
        parts.keeper.sweep()
    if parts.world.size > 1:
        saved, notes = sharded.newest(parts.keeper, parts.world)
        if saved is not None:
            sharded.load(parts.keeper, saved.step, parts.model.phi, parts.optimizers, parts.group)
    else:
        loaded, notes = parts.keeper.newest(parts.keeper.read)
        saved = loaded.saved if loaded else None
        if loaded is not None:
            with torch.no_grad():
                for name, parameter in parts.model.phi.named_parameters():
                    state.scatter(parameter, loaded.weights[name])
            state.load_optimizer(parts.model.phi, parts.optimizers, loaded.optimizer)
    if saved is None:
        if job.moments is not None:
            state.load_optimizer(parts.model.phi, parts.optimizers, job.moments)
        return 0, notes
    parts.best = saved.best
    return saved.step, [*notes, f"resumed after step {saved.step}"]


def _step(job: TrainJob, parts: Parts, step: int, losses: list[float]) -> dict[str, Any]:
    """Does one optimizer step and returns its line of metrics; stops before the weights change if the loss is bad."""
    import torch

    recipe, world = job.recipe, parts.world
    rate = optimizer.learning_rate(recipe.schedule, step, recipe.training.steps)
    optimizer.set_rate(parts.optimizers, rate)
    batch = parts.loader.batch_at(step, world.rank, world.size)
    targets = parallel.sum_over_processes(world, float((batch.targets_BT >= 0).sum()))
    if recipe.training.dropout:
        torch.manual_seed(mix(recipe.training.seed, 4, step, world.rank) >> 1)
    summed = torch.zeros((), device=world.device)
    for rows in _microbatches(batch, parts.micro, world.device):
        with _precision(job, world):
            loss = parts.model(*rows)
        # FSDP averages gradients over the processes: times size makes it a sum
        (loss * (world.size / targets)).backward()
        summed += loss.detach()
    norm = parallel.clip(parts.model, recipe.training.gradient_clip)
    mean = parallel.sum_over_processes(world, float(summed)) / targets
    _check_loss(job, parts, step, batch, mean, norm, losses)
    for optimizer_ in parts.optimizers:
        optimizer_.step()
        optimizer_.zero_grad(set_to_none=True)
    done = step + 1
    return {
        "step": done, "loss": mean, "learning_rate": rate, "gradient_norm": norm, "tokens": done * _step_tokens(job),
    }  # fmt: skip


def _check_loss(
    job: TrainJob, parts: Parts, step: int, batch: TokenBatch, loss: float, norm: float, losses: list[float]
) -> None:
    """Raises ZooError for a loss that is not finite or spikes, after saving the state and the batch."""
    usual, limit = math.inf, job.recipe.training.spike_nats
    if limit and len(losses) >= RECENT:
        recent = losses[-RECENT:]
        usual = statistics.median(recent)
        limit = max(limit, SCATTER * statistics.fmean(abs(b - a) for a, b in itertools.pairwise(recent)))
    spiked = loss > usual + limit
    if math.isfinite(loss) and math.isfinite(norm) and not spiked:
        return
    import numpy as np

    _save(parts, step)
    parts.keeper.wait()
    file = job.folder / f"batch-{step:08d}-{parts.world.rank}.npz"
    np.savez(file, inputs=batch.inputs_BT, targets=batch.targets_BT)
    fault = f"spiked from {usual:.3f} to {loss:.3f}" if spiked else f"is {loss} with gradient norm {norm}"
    raise ZooError(
        f"the loss {fault} at step {step + 1}; stopped before it touched the weights, batch in {file}. Repeat it: "
        f"{job.command}; avoid it: --set training.seed=1 or a lower rate"
        f"{', or --set training.spike_nats=0 to train on' if spiked else ''}"
    )


def _microbatches(batch: TokenBatch, size: int, device: str) -> "Iterator[tuple[torch.Tensor, ...]]":
    import torch

    for start in range(0, len(batch.inputs_BT), size):
        rows = slice(start, start + size)
        arrays = [batch.inputs_BT[rows], batch.targets_BT[rows]]
        if batch.positions_BT is not None:
            arrays.append(batch.positions_BT[rows])
        yield tuple(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)


def _precision(job: TrainJob, world: World) -> "contextlib.AbstractContextManager[Any]":
    import torch

    precision = job.recipe.execution.precision
    if precision == "bf16" or (precision == "auto" and world.device.startswith("cuda")):
        return torch.autocast(world.device.partition(":")[0], dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _validate(job: TrainJob, parts: Parts, step: int) -> dict[str, float]:
    """The validation loss if this step validates; records a new best in `parts`."""
    import torch

    rule = job.recipe.validation
    if not rule.every_steps or (step % rule.every_steps and step != job.recipe.training.steps):
        return {}
    summed, count = 0.0, 0
    parts.model.eval()
    with torch.no_grad(), _precision(job, parts.world):
        for batch in parts.loader.validation(rule.sequences):
            for rows in _microbatches(batch, parts.micro, parts.world.device):
                summed += float(parts.model(*rows))
            count += batch.targets_BT.size
    parts.model.train()
    if not count:
        return {}
    loss = summed / count
    if job.recipe.selection.rule == "best-validation" and (parts.best is None or loss < parts.best[1]):
        parts.best = (step, loss)
    return {"validation_loss": loss}


def _score(job: TrainJob, parts: Parts, step: int) -> dict[str, float]:
    """This step's evaluation scores if they are due; the first process scores the whole weights."""
    rule = job.recipe.evaluation
    if not rule.every_steps or (step % rule.every_steps and step != job.recipe.training.steps):
        return {}
    weights = state.weight_tensors(parts.model.phi)
    scores = job.score(step, weights) if job.score and parts.world.first else {}
    parallel.sum_over_processes(parts.world, 0.0)  # the other processes wait here
    return scores


def _note(line: dict[str, Any], steps: int) -> str:
    """The note beside the progress bar, which shows tokens/s and the remaining time itself."""
    text = f"step {line['step']}/{steps} loss {line['loss']:.3f} |g| {line['gradient_norm']:.2f}"
    text += f" {line['memory_bytes'] / 2**30:.1f} GiB" if "memory_bytes" in line else ""
    return text + (f" MFU {line['mfu']:.0%}" if "mfu" in line else "")


def _save(parts: Parts, step: int) -> None:
    """Copies the state and starts writing it; with several processes each writes its own shards."""
    if parts.world.size > 1:
        sharded.save(parts.keeper, step, parts.model.phi, parts.optimizers, parts.best, parts.group, parts.world)
        return
    weights = state.weight_tensors(parts.model.phi)
    parts.keeper.save(step, weights, state.optimizer_tensors(parts.model.phi, parts.optimizers), parts.best)


def _choose_weights(job: TrainJob, parts: Parts, step: int, seconds: float, notes: list[str]) -> TrainOutcome:
    """Takes the weights that become the checkpoint: the last, or those with the best validation loss."""
    if job.recipe.selection.rule == "best-validation" and parts.best is not None:
        best = parts.best
        why = f"step {best[0]} chosen of {step} by validation loss {best[1]:.4f} (optimistic by that choice)"
        notes = [*notes, why]
        if parts.world.size > 1:
            parallel.sum_over_processes(parts.world, 0.0)  # wait until the first process has renamed the last state
            sharded.load(parts.keeper, best[0], parts.model.phi, parts.optimizers, parts.group)
            weights = state.weight_tensors(parts.model.phi)
        else:
            weights = parts.keeper.read(best[0]).weights
        return TrainOutcome("done", step, best[0], weights, seconds, tuple(notes))
    return TrainOutcome("done", step, step, state.weight_tensors(parts.model.phi), seconds, tuple(notes))


def _step_tokens(job: TrainJob) -> int:
    return job.recipe.training.batch_sequences * job.recipe.data.sequence_tokens


def _measure_speed(job: TrainJob, world: World, step_seconds: float, seconds: float) -> dict[str, float]:
    """Speed of this step, seconds since the start, memory, and MFU if the device's peak is known."""
    rate = _step_tokens(job) / step_seconds
    speed = {"tokens_per_second": rate, "seconds": seconds, "memory_bytes": parallel.memory_bytes(world)}
    if peak := parallel.peak_flops(world):
        speed["mfu"] = rate * job.flops_per_token / peak / world.size
    return speed


@contextlib.contextmanager
def _bar(job: TrainJob, world: World) -> "Iterator[Any]":
    if not world.first:
        yield parallel.Silent()
        return
    total = job.recipe.training.steps * _step_tokens(job)
    with progress(f"train {job.recipe.name}", total, "tokens") as bar:
        yield bar


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT in a list while the block runs; a second SIGINT interrupts."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread (a test, a notebook): signals stay as they are
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
