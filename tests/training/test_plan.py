"""The plan: figures that can be checked by hand, beside the published ones, the unbelievable flagged."""

import json

import pytest

from training.plan import BELIEVABLE_MFU, flops_per_token, memory_bytes, plan
from training.recipe import RECIPES, load, shape
from zoo.cli.root import run as phizoo


@pytest.mark.parametrize(
    ("name", "giga_flops"), [("phi-1-small-base", 2.08), ("phi-1-base", 8.48), ("phi-1.5", 8.48), ("phi-2", 16.9)]
)
def test_flops_a_token(name: str, giga_flops: float) -> None:
    assert flops_per_token(shape(load(name)), 51200, 2048) / 1e9 == pytest.approx(giga_flops, rel=0.003)


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("phi-1-small-base", 76e9),
        ("phi-1-base", 51e9),
        ("phi-1", 3.1e9),
        ("phi-1.5", 150e9),
        ("phi-1.5-web", 300e9),
        ("phi-2", 1.4e12),
    ],
)
def test_tokens_are_the_published_ones(name: str, tokens: float) -> None:
    assert plan(load(name))["tokens"] == pytest.approx(tokens, rel=0.02)


@pytest.mark.parametrize(
    ("name", "tokens_per_second", "mfu", "believable"),
    [
        ("phi-1-small-base", 51_500, 0.34, True),
        ("phi-1-base", 18_400, 0.50, True),
        ("phi-1.5", 27_800, 0.76, False),
        ("phi-1.5-web", 27_800, 0.76, False),
        ("phi-2", 12_100, 0.65, True),
    ],
)
def test_what_the_published_hours_would_mean(name: str, tokens_per_second: float, mfu: float, believable: bool) -> None:
    told = plan(load(name))["published"]
    assert told["tokens_per_second_per_gpu"] == pytest.approx(tokens_per_second, rel=0.02)
    assert told["mfu"] == pytest.approx(mfu, abs=0.012)
    assert told["believable"] is believable is (told["mfu"] <= BELIEVABLE_MFU)


def test_days_and_money_by_hand() -> None:
    told = plan(load("phi-1-base"), gpus=16, kind="A100", mfu=0.5, usd=2.0)
    hours = 24_000 * 1024 * 2048 * told["flops_per_token"] / (312e12 * 0.5) / 3600
    assert told["gpu_hours"] == pytest.approx(hours)
    assert told["days"] == pytest.approx(hours / 16 / 24)
    assert told["usd"] == pytest.approx(hours * 2)
    assert plan(load("phi-1-base"), gpus=32)["gpu_hours"] == pytest.approx(
        plan(load("phi-1-base"), gpus=1)["gpu_hours"]
    )


def test_memory_is_shared_out_but_for_what_each_computes() -> None:
    one, eight = memory_bytes(load("phi-1-base"), 1), memory_bytes(load("phi-1-base"), 8)
    assert one["weights"] == 4 * 1_418_270_720 == 8 * eight["weights"]
    assert one["optimizer"] == 2 * one["weights"] == 8 * eight["optimizer"]
    assert one["activations"] == eight["activations"]
    recomputed = memory_bytes(load("phi-1-base", ["execution.activation_checkpointing=true"]), 8)
    assert eight["activations"] > 5 * recomputed["activations"]
    assert eight["total"] == sum(size for part, size in eight.items() if part != "total")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_plan(name: str) -> None:
    told = plan(load(name))
    assert told["usd"] > 0
    assert told["tokens"] == told["steps"] * told["tokens_per_step"]


def test_a_finetune_shows_what_it_starts_from() -> None:
    told = plan(load("phi-1"))
    assert told["parent"]["recipe"] == "phi-1-base"
    assert told["published"]["gpu_hours"] == 56
    assert told["parameters"] == told["parent"]["parameters"] == 1_418_270_720


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["train", "plan", "phi-1.5", "--gpus", "32", "--kind", "A100"]) == 0
    text = capsys.readouterr().out
    for part in (
        "1,418,270,720",
        "6 (P + V d) + 6 L d T",
        "NOT BELIEVABLE",
        "1,500 GPU hours",
        "32 x A100",
        "(estimated)",
    ):
        assert part in text
    assert phizoo(["train", "plan", "phi-2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 2_779_683_840


def test_diff_and_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["train", "diff", "phi-1-base", "phi-1.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "training.batch_sequences: 1024 -> 2048" in lines
    assert not any(line.startswith(("about", "sources", "published")) for line in lines)
    assert phizoo(["train", "diff", "phi-1", "phi-1"]) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert phizoo(["train", "recipes", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(RECIPES)
    assert phizoo(["train", "recipes", "--keys"]) == 0
    assert "training.batch_sequences" in capsys.readouterr().out
    assert phizoo(["train", "diff", "phi-1", "phi-nothing"]) == 2
    assert "phi-nothing" in capsys.readouterr().err
