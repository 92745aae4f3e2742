"""Turns a recipe into a registered checkpoint, once: looks up data and parent, trains, exports, registers.

For the same recipe, data and parent a second call answers from the registry without importing torch. A run keeps
its state in `training_dir()/<digest of everything that determines it>`, so the same command resumes it after a
kill, and another recipe never uses its state.
"""

import contextlib
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import parallel
from training.begun import check_begun
from training.model import model_of
from training.plan import config_flops_per_token
from training.recipe import Recipe, identity, load, resolve_recipe, shape
from zoo.digest import digest, write_json
from zoo.errors import ZooError
from zoo.lock import locked
from zoo.records import About, Checkpoint, Dataset, Parent, TrainedOn
from zoo.registry import Registry, open_registry
from zoo.settings import datasets_dir, training_dir
from zoo.shape import read_shape

if TYPE_CHECKING:
    import torch

    from training.data.tokens.loader import TokenDataset
    from training.parallel import World
    from training.state import Keeper
    from training.trainer import TrainOutcome


@dataclass(frozen=True)
class Request:
    """A recipe with the records that it names, looked up."""

    recipe: Recipe
    name: str
    datasets: tuple[Dataset, ...]
    parent: Checkpoint | None

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the weights; its digest names the run's folder."""
        return {
            "recipe": identity(self.recipe),
            "datasets": [dataset.digest for dataset in self.datasets],
            "parent": self.parent.digest if self.parent else None,
            "processes": parallel.process_count(),
        }


def look_up(registry: Registry, recipe: Recipe, name: str | None = None) -> Request:
    """Looks up the datasets and the parent that a recipe names. Raises ZooError for a missing one."""
    datasets = tuple(registry.dataset(source.name) for source in recipe.data.sources)
    for dataset in datasets:
        if dataset.kind != "tokens":
            raise ZooError(f"{dataset.name} holds {dataset.kind}, training reads tokens; make them: phizoo data pack")
    parent = registry.get(recipe.parent.checkpoint) if recipe.parent else None
    return Request(recipe, name or recipe.name, datasets, parent)


def find_existing(registry: Registry, request: Request) -> Checkpoint | None:
    """The newest checkpoint of that name with the same recipe, data and parent, or None."""
    digests = [dataset.digest for dataset in request.datasets]
    parents = [request.parent.digest] if request.parent else []
    for checkpoint in reversed(registry.list(request.name, all_versions=True)):
        if checkpoint.recipe_digest is None or [record.digest for record in checkpoint.datasets] != digests:
            continue
        kept = registry.recipe(checkpoint.recipe_digest)
        same = {key: kept.get(key) for key in identity(request.recipe)} == identity(request.recipe)
        if same and [record.digest for record in checkpoint.parents] == parents:
            return checkpoint
    return None


def run(
    spec: str, overrides: tuple[str, ...] = (), name: str | None = None, folder: Path | None = None,
    device: str = "auto", stop_after: int | None = None, say: Callable[[str], None] = print,
) -> Checkpoint | None:  # fmt: skip
    """Trains a recipe and registers its checkpoint, unless that exists; None if the run was stopped.

    spec        a recipe's name or a .toml file; overrides are `a.b=c`
    name        the checkpoint's name, the recipe's by default
    folder      the folder of the run's state, by default named by the run's digest
    stop_after  total number of steps after which the run saves and stops, to be resumed later
    Raises      ZooError for an unknown name, a foreign or locked state, or a missing device; with the state saved,
                SystemExit(0) after SIGTERM and KeyboardInterrupt after an interrupt
    """
    return run_recipe(load(spec, overrides), spec, name, folder, device, stop_after, say)


def run_recipe(
    recipe: Recipe, spec: str, name: str | None = None, folder: Path | None = None, device: str = "auto",
    stop_after: int | None = None, say: Callable[[str], None] = print, command: str = "",
) -> Checkpoint | None:  # fmt: skip
    """As `run`, for a recipe already read; `spec` is its name or file, `command` the command that resumes the run."""
    with open_registry() as registry:
        request = look_up(registry, recipe, name)
        if existing := find_existing(registry, request):
            say(f"{existing.label} is in the zoo already, from this recipe and this data ({existing.digest[:12]})")
            return existing
        place = folder or training_dir() / digest(request.identity)[:16]
        check_begun(
            request.identity, place, folder is not None,
            lambda processes: command or _command(spec, recipe, name, folder, processes),
        )  # fmt: skip
        world = parallel.enter(device)
        try:
            with _lock_folder(place, world):
                typed = command or _command(spec, recipe, name, folder, world.size)
                outcome = _train(registry, request, place, world, stop_after, typed)
                for note in outcome.notes:
                    say(note)
                if outcome.status == "stopped":
                    say(
                        f"stopped after step {outcome.step} of {recipe.training.steps}, state saved; "
                        "the same command resumes it"
                    )
                    _leave(outcome.signal)
                    return None
                return _register(registry, request, place, world, outcome, say)
        finally:
            parallel.leave(world)


