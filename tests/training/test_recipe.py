"""Recipes: every file loads and names its sources; what cannot be is refused with the nearest key."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.recipe import (
    FOLDER,
    RECIPES,
    Recipe,
    from_plain,
    identity,
    keys,
    load,
    recipe_digest,
    resolve_recipe,
)
from training.recipe_keys import defaults_of, leaf_values
from zoo.errors import ZooError


def unsourced_numbers(recipe: Recipe) -> list[str]:
    """Keys whose numbers a recipe sets without a source for the key or its table."""
    defaults = dict(defaults_of(Recipe))
    unsourced = []
    for key, value in leaf_values(resolve_recipe(recipe)):
        table = key.split(".")[0]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and table != "published" and defaults.get(key) != value and not {key, table} & recipe.sources.keys():
            unsourced.append(key)
    return unsourced


def test_the_table_and_the_folder_name_the_same_recipes() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(RECIPES)
    assert all(load(name).name == name for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_has_a_source_or_says_estimated(name: str) -> None:
    assert unsourced_numbers(load(name)) == []


def test_a_number_without_a_source_is_found() -> None:
    plain = tomllib.loads((FOLDER / "phi-1.toml").read_text())
    del plain["sources"]["schedule"]
    assert unsourced_numbers(from_plain(plain)) == ["schedule.peak_learning_rate", "schedule.warmup_steps"]


def test_the_published_settings() -> None:
    base, phi_1, phi_15 = load("phi-1-base"), load("phi-1"), load("phi-1.5")
    assert (base.training.steps, base.schedule.steps, base.training.batch_sequences) == (24_000, 36_000, 1024)
    assert (base.schedule.peak_learning_rate, base.schedule.warmup_steps, base.training.dropout) == (1e-3, 750, 0.1)
    assert (phi_1.training.batch_sequences, phi_1.training.steps, phi_1.schedule.peak_learning_rate) == (
        256,
        6000,
        1e-4,
    )
    assert phi_1.parent is not None
    assert (phi_1.parent.checkpoint, phi_1.selection.rule) == ("phi-1-base", "best-validation")
    assert (phi_15.schedule.kind, phi_15.schedule.warmup_steps, phi_15.optimizer.epsilon) == ("constant", 0, 1e-7)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("training.stepz=3", 'no recipe key "training.stepz" (nearest: "training.steps")'),
        ("schedule.warmup_seconds=3", 'nearest: "schedule.warmup_steps"'),
        ("training.steps=fast", "training.steps: Expected `int`, got `str`, found 'fast'"),
        ("training.steps=1.5", "training.steps: Expected `int`, got `float`"),
        ("training.steps=36K", "found '36K'; write a plain number, the key's name says its unit"),
        ("optimizer.kind=adam", '(nearest: "adamw"); one of adamw, muon'),
        ("schedule.kind=linaer", "schedule.kind: Invalid enum value 'linaer'"),
        ("training.steps", "write it as --set training.steps=200"),
        ("data.sources.weight=2", "set the list itself"),
    ],
)
def test_a_wrong_key_or_value_is_told(override: str, says: str) -> None:
    with pytest.raises(ZooError) as told:
        load("phi-1-small-mini-base", [override])
    assert says in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.heads=3"], "model.width 128 is no multiple of model.heads 3"),
        (["model.rotary_dim=31"], "must be even"),
        (["model.rotary_dim=66"], "at most the head size 64"),
        (["model.layers=0"], "model.layers must be at least 1"),
        (["data.sequence_tokens=4096"], "exceeds model.context_tokens"),
        (["data.sequence_tokens=1"], "data.sequence_tokens is too small"),
        (["training.steps=0"], "training.steps is too small"),
        (["training.steps=10"], "schedule.warmup_steps"),
        (["schedule.steps=50", "training.steps=60"], "training.steps 60 exceeds schedule.steps 50"),
        (["schedule.kind=wsd"], "needs schedule.decay_steps"),
        (["execution.microbatch_sequences=3"], "no multiple of microbatch_sequences 3"),
        (["selection.rule=best-validation", "validation.every_steps=0"], "needs validation.every_steps"),
        (["training.dropout=1.0"], "not in [0, 1)"),
        (["data.sources=[]"], "data.sources is empty"),
        (['data.sources=[{name="a", weight=0.0}]'], "weight of a must be positive"),
    ],
)
def test_an_impossible_combination_is_told(overrides: list[str], says: str) -> None:
    with pytest.raises(ZooError) as told:
        load("phi-1-small-mini-base", overrides)
    assert says in str(told.value)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ZooError, match=r'no recipe "phi-1-smal" \(nearest: "phi-1-small"\)'):
        load("phi-1-smal")
    with pytest.raises(ZooError, match=r"no recipe file nowhere.toml"):
        load("nowhere.toml")


def test_a_file_that_is_not_toml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("name = \n")
    with pytest.raises(ZooError, match=r"mine.toml is not TOML"):
        load(str(path))


def test_an_override_is_recorded_and_changes_the_digest() -> None:
    plain, changed = load("phi-1-small-mini"), load("phi-1-small-mini", ["training.seed=1"])
    assert changed.overrides == ("training.seed=1",)
    assert recipe_digest(plain) != recipe_digest(changed)
    assert identity(plain) != identity(changed)


def test_texts_and_saving_habits_do_not_make_another_run() -> None:
    plain = load("phi-1-small-mini")
    changed = load("phi-1-small-mini", ["about=other words", "states.every_seconds=5.0"])
    assert identity(plain) == identity(changed)


@pytest.mark.parametrize("name", RECIPES)
def test_a_resolved_recipe_reads_back_as_itself(name: str) -> None:
    assert from_plain(resolve_recipe(load(name))) == load(name)


@given(st.sampled_from(sorted(keys())), st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=3))
def test_no_key_beside_the_known_ones_is_taken(key: str, more: str) -> None:
    assume(key + more not in keys())
    with pytest.raises(ZooError, match="no recipe key"):
        load("phi-1-small-mini-base", [f"{key}{more}=1"])
