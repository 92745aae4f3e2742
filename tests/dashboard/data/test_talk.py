"""The talk's figures, lineage and health, from files and records."""

import fcntl
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from dashboard import charts
from dashboard.board.build import build_board
from dashboard.data import health, lineage, talk
from dashboard.data.source import load_board
from evals.records import Facts, Run
from zoo import published, settings
from zoo.records import Dataset, Stage
from zoo.registry import Registry, open_registry


@pytest.fixture
def registry(zoo: Path) -> Iterator[Registry]:
    with open_registry(readonly=True) as opened:
        yield opened


def test_data_ablation_stands_beside_the_own_steps(registry: Registry) -> None:
    printed, own = talk.data_ablation(load_board(registry))
    assert [bar["value"] for bar in printed] == [11, 16, 41, 12, 20, 45, 17, 29, 51]
    assert [bar["name"] for bar in own] == [
        "phi-1-small-mini-unfiltered:1", "phi-1-small-mini-base:1", "phi-1-small-mini:1",
    ]  # fmt: skip
    assert {bar["kind"] for bar in printed} == {"reported"}
    assert {bar["kind"] for bar in own} == {"measured here"}


def test_weight_reuse_is_the_charts_seven_bars() -> None:
    bars = talk.weight_reuse_bars(build_board(reported=published.load()))
    assert [bar["value"] for bar in bars] == [45, 45.7, 51.2, 47.6, 53.7, 51.2, 55.5]


def test_phi_steps_pair_the_blogs_averages_with_means_of_the_report(registry: Registry) -> None:
    whole = load_board(registry)
    bars = {bar["name"]: bar for bar in talk.phi_step_bars(whole)}
    assert list(bars)[:2] == ["Commonsense average · phi-1.5", "Commonsense average · phi-2"]
    assert bars["Commonsense average · phi-2"]["value"] == 68.8
    assert bars["Commonsense average · phi-1.5"]["value"] == pytest.approx((76.6 + 73.4 + 75.6 + 44.4 + 52.6) / 5)
    assert bars["Coding average · phi-1.5"]["value"] == pytest.approx((34.1 + 37.7) / 2)
    assert bars["Commonsense average · phi-1.5"]["low"] < 64.5 < bars["Commonsense average · phi-1.5"]["high"]
    assert bars["Coding average · phi-1.5"]["low"] is None  # MBPP's n is not published
    own = talk.own_group_bars(whole, ["phi-1-small-mini"])
    assert [bar["name"] for bar in own] == [
        "Commonsense average (1 of 5) · phi-1-small-mini:1", "Coding average (1 of 2) · phi-1-small-mini:1",
    ]  # fmt: skip
    assert {bar["kind"] for bar in own} == {"measured here"}


def test_filter_examples_are_the_best_kept_and_the_worst_dropped(zoo: Path, tmp_path: Path) -> None:
    with open_registry(f"sqlite:///{tmp_path / 'z.db'}", str(tmp_path / "s")) as registry:
        stage = Stage(name="filter", entered=4, kept=2, dropped={"low value": 2})
        registry.add_dataset(
            Dataset(name="code", digest="ef" * 32, kind="documents", documents=2, tokens=9, stages=(stage,))
        )
        folder = settings.datasets_dir() / ("ef" * 32)
        folder.mkdir(parents=True)
        for name, scores in (("documents", (0.6, 0.9)), ("dropped", (0.3, 0.1))):
            with gzip.open(folder / f"{name}-00000.jsonl.gz", "wt") as file:
                for value in scores:
                    file.write(json.dumps({"text": f"x = {value}", "source": "a.py", "facts": {"score": value}}) + "\n")
        high, low = talk.filter_examples(registry)
        whole = (folder / "dropped-00000.jsonl.gz").read_bytes()
        (folder / "dropped-00000.jsonl.gz").write_bytes(b"damaged")
        still, none = talk.filter_examples(registry)
        (folder / "dropped-00000.jsonl.gz").write_bytes(whole)
        later = Dataset(name="clean", digest="ee" * 32, kind="documents", documents=2, tokens=9, stages=(stage,))
        registry.add_dataset(later)  # a newer filter that scores nothing is not the filter of quality
        (settings.datasets_dir() / later.digest).mkdir()
        with gzip.open(settings.datasets_dir() / later.digest / "dropped-00000.jsonl.gz", "wt") as file:
            file.write(json.dumps({"text": "", "source": "b.py", "reason": "holds humaneval"}) + "\n")
        assert talk.filter_examples(registry) == (high, low)
    assert [example.score for example in high] == [0.9, 0.6]
    assert [example.score for example in low] == [0.1, 0.3]
    assert ([example.score for example in still], none) == ([0.9, 0.6], [])


