"""Turns a recipe into a registered checkpoint, once: looks up data and parent, trains, exports, registers.

For the same recipe, data and parent a second call answers from the registry without importing torch. A run keeps
its state in `training_dir()/<digest of everything that determines it>`, so the same command resumes it after a
kill, and another recipe never uses its state.
"""

import contextlib
import errno
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from training import parallel
from training.loop import branch, validate
from training.loop.request import (
    Request,
    find_existing,
    look_up,
    model_settings,
    open_datasets,
    parent_moments,
)
from training.loop.trackers import check_trackers
from training.plan import config_flops_per_token
from training.recipe import Recipe, load, override_recipe, resolve_recipe
from zoo.digest import digest, write_json
from zoo.errors import ZooError
from zoo.lock import locked
from zoo.records import About, Checkpoint, Parent, TrainedOn
from zoo.registry import Registry, open_registry
from zoo.settings import training_dir
from zoo.visible import plain

if TYPE_CHECKING:
    from training.parallel import World
    from training.state import Keeper
    from training.trainer import TrainOutcome


def run(
    spec: str, overrides: tuple[str, ...] = (), name: str | None = None, folder: Path | None = None,
    device: str = "auto", stop_after: int | None = None, say: Callable[[str], None] = print,
    track: tuple[str, ...] = (),
) -> Checkpoint | None:  # fmt: skip
    """Trains a recipe and registers its checkpoint, unless that exists; None if the run was stopped.

    spec        a recipe's name or a .toml file; overrides are `a.b=c`
    name        the checkpoint's name, the recipe's by default
    folder      the folder of the run's state, by default named by the run's digest
    stop_after  total number of steps after which the run saves and stops, to be resumed later
    track       trackers that get the run's numbers too (training.loop.trackers)
    Raises      ZooError for an unknown name, a foreign or locked state, or a missing device; with the state saved,
                SystemExit(0) after SIGTERM and KeyboardInterrupt after an interrupt
    """
    return run_recipe(load(spec, overrides), spec, name, folder, device, stop_after, say, track=track)


def run_recipe(
    recipe: Recipe, spec: str, name: str | None = None, folder: Path | None = None, device: str = "auto",
    stop_after: int | None = None, say: Callable[[str], None] = print, command: str = "", track: tuple[str, ...] = (),
) -> Checkpoint | None:  # fmt: skip
    """As `run`, for a recipe already read; `spec` is its name or file, `command` the command that resumes the run."""
    check_trackers(track)
    several = parallel.process_count() > 1
    # a single process needs torch only to train; several join first, so that each decision is taken by all
    world = parallel.enter(device) if several else parallel.World(0, 1, device)
    tell = say if world.first else lambda _: None
    try:
        with open_registry() as registry:
            request = parallel.together(world, lambda: look_up(registry, recipe, name))
            existing = find_existing(registry, request)
            if existing and recipe.states.keep_finished and not branch.kept_file(existing.digest).is_file():
                existing = None  # trained again, to the same weights, for its states
            if parallel.any_process(world, existing is not None):
                existing = existing or find_existing(registry, request)
                if existing is not None:
                    tell(
                        f"{existing.label} is in the zoo already, from this recipe and this data "
                        f"({existing.digest[:12]})"
                    )
                return existing
            world = world if several else parallel.enter(device)
            return _run_new(registry, request, world, _Typed(spec, name, folder, stop_after, command, track), tell)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ZooError(
            f"the disk is full: {error.filename or 'a write failed'}. The run keeps its last whole state; free some "
            "space and type the same command, which goes on from there"
        ) from error
    except RuntimeError as error:
        if not several or not parallel.lost(error):
            raise
        raise ZooError(
            f"process {world.rank} lost another process, whose own line has the reason; the same command resumes the "
            f"run from its last state ({plain(str(error))[:80]})"
        ) from error
    finally:
        parallel.leave(world)


class _Typed(NamedTuple):
    """The command line of a run."""

    spec: str
    name: str | None
    folder: Path | None
    stop_after: int | None
    command: str
    track: tuple[str, ...]


def _run_new(
    registry: Registry, request: Request, world: "World", typed: _Typed, tell: Callable[[str], None]
) -> Checkpoint | None:  # fmt: skip
    """Trains and registers a checkpoint that the zoo does not have."""
    recipe, place = request.recipe, typed.folder or training_dir() / digest(request.identity)[:16]
    lock = contextlib.ExitStack()
    parallel.together(world, lambda: lock.enter_context(_lock_folder(place, world)))
    with lock:
        command = typed.command or _command(typed, recipe, world)
        outcome = _train(registry, request, place, world, typed, command)
        for note in outcome.notes:
            tell(note)
        if outcome.status == "stopped":
            tell(
                f"stopped after step {outcome.step} of {recipe.training.steps}, state saved; "
                "the same command resumes it"
            )
            _leave(outcome.signal)
            return None
        return _register(registry, request, place, world, outcome, tell)