def _leave(stopped_by: int) -> None:
    """Ends the whole command after a signal, so that no further step (of the quickstart, say) runs.

    SIGTERM means that the machine is reclaimed: exit code 0, since all is saved. An interrupt exits with 130.
    """
    if stopped_by == signal.SIGTERM:
        raise SystemExit(0)
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt


def _command(spec: str, recipe: Recipe, name: str | None, folder: Path | None, processes: int) -> str:
    """The command line that resumes or repeats this run, overrides included."""
    start = ["phizoo"]
    if processes > 1:
        start = ["torchrun", "--nproc-per-node", str(processes), "--no-python", "phizoo"]
    words = [*start, "train", "run", spec]
    words += [word for override in recipe.overrides for word in ("--set", override)]
    words += ["--name", name] if name else []
    words += ["--folder", str(folder)] if folder else []
    return shlex.join(words)


def _train(
    registry: Registry, request: Request, place: Path, world: "World", stop_after: int | None, command: str
) -> "TrainOutcome":
    from safetensors.torch import load_file

    from training import online_eval, trainer

    sources = _open_datasets(request.datasets)
    settings = _model_settings(request, sources)
    start = moments = None
    if request.parent is not None:
        files = sorted(registry.path(request.parent).glob("*.safetensors"))
        start = {key: value.float() for file in files for key, value in load_file(file).items()}
        moments = _moments(request)
    if world.first:
        write_json(place / "run.json", {"identity": request.identity, "recipe": resolve_recipe(request.recipe)})
    score = None
    if world.first:
        tokenizer, evaluation = sources[0].folder / "tokenizer", request.recipe.evaluation
        score = online_eval.make_scorer(evaluation, settings, tokenizer, place, request.identity, world.device)
    job = trainer.TrainJob(
        recipe=request.recipe, settings=settings, sources=sources, folder=place, identity=request.identity, start=start,
        flops_per_token=config_flops_per_token(settings.to_dict(), request.recipe.data.sequence_tokens),
        stop_after=stop_after, score=score, command=command, moments=moments,
    )  # fmt: skip
    return trainer.train(job, world)


def _moments(request: Request) -> "dict[str, torch.Tensor] | None":
    """The parent's optimizer state if the recipe starts from it, else None."""
    from safetensors.torch import load_file

    from training.growth.grow import moments_file

    start, parent = request.recipe.parent, request.parent
    if start is None or parent is None or not start.optimizer_state:
        return None
    if not (file := moments_file(parent.digest)).is_file():
        raise ZooError(
            f"this machine has no optimizer state of {parent.label}; train or grow it with one (states.keep_optimizer, "
            "phizoo train grow --optimizer-state), or --set parent.optimizer_state=false"
        )
    moments = load_file(file)
    kind = "muon" if any(key.startswith("1.") for key in moments) else "adamw"
    if kind != request.recipe.optimizer.kind:
        raise ZooError(
            f"the optimizer state of {parent.label} is {kind}'s, the recipe's optimizer.kind is "
            f"{request.recipe.optimizer.kind}; take --set optimizer.kind={kind}, or parent.optimizer_state=false"
        )
    return moments


def _open_datasets(datasets: tuple[Dataset, ...]) -> "list[TokenDataset]":
    """Opens the token datasets; all must have the same vocabulary."""
    from training.data.tokens.loader import open_tokens

    sources = [open_tokens(datasets_dir() / dataset.digest, dataset.name, dataset.digest) for dataset in datasets]
    for other in sources[1:]:
        if (other.vocabulary, other.eos) != (sources[0].vocabulary, sources[0].eos):
            raise ZooError(
                f"{other.name} and {sources[0].name} have different tokenizers ({other.vocabulary} and "
                f"{sources[0].vocabulary} tokens); pack both with one: phizoo data pack --tokenizer NAME"
            )
    return sources


