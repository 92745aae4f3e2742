"""Recipes: everything that determines a training run, read from TOML into a frozen record.

An unknown key, a value of the wrong kind or an impossible combination is an error that names the nearest
known key or the rule. `--set a.b=c` overrides a value and is recorded in the recipe itself, so a checkpoint's
recipe is complete. This file does not import torch. Each recipe's `[sources]` table cites the published
numbers; "estimated" marks our own.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from training.recipe_keys import (
    keys_of,
    kind_text,
    override,
    record_in,
    value_at,
    written_keys,
)
from zoo.db.names import check_new
from zoo.digest import digest
from zoo.errors import ZooError, nearest, unknown
from zoo.records import Record, Relation

FOLDER = Path(__file__).parent / "recipes"

# One name for each file in training/recipes/: the full-size models first, then the versions that a laptop trains.
RECIPES: tuple[str, ...] = (
    "phi-1-small-base", "phi-1-small", "phi-1-base", "phi-1", "phi-1.5", "phi-1.5-web", "phi-1.5-web-only", "phi-2",
    "phi-1-base-wr", "phi-1-base-wr-tile",
    "phi-1-small-mini-unfiltered", "phi-1-small-mini-base", "phi-1-small-mini", "phi-1-mini-base", "phi-1-mini",
    "phi-1-mini-base-wr", "phi-1-mini-base-wr-tile",
    "phi-1.5-mini", "phi-1.5-web-mini", "phi-1.5-web-only-mini", "phi-2-mini",
    "phi-1-small-tiny", "phi-1-tiny", "phi-2-tiny",
)  # fmt: skip

NOT_IDENTITY = ("about", "sources", "published", "states", "overrides", "licence")


class Model(Record, frozen=True):
    """The model's shape. vocabulary, bos and eos: None takes the tokenizer's (the mini and tiny models)."""

    layers: int
    width: int
    heads: int
    mlp: int
    rotary_dim: int = 32
    rotary_theta: float = 10000.0
    context_tokens: int = 2048
    vocabulary: int | None = None
    bos: int | None = None
    eos: int | None = None
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02


class DataSource(Record, frozen=True):
    """One token dataset by name, and its share of the sequences (weights are relative)."""

    name: str
    weight: float = 1.0


class Data(Record, frozen=True):
    """The token datasets and how they are cut into sequences (see training/data/tokens/loader.py)."""

    sources: tuple[DataSource, ...]
    sequence_tokens: int
    packing: Literal["slices", "shifted", "documents"] = "slices"
    document_mask: bool = False


class Training(Record, frozen=True):
    """Number of steps and size of a batch. batch_sequences counts all processes together.

    spike_nats: a loss this far above the recent median, and far outside the recent scatter, stops the run; 0: never.
    """

    steps: int
    batch_sequences: int
    seed: int = 0
    dropout: float = 0.0
    gradient_clip: float = 1.0
    spike_nats: float = 1.0


class Schedule(Record, frozen=True):
    """Learning rate by step. steps: the step at which the decay ends; None: training.steps."""

    kind: Literal["linear", "constant", "cosine", "wsd"]
    peak_learning_rate: float
    warmup_steps: int = 0
    steps: int | None = None
    decay_steps: int = 0
    final_learning_rate: float = 0.0


class Optimizer(Record, frozen=True):
    """AdamW, or Muon for the matrices inside the layers with AdamW for everything else.

    tiled_copies: n of a growth that tiled the matrices. AdamW then uses 1/n of the rate and n times the decay for
    them, so that their function changes as fast as the small model's did; Muon's update has that scale already.
    """

    kind: Literal["adamw", "muon"] = "adamw"
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    decay: Literal["matrices", "all"] = "matrices"
    muon_learning_rate: float = 0.02
    muon_momentum: float = 0.95
    tiled_copies: int = 1


class Start(Record, frozen=True):
    """The checkpoint whose weights the run starts from, and its relation to the new checkpoint.

    optimizer_state: start from the optimizer's moments too, which must have been kept or grown.
    """

    checkpoint: str
    relation: Relation = "finetune"
    optimizer_state: bool = False


class Validation(Record, frozen=True):
    """When to validate, and on how many fixed sequences. every_steps 0: never."""

    every_steps: int = 0
    sequences: int = 64


class Evaluation(Record, frozen=True):
    """Scores during training, every `every_steps` steps (0: never), on the same `samples` samples of each task."""

    every_steps: int = 0
    tasks: tuple[str, ...] = ("mini_exercises",)
    samples: int = 40


class Selection(Record, frozen=True):
    """Which step becomes the checkpoint: the last, or the one with the lowest validation loss."""

    rule: Literal["last", "best-validation"] = "last"


class States(Record, frozen=True):
    """When to save the run's state, and which states to keep: the newest, and every n-th step.

    keep_optimizer: keep the finished checkpoint's optimizer moments, so that a growth can grow them too.
    """

    every_seconds: float = 60.0
    every_steps: int = 0
    keep_last: int = 2
    keep_every_steps: int = 0
    keep_optimizer: bool = False


class Execution(Record, frozen=True):
    """How to compute. auto: bf16 on a GPU, compiled if the run takes minutes; fp32 and not compiled on a CPU."""

    microbatch_sequences: int | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    activation_checkpointing: bool = False
    loss_chunk_tokens: int = 1024


class Published(Record, frozen=True):
    """Published figures of the same run, shown beside the plan's."""

    gpu_hours: float
    kind: str
    gpus: int | None = None
    source: str = ""
    note: str = ""


