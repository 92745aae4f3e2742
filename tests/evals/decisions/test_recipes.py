"""`phizoo eval compare recipe:A recipe:B`: seeds are found by their recipe, and both seeds and samples count."""

import json
import random
from typing import Any

import pytest

from evals.decisions.recipes import compare_recipes
from evals.results.recipe_runs import seeds_of
from zoo.cli.root import run as phizoo
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Parent


def real_recipe(letter: str, seed: int, steps: int) -> dict[str, Any]:
    """What training keeps of a recipe whose seed was set by `--set training.seed=`."""
    given = [f"training.seed={seed}"] if seed else []
    return {"name": f"recipe-{letter}", "overrides": given, "training": {"steps": steps, "seed": seed}}


def run_of(seed: int, chance: float, n: int = 200) -> list[float]:
    generator = random.Random(seed)
    return [float(generator.random() < chance) for _ in range(n)]


@pytest.fixture
def recipes(made_up: Any) -> Any:
    """Recipe a with seeds 0 to 2 at about 70%, b at about 50%, and c with one seed."""
    for letter, chance, steps in (("a", 0.7, 100), ("b", 0.5, 50)):
        for seed in range(3):
            made_up.score(
                f"{letter}-{seed}", run_of(10 * steps + seed, chance), recipe=real_recipe(letter, seed, steps)
            )
    made_up.score("c-0", run_of(5, 0.5), recipe=real_recipe("c", 0, 7))
    made_up.score("alone", run_of(6, 0.5))
    return made_up


def test_the_checkpoints_of_a_recipe_are_those_that_differ_by_seed(recipes: Any) -> None:
    found = compare_recipes(recipes.registry, "recipe:a-1", "recipe:recipe-b")
    assert found.checkpoints == (("a-0:1", "a-1:1", "a-2:1"), ("b-0:1", "b-1:1", "b-2:1"))
    (row,) = found.rows
    assert row.over_seeds is not None
    assert row.over_seeds.paired  # the same seeds
    assert row.difference.method == "seeds and samples"
    assert row.difference.n == 200
    assert row.difference.value == pytest.approx(row.first - row.second)
    assert row.p_holm == row.difference.p < 0.05


def test_seeds_are_those_of_the_ancestors_too_and_a_circle_of_records_ends(made_up: Any) -> None:
    base = made_up.checkpoint("base", real_recipe("base", 1, 5))
    tuned = made_up.checkpoint(
        "tuned", real_recipe("tuned", 2, 5), parents=(Parent(digest=base.digest, relation="finetune"),)
    )
    assert seeds_of(made_up.registry, tuned) == (2, 1)
    circle = [
        made_up.checkpoint(
            name, real_recipe(name, seed, 5), parents=(Parent(digest=digest(other), relation="finetune"),)
        )
        for name, other, seed in (("x", "y", 3), ("y", "x", 4))
    ]
    assert [seeds_of(made_up.registry, each) for each in circle] == [(3, 4), (4, 3)]


def test_one_seed_compares_checkpoints_and_says_so(recipes: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = compare_recipes(recipes.registry, "recipe:a-0", "recipe:c-0").rows
    assert row.over_seeds is None
    assert row.seeds == (3, 1)
    assert row.first - row.second == pytest.approx(row.difference.value)
    assert "other seeds may differ by more" in row.note
    assert phizoo(["eval", "compare", "recipe:a-0", "recipe:c-0"]) == 0
    assert "all: 3 and 1 seeds: this compares a-0:1 with c-0:1;" in capsys.readouterr().out


def test_the_command_says_where_the_variance_is_and_what_would_decide(
    recipes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert phizoo(["eval", "compare", "recipe:a-0", "recipe:b-0"]) == 0
    out = capsys.readouterr().out
    assert "A recipe a-0: a-0:1, a-1:1, a-2:1" in out
    assert "a seed moves A" in out
    shares = out.split("samples needed\n")[1].splitlines()[0].split()
    assert shares[-2:] == ["-", "-"]  # found: nothing is needed
    assert abs(sum(int(share.rstrip("%")) for share in shares if share.endswith("%")) - 100) <= 1
    assert phizoo(["eval", "compare", "recipe:a-0", "recipe:b-0", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    over = data["rows"][0]["over_seeds"]
    assert over["seed_share"] + over["sample_share"] + over["rest_share"] == pytest.approx(1)


def test_wrong_recipes_are_one_line(recipes: Any) -> None:
    for first, second, message in (
        ("recipe:a-0", "recipe:a-1", "one recipe"), ("recipe:a-0", "recipe:alone", "no recorded recipe"),
        ("recipe:recipe-x", "recipe:a-0", "nearest"),
    ):  # fmt: skip
        with pytest.raises(ZooError, match=message):
            compare_recipes(recipes.registry, first, second)
    assert phizoo(["eval", "compare", "recipe:a-0", "b-0"]) == 2
    assert phizoo(["eval", "compare", "recipe:a-0", "recipe:b-0", "--flips"]) == 2


def test_the_talks_claim_is_one_run_each(made_up: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["published:phi-1 WR+Tile, 36K steps", "published:phi-1 from scratch, 36K steps"]
    assert phizoo(["eval", "compare", *names]) == 0
    out = capsys.readouterr().out
    assert "+4.3 [-6.4 to +14.9]" in out
    assert "one run each" in out
    assert "2,112 problems" in out
    assert phizoo(["eval", "compare", *names, "--margin", "1"]) == 3
