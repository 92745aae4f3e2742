"""Ranks, seeds and power over a zoo's runs: the statistics meet the registry."""

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.records import Facts, Result, Run
from evals.results.publish import publish
from evals.run import FinishedRun
from zoo.cli import root
from zoo.records import About, Parent, ProtocolRecord
from zoo.registry import Registry, open_registry

RECORD = ProtocolRecord(
    task="arc_easy", task_version=1, name="lm-eval", metric="acc", shots=0, prompt="", prompts_sha256="p", samples=200,
    decoding={},
)  # fmt: skip


def scored(
    registry: Registry,
    model: Path,
    name: str,
    rows: Sequence[Sequence[float]],
    folder: Path,
    seed: int = 0,
    passage: int = 0,
    missing: Sequence[int] = (),
    dtype: str = "float32",
    **about: object,
) -> None:
    """A checkpoint with one run: rows of draws, one a sample; so many samples share a passage, some are not scored."""
    changed = folder / name
    if not changed.exists():
        import shutil

        shutil.copytree(model, changed)
        config = json.loads((changed / "config.json").read_text())
        (changed / "config.json").write_text(json.dumps({**config, "note": name}))
    checkpoint = registry.add(changed, name, About(**about))  # type: ignore[arg-type]
    record = msgspec.structs.replace(RECORD, samples=len(rows))
    results = tuple(
        Result(
            sample=f"s{i}",
            draw=d,
            score=None if i in missing else value,
            metrics={"acc": value},
            cluster=f"p{i // passage}" if passage else "",
            verdict="unscored" if i in missing else "passed",
        )
        for i, row in enumerate(rows)
        for d, value in enumerate(row)
    )
    path = folder / f"{name}-{seed}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(result) + b"\n" for result in results))
    facts = Facts(engine="transformers", version="1", dtype=dtype, device="cpu", context_tokens=1)
    header = Run(
        id=f"{name}{seed}".encode().hex().ljust(64, "0"), checkpoint=checkpoint.digest, checkpoint_label=checkpoint.label, task="arc_easy",
        protocol=msgspec.to_builtins(record), fingerprint=record.fingerprint, backend=facts, seed=seed, draws=len(rows[0]), limit=None,
        samples=len(rows), hardware={}, versions={}, commit="",
    )  # fmt: skip
    run = FinishedRun(header=header, protocols=(record,), results=results, path=path)
    publish(registry, run, allow_unscored=bool(missing))


def row(right: int, n: int = 200) -> list[list[float]]:
    return [[float(i < right)] for i in range(n)]


