"""The training loop: one code path for one process and for many, with exact resume.

`train` runs a TrainJob, in which everything is resolved, and writes metrics and states to its folder. Each step
is a pure function of the state before it and of (seed, step). So a run that is killed at any moment and resumed
equals an uninterrupted one, bit for bit on one process. A loss that is not finite, or a spike, stops the run
before the weights change.
Shape legend: B sequences, T tokens.
"""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from training import optimizer, parallel, sharded, state
from training.data.tokens.loader import TokenBatch, mix
from training.loop import averages, spikes, trackers, validate
from training.loop.job import Parts, TrainJob, TrainOutcome, open_parts
from training.loop.watchdog import watch
from training.metrics import Metrics
from training.parallel import World
from training.recipe import resolve_recipe
from zoo.errors import ZooError
from zoo.progress import progress

if TYPE_CHECKING:
    import torch

__all__ = ["TrainJob", "TrainOutcome", "train"]


def train(job: TrainJob, world: World) -> TrainOutcome:
    """Runs a job from its newest state to its end, or until a signal.

    SIGTERM or an interrupt finishes the step, saves, and returns `stopped`; a second interrupt raises at once.
    Raises ZooError for a damaged or foreign state, and for a loss that is not finite or spikes. With several
    processes the first that failed raises; the others raise SystemExit(2).
    """
    with watch(world, job.folder, job.recipe.states.hang_seconds, job.command) as watchdog:
        watchdog.at("building the model")
        parts = open_parts(job, world, watchdog)
        watchdog.at("restoring the state")
        begin, notes = _restore(job, parts)
        metrics = parallel.together(world, lambda: _open_metrics(job, begin) if world.first else None)
        try:
            step, seconds, stopped_by = _loop(job, parts, begin, metrics)
        except BaseException:
            with contextlib.suppress(Exception):  # the error that is on its way says more
                parts.keeper.wait()
            raise
        finally:
            if metrics:
                metrics.close()
        watchdog.at("writing the last state")
        parallel.together(world, parts.keeper.wait)
        if step < job.recipe.training.steps:
            return TrainOutcome("stopped", step, step, {}, seconds, tuple(notes), stopped_by)
        watchdog.at("choosing the weights")
        return _choose_weights(job, parts, step, seconds, notes)


def _open_metrics(job: TrainJob, begin: int) -> Metrics:
    opened = trackers.open_trackers(job.track, job.folder, begin, job.recipe.name, resolve_recipe(job.recipe))
    return Metrics(job.folder, begin, opened)


def _loop(job: TrainJob, parts: Parts, begin: int, metrics: Metrics | None) -> tuple[int, float, int]:
    """Trains to the last step or a signal; returns steps done, seconds in all, and the signal (0: none)."""
    world, steps = parts.world, job.recipe.training.steps
    last = min(steps, job.stop_after or steps)
    clock = time.monotonic() - (metrics.seconds if metrics else 0.0)
    step = begin
    with _signals() as received, _bar(job, world) as bar:
        bar.at(begin * job.step_tokens)
        while step < last:
            before = time.monotonic()
            line = _step(job, parts, step, metrics.losses if metrics else [])
            step += 1
            line |= _validate(job, parts, step)
            line |= _score(job, parts, step)
            improved = parts.best is not None and parts.best[0] == step
            fault: OSError | None = None
            if metrics:
                line |= _measure_speed(job, world, time.monotonic() - before, time.monotonic() - clock)
                fault = metrics.try_add(line)
            bar.advance(job.step_tokens, note=_note(line, steps))
            failed, stop, due = parallel.any_of(world, [fault is not None, bool(received), parts.keeper.due(step)])
            if failed:
                raise fault or SystemExit(2)
            if stop or step == last or improved or due:
                _save(parts, step)
            if stop:
                break
    return step, time.monotonic() - clock, received[0] if received else 0


