"""The signal of a zoo's columns: runs that differ by seed alone, paired tests, the published prior, the command."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from evals.results.signal import MOST_ROWS, PUBLISHED, decision_accuracy, prior_text, read_models, short_text
from evals.stats.paired import holm, mcnemar
from evals.stats.signal import signal_of
from evals.tasks import TASKS
from tests.evals.results.test_ranking import row, scored
from zoo.cli import root
from zoo.records import Parent
from zoo.registry import open_registry


def recipe(seed: int, name: str = "", source: str = "code", **changes: Any) -> dict[str, Any]:
    training = {"steps": 10, "seed": seed}
    return {"name": name or f"r-{seed}", "training": training, "data": {"sources": [{"name": source}]}, **changes}


def test_runs_of_one_model_differ_by_seed_alone_down_to_their_parents(tiny_phi: Path, tmp_path: Path) -> None:
    with open_registry() as registry:
        for name, made in {
            "a0": recipe(0), "a1": recipe(1), "other-data": recipe(2, source="text"), "no-seed": {"model": "x"},
            "no-seed-2": {"model": "x"}, "longer": recipe(3, training={"steps": 20, "seed": 3}),
        }.items():  # fmt: skip
            scored(registry, tiny_phi, name, row(100), tmp_path, recipe=made)
        scored(registry, tiny_phi, "no-recipe", row(100), tmp_path)
        for name, parent in (("b0", "a0"), ("b1", "a1"), ("b2", "longer")):
            before = Parent(digest=registry.get(parent).digest, relation="finetune")
            tuned = recipe(7, parent={"checkpoint": parent, "relation": "finetune"})
            scored(registry, tiny_phi, name, row(100), tmp_path, recipe=tuned, parents=(before,))
        checkpoints = registry.list()
        models = {one.name: read_models(registry, checkpoints)[one.digest] for one in checkpoints}
    assert models["a0"] == models["a1"]
    assert models["b0"] == models["b1"]
    assert len(set(models.values())) == len(models) - 2


def power(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert root.run(["eval", "tasks", "--power", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_power_says_what_is_apart_and_what_is_noise(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nested answers: 50, 52 and 80 of 200. The paired p of each pair follows from the counts alone."""
    with open_registry() as registry:
        for name, right in (("a", 50), ("b", 52), ("c", 80)):
            scored(registry, tiny_phi, name, row(right), tmp_path)
    (found,) = power(capsys, "arc_easy")
    signal, p = found["signal"], [mcnemar(0, 2), mcnemar(0, 30), mcnemar(0, 28)]
    assert (signal["pairs"], signal["resolved"], signal["tests"]) == (3, 2, "paired")
    assert signal["largest_p"] == pytest.approx(max(holm(p)))
    assert (signal["guessed"], signal["guessable"]) == (2, 3)
    assert signal["noise"]["source"] == "paired samples"
    assert found["decision_accuracy"]["percent"] == 93
    assert root.run(["eval", "tasks", "--power", "arc_easy"]) == 0
    text = capsys.readouterr().out
    assert "arc_easy@lm-eval: 2 of 3 pairs are apart at 5% with Holm's correction (paired tests" in text
    assert "2 of 3 at chance" in text
    assert "published decision accuracy at 150M: 93% (arXiv:2508.13144" in text
    assert root.run(["eval", "tasks", "--power", "suite:phi-1.5"]) == 0
    assert "suite:phi-1.5: 2 of 3 pairs are apart in a column at 5%, Holm over all" in capsys.readouterr().out


def test_power_takes_the_spread_over_seeds_for_noise(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        for seed, right in ((0, 100), (1, 104)):
            scored(registry, tiny_phi, f"a{seed}", row(right), tmp_path, recipe=recipe(seed))
            scored(registry, tiny_phi, f"b{seed}", row(right + 40), tmp_path, recipe=recipe(seed, source="text"))
    noise = power(capsys, "arc_easy")[0]["signal"]["noise"]
    assert (noise["source"], noise["models"], noise["runs"]) == ("seeds", 2, 4)
    assert noise["share"] == pytest.approx((0.02**2 / 2 / 2) / (0.2**2 / 2))


def test_without_samples_or_with_many_rows_the_intervals_decide(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        for number in range(MOST_ROWS + 1):
            scored(registry, tiny_phi, f"m{number}", row(60 + 5 * number), tmp_path)
    signal = power(capsys, "arc_easy")[0]["signal"]
    assert (signal["tests"], signal["noise"]["source"], signal["largest_p"]) == ("intervals", "samples", None)
    assert 0 < signal["resolved"] < signal["pairs"] == (MOST_ROWS + 1) * MOST_ROWS // 2


def test_nothing_here_has_no_signal_but_a_prior(capsys: pytest.CaptureFixture[str]) -> None:
    with open_registry():
        pass
    (found,) = power(capsys, "boolq")
    assert (found["signal"]["pairs"], found["signal"]["noise"]["share"]) == (0, None)
    assert (found["decision_accuracy"]["percent"], found["decision_accuracy"]["parameters"]) == (48, 150e6)
    assert short_text(signal_of([], [])) == ""


def test_the_published_table_is_of_our_tasks_and_is_chosen_by_size() -> None:
    table = tomllib.loads(PUBLISHED.read_text())
    assert set(table["accuracy"]) <= set(TASKS)
    assert all(len(row) == len(table["sizes"]) for row in table["accuracy"].values())
    sizes = (1.25e6, 135e6, 360e6, 700e6, 1e9)
    shown = [decision_accuracy("winogrande", size) for size in sizes]
    assert [one and one.percent for one in shown] == [50, 50, 57, 62, 62]
    assert decision_accuracy("arc_easy", 3e9) is None
    assert decision_accuracy("mini_exercises") is None
    prior = decision_accuracy("social_iqa")  # another tool's spelling
    assert prior is not None and prior_text(prior).startswith("published decision accuracy at 150M: 55%")
