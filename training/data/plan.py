"""The commands that make each token dataset of the training recipes, from `recipes.toml`.

This file runs nothing: `phizoo data recipe` does.
"""

from collections.abc import Iterable

from training.recipe import RECIPES, load
from training.tables import read_table
from zoo.errors import ZooError, unknown
from zoo.records import Record


class DatasetRecipe(Record, frozen=True):
    """One dataset's commands, and the datasets that must be there first.

    real   made from published sources that are not on this machine, with a teacher's address: printed, never run
    model  the checkpoint of the zoo that writes it; empty: none
    """

    lines: tuple[str, ...]
    needs: tuple[str, ...] = ()
    about: str = ""
    real: bool = False
    model: str = ""


class DatasetRecipes(Record, frozen=True):
    """All datasets' recipes, and the sizes that they name: as they are, and for a smoke test."""

    sizes: dict[str, tuple[str, str]]
    datasets: dict[str, DatasetRecipe]


TABLE = read_table("data/recipes.toml", DatasetRecipes)


def recipe_of(name: str) -> DatasetRecipe:
    """The recipe of a dataset. Raises ZooError for an unknown name."""
    if name not in TABLE.datasets:
        raise unknown("data recipe", name, sorted([*TABLE.datasets, *RECIPES]), "phizoo data recipe")
    return TABLE.datasets[name]


def plan(name: str, smoke: bool = False) -> list[str]:
    """The command lines, without `phizoo`, that make a dataset, or all datasets of a training recipe, in order.

    >>> plan("textbooks", smoke=True)
    ['data synthesise textbooks --name textbooks --documents 150']
    """
    wanted = [source.name for source in load(name).data.sources] if name in RECIPES else [name]
    sizes = {size: both[smoke] for size, both in TABLE.sizes.items()}
    return [f"data {line.format(**sizes)}".rstrip() for part in _ordered(wanted) for line in recipe_of(part).lines]


def is_real(name: str) -> bool:
    """Whether a dataset, or one of a training recipe's, is made from published sources."""
    wanted = [source.name for source in load(name).data.sources] if name in RECIPES else [name]
    return any(recipe_of(part).real for part in _ordered(wanted))


def _ordered(names: Iterable[str]) -> list[str]:
    """The datasets with all that they need before them, each once."""
    done, path = dict[str, None](), list[str]()

    def visit(name: str) -> None:
        if name in path:
            raise ZooError(f"the data recipe {name} needs itself")
        path.append(name)
        for need in recipe_of(name).needs:
            visit(need)
        path.pop()
        done.setdefault(name)

    for name in names:
        visit(name)
    return list(done)


def models_of(name: str) -> list[str]:
    """The checkpoints of the zoo that write a dataset, or one that it needs.

    >>> models_of("rephrase-tokens"), models_of("web-tokens")
    (['smollm2'], [])
    """
    wanted = [source.name for source in load(name).data.sources] if name in RECIPES else [name]
    return list(dict.fromkeys(model for part in _ordered(wanted) if (model := recipe_of(part).model)))
