"""Recipes: every file loads and names its sources; what cannot be is refused with the nearest key."""

import json
import math
import tomllib
from pathlib import Path
from typing import Any, get_args

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
from training.recipe_keys import keys_of
from training.recipe_rules import RANGES, numbers
from zoo.digest import digest
from zoo.errors import ZooError


def unsourced_numbers(recipe: Recipe) -> list[str]:
    """Keys whose numbers stand without a source for the key or its table, numbers equal to a default included.

    Left out: published figures, and settings that the recipe does not use.
    """
    unused = ["published.", "optimizer.tiled_copies", "parent.", "schedule.decay_steps"]
    unused += [] if recipe.evaluation.every_steps else ["evaluation."]
    unused += [] if recipe.optimizer.kind == "muon" else ["optimizer.muon"]
    numeric = [key for key, _ in numbers(resolve_recipe(recipe)) if not key.startswith(tuple(unused))]
    return [key for key in dict.fromkeys(numeric) if not {key, key.split(".")[0]} & recipe.sources.keys()]


def test_the_table_and_the_folder_name_the_same_recipes() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(RECIPES)
    assert all(load(name).name == name for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_has_a_source_or_says_estimated(name: str) -> None:
    assert unsourced_numbers(load(name)) == []


def test_a_number_without_a_source_is_found() -> None:
    plain = tomllib.loads((FOLDER / "phi-1.toml").read_text())
    del plain["sources"]["schedule"]
    del plain["sources"]["schedule.final_learning_rate"]
    assert unsourced_numbers(from_plain(plain)) == [
        "schedule.peak_learning_rate", "schedule.warmup_steps", "schedule.final_learning_rate",
    ]  # fmt: skip


P1, P15 = ("phi-1-small-base", "phi-1-small", "phi-1-base", "phi-1"), ("phi-1.5", "phi-1.5-web", "phi-1.5-web-only")
# numbers that the reports do not give, whatever else their table's source gives
UNREPORTED = {
    **dict.fromkeys((*P1, *P15, "phi-2"), ("training.seed", "training.gradient_clip", "training.spike_nats")),
    **dict.fromkeys(P1, ("training.seed", "training.gradient_clip", "optimizer.beta1", "optimizer.beta2",
                         "optimizer.epsilon", "schedule.final_learning_rate")),
    **dict.fromkeys(P15, ("training.seed", "training.gradient_clip", "training.dropout")),
    "phi-2": ("schedule.warmup_steps", "schedule.peak_learning_rate", "data.sources.weight", "optimizer.beta2",
              "training.batch_sequences", "training.gradient_clip", "training.seed"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREPORTED)
def test_a_number_that_no_report_gives_is_marked_estimated(name: str) -> None:
    recipe = load(name)
    for key in UNREPORTED[name]:
        source = recipe.sources.get(key) or recipe.sources[key.split(".")[0]]
        assert source.startswith("estimated"), key


def test_phi_2_drops_out_as_its_config_says() -> None:
    training = load("phi-2").training
    assert (training.dropout, training.attention_dropout) == (0.1, 0.0)


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
        (["model.layers=0"], "model.layers is 0: it must be at least 1"),
        (["data.sequence_tokens=4096"], "exceeds model.context_tokens"),
        (["data.sequence_tokens=1"], "data.sequence_tokens is 1: it must be at least 2"),
        (["training.steps=0"], "training.steps is 0: it must be at least 1"),
        (["training.steps=10"], "schedule.warmup_steps"),
        (["schedule.steps=50", "training.steps=60"], "training.steps 60 exceeds schedule.steps 50"),
        (["schedule.kind=wsd"], "needs schedule.decay_steps"),
        (["execution.microbatch_sequences=3"], "no multiple of microbatch_sequences 3"),
        (["selection.rule=best-validation", "validation.every_steps=0"], "needs validation.every_steps"),
        (["training.dropout=1.0"], "must be in [0, 1)"),
        (["training.gradient_clip=-1"], "training.gradient_clip is -1: it must be at least 0"),
        (["optimizer.beta2=nan"], "optimizer.beta2 is nan"),
        (["schedule.peak_learning_rate=inf"], "schedule.peak_learning_rate is inf"),
        (["training.seed=9223372036854775808"], "training.seed is 9223372036854775808: it must be at most 9.2"),
        (["schedule.decay_steps=5"], "schedule.decay_steps is for schedule.kind wsd"),
        (["selection.rule=ema"], "selection.rule ema with ema_decay 0"),
        (["selection.average_steps=5"], "selection.rule last with average_steps 5"),
        (["model.eos=5", "model.vocabulary=5"], "model.eos 5 is no row of model.vocabulary 5"),
        (["model.tied=true"], "for others: model.kind=phi3"),
        (["model.kind=phi3", "model.heads=4", "model.rotary_dim=32", "model.key_heads=3"], "no multiple of model.key_"),
        (['data.sources=[{name="a"}, {name="a"}]'], "data.sources names a twice"),
        (["branch.checkpoint=a", "branch.step=700"], "leaves nothing to train"),
        (["data.sources=[]"], "data.sources is empty"),
        (['data.sources=[{name="a", weight=0.0}]'], "data.sources.weight is 0: it must be above 0"),
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


def test_every_number_of_a_recipe_has_a_range() -> None:
    numeric = {key for key, kind in keys_of(Recipe) if {kind, *get_args(kind)} & {int, float}}
    assert set(RANGES) == numeric


@pytest.mark.parametrize("key", sorted(RANGES))
def test_a_value_outside_its_range_is_told_when_the_recipe_is_read(key: str) -> None:
    low, high = RANGES[key]
    whole = dict(keys_of(Recipe))[key] in (int, int | None)
    wrong: list[float] = [math.floor(low) - 1] if whole else [low - 1, math.nan, math.inf, -math.inf]
    wrong += [int(high) + 1, 10**400] if whole else [high + 1] if high < math.inf else []
    plain: dict[str, Any] = {
        **resolve_recipe(load("phi-1-small-mini-base")),
        "branch": {"checkpoint": "a", "step": 1},
        "published": {"gpu_hours": 1.0, "kind": "A100"},
    }
    *tables, last = key.split(".")
    for value in wrong:
        changed = json.loads(json.dumps(plain))
        place = changed
        for table in tables:
            place = place[table]
        (place[0] if isinstance(place, list) else place)[last] = value
        with pytest.raises(ZooError, match=rf"{key} is ") as told:
            from_plain(changed)
        assert "\n" not in str(told.value)


# Digests of the parts that determine the weights, taken before the keys in ADDED came.
IDENTITIES = {
    "phi-1-small-base": "48030580eee4f050", "phi-1-base": "4c2081ea60e92444", "phi-1": "91f3ec3101005f5c",
    "phi-1.5": "57507d08dd51e799", "phi-1-small-mini-base": "4882c434476af8a2", "phi-1-small-mini": "791d8144a18e9522",
    "phi-1-mini-base": "1b22802fbfae0333", "phi-1-mini": "489b2ef0ee26c7bf", "phi-2-mini": "de27961ec0cdfda8",
    "phi-1-small-tiny": "d030d1f4b9c4e680", "phi-1-tiny": "0f45d0a58bd568e0", "phi-2-tiny": "3951e730953f809d",
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_new_key_does_not_change_the_identity_of_older_recipes(name: str) -> None:
    assert digest(identity(load(name)))[:16] == IDENTITIES[name]


def test_a_new_key_that_is_used_is_part_of_the_identity() -> None:
    plain, used = load("phi-1-small-mini-base"), load("phi-1-small-mini-base", ["training.z_loss=1e-4"])
    assert identity(used) != identity(plain)
    assert resolve_recipe(used)["training"]["z_loss"] == 1e-4


@given(st.sampled_from(sorted(keys())), st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=3))
def test_no_key_beside_the_known_ones_is_taken(key: str, more: str) -> None:
    assume(key + more not in keys())
    with pytest.raises(ZooError, match="no recipe key"):
        load("phi-1-small-mini-base", [f"{key}{more}=1"])
