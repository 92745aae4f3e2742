"""Runs spread over a Ray cluster of two machines: one goes in the middle, and every run is the one made without Ray."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.cluster.replicas import Cluster, Replica, RunPiece, Share, _share
from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts
from evals.run_folder import read_header
from zoo import settings
from zoo.cli import root
from zoo.errors import ZooError
from zoo.registry import open_registry

pytest.importorskip("ray", reason="Ray is an extra: pip install 'phi-zoo[ray]'")
RUN = "eval run one two --task arc_easy,mini_exercises --limit 48 --device cpu --no-publish"
MACHINE = {
    "num_cpus": 1,
    "num_gpus": 0,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "object_store_memory": 80 << 20,
}


@pytest.fixture
def machines() -> Iterator[Any]:
    """A Ray cluster of two machines with one CPU each, on the loopback address alone."""
    from ray.cluster_utils import Cluster as Machines

    found = Machines(initialize_head=True, head_node_args=MACHINE)
    found.second = found.add_node(**MACHINE)
    yield found
    found.shutdown()


@pytest.fixture
def zoo(tiny_phi: Path, tmp_path: Path) -> None:
    """Two checkpoints with other weights."""
    import torch
    from transformers import PhiConfig, PhiForCausalLM, PreTrainedTokenizerFast

    with open_registry() as registry:
        registry.add(tiny_phi, "one")
        PreTrainedTokenizerFast.from_pretrained(tiny_phi).save_pretrained(tmp_path / "two")
        torch.manual_seed(5)
        PhiForCausalLM(PhiConfig.from_pretrained(tiny_phi)).save_pretrained(tmp_path / "two")
        registry.add(tmp_path / "two", "two")


def rows() -> dict[str, list[dict[str, Any]]]:
    """The lines of every run's results, by its folder, log-probabilities rounded to what a batch's order moves."""
    found = {}
    for path in sorted(settings.runs_dir().glob("*/results.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            line["logprobs"] = [round(value, 3) for value in line.get("logprobs", [])]
            line.pop("seconds", None)
        found[path.parent.name] = lines
    return found


def replica_on(machine: Any) -> int:
    """The process id of the replica on a machine of the cluster."""
    (raylet,) = machine.all_processes["raylet"]
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == raylet.process.pid and b"Replica" in (folder / "cmdline").read_bytes():
                return int(folder.name)
    raise AssertionError("no replica runs there")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("zoo")
def test_a_machine_goes_and_nothing_is_lost_or_twice(
    machines: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, lost, written = [], [], []  # type: list[RunPiece], list[RunPiece], list[tuple[Any, ...]]
    stopped: list[int] = []
    ask, came = Cluster.ask, Cluster.take_answers

    def and_one_goes(self: Cluster, replica: Any, piece: RunPiece) -> None:
        ask(self, replica, piece)
        asked.append(piece)
        if len(asked) == 6:  # the second machine's replica never comes to an end of what it has, or is asked next
            stopped.append(replica_on(machines.second))
            os.kill(stopped[0], signal.SIGSTOP)
        if len(asked) == 8:
            machines.remove_node(machines.second, allow_graceful=False)
            os.kill(stopped[0], signal.SIGKILL)  # a stopped process does not notice that its machine is gone

    def counted(self: Cluster) -> Iterator[tuple[RunPiece, Any]]:
        for piece, answers in came(self):
            if answers is None:
                lost.append(piece)
            else:
                written.extend((piece.digest, one.sample, getattr(one, "draw", None)) for one in answers)
            yield piece, answers

    def stops(self: Cluster) -> Iterator[tuple[RunPiece, Any]]:
        if lost and len(written) > 100:  # a lost machine is noticed late where the others are quick
            raise KeyboardInterrupt
        yield from counted(self)

    spread = [*RUN.split(), "--ray", machines.address]
    monkeypatch.setattr(Cluster, "ask", and_one_goes)
    monkeypatch.setattr(Cluster, "take_answers", stops)
    assert root.run(spread) == 130  # interrupted, a machine gone already
    assert len(lost) == 1
    monkeypatch.setattr(Cluster, "take_answers", counted)
    assert root.run(spread) == 0
    assert len(written) == len(set(written)) == 4 * 48  # every answer came back and was kept once, over both starts
    on_cluster = rows()
    for name in on_cluster:
        made = [msgspec.json.decode(line) for line in _lines(settings.runs_dir() / name / "generations.jsonl")]
        assert len({(one["sample"], one["draw"]) for one in made}) == len(made)
        assert read_header(settings.runs_dir() / name).backend.engine == "transformers"

    monkeypatch.setattr("zoo.settings.runs_dir", lambda: tmp_path / "alone")
    assert root.run(RUN.split()) == 0
    assert len(on_cluster) == 4
    assert rows() == on_cluster


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


@pytest.mark.usefixtures("zoo")
def test_replicas_on_this_machine_or_a_cluster_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run([*RUN.split(), "--ray", "127.0.0.1:1", "--data-parallel", "2"]) == 2
    assert "--data-parallel is for this machine alone" in capsys.readouterr().err
    for address in ("no address", "127.0.0.1:1"):
        assert root.run([*RUN.split(), "--ray", address]) == 2
        told = capsys.readouterr().err
        assert f"no Ray cluster at {address}" in told and told.count("\n") == 1
    assert root.run([*RUN.split(), "--engine", "openai_http", "--url", "http://127.0.0.1:1/v1", "--ray", "auto"]) == 2
    assert "spread transformers or vllm" in capsys.readouterr().err


def test_a_replica_takes_gpus_where_there_are_any_else_cpus() -> None:
    box, small = {"CPU": 64.0, "GPU": 8.0}, {"CPU": 2.0}
    assert _share([small, box], None, 1) == Share(cpus=1, gpus=1)
    assert _share([box], None, 4) == Share(cpus=1, gpus=4)
    assert _share([small], None, 1) == Share(cpus=2, gpus=0)
    assert _share([{"CPU": 32.0}], None, 1) == Share(cpus=4, gpus=0)
    assert _share([{"CPU": 32.0}], 8, 1) == Share(cpus=8, gpus=0)
    for machines, cpus, gpus in (([box], None, 16), ([small], 4, 1), ([], None, 1)):
        with pytest.raises(ZooError, match="no machine of the cluster"):
            _share(machines, cpus, gpus)


def test_a_machine_with_another_engine_or_without_the_checkpoint_is_refused(tiny_phi: Path, tmp_path: Path) -> None:
    replica = Replica("transformers", {"device": "cpu"})
    facts = replica.facts("d" * 64, str(tiny_phi))
    question = ChoiceRequest(sample="s", pairs=(("a", " b"),))
    (read,) = replica.answer("d" * 64, str(tiny_phi), facts, [question])
    assert isinstance(read, ChoiceScores) and isinstance(read.choices[0], Choice)
    other: Facts = msgspec.structs.replace(facts, dtype="bfloat16")
    with pytest.raises(ZooError, match="machines differ"):
        replica.answer("d" * 64, str(tiny_phi), other, [question])
    with pytest.raises(ZooError, match="has no checkpoint eeeeeeeeeeee"):
        replica.facts("e" * 64, str(tmp_path / "nowhere"))
