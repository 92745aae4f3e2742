"""Looks up everything that a recipe names, and refuses what cannot run before anything is loaded or trained."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from evals.tasks import task as find_task
from training import parallel
from training.loop.averages import KEY as AVERAGE
from training.loop.branch import find_trunk
from training.model import model_of
from training.recipe import Recipe, identity, shape
from training.recipe_records import EPSILON
from training.state import Trunk
from zoo.db.names import check_new
from zoo.errors import ZooError
from zoo.records import Checkpoint, Dataset
from zoo.registry import Registry
from zoo.settings import datasets_dir

if TYPE_CHECKING:
    import torch

    from training.data.tokens.loader import TokenDataset


@dataclass(frozen=True)
class Request:
    """A recipe with the records that it names, looked up. parent: the checkpoint whose weights it starts from."""

    recipe: Recipe
    name: str
    datasets: tuple[Dataset, ...]
    parent: Checkpoint | None
    trunk: Trunk | None = None

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
    """Looks up the datasets and the checkpoints that a recipe names.

    Raises ZooError for a missing one, a name that no checkpoint may get, and a shape that is not the parent's
    """
    name = name or recipe.name
    if not registry.list(name, all_versions=True):
        check_new(name)
    datasets = tuple(registry.dataset(source.name) for source in recipe.data.sources)
    for dataset in datasets:
        if dataset.kind != "tokens":
            raise ZooError(f"{dataset.name} holds {dataset.kind}, training reads tokens; make them: phizoo data pack")
    parent, trunk = None, None
    if recipe.branch:
        parent, trunk = find_trunk(registry, recipe, tuple(dataset.digest for dataset in datasets))
    elif recipe.parent:
        parent = registry.get(recipe.parent.checkpoint)
    if parent is not None:
        recipe = check_shape(recipe, parent)
    for task in recipe.evaluation.tasks if recipe.evaluation.every_steps else ():
        find_task(task)
    return Request(recipe, name, datasets, parent, trunk)


def check_shape(recipe: Recipe, parent: Checkpoint) -> Recipe:
    """The recipe with its parent's epsilon, which pad-exact growth changes and the default does not state.

    Raises ZooError if the recipe gives a value that differs from its parent's: the parent's weights fix them all.
    """
    wanted = recipe.model
    if wanted is None:
        return recipe
    have = model_of(parent.architecture)
    for key in ("kind", "layers", "width", "heads", "keys", "mlp", "tied"):
        if getattr(wanted, key) != getattr(have, key):
            raise ZooError(
                f"{parent.label} has {key} {getattr(have, key)}, the recipe has {getattr(wanted, key)}; "
                f"grow it first: phizoo train grow {parent.label} --to {recipe.name} --method pad-exact"
            )
    tokens = {"bos": parent.architecture.get("bos_token_id"), "eos": parent.architecture.get("eos_token_id")}
    fixed = {key: getattr(have, key) for key in ("rotary_dim", "rotary_theta", "context_tokens", "vocabulary")} | tokens
    stated = any(text.partition("=")[0].strip() == "model.layer_norm_epsilon" for text in recipe.overrides)
    if stated or wanted.layer_norm_epsilon != EPSILON:
        fixed["layer_norm_epsilon"] = have.layer_norm_epsilon
    for key, value in fixed.items():
        if getattr(wanted, key) not in (None, value):
            raise ZooError(
                f"{parent.label} has {key} {value:g}, the recipe has {getattr(wanted, key):g}; its weights fix "
                f"the value: --set model.{key}={value!r}, or leave [model] out"
            )
    model = msgspec.structs.replace(wanted, layer_norm_epsilon=have.layer_norm_epsilon)
    return msgspec.structs.replace(recipe, model=model)


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


def parent_moments(request: Request) -> "dict[str, torch.Tensor] | None":
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
    moments = {name: value for name, value in load_file(file).items() if not name.endswith(f".{AVERAGE}")}
    kind = "muon" if any(key.startswith("1.") for key in moments) else "adamw"
    if kind != request.recipe.optimizer.kind:
        raise ZooError(
            f"the optimizer state of {parent.label} is {kind}'s, the recipe's optimizer.kind is "
            f"{request.recipe.optimizer.kind}; take --set optimizer.kind={kind}, or parent.optimizer_state=false"
        )
    return moments


def open_datasets(datasets: tuple[Dataset, ...]) -> "list[TokenDataset]":
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


def model_settings(request: Request, sources: "list[TokenDataset]") -> Any:
    """The model's configuration: the recipe's shape or the parent's; the tokenizer gives ids that the recipe omits."""
    from training import model

    tokens = sources[0]
    if request.parent is not None:
        # the parent's configuration, because pad-exact growth changes the epsilon
        settings = model.read_config(request.parent.architecture)
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