def _leave(stopped_by: int) -> None:
    """Ends the whole command after a signal, so that no further step (of the quickstart, say) runs.

    SIGTERM means that the machine is reclaimed: exit code 0, since all is saved. An interrupt exits with 130.
    """
    if stopped_by == signal.SIGTERM:
        raise SystemExit(0)
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt


def _command(typed: _Typed, recipe: Recipe, world: "World") -> str:
    """The command line that resumes or repeats this run, overrides included."""
    start = ["phizoo"]
    if world.size > 1:
        start = ["torchrun", "--nproc-per-node", str(world.size), "--no-python", "phizoo"]
    words = [*start, "train", "run", typed.spec]
    words += [word for override in recipe.overrides for word in ("--set", override)]
    words += ["--name", typed.name] if typed.name else []
    words += ["--folder", str(typed.folder)] if typed.folder else []
    words += [word for tracker in typed.track for word in ("--track", tracker)]
    return shlex.join(words)


def _train(
    registry: Registry, request: Request, place: Path, world: "World", typed: _Typed, command: str
) -> "TrainOutcome":
    from safetensors.torch import load_file

    from training import online_eval, trainer

    def prepare() -> trainer.TrainJob:
        sources = open_datasets(request.datasets)
        settings = model_settings(request, sources)
        start = moments = None
        if request.parent is not None and request.trunk is None:
            files = sorted(registry.path(request.parent).glob("*.safetensors"))
            start = {key: value.float() for file in files for key, value in load_file(file).items()}
            moments = parent_moments(request)
        score = None
        if world.first:
            write_json(place / "run.json", {"identity": request.identity, "recipe": resolve_recipe(request.recipe)})
            tokenizer, evaluation = sources[0].folder / "tokenizer", request.recipe.evaluation
            score = online_eval.make_scorer(evaluation, settings, tokenizer, place, request.identity, world.device)
        return trainer.TrainJob(
            recipe=request.recipe, settings=settings, sources=sources, folder=place, identity=request.identity,
            start=start, moments=moments, trunk=request.trunk, stop_after=typed.stop_after, score=score,
            command=command, track=typed.track,
            flops_per_token=config_flops_per_token(settings.to_dict(), request.recipe.data.sequence_tokens),
        )  # fmt: skip

    return trainer.train(parallel.together(world, prepare), world)


def _register(
    registry: Registry, request: Request, place: Path, world: "World", outcome: "TrainOutcome",
    say: Callable[[str], None],
) -> Checkpoint | None:  # fmt: skip
    """Exports and registers the checkpoint; removes the run's states and keeps its metrics."""
    if not world.first:
        return None
    from training import export, metrics
    from training.state import Keeper

    recipe, sources = request.recipe, open_datasets(request.datasets)
    settings = model_settings(request, sources)
    lines = metrics.read(place / "metrics.jsonl")
    folder = place / "checkpoint"
    tokenizer, curves = sources[0].folder / "tokenizer", metrics.curves(lines)
    environment = export.environment(world.device, world.size)
    export.write_folder(folder, settings, outcome.weights, tokenizer, curves, resolve_recipe(recipe), environment)
    each = config_flops_per_token(settings.to_dict(), recipe.data.sequence_tokens)
    about = _about(registry, request, outcome, each, f"{world.size} x {world.device}")
    checkpoint = registry.add(folder, request.name, about)
    shutil.rmtree(folder)
    keeper = Keeper(place, recipe.states, request.identity)
    if recipe.states.keep_optimizer:
        say(_keep_optimizer(keeper, outcome.chosen_step, checkpoint))
    (place / "curves.html").write_text(metrics.page(request.name, lines), encoding="utf-8")
    if recipe.states.keep_finished:
        branch.keep_states(place, checkpoint, request.identity)
        say(f"states kept of steps {', '.join(map(str, keeper.steps()))}; go on from one: phizoo train branch --help")
    else:
        keeper.remove()
    for line in validate.lines_of(lines):
        say(line)
    last = next((line["loss"] for line in reversed(lines) if "loss" in line), float("nan"))
    tokens = sum(trained.tokens for trained in about.datasets)
    say(
        f"{checkpoint.label} registered ({checkpoint.digest[:12]}): {checkpoint.parameters:,} parameters, "
        f"{tokens:,} tokens, {outcome.seconds:.0f} s, last loss {last:.3f}; curves in {place / 'curves.html'}"
    )
    return checkpoint