def _model_settings(request: Request, sources: "list[TokenDataset]") -> Any:
    """The model's configuration: the recipe's shape or the parent's; the tokenizer gives ids that the recipe omits."""
    from transformers import PhiConfig

    from training import model

    tokens = sources[0]
    if request.parent is not None:
        # the parent's configuration, because pad-exact growth changes the epsilon
        settings = PhiConfig.from_dict(dict(request.parent.architecture))
        _check_shape(request, settings)
    else:
        wanted = shape(request.recipe)
        bos, eos = (tokens.eos if given is None else given for given in (wanted.bos, wanted.eos))
        settings = model.config(wanted, wanted.vocabulary or tokens.vocabulary, bos, eos)
    if settings.vocab_size < tokens.vocabulary:
        raise ZooError(
            f"{tokens.name} has token ids up to {tokens.vocabulary - 1}, the model only {settings.vocab_size} rows; "
            "pack the data with the model's tokenizer, or set model.vocabulary"
        )
    if request.recipe.data.sequence_tokens > settings.max_position_embeddings:
        raise ZooError(
            f"data.sequence_tokens {request.recipe.data.sequence_tokens} exceeds the parent's context of "
            f"{settings.max_position_embeddings}; lower it with --set data.sequence_tokens=N"
        )
    return settings


def _check_shape(request: Request, settings: Any) -> None:
    """Raises ZooError if the recipe gives a shape that differs from its parent's."""
    wanted = request.recipe.model
    if wanted is None or request.parent is None:
        return
    have = model_of(read_shape(settings.to_dict()))
    for key in ("layers", "width", "heads", "mlp"):
        if getattr(wanted, key) != getattr(have, key):
            raise ZooError(
                f"{request.parent.label} has {key} {getattr(have, key)}, the recipe has {getattr(wanted, key)}; "
                f"grow it first: phizoo train grow {request.parent.label} --to {request.recipe.name} --method pad-exact"
            )


def _register(
    registry: Registry, request: Request, place: Path, world: "World", outcome: "TrainOutcome",
    say: Callable[[str], None],
) -> Checkpoint | None:  # fmt: skip
    """Exports and registers the checkpoint; removes the run's states and keeps its metrics."""
    if not world.first:
        return None
    from training import export, metrics
    from training.data.tokens.loader import Loader
    from training.state import Keeper

    recipe, sources = request.recipe, _open_datasets(request.datasets)
    settings = _model_settings(request, sources)
    lines = metrics.read(place / "metrics.jsonl")
    folder = place / "checkpoint"
    tokenizer, curves = sources[0].folder / "tokenizer", metrics.curves(lines)
    environment = export.environment(world.device, world.size)
    export.write_folder(folder, settings, outcome.weights, tokenizer, curves, resolve_recipe(recipe), environment)
    loader = Loader(recipe.data, sources, recipe.training.batch_sequences, recipe.training.seed)
    seen = loader.tokens_seen(outcome.chosen_step)
    before = request.parent
    about = About(
        family=recipe.family,
        training_tokens=sum(seen) + ((before.training_tokens or 0) if before else 0),
        training_flops=sum(seen) * config_flops_per_token(settings.to_dict(), recipe.data.sequence_tokens)
        + ((before.training_flops or 0.0) if before else 0.0),
        recipe=resolve_recipe(recipe),
        parents=(Parent(digest=before.digest, relation=recipe.parent.relation),) if before and recipe.parent else (),
        datasets=tuple(
            TrainedOn(digest=source.digest, tokens=count) for source, count in zip(sources, seen, strict=True)
        ),
        licence=recipe.licence,
        source="trained with phizoo train run",
        notes="; ".join(
            [f"{outcome.chosen_step} steps in {outcome.seconds:.0f} s on {world.size} x {world.device}", *outcome.notes]
        ),
    )
    checkpoint = registry.add(folder, request.name, about)
    shutil.rmtree(folder)
    keeper = Keeper(place, recipe.states, request.identity)
    if recipe.states.keep_optimizer:
        say(_keep_optimizer(keeper, outcome.chosen_step, checkpoint))
    (place / "curves.html").write_text(metrics.page(request.name, lines), encoding="utf-8")
    keeper.remove()
    last = next((line["loss"] for line in reversed(lines) if "loss" in line), float("nan"))
    say(
        f"{checkpoint.label} registered ({checkpoint.digest[:12]}): {checkpoint.parameters:,} parameters, "
        f"{sum(seen):,} tokens, {outcome.seconds:.0f} s, last loss {last:.3f}; curves in {place / 'curves.html'}"
    )
    return checkpoint


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
