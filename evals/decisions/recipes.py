"""Compares two recipes over the checkpoints that each made with several seeds, on the samples that all have scored.

`recipe:SPEC` is the recipe of a checkpoint, or a recipe by its name: the checkpoints whose recipes differ by the seed
alone (`evals.results.ranking` says which keys are free). With one seed of a recipe the two checkpoints can be compared,
the recipes cannot, and the row says so. Not here: the statistics (`evals.stats.recipes`), printing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from evals.results.choice import samples_of
from evals.results.compare import main_readings, scores_by_protocol
from evals.results.ranking import without_free
from evals.stats.paired import Difference, holm, paired_difference
from evals.stats.recipes import RecipeDifference, recipe_difference
from zoo.digest import digest
from zoo.errors import ZooError, nearest
from zoo.metrics import metric_of
from zoo.records import Checkpoint, ProtocolRecord, Record, Score
from zoo.registry import Registry

PREFIX = "recipe:"


class RecipeSide(NamedTuple):
    """A recipe's checkpoints by seed, the newest of each. name: as it was asked for."""

    name: str
    by_seed: dict[int, Checkpoint]


class RecipeRow(Record, frozen=True, kw_only=True):
    """Two recipes under one protocol.

    first, second  the means over seeds and samples, 0..1
    difference     first - second; with one seed of a recipe, of the first checkpoint of each, and `over_seeds` is None
    p_holm         adjusted over one reading of each task; None for further readings
    """

    column: str
    metric: str
    first: float
    second: float
    difference: Difference
    seeds: tuple[int, int]
    over_seeds: RecipeDifference | None
    p_holm: float | None = None
    note: str = ""


class RecipeComparison(Record, frozen=True, kw_only=True):
    """Two recipes: the labels of the checkpoints of each, and a row a protocol that all of them have."""

    first: str
    second: str
    checkpoints: tuple[tuple[str, ...], tuple[str, ...]]
    rows: tuple[RecipeRow, ...]


def compare_recipes(registry: Registry, first: str, second: str, tasks: Sequence[str] = ()) -> RecipeComparison:
    """Compares two recipes (`recipe:SPEC`).

    tasks   only these: `humaneval`, or `humaneval@healed`
    Raises  ZooError for an unknown recipe, two names of one recipe, or if the checkpoints share no protocol
    """
    known = _recipes(registry)
    sides = [_side(registry, name.removeprefix(PREFIX), known) for name in (first, second)]
    if sides[0].by_seed == sides[1].by_seed:
        raise ZooError(f"{first} and {second} are one recipe; its seeds: phizoo eval ranks --seeds NAME NAME NAME")
    protocols = registry.protocols()
    each = [
        [scores_by_protocol(registry, checkpoint, protocols, tasks) for _, checkpoint in sorted(side.by_seed.items())]
        for side in sides
    ]
    every = [scores for side in each for scores in side]
    shared = [key for key in every[0] if all(key in scores for scores in every)]
    if not shared:
        labels = [checkpoint.label for side in sides for checkpoint in side.by_seed.values()]
        raise ZooError(
            f"no protocol is measured on all of {', '.join(labels)}. "
            f"Next: phizoo eval run {' '.join(labels)} --task {tasks[0] if tasks else 'humaneval'}"
        )
    rows = [_row(registry, sides, [[scores[key] for scores in side] for side in each], protocols) for key in shared]
    main = main_readings(registry, [every[0][key] for key in shared], protocols)
    family = [every[0][key].protocol in main for key in shared]
    adjusted = iter(holm([row.difference.p for row, kept in zip(rows, family, strict=True) if kept]))
    made = [tuple(checkpoint.label for _, checkpoint in sorted(side.by_seed.items())) for side in sides]
    return RecipeComparison(
        first=sides[0].name, second=sides[1].name,
        checkpoints=(made[0], made[1]),
        rows=tuple(
            replace(row, p_holm=next(adjusted)) if kept else row for row, kept in zip(rows, family, strict=True)
        ),
    )  # fmt: skip