def _about(
    registry: Registry, request: Request, outcome: "TrainOutcome", flops_per_token: float, machine: str
) -> About:  # fmt: skip
    """The facts of a finished run. Its datasets' tokens are its own; training_tokens adds those of its parent."""
    from training.data.tokens.loader import sequences_by_source

    recipe, before, trunk = request.recipe, request.parent, request.trunk
    weights = [source.weight for source in recipe.data.sources]
    seed, batch, begin = recipe.training.seed, recipe.training.batch_sequences, trunk.step if trunk else 0
    first, last = (sequences_by_source(weights, seed, step * batch) for step in (begin, outcome.chosen_step))
    seen = [(b - a) * recipe.data.sequence_tokens for a, b in zip(first, last, strict=True)]
    tokens, flops = sum(seen), sum(seen) * flops_per_token
    if before is not None:
        earlier = branch.tokens_seen(registry, before, trunk.step) if trunk else before.training_tokens or 0
        share = earlier / before.training_tokens if trunk and before.training_tokens else 1.0
        tokens, flops = tokens + earlier, flops + (before.training_flops or 0.0) * share
    relation = recipe.parent.relation if recipe.parent and not trunk else "resume"
    said = f"{outcome.chosen_step} steps in {outcome.seconds:.0f} s on {machine}"
    return About(
        family=recipe.family, training_tokens=tokens, training_flops=flops, recipe=resolve_recipe(recipe),
        prompt_style="chat" if recipe.data.loss == "answers" else "completion",
        parents=(Parent(digest=before.digest, relation=relation),) if before else (),
        datasets=tuple(
            TrainedOn(digest=source.digest, tokens=count) for source, count in zip(request.datasets, seen, strict=True)
        ),
        licence=recipe.licence, source="trained with phizoo train run", notes="; ".join([said, *outcome.notes]),
    )  # fmt: skip


def _keep_optimizer(keeper: "Keeper", step: int, checkpoint: Checkpoint) -> str:
    """Copies the chosen step's optimizer state to where growth and later runs look for it; returns a message."""
    from training.growth.grow import moments_file
    from training.state import OPTIMIZER

    source, file = keeper.folder / f"{step:08d}" / OPTIMIZER, moments_file(checkpoint.digest)
    if not source.is_file():
        return "the optimizer state was not kept, because several processes hold it in shards"
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, file)
    return f"optimizer state kept in {file}"


@contextlib.contextmanager
def _lock_folder(place: Path, world: "World") -> Iterator[None]:
    """Locks a run's folder, so that no two commands train the same run at once."""
    place.mkdir(parents=True, exist_ok=True)
    if not world.first:
        yield
        return
    with locked(place / "lock", f"another command trains in {place} already; wait for it, or stop it first"):
        yield


def branch_recipe(spec: str, step: int, overrides: tuple[str, ...], name: str) -> Recipe:
    """The recipe of a finished run, to go on from its state after `step` steps, with overrides.

    Raises ZooError if the checkpoint was not made by `phizoo train run`
    """
    with open_registry() as registry:
        checkpoint = registry.get(spec)
        before = branch.recipe_of_run(registry, checkpoint)
    plain = resolve_recipe(before) | {"parent": None, "branch": {"checkpoint": checkpoint.label, "step": step}}
    return override_recipe(plain | {"name": name, "overrides": list(before.overrides)}, overrides)


def recipe_of(spec: str) -> dict[str, Any]:
    """The resolved recipe for a recipe's name, a .toml file, or a checkpoint in the zoo."""
    from training.recipe import RECIPES

    if spec in RECIPES or spec.endswith(".toml"):
        return resolve_recipe(load(spec))
    with open_registry(readonly=True) as registry:
        checkpoint = registry.get(spec)
        if checkpoint.recipe_digest is None:
            raise ZooError(f"{checkpoint.label} was added without a recipe. All recipes: phizoo train recipes")
        return registry.recipe(checkpoint.recipe_digest)


def metrics_of(spec: str) -> list[dict[str, Any]]:
    """The metrics of a run's folder (up to its last step), or of a checkpoint in the zoo.

    A checkpoint's curves hold no timing, so that equal trainings have equal bytes; if the run's folder is still
    on this machine, its lines are returned instead.
    """
    from training import export, metrics

    file = Path(spec) / "metrics.jsonl"
    if not file.is_file():
        with open_registry(readonly=True) as registry:
            file = registry.path(spec) / export.CURVES
    if not file.is_file():
        raise ZooError(f"{spec} has no training curves; only checkpoints made by phizoo train run have them")
    kept = file.read_bytes()
    for timed in training_dir().glob("*/metrics.jsonl"):
        lines = metrics.read(timed)
        if metrics.curves(lines) == kept:
            return lines
    return metrics.read(file)