def _restore(job: TrainJob, parts: Parts) -> tuple[int, list[str]]:
    """Restores the newest whole state; returns the number of steps done and notes on damaged states."""
    world = parts.world
    parallel.together(world, lambda: parts.keeper.sweep() if world.first else None)
    if world.size > 1:
        saved, notes = sharded.newest(parts.keeper, world)
        if saved is not None:
            _load_state(parts.keeper, saved.step, parts)
    else:
        loaded, notes = parts.keeper.newest(parts.keeper.read)
        saved = loaded.saved if loaded else None
        if loaded is not None:
            state.load_whole(loaded, parts.model.phi, parts.optimizers)
    if saved is not None:
        parts.best = saved.best
        return saved.step, [*notes, f"resumed after step {saved.step}"]
    if job.trunk is not None:
        trunk = job.trunk
        _load_state(state.Keeper(trunk.folder, job.recipe.states, trunk.identity), trunk.step, parts)
        return trunk.step, [*notes, f"branched from {trunk.label} after step {trunk.step}"]
    if job.moments is not None:
        state.load_optimizer(parts.model.phi, parts.optimizers, job.moments)
    return 0, notes


def _load_state(keeper: state.Keeper, step: int, parts: Parts) -> None:
    """Loads a saved state, whole or in shards, into the model and its optimizers."""
    phi = parts.model.phi
    if keeper.whole(step):
        loaded = parallel.together(parts.world, lambda: keeper.read(step))
        state.load_whole(loaded, phi, parts.optimizers)
    else:
        sharded.load(keeper, step, phi, parts.optimizers, parts.group, parts.world)


def _step(job: TrainJob, parts: Parts, step: int, losses: list[float]) -> dict[str, Any]:
    """Does one optimizer step and returns its line of metrics; stops before the weights change if the loss is bad."""
    import torch

    recipe, world = job.recipe, parts.world
    parts.watchdog.at(f"step {step + 1}")
    rate = optimizer.learning_rate(recipe.schedule, step, recipe.training.steps)
    optimizer.set_rate(parts.optimizers, rate)
    batch = parts.loader.batch_at(step, world.rank, world.size)
    targets = max(1.0, parallel.sum_over_processes(world, float((batch.targets_BT >= 0).sum())))
    if recipe.training.dropout or recipe.training.attention_dropout:
        torch.manual_seed(mix(recipe.training.seed, 4, step, world.rank) >> 1)
    summed = torch.zeros((), device=world.device)
    for rows in _microbatches(batch, parts.micro, world.device):
        with _precision(job, world):
            loss = parts.model(*rows)
        # FSDP averages gradients over the processes: times size makes it a sum
        (loss * (world.size / targets)).backward()
        summed += loss.detach()
    norm = parallel.clip(parts.model.phi, recipe.training.gradient_clip, parts.norm_scales)
    mean = parallel.sum_over_processes(world, float(summed)) / targets
    _check_loss(job, parts, step, batch, mean, norm, losses)
    for optimizer_ in parts.optimizers:
        optimizer_.step()
        optimizer_.zero_grad(set_to_none=True)
    done = step + 1
    averages.update(parts.optimizers, averages.share_of(recipe.selection, done, recipe.training.steps))
    return {
        "step": done, "loss": mean, "learning_rate": rate, "gradient_norm": norm, "tokens": done * job.step_tokens,
    }  # fmt: skip


