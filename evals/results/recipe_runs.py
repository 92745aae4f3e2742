"""Says which checkpoints are runs of one recipe: those that differ by the seed alone, down to their parents.

Here alone it stands what of a recipe is free. Not here: what several seeds are worth (`evals.results.ranking`,
`evals.results.signal`, `evals.decisions.recipes`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from zoo.db.datasets import read_recipe
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.lineage import with_ancestors
from zoo.records import Checkpoint
from zoo.registry import Registry

MOST_MODELS = 500  # checkpoints whose recipes are read for one board
# what may differ between the recipes of runs that differ by seed alone: at the top, and anywhere
TEXTS, FREE = ("name", "about", "notes", "overrides"), ("seed", "proof")


def read_models(
    registry: Registry, checkpoints: Sequence[Checkpoint], most: int | None = MOST_MODELS
) -> dict[str, str]:
    """digest -> the model that a checkpoint is a run of; equal for checkpoints that differ by seed alone.

    Two such have recipes that are equal but for the seed, the name and what is said about them, and parents of which
    the same holds. A checkpoint without a recipe or a seed in it is a model of its own; of more than `most`
    checkpoints nothing is read.
    """
    models: dict[str, str] = {}

    def model_of(checkpoint: Checkpoint) -> str:
        if checkpoint.digest not in models:
            models[checkpoint.digest] = checkpoint.digest  # no parent is its own ancestor, but a record could say so
            if checkpoint.recipe_digest is not None:
                models[checkpoint.digest] = _model(registry, checkpoint, model_of)
        return models[checkpoint.digest]

    for checkpoint in checkpoints if most is None or len(checkpoints) <= most else ():
        model_of(checkpoint)
    return models


def _model(registry: Registry, checkpoint: Checkpoint, model_of: Callable[[Checkpoint], str]) -> str:
    parents = []
    for parent in checkpoint.parents:
        try:
            parents.append([parent.relation, model_of(registry.get(parent.digest))])
        except ZooError:  # its parent is not in this zoo
            parents.append([parent.relation, parent.digest])
    try:
        recipe = read_recipe(registry.database, str(checkpoint.recipe_digest))
    except ZooError:
        return checkpoint.digest
    named = {parent.digest for parent in checkpoint.parents}
    if recipe_seed(recipe) is None:
        return checkpoint.digest
    data = sorted(dataset.digest for dataset in checkpoint.datasets)
    return digest([_seedless(_without_texts(recipe), named), parents, data, checkpoint.parameters])


def recipe_seed(recipe: Any) -> int | None:
    """The first seed in a recipe, that of its training; None without one.

    >>> recipe_seed({"training": {"steps": 10, "seed": 2}}), recipe_seed({"model": "x"}), recipe_seed({"seed": "two"})
    (2, None, None)
    """
    if not isinstance(recipe, dict):
        return None
    if type(recipe.get("seed")) is int:
        return int(recipe["seed"])
    return next((seed for inner in recipe.values() if (seed := recipe_seed(inner)) is not None), None)


def seeds_of(registry: Registry, checkpoint: Checkpoint) -> tuple[int, ...]:
    """The seeds that made a checkpoint: its own, and those of its ancestors in this zoo; 0 where none is recorded."""
    line, _ = with_ancestors(registry, checkpoint)
    recipes = (registry.recipe(each.recipe_digest) if each.recipe_digest else None for each in line)
    return tuple(recipe_seed(recipe) or 0 for recipe in recipes)


def seedless_keys(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe as flat keys, without those that may differ.

    >>> seedless_keys({"name": "a", "overrides": ["training.seed=1"], "training": {"steps": 10, "seed": 1}})
    {'training.steps': 10}
    """
    return _flat(_without_texts(recipe), "")


def _flat(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if key not in FREE:
            flat |= _flat(inner, f"{path}.{key}".lstrip("."))
    return flat


def _without_texts(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key not in TEXTS}


def _seedless(value: Any, named: set[str]) -> Any:
    """A recipe without what may differ; its parents are compared apart."""
    if isinstance(value, dict):
        return {
            key: _seedless(inner, named)
            for key, inner in sorted(value.items())
            if key not in FREE and not (key == "to" and "shape" in value) and not (key == "checkpoint" and named)
        }
    if isinstance(value, list):
        return [_seedless(inner, named) for inner in value]
    return "a parent" if isinstance(value, str) and value in named else value
