"""Recipes: everything that determines a training run, read from TOML into a frozen record.

An unknown key, a value of the wrong kind or an impossible combination is an error that names the nearest
known key or the rule. `--set a.b=c` overrides a value and is recorded in the recipe itself, so a checkpoint's
recipe is complete. This file does not import torch. Each recipe's `[sources]` table cites the published
numbers; "estimated" marks our own.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from training.recipe_keys import (
    defaults_of,
    keys_of,
    kind_text,
    override,
    record_in,
    value_at,
    written_keys,
)
from training.recipe_records import (
    BranchPoint,
    Data,
    DataSource,
    Evaluation,
    Execution,
    Model,
    Optimizer,
    Published,
    Recipe,
    Schedule,
    Selection,
    Start,
    States,
    Training,
    Validation,
)
from training.recipe_rules import find_problems
from zoo.digest import digest
from zoo.errors import ZooError, nearest, unknown

__all__ = [
    "FOLDER", "RECIPES", "BranchPoint", "Data", "DataSource", "Evaluation", "Execution", "Model", "Optimizer",
    "Published", "Recipe", "Schedule", "Selection", "Start", "States", "Training", "Validation", "complete_recipe",
    "from_plain", "identity", "keys", "load", "override_recipe", "recipe_digest", "resolve_recipe", "shape",
]  # fmt: skip

FOLDER = Path(__file__).parent / "recipes"

# One name for each file in training/recipes/: the full-size models first, then the versions that a laptop trains.
RECIPES: tuple[str, ...] = (
    "phi-1-small-base", "phi-1-small", "phi-1-base", "phi-1", "phi-1.5", "phi-1.5-web", "phi-1.5-web-only", "phi-2",
    "phi-1-base-wr", "phi-1-base-wr-tile", "phi-3-mini", "phi-4-mini",
    "phi-1-small-mini-unfiltered", "phi-1-small-mini-base", "phi-1-small-mini", "phi-1-mini-base", "phi-1-mini",
    "phi-1-mini-base-wr", "phi-1-mini-base-wr-tile",
    "phi-1-small-mini-chat", "phi-1.5-mini", "phi-1.5-web-mini", "phi-1.5-web-only-mini", "phi-2-mini",
    "phi-3-mini-mini", "phi-4-mini-mini",
    "phi-1-small-tiny", "phi-1-tiny", "phi-2-tiny",
)  # fmt: skip

# Keys that came later: left out of a resolved recipe at their default, so that older recipes keep their digest.
ADDED = (
    "model.kind", "model.key_heads", "model.tied", "data.loss", "training.attention_dropout", "training.z_loss",
    "selection.average_steps", "selection.ema_decay", "states.keep_finished", "states.hang_seconds", "branch",
)  # fmt: skip

NOT_IDENTITY = ("about", "sources", "published", "states", "overrides", "licence")


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
    return override_recipe(plain, overrides)


def override_recipe(plain: dict[str, Any], overrides: Iterable[str]) -> Recipe:
    """Applies `a.b=c` overrides to a recipe as plain data, records them in it, and checks it."""
    given = tuple(overrides)
    for assignment in given:
        override(plain, assignment, dict(keys_of(Recipe)))
    if given:
        plain["overrides"] = [*plain.get("overrides", []), *given]
    return from_plain(plain)


def from_plain(plain: Mapping[str, Any]) -> Recipe:
    """Converts plain data (TOML or JSON as read) into a checked recipe."""
    known = dict(keys_of(Recipe))
    for key in written_keys(plain, known):
        if key not in known:
            raise ZooError(f'no recipe key "{key}"{nearest(key, known)}. All keys: phizoo train recipes --keys')
    evaluation = plain.get("evaluation")
    if isinstance(evaluation, Mapping) and not evaluation.get("every_steps"):  # as `resolve_recipe` writes it
        plain = {**plain, "evaluation": {key: value for key, value in evaluation.items() if key != "tasks"}}
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
    for wrong in find_problems(recipe, msgspec.to_builtins(recipe)):
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


def resolve_recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data with every default written out (except of keys in ADDED), as the registry keeps it."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(recipe))
    defaults = {"branch": None, **dict(defaults_of(Recipe))}
    for key in ADDED:
        *tables, last = key.split(".")
        table = value_at(plain, ".".join(tables)) if tables else plain
        if isinstance(table, dict) and last in table and table[last] == defaults[key]:
            del table[last]
    if not plain["evaluation"]["every_steps"]:  # nothing is evaluated: the digests of before stay as they are
        plain["evaluation"]["tasks"] = ["mini_exercises"]
    return plain


def identity(recipe: Recipe) -> dict[str, Any]:
    """The part of a resolved recipe that determines the weights, without texts and the rules for saving."""
    return {key: value for key, value in resolve_recipe(recipe).items() if key not in NOT_IDENTITY}


def recipe_digest(recipe: Recipe) -> str:
    """sha256 of the resolved recipe: the same as the registry's `recipe_digest`."""
    return digest(resolve_recipe(recipe))


def shape(recipe: Recipe) -> Model:
    """The recipe's model, or that of the recipe of its parent or branch if it names only that.

    >>> shape(load("phi-1-small-mini")).layers
    5
    """
    seen = recipe
    while seen.model is None:
        start = seen.parent or seen.branch
        if start is None or start.checkpoint not in RECIPES:
            raise ZooError(
                f"recipe {recipe.name} takes its shape from a checkpoint that is no recipe; "
                "give a recipe with a [model]. All: phizoo train recipes"
            )
        seen = load(start.checkpoint)
    return seen.model


def keys() -> dict[str, str]:
    """Every recipe key with the kind of its value.

    >>> keys()["training.steps"], keys()["schedule.kind"]
    ('int', 'linear | constant | cosine | wsd')
    """
    return {key: kind_text(kind) for key, kind in keys_of(Recipe) if record_in(kind) is None}