class Recipe(Record, frozen=True):
    """One training run. model None: the parent's shape, as in a finetune."""

    name: str
    data: Data
    training: Training
    schedule: Schedule
    about: str = ""
    family: str = "phi"
    licence: str = "unknown"
    model: Model | None = None
    optimizer: Optimizer = Optimizer()
    parent: Start | None = None
    validation: Validation = Validation()
    evaluation: Evaluation = Evaluation()
    selection: Selection = Selection()
    states: States = States()
    execution: Execution = Execution()
    published: Published | None = None
    sources: dict[str, str] = {}
    overrides: tuple[str, ...] = ()


def complete_recipe(_typed: str) -> tuple[str, ...]:
    """The names of the recipes, for completion in a shell."""
    return RECIPES


def load(spec: str, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe by name or from a .toml file and applies `a.b=c` overrides.

    Raises ZooError for an unknown name, key or value, with the nearest known one.

    >>> load("phi-1-small-mini-base", ["training.steps=70"]).training.steps
    70
    """
    if spec.endswith(".toml"):
        path = Path(spec)
        if not path.is_file():
            raise ZooError(f"no recipe file {spec}; give a file, or a name from: phizoo train recipes")
    elif spec in RECIPES:
        path = FOLDER / f"{spec}.toml"
    else:
        raise unknown("recipe", spec, RECIPES, "phizoo train recipes")
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"{path.name} is not TOML: {error}; fix that line and run again") from error
    given = tuple(overrides)
    for assignment in given:
        override(plain, assignment, dict(keys_of(Recipe)))
    if given:
        plain["overrides"] = list(given)
    return from_plain(plain)


def from_plain(plain: Mapping[str, Any]) -> Recipe:
    """Converts plain data (TOML or JSON as read) into a checked recipe."""
    known = dict(keys_of(Recipe))
    for key in written_keys(plain, known):
        if key not in known:
            raise ZooError(f'no recipe key "{key}"{nearest(key, known)}. All keys: phizoo train recipes --keys')
    try:
        recipe = msgspec.convert(plain, Recipe)
    except msgspec.ValidationError as error:
        fault, _, where = str(error).partition(" - at `$")
        key = where.strip("`.").replace("[...]", "") or "the recipe"
        value = value_at(plain, key)
        given = "" if value is None else f", found {value!r}"
        raise ZooError(
            f"recipe key {key}: {fault}{given}{_remedy(known.get(key), value)}. All keys: phizoo train recipes --keys"
        ) from error
    for wrong in find_problems(recipe):
        raise ZooError(f"recipe {recipe.name}: {wrong}")
    return recipe


def _remedy(kind: Any, value: Any) -> str:
    """Advice for a value of the wrong kind: one of the allowed words, or a number without its unit."""
    words = [str(part) for part in get_args(kind) if isinstance(part, str)]
    if words:
        return f"{nearest(str(value), words)}; one of {', '.join(words)}"
    if isinstance(value, str) and ({int, float} & {kind, *get_args(kind)}):
        return "; write a plain number, the key's name says its unit"
    return ""


def find_problems(recipe: Recipe) -> Iterable[str]:
    """Validation errors, the most fundamental first; none if the recipe can run."""
    check_new(recipe.name)
    model, data, training, schedule = recipe.model, recipe.data, recipe.training, recipe.schedule
    if model is None and recipe.parent is None:
        yield "neither [model] nor [parent] is given; give the shape, or the checkpoint it starts from"
    if model is not None:
        yield from _model_problems(model)
        if data.sequence_tokens > model.context_tokens:
            yield f"data.sequence_tokens {data.sequence_tokens} exceeds model.context_tokens {model.context_tokens}"
    positive = {
        "training.steps": training.steps, "training.batch_sequences": training.batch_sequences,
        "data.sequence_tokens": data.sequence_tokens - 1, "schedule.peak_learning_rate": schedule.peak_learning_rate,
        "execution.loss_chunk_tokens": recipe.execution.loss_chunk_tokens,
        "validation.sequences": recipe.validation.sequences, "evaluation.samples": recipe.evaluation.samples,
        "states.keep_last": recipe.states.keep_last, "optimizer.tiled_copies": recipe.optimizer.tiled_copies,
    }  # fmt: skip
    yield from (f"{key} is too small: it must be positive" for key, value in positive.items() if value <= 0)
    if not data.sources:
        yield "data.sources is empty; name at least one token dataset (phizoo data list)"
    yield from (f"the weight of {source.name} must be positive" for source in data.sources if source.weight <= 0)
    if not 0 <= training.dropout < 1:
        yield f"training.dropout {training.dropout} is not in [0, 1)"
    horizon = schedule.steps or training.steps
    if training.steps > horizon:
        yield f"training.steps {training.steps} exceeds schedule.steps {horizon}, where the rate has ended"
    if schedule.warmup_steps + schedule.decay_steps > horizon:
        yield f"schedule.warmup_steps {schedule.warmup_steps} and decay_steps exceed the {horizon} steps"
    if schedule.kind == "wsd" and not schedule.decay_steps:
        yield "schedule.kind wsd needs schedule.decay_steps"
    micro = recipe.execution.microbatch_sequences
    if micro is not None and (micro < 1 or training.batch_sequences % micro):
        yield f"training.batch_sequences {training.batch_sequences} is no multiple of microbatch_sequences {micro}"
    if recipe.selection.rule == "best-validation" and not recipe.validation.every_steps:
        yield "selection.rule best-validation needs validation.every_steps"


def _model_problems(model: Model) -> Iterable[str]:
    shape = {"layers": model.layers, "width": model.width, "heads": model.heads, "mlp": model.mlp}
    small = [key for key, value in shape.items() if value < 1]
    yield from (f"model.{key} must be at least 1" for key in small)
    if small:
        return
    if model.width % model.heads:
        yield f"model.width {model.width} is no multiple of model.heads {model.heads}"
        return
    head = model.width // model.heads
    if model.rotary_dim % 2 or not 0 < model.rotary_dim <= head:
        yield f"model.rotary_dim {model.rotary_dim} must be even and at most the head size {head}"


def resolve_recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data with every default written out, as the registry keeps it."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(recipe))
    return plain


def identity(recipe: Recipe) -> dict[str, Any]:
    """The part of a resolved recipe that determines the weights, without texts and the rules for saving."""
    return {key: value for key, value in resolve_recipe(recipe).items() if key not in NOT_IDENTITY}


def recipe_digest(recipe: Recipe) -> str:
    """sha256 of the resolved recipe: the same as the registry's `recipe_digest`."""
    return digest(resolve_recipe(recipe))


def shape(recipe: Recipe) -> Model:
    """The recipe's model, or its parent recipe's if it names only a parent.

    >>> shape(load("phi-1-small-mini")).layers
    5
    """
    seen = recipe
    while seen.model is None:
        if seen.parent is None or seen.parent.checkpoint not in RECIPES:
            raise ZooError(
                f"recipe {recipe.name} takes its shape from a checkpoint that is no recipe; "
                "give a recipe with a [model]. All: phizoo train recipes"
            )
        seen = load(seen.parent.checkpoint)
    return seen.model


def keys() -> dict[str, str]:
    """Every recipe key with the kind of its value.

    >>> keys()["training.steps"], keys()["schedule.kind"]
    ('int', 'linear | constant | cosine | wsd')
    """
    return {key: kind_text(kind) for key, kind in keys_of(Recipe) if record_in(kind) is None}