def test_ranks_hold_together_and_name_what_is_alike(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        for name, right in (("low", 60), ("high", 130), ("middle", 126), ("nested", 127)):
            scored(registry, tiny_phi, name, row(right), tmp_path)
    assert root.run(["eval", "ranks", "arc_easy"]) == 0
    told = capsys.readouterr().out
    assert "PAIRED" in told
    assert "from intervals alone" not in told
    assert root.run(["eval", "ranks", "arc_easy", "--json"]) == 0
    (column,) = json.loads(capsys.readouterr().out)
    found = {
        one["checkpoint"]: (one["paired"]["first"], one["paired"]["last"], set(one["alike"])) for one in column["rows"]
    }
    assert found["low:1"] == (4, 4, set())
    assert found["high:1"] == (1, 3, {"middle:1", "nested:1"})
    assert root.run(["eval", "ranks", "arc_hard"]) == 2
    assert 'nothing is published of "arc_hard" (nearest: "arc_easy")' in capsys.readouterr().err


def test_ranks_are_the_leaderboards(tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nested answers: paired tests tell 90, 100 and 110 of 200 apart, their intervals do not; the ranks are theirs."""
    with open_registry() as registry:
        for name, right in (("low", 40), ("a", 90), ("b", 100), ("c", 110)):
            scored(registry, tiny_phi, name, row(right), tmp_path)
        scored(registry, tiny_phi, "c", row(112), tmp_path, seed=1)  # one of the two counts, in both the same
    assert root.run(["eval", "ranks", "arc_easy", "--json"]) == 0
    (column,) = json.loads(capsys.readouterr().out)
    told = {one["checkpoint"]: (one["rank"]["first"], one["rank"]["last"]) for one in column["rows"]}
    assert told == {"c:1": (1, 3), "b:1": (1, 3), "a:1": (1, 3), "low:1": (4, 4)}
    assert [one["paired"]["first"] for one in column["rows"]] == [1, 2, 3, 4]
    assert root.run(["leaderboard", "--suite", "own", "--json"]) == 0
    board = json.loads(capsys.readouterr().out)
    shown = {r["label"]: [(c["rank_first"], c["rank_last"]) for c in r["cells"].values()] for r in board["rows"]}
    assert shown == {name: [rank] for name, rank in told.items()}
    value = next(one["score"]["value"] for one in column["rows"] if one["checkpoint"] == "c:1")
    cells = next(r["cells"] for r in board["rows"] if r["label"] == "c:1")
    assert [cell["value"] for cell in cells.values()] == [pytest.approx(100 * value)]
    assert root.run(["leaderboard", "--suite", "own", "--out", str(tmp_path / "board.csv")]) == 0
    with (tmp_path / "board.csv").open() as file:
        assert {r["model"]: (int(r["rank_first"]), int(r["rank_last"])) for r in csv.DictReader(file)} == told
    assert root.run(["leaderboard", "--suite", "own", "--out", str(tmp_path / "board.html")]) == 0
    assert (tmp_path / "board.html").read_text().count('<span class="rank">#1–3</span>') == 3


def ranked(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    assert root.run(["eval", "ranks", "arc_easy", "--json", *options]) == 0
    (column,) = json.loads(capsys.readouterr().out)
    return column


def test_a_columns_resolution_is_that_of_its_intervals_and_pairs(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """400 samples in 20 passages of which a model answers all or none: no "4.9 points" above intervals of 40."""
    with open_registry() as registry:
        for name, right in (("a", 5), ("b", 9), ("c", 12)):
            whole = [[float(i // 20 * 7 % 20 < right)] for i in range(400)]
            scored(registry, tiny_phi, name, whole, tmp_path, passage=20)
    column = ranked(capsys)
    smallest = column["resolution"]
    widest = min(row["score"]["high"] - row["score"]["low"] for row in column["rows"])
    assert smallest["clusters"] == 20
    assert smallest["effective"] < 30
    assert smallest["unpaired"] > widest / 2
    assert smallest["paired"] > 0.2
    assert root.run(["eval", "ranks", "arc_easy"]) == 0
    assert (
        f"n=400 in 20 clusters resolves differences of {100 * smallest['unpaired']:.1f} points"
        in capsys.readouterr().out
    )


def test_one_odd_run_does_not_take_the_paired_test_from_a_column(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row has two samples less, another has lost its results: the pairs that can be compared still are."""
    with open_registry() as registry:
        for name, right in (("low", 40), ("a", 90), ("b", 100), ("c", 110)):
            scored(registry, tiny_phi, name, row(right), tmp_path, missing=(0, 199) if name == "b" else ())
        (gone,) = [run for run in registry.runs() if run["checkpoint_label"] == "low:1"]
        registry.results(gone["id"]).unlink()
    column = ranked(capsys)
    assert column["paired"]
    shown = {one["checkpoint"]: one["paired"] and one["paired"]["first"] for one in column["rows"]}
    assert shown == {"c:1": 1, "b:1": 2, "a:1": 3, "low:1": None}
    assert next(one["alike"] for one in column["rows"] if one["checkpoint"] == "low:1") == []
    assert root.run(["eval", "ranks", "arc_easy"]) == 0
    assert "compared by intervals, samples are missing: low:1" in capsys.readouterr().out


def test_a_scores_interval_replaces_the_assumption(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ARC is planned as independent samples; a score whose passages are answered whole says that they are not."""
    assert root.run(["eval", "tasks", "--power", "arc_easy", "--json"]) == 0
    (planned,) = json.loads(capsys.readouterr().out)
    assert planned["resolution"]["effective"] == 2376
    with open_registry() as registry:
        scored(registry, tiny_phi, "a", [[float(i // 100 % 2)] for i in range(2376)], tmp_path, passage=100)
    assert root.run(["eval", "tasks", "--power", "arc_easy", "--json"]) == 0
    (seen,) = json.loads(capsys.readouterr().out)
    assert seen["note"] == "by the widest interval of 1 scores here"
    assert seen["resolution"]["effective"] < 30
    assert seen["resolution"]["paired"] > 5 * planned["resolution"]["paired"]


def test_five_passages_are_said_to_be_too_few(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        for name, right in (("a", 199), ("b", 1)):
            scored(registry, tiny_phi, name, row(right), tmp_path, passage=40)
    assert ranked(capsys)["rows"][0]["alike"] == ["b:1"]
    assert root.run(["eval", "ranks", "arc_easy"]) == 0
    assert "no paired test of 5 clusters can be significant" in capsys.readouterr().out
    assert root.run(["eval", "tasks", "--power", "arc_easy", "--pair", "a", "b", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["resolution"]["paired"] is None
    assert told["resolution"]["clusters"] == 5


def test_seeds_of_one_recipe_combine_and_others_are_refused(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        for seed, right in enumerate((100, 110, 105)):
            recipe = {"lr": 1e-3, "overrides": [f"train.seed={seed}"], "train": {"seed": seed}}
            scored(registry, tiny_phi, f"s{seed}", row(right), tmp_path, recipe=recipe)
        scored(registry, tiny_phi, "other", row(100), tmp_path, recipe={"lr": 2e-3, "train": {"seed": 0}})
        for name in ("bare", "bare-2"):
            scored(registry, tiny_phi, name, row(100), tmp_path, recipe={"lr": 1e-3})
        origin = (Parent(digest=registry.get("bare").digest, relation="finetune"),)
        scored(registry, tiny_phi, "tuned", row(100), tmp_path, recipe=recipe, parents=origin)
    assert root.run(["eval", "ranks", "--seeds", "s0", "s1", "s2", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    told = one["combined"]
    assert (told["runs"], told["n"], told["value"]) == (3, 200, pytest.approx(0.525))
    assert told["between"] == pytest.approx(0.025**2)
    assert told["low"] < told["value"] < told["high"]
    assert root.run(["eval", "ranks", "--seeds", "s0", "other"]) == 2
    assert "differ by more than the seed: lr is 0.001 and 0.002" in capsys.readouterr().err
    assert root.run(["eval", "ranks", "--seeds", "s0", "tuned"]) == 2
    assert "s0:1, tuned:1 have one recipe, but other data or parents" in capsys.readouterr().err
    assert root.run(["eval", "ranks", "--seeds", "bare", "bare-2"]) == 0
    assert "no seed is recorded in a recipe" in capsys.readouterr().out
    assert root.run(["eval", "ranks", "--seeds", "s0"]) == 2
    assert "no two runs of s0:1 share a protocol" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("groups", "spread", "count", "least", "most"), [("clusters", 0.075, 16, 3.0, 4.5), ("strata", 0.3, 6080, 0.4, 0.8)]
)
def test_combined_seeds_keep_passages_and_subjects(
    groups: str, spread: float, count: int, least: float, most: float, tiny_phi: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Three runs over the same 16 passages, ±3.5 each, stay near ±3.5; the answers alone would give ±0.7.

    Of 16 subjects only the spread inside each counts; the answers alone would give ±0.95.
    """
    monkeypatch.setattr("evals.results.choice.groups_of", lambda task: groups)
    generator = random.Random(1)
    rates = [min(0.95, max(0.05, generator.gauss(0.5, spread))) for _ in range(16)]
    with open_registry() as registry:
        for seed in range(3):
            rows = [[float(generator.random() < rates[i // 380])] for i in range(6080)]
            scored(registry, tiny_phi, f"s{seed}", rows, tmp_path, recipe={"seed": seed}, passage=380)
        alone = [50 * (score.high - score.low) for score in registry.scores()]
    assert root.run(["eval", "ranks", "--seeds", "s0", "s1", "s2", "--json"]) == 0
    (seeds,) = json.loads(capsys.readouterr().out)
    half = 50 * (seeds["combined"]["high"] - seeds["combined"]["low"])
    assert seeds["combined"]["clusters"] == count
    assert least < half < most
    assert groups == "strata" or half == pytest.approx(sum(alone) / 3, rel=0.15)  # a passage is a cluster of arc_easy


def test_one_checkpoints_seeds_combine(tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_registry() as registry:
        for seed, right in enumerate((100, 120)):
            scored(registry, tiny_phi, "one", row(right), tmp_path, seed=seed)
    assert root.run(["eval", "ranks", "--seeds", "one"]) == 0
    assert "two seeds say little" in capsys.readouterr().out


def test_runs_of_another_dtype_are_no_seeds(tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_registry() as registry:
        for seed, dtype in enumerate(("float32", "float32", "bfloat16")):
            scored(registry, tiny_phi, "m", row(100 + seed), tmp_path, seed=seed, dtype=dtype)
    assert root.run(["eval", "ranks", "--seeds", "m", "--json"]) == 0
    (seeds,) = json.loads(capsys.readouterr().out)
    assert (seeds["combined"]["runs"], len(seeds["runs"])) == (2, 2)


def test_power_tells_samples_and_draws(tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["eval", "tasks", "--power", "humaneval", "--difference", "4.3", "--score", "53.35"]) == 0
    assert "4.3 points need 2,112 samples, 1,094 paired" in capsys.readouterr().out
    whole = [[float((i + d) % 2), float((i * d) % 3 == 0)] for i in range(2376) for d in (1,)]
    other = [[float(i % 5 > 1), float(i % 7 > 2)] for i in range(2376)]
    with open_registry() as registry:
        scored(registry, tiny_phi, "a", whole, tmp_path)
        scored(registry, tiny_phi, "b", other, tmp_path)
    assert root.run(["eval", "tasks", "--power", "arc_easy", "--difference", "5", "--pair", "a", "b", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["needs"]["draws"] >= 1
    assert 0 < told["needs"]["discordant"] < 1
    assert root.run(["eval", "tasks", "--power", "piqa", "--difference", "5", "--pair", "a", "b"]) == 2
    assert "do not both have scores of piqa@lm-eval" in capsys.readouterr().err