def _check_loss(
    job: TrainJob, parts: Parts, step: int, batch: TokenBatch, loss: float, norm: float, losses: list[float]
) -> None:
    """Ends the run for a loss that is not finite or spikes, after saving the state and the batch.

    Only the first process knows the losses before; all act on its judgement, because saving needs them all.
    Raises ZooError in the first process, SystemExit(2) in the others.
    """
    world = parts.world
    fault = spikes.fault_of(loss, norm, losses, job.recipe.training.spike_nats)
    if not parallel.any_process(world, bool(fault)):
        return
    import numpy as np

    _save(parts, step)
    parallel.together(world, parts.keeper.wait)
    file = job.folder / f"batch-{step:08d}-{world.rank}.npz"
    parallel.together(world, lambda: np.savez(file, inputs=batch.inputs_BT, targets=batch.targets_BT))
    if not world.first:
        raise SystemExit(2)
    raise ZooError(
        f"the loss {fault or 'is not finite in another process'} at step {step + 1}; stopped before it touched the "
        f"weights, batch in {file}. Repeat it: {job.command}; avoid it: --set training.seed=1 or a lower rate"
        f"{', or --set training.spike_nats=0 to train on' if fault.startswith('spiked') else ''}"
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
    """The validation's numbers if this step validates; records a new best in `parts`."""
    rule = job.recipe.validation
    if not rule.every_steps or (step % rule.every_steps and step != job.recipe.training.steps):
        return {}
    parts.watchdog.at(f"the validation after step {step}")
    numbers = _held_out(job, parts)
    if job.recipe.selection.rule == "best-validation":
        # the first process's number, bit for bit: a new best is saved, and saving needs all processes
        loss = parallel.first_says(parts.world, numbers[validate.LOSS])
        if parts.best is None or loss < parts.best[1]:
            parts.best = (step, loss)
    return numbers


def _held_out(job: TrainJob, parts: Parts) -> dict[str, float]:
    """The validation numbers of the present weights."""
    import torch

    def loss_of(batch: TokenBatch) -> float:
        return sum(float(parts.model(*rows)) for rows in _microbatches(batch, parts.micro, parts.world.device))

    parts.model.eval()
    with torch.no_grad(), _precision(job, parts.world):
        count = validate.byte_counter(job.sources[0].folder / "tokenizer")
        numbers = validate.validation_numbers(parts.held, job.sources, loss_of, count)
    parallel.reshard(parts.model)
    parts.model.train()
    return numbers


def _score(job: TrainJob, parts: Parts, step: int) -> dict[str, float]:
    """This step's evaluation scores if they are due; the first process scores the whole weights."""
    rule = job.recipe.evaluation
    if not rule.every_steps or (step % rule.every_steps and step != job.recipe.training.steps):
        return {}
    parts.watchdog.at(f"the scores after step {step}", patient=True)
    weights = state.weight_tensors(parts.model.phi)
    return parallel.together(
        parts.world, lambda: job.score(step, weights) if job.score and parts.world.first else {}
    )  # fmt: skip


def _note(line: dict[str, Any], steps: int) -> str:
    """The note beside the progress bar, which shows tokens/s and the remaining time itself."""
    text = f"step {line['step']}/{steps} loss {line['loss']:.3f} |g| {line['gradient_norm']:.2f}"
    text += f" {line['memory_bytes'] / 2**30:.1f} GiB" if "memory_bytes" in line else ""
    return text + (f" MFU {line['mfu']:.0%}" if "mfu" in line else "")


def _save(parts: Parts, step: int) -> None:
    """Copies the state and starts writing it; with several processes each writes its own shards."""
    parts.watchdog.at(f"saving the state of step {step}")
    if parts.world.size > 1:
        sharded.save(parts.keeper, step, parts.model.phi, parts.optimizers, parts.best, parts.group, parts.world)
        return
    weights = state.weight_tensors(parts.model.phi)
    parts.keeper.save(step, weights, state.optimizer_tensors(parts.model.phi, parts.optimizers), parts.best)


def _choose_weights(job: TrainJob, parts: Parts, step: int, seconds: float, notes: list[str]) -> TrainOutcome:
    """Takes the weights that become the checkpoint, by the recipe's rule."""
    rule, best = job.recipe.selection, parts.best
    if rule.rule in ("average", "ema"):
        before = _held_out(job, parts).get(validate.LOSS)
        averages.take(parts.optimizers)
        after = _held_out(job, parts).get(validate.LOSS)
        what = f"the average of the last {rule.average_steps} steps"
        what = what if rule.rule == "average" else f"the moving average of the steps (decay {rule.ema_decay:g})"
        gain = "" if after is None else f": validation loss {after:.4f}, of the last step alone {before:.4f}"
        notes = [*notes, f"the weights are {what}{gain}"]
    chosen = step
    if rule.rule == "best-validation" and best is not None:
        chosen = best[0]
        why = f"step {best[0]} chosen of {step} by validation loss {best[1]:.4f} (optimistic by that choice)"
        notes = [*notes, why]
        _load_state(parts.keeper, chosen, parts)
    return TrainOutcome("done", step, chosen, state.weight_tensors(parts.model.phi), seconds, tuple(notes))


def _measure_speed(job: TrainJob, world: World, step_seconds: float, seconds: float) -> dict[str, float]:
    """Speed of this step, seconds since the start, memory, and MFU if the device's peak is known."""
    rate = job.step_tokens / step_seconds
    speed = {"tokens_per_second": rate, "seconds": seconds, "memory_bytes": parallel.memory_bytes(world)}
    if peak := parallel.peak_flops(world):
        speed["mfu"] = rate * job.flops_per_token / peak / world.size
    return speed


@contextlib.contextmanager
def _bar(job: TrainJob, world: World) -> "Iterator[Any]":
    if not world.first:
        yield parallel.Silent()
        return
    total = job.recipe.training.steps * job.step_tokens
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