def _row(
    registry: Registry, sides: Sequence[RecipeSide], scores: Sequence[Sequence[Score]],
    protocols: Mapping[str, ProtocolRecord],
) -> RecipeRow:  # fmt: skip
    runs = [[samples_of(registry, score) for score in side] for side in scores]
    every = [run for side in runs for run in side]
    both = [sample for sample in every[0] if all(sample in run for run in every)]
    column, metric = protocols[scores[0][0].protocol].column, metric_of(scores[0][0].metric)
    if len(both) < 2:
        raise ZooError(f"{column}: fewer than two samples are scored in all runs. See: phizoo eval runs")
    units = [every[0][sample].unit for sample in both]
    tables = [[[run[sample].value for sample in both] for run in side] for side in runs]
    means = [sum(map(sum, table)) / len(table) / len(both) for table in tables]
    left_out = len(set().union(*every)) - len(both)
    note = f"{left_out:,} samples that not all runs have scored are left out" if left_out else ""
    if min(map(len, tables)) < 2:
        one = f"{len(tables[0])} and {len(tables[1])} seeds: this compares checkpoints; other seeds may differ by more"
        difference = paired_difference(tables[0][0], tables[1][0], units, metric=metric)
        return RecipeRow(
            column=column, metric=metric.name, first=means[0], second=means[1], difference=difference, over_seeds=None,
            seeds=(len(tables[0]), len(tables[1])), note="; ".join(filter(None, (one, note))),
        )  # fmt: skip
    paired = sorted(sides[0].by_seed) == sorted(sides[1].by_seed)
    stat = recipe_difference(tables[0], tables[1], units, paired, metric)
    return RecipeRow(
        column=column, metric=metric.name, first=means[0], second=means[1], difference=stat.difference,
        seeds=stat.seeds, over_seeds=stat,
        note=note,
    )  # fmt: skip


def _recipes(registry: Registry) -> dict[str, tuple[dict[str, Any], list[Checkpoint]]]:
    """Every recipe without what is free, by digest, with its checkpoints, oldest first."""
    flat: dict[str, tuple[str, dict[str, Any]]] = {}
    known: dict[str, tuple[dict[str, Any], list[Checkpoint]]] = {}
    for checkpoint in registry.list(all_versions=True):
        if checkpoint.recipe_digest is None:
            continue
        if checkpoint.recipe_digest not in flat:
            recipe = registry.recipe(checkpoint.recipe_digest)
            flat[checkpoint.recipe_digest] = (digest(without_free(recipe)), recipe)
        key, recipe = flat[checkpoint.recipe_digest]
        known.setdefault(key, (recipe, []))[1].append(checkpoint)
    return known


def _side(registry: Registry, name: str, known: Mapping[str, tuple[dict[str, Any], list[Checkpoint]]]) -> RecipeSide:
    """The checkpoints of the recipe that made a checkpoint, or that has this name."""
    try:
        checkpoint = registry.get(name)
    except ZooError:
        checkpoint = None
    if checkpoint is not None:
        key = next((key for key, (_, made) in known.items() if checkpoint in made), None)
        if key is None:
            raise ZooError(f"{checkpoint.label} has no recorded recipe. Look: phizoo models show {checkpoint.name}")
        return _by_seed(registry, name, known[key][1])
    named = {key: made for key, (recipe, made) in known.items() if recipe.get("name") == name}
    if not named:
        names = {str(recipe.get("name")) for recipe, _ in known.values()} | {c.name for c in registry.list()}
        raise ZooError(f'no recipe or checkpoint "{name}"{nearest(name, names)}. All checkpoints: phizoo models list')
    if len(named) > 1:
        examples = ", ".join(f"{PREFIX}{made[-1].label}" for made in named.values())
        raise ZooError(f'{len(named)} recipes have the name "{name}"; name one by a checkpoint of it: {examples}')
    return _by_seed(registry, name, next(iter(named.values())))


def _by_seed(registry: Registry, name: str, made: Sequence[Checkpoint]) -> RecipeSide:
    seeds = {int(registry.recipe(str(checkpoint.recipe_digest)).get("seed", 0)): checkpoint for checkpoint in made}
    return RecipeSide(name, seeds)