def test_lineage_is_a_line_from_its_data_to_the_checkpoint(registry: Registry) -> None:
    line = lineage.line_of(registry.get("phi-1-small-mini"), registry)
    assert line == ["base-tokens", "phi-1-small-mini-base:1", "phi-1-small-mini:1"]


def test_the_graphs_boxes_are_dark_on_a_dark_page(registry: Registry) -> None:
    light, dark = (lineage.render_dot(registry.get("phi-1-small-mini"), registry, dark=on) for on in (False, True))
    assert "#ffffff" in light and "#ffffff" not in dark


def test_lineage_goes_from_data_over_the_finetuned(registry: Registry) -> None:
    graph = lineage.render_dot(registry.get("phi-1-small-mini"), registry)
    for name in ("base-tokens", "phi-1-small-mini-base:1", "phi-1-small-mini:1"):
        assert f'label="{name}' in graph
    assert 'label="finetune"' in graph
    child = lineage.render_dot(registry.get("phi-1-small-mini-base"), registry)
    assert "phi-1-small-mini:1" in child


def test_training_lines_are_the_checkpoints_own(made: SimpleNamespace, tmp_path: Path) -> None:
    folder = made.weights(tmp_path / "one", 1)
    (folder / lineage.CURVES).write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.0, "validation_loss": 2.1}\n')
    with open_registry(f"sqlite:///{tmp_path / 'z.db'}", str(tmp_path / "s")) as registry:
        checkpoint = registry.add(folder, "checkpoint")
        lines = lineage.training_lines(checkpoint, registry)
        assert [line["step"] for line in lines] == [1, 2]
        assert lineage.training_lines(made.checkpoint(), registry) == []
    chart = charts.training_chart(lines).to_dict()
    values = next(iter(chart["datasets"].values())) if "datasets" in chart else chart["data"]["values"]
    assert sorted((value["kind"], value["loss"]) for value in values) == [
        ("training", 2.0), ("training", 2.5), ("validation", 2.1),
    ]  # fmt: skip


def test_hostile_names_stay_inside_the_graphs_strings() -> None:
    quoted = lineage.quote('a" ]; evil [label="b\\\x1b')
    assert quoted.startswith('"')
    inside = quoted[1:-1].replace('\\"', "").replace("\\\\", "")
    assert '"' not in inside
    assert "\\" not in inside


def folder_of(made: SimpleNamespace, runs: Path, done: int) -> Path:
    path = runs / "abc"
    path.mkdir(parents=True)
    facts = Facts(engine="replay", version="1", dtype="", device="cpu", context_tokens=1)
    header = Run(
        id="abc", checkpoint="c", checkpoint_label="mini:1", task="humaneval", protocol={"name": "openai"},
        fingerprint="f", backend=facts, seed=0, draws=1, limit=None, samples=10, hardware={}, versions={}, commit="",
        sandbox="namespaces",
    )  # fmt: skip
    (path / "header.json").write_bytes(msgspec.json.encode(header))
    lines = [made.result(number, True) for number in range(done)]
    lines.append(made.result(9, False, verdict="timeout"))
    (path / "results.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines) + b'{"cut')
    (path / ".lock").touch()
    return path


def test_health_shows_running_and_stopped_runs_and_time_left(made: SimpleNamespace, tmp_path: Path) -> None:
    path = folder_of(made, tmp_path, done=4)
    began = (path / "header.json").stat().st_mtime
    (stopped,) = health.run_states(tmp_path, now=began + 50)
    assert (stopped.state, stopped.done, stopped.wanted, stopped.failed) == ("stopped", 5, 10, 1)
    assert stopped.left_seconds is None
    with (path / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (running,) = health.run_states(tmp_path, now=began + 50)
    assert running.state == "running"
    assert running.left_seconds == pytest.approx(50.0)


def test_health_shows_finished_and_damaged_runs(made: SimpleNamespace, tmp_path: Path) -> None:
    path = folder_of(made, tmp_path, done=9)
    assert next(health.run_states(tmp_path)).state == "finished"
    (path / "header.json").write_text("{}")
    (damaged,) = health.run_states(tmp_path)
    assert damaged.state == "damaged"
    assert damaged.fault
