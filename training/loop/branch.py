"""Finds the state from which a run branches: of a finished run whose states were kept, at one of its saved steps.

A branch goes on as the run itself would: weights, optimizer, schedule and data from that step. What its recipe changes
(more steps, another schedule, another mixture) begins there.
"""

import json
from pathlib import Path
from typing import Any

from training.recipe import Recipe, from_plain
from training.state import Keeper, Trunk
from zoo.digest import write_json
from zoo.errors import ZooError
from zoo.records import Checkpoint
from zoo.registry import Registry
from zoo.settings import training_dir


def kept_file(checkpoint: str) -> Path:
    """The file that names the folder of a checkpoint's kept states; exists only if they were kept."""
    return training_dir() / "finished" / f"{checkpoint}.json"


def keep_states(place: Path, checkpoint: Checkpoint, identity: dict[str, Any]) -> None:
    """Notes that a run's folder holds the states of this checkpoint."""
    write_json(kept_file(checkpoint.digest), {"folder": str(place.resolve()), "identity": identity})


def find_trunk(registry: Registry, recipe: Recipe, datasets: tuple[str, ...]) -> tuple[Checkpoint, Trunk]:
    """The checkpoint and the state that a recipe branches from; `datasets` are the digests of the recipe's sources.

    Raises ZooError if the states were not kept, or not of that step, or if the optimizer or the parent differs.
    """
    assert recipe.branch is not None
    checkpoint, step = registry.get(recipe.branch.checkpoint), recipe.branch.step
    before = recipe_of_run(registry, checkpoint)
    file = kept_file(checkpoint.digest)
    again = "train it again with --set states.keep_finished=true --set states.keep_every_steps=N"
    try:
        noted = json.loads(file.read_bytes())
        folder, identity = Path(noted["folder"]), noted["identity"]
    except (OSError, ValueError, KeyError) as error:
        raise ZooError(f"no states of {checkpoint.label} are kept on this machine; {again}") from error
    keeper = Keeper(folder, before.states, identity)
    if step not in (steps := keeper.steps()):
        have = ", ".join(map(str, steps)) or "none"
        raise ZooError(f"{checkpoint.label} has no state of step {step}; kept are: {have}. For others, {again}")
    if before.optimizer.kind != recipe.optimizer.kind:
        raise ZooError(
            f"{checkpoint.label} was trained with {before.optimizer.kind}, and a branch goes on with its moments; "
            f"--set optimizer.kind={before.optimizer.kind}"
        )
    if recipe.parent and (not before.parent or before.parent.checkpoint != recipe.parent.checkpoint):
        raise ZooError(
            f"the recipe starts from {recipe.parent.checkpoint} and {checkpoint.label} did not; a branch has the "
            "weights of its run's state, so leave [parent] out"
        )
    read = None
    if _order(before) == _order(recipe):
        seen = sequences_seen(registry, checkpoint, step)
        read = tuple(seen.get(digest, 0) for digest in datasets)
    return checkpoint, Trunk(folder, identity, checkpoint.label, step, read)


def _order(recipe: Recipe) -> tuple[Any, ...]:
    """The settings that decide which tokens a sequence number stands for."""
    return recipe.training.seed, recipe.data.sequence_tokens, recipe.data.packing


def recipe_of_run(registry: Registry, checkpoint: Checkpoint) -> Recipe:
    """The recipe of a checkpoint that `phizoo train run` made. Raises ZooError for any other."""
    plain = registry.recipe(checkpoint.recipe_digest) if checkpoint.recipe_digest else {}
    if "training" not in plain:
        raise ZooError(f"{checkpoint.label} was not made by phizoo train run, so there is no run to branch from")
    return from_plain(plain)


def sequences_seen(registry: Registry, checkpoint: Checkpoint, step: int) -> dict[str, int]:
    """Sequences that a run had read of each dataset, by digest, after `step` steps; those of its trunk included."""
    from training.data.tokens.loader import sequences_by_source

    recipe = recipe_of_run(registry, checkpoint)
    weights, seed, batch = (
        [source.weight for source in recipe.data.sources], recipe.training.seed, recipe.training.batch_sequences,
    )  # fmt: skip
    counts = sequences_by_source(weights, seed, step * batch)
    seen = {source.digest: count for source, count in zip(checkpoint.datasets, counts, strict=True)}
    if recipe.branch is None:
        return seen
    trunk = registry.get(checkpoint.parents[0].digest)
    begun = sequences_by_source(weights, seed, recipe.branch.step * batch)
    before = sequences_seen(registry, trunk, recipe.branch.step)
    if _order(recipe_of_run(registry, trunk)) != _order(recipe):
        return seen
    for source, count in zip(checkpoint.datasets, begun, strict=True):
        seen[source.digest] += before.get(source.digest, 0) - count
    return before | seen


def tokens_seen(registry: Registry, checkpoint: Checkpoint, step: int) -> int:
    """Tokens in a run's weights after `step` steps, those of its parents included."""
    recipe = recipe_of_run(registry, checkpoint)
    each = recipe.training.batch_sequences * recipe.data.sequence_tokens
    if recipe.branch is not None:
        trunk = registry.get(checkpoint.parents[0].digest)
        return tokens_seen(registry, trunk, recipe.branch.step) + (step - recipe.branch.step) * each
    before = registry.get(checkpoint.parents[0].digest).training_tokens if checkpoint.parents else 0
    return (before or 0) + step * each
