"""Compares two recipes over the checkpoints that each made with several seeds, on the samples that all have scored.

`recipe:SPEC` is the recipe of a checkpoint, or a recipe by its name: the checkpoints whose recipes differ by the seed
alone (`evals.results.recipe_runs`). With one seed of a recipe the two checkpoints can be compared,
the recipes cannot, and the row says so. Not here: the statistics (`evals.stats.recipes`), printing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from evals.results.choice import samples_of
from evals.results.compare import main_readings, scores_by_protocol
from evals.results.recipe_runs import read_models, seeds_of
from evals.stats.paired import Difference, holm, paired_difference
from evals.stats.recipes import RecipeDifference, recipe_difference
from zoo.errors import ZooError, nearest
from zoo.metrics import metric_of
from zoo.records import Checkpoint, ProtocolRecord, Record, Score
from zoo.registry import Registry

PREFIX = "recipe:"


class RecipeSide(NamedTuple):
    """A recipe's checkpoints by their own seed and those of their parents, the newest of each, in order.

    name  as it was asked for
    """

    name: str
    by_seeds: dict[tuple[int, ...], Checkpoint]

    @property
    def own_seeds(self) -> list[int]:
        """The seed of each checkpoint's own recipe."""
        return [seeds[0] for seeds in self.by_seeds]


class RecipeRow(Record, frozen=True, kw_only=True):
    """Two recipes under one protocol.

    first, second  the means over seeds and samples; with one seed of a recipe, those of the first checkpoint of each
    difference     first - second; with one seed of a recipe, between these two checkpoints, and `over_seeds` is None
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
    if sides[0].by_seeds == sides[1].by_seeds:
        raise ZooError(f"{first} and {second} are one recipe; its seeds: phizoo eval ranks --seeds NAME NAME NAME")
    protocols = registry.protocols()
    each = [
        [scores_by_protocol(registry, checkpoint, protocols, tasks) for checkpoint in side.by_seeds.values()]
        for side in sides
    ]
    every = [scores for side in each for scores in side]
    shared = [key for key in every[0] if all(key in scores for scores in every)]
    if not shared:
        labels = [checkpoint.label for side in sides for checkpoint in side.by_seeds.values()]
        raise ZooError(
            f"no protocol is measured on all of {', '.join(labels)}. "
            f"Next: phizoo eval run {' '.join(labels)} --task {tasks[0] if tasks else 'humaneval'}"
        )
    rows = [_row(registry, sides, [[scores[key] for scores in side] for side in each], protocols) for key in shared]
    main = main_readings(registry, [every[0][key] for key in shared], protocols)
    family = [every[0][key].protocol in main for key in shared]
    adjusted = iter(holm([row.difference.p for row, kept in zip(rows, family, strict=True) if kept]))
    made = [tuple(checkpoint.label for checkpoint in side.by_seeds.values()) for side in sides]
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
    left_out = len(set().union(*every)) - len(both)
    note = f"{left_out:,} samples that not all runs have scored are left out" if left_out else ""
    if min(map(len, tables)) < 2:
        pair = [next(iter(side.by_seeds.values())).label for side in sides]
        one = f"{len(tables[0])} and {len(tables[1])} seeds: this compares {pair[0]} with {pair[1]}; other seeds may"
        difference = paired_difference(tables[0][0], tables[1][0], units, metric=metric)
        first, second = (sum(table[0]) / len(both) for table in tables)
        return RecipeRow(
            column=column, metric=metric.name, first=first, second=second, difference=difference, over_seeds=None,
            seeds=(len(tables[0]), len(tables[1])), note="; ".join(filter(None, (f"{one} differ by more", note))),
        )  # fmt: skip
    means = [sum(map(sum, table)) / len(table) / len(both) for table in tables]
    own = sides[0].own_seeds
    paired = own == sides[1].own_seeds and len(set(own)) == len(own)
    stat = recipe_difference(tables[0], tables[1], units, paired, metric)
    return RecipeRow(
        column=column, metric=metric.name, first=means[0], second=means[1], difference=stat.difference,
        seeds=stat.seeds, over_seeds=stat, note=note,
    )  # fmt: skip


def _recipes(registry: Registry) -> list[list[Checkpoint]]:
    """The checkpoints of each recipe, oldest first."""
    made = [checkpoint for checkpoint in registry.list(all_versions=True) if checkpoint.recipe_digest]
    models = read_models(registry, made, most=None)
    groups: dict[str, list[Checkpoint]] = {}
    for checkpoint in sorted(made, key=lambda checkpoint: checkpoint.created):
        groups.setdefault(models[checkpoint.digest], []).append(checkpoint)
    return list(groups.values())


def _side(registry: Registry, name: str, known: Sequence[Sequence[Checkpoint]]) -> RecipeSide:
    """The checkpoints of the recipe that made a checkpoint, or that has this name."""
    try:
        checkpoint = registry.get(name)
    except ZooError:
        checkpoint = None
    if checkpoint is not None:
        made = next((group for group in known if checkpoint in group), None)
        if made is None:
            raise ZooError(f"{checkpoint.label} has no recorded recipe. Look: phizoo models show {checkpoint.name}")
        return _by_seeds(registry, name, made)
    names = [{_recipe_name(registry, checkpoint) for checkpoint in group} for group in known]
    named = [group for group, own in zip(known, names, strict=True) if name in own]
    if not named:
        all_names = set().union(*names) | {c.name for c in registry.list()}
        raise ZooError(
            f'no recipe or checkpoint "{name}"{nearest(name, all_names)}. All checkpoints: phizoo models list'
        )
    if len(named) > 1:
        examples = ", ".join(f"{PREFIX}{group[-1].label}" for group in named)
        raise ZooError(f'{len(named)} recipes have the name "{name}"; name one by a checkpoint of it: {examples}')
    return _by_seeds(registry, name, named[0])


def _recipe_name(registry: Registry, checkpoint: Checkpoint) -> str:
    return str(registry.recipe(str(checkpoint.recipe_digest)).get("name"))


def _by_seeds(registry: Registry, name: str, made: Sequence[Checkpoint]) -> RecipeSide:
    by_seeds = {seeds_of(registry, checkpoint): checkpoint for checkpoint in made}  # of equal ones the newest
    return RecipeSide(name, dict(sorted(by_seeds.items())))
