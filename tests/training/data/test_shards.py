"""One process, several, a Ray cluster that loses a node, a run that is killed: the same bytes, no shard lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from training.data.dedup.dedup import dedup_dataset
from training.data.gather import gather
from training.data.quality.filter import FilterChoice, filter_dataset
from training.data.shards import each_shard, use_workers
from zoo.errors import ZooError
from zoo.settings import datasets_dir


def whole_pipeline() -> list[str]:
    """The digests of three stages."""
    return [
        gather.gather("python", "code").dataset.digest,
        filter_dataset("code", "best", FilterChoice(keep=0.5), 0).dataset.digest,
        dedup_dataset("best", "single").dataset.digest,
    ]


@pytest.fixture
def small_shards(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SHARD_FILES", 2)
    monkeypatch.setattr("training.data.document.SHARD_DOCUMENTS", 20)


@pytest.mark.usefixtures("small_shards")
def test_the_same_bytes_in_one_process_and_in_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with use_workers(1, ""):
        first = whole_pipeline()
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "second"))
    with use_workers(2, ""):
        assert whole_pipeline() == first


def slow_square(number: int) -> int:
    """A shard that takes a while, so that a node can die while it is computed."""
    time.sleep(0.3)
    return number * number


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes on this machine, at 127.0.0.1 alone."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's name for: stay on the loopback address
    import ray
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1"}
    found = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    found.second = found.add_node(**node)
    found.node = node
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("small_shards")
def test_ray_gives_the_same_bytes_though_a_node_dies(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with use_workers(1, ""):
        first = whole_pipeline()
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "on-ray"))
    with use_workers(None, cluster.address):
        assert whole_pipeline() == first
        numbers = list(range(12))
        found = each_shard(tmp_path / "work", "square", numbers, slow_square, int)
        begun = [next(found)]
        cluster.remove_node(cluster.second, allow_graceful=False)  # two of its shards are in hand or waiting
        assert begun + list(found) == [number * number for number in numbers]


def test_no_cluster_is_told() -> None:
    with use_workers(None, "127.0.0.1:1"), pytest.raises(ZooError, match="no Ray cluster at"):
        list(each_shard(datasets_dir(), "square", [1, 2], slow_square, int))
    with pytest.raises(ZooError, match="exclude each other"), use_workers(2, "auto"):
        pass


KILLED = """
import sys, os, time
from pathlib import Path
from training.data import shards
from training.data.gather import gather
gather.SHARD_FILES = 2
keep = shards.write_shard
def slowly(path, result):
    keep(path, result)
    print(Path(path).name, flush=True)
    time.sleep(float(sys.argv[2]))
shards.write_shard = slowly
with shards.use_workers(1, ""):
    print("digest", gather.gather(sys.argv[1], "code").dataset.digest, flush=True)
"""


def test_a_killed_run_goes_on_and_redoes_one_shard_at_most(corpus: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PHIZOO_HOME": str(tmp_path / "killed")}
    command = [sys.executable, "-c", KILLED, str(corpus)]
    with subprocess.Popen([*command, "0.2"], stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout
        before = [run.stdout.readline().strip() for _ in range(3)]
        run.send_signal(signal.SIGKILL)
        before += [line.strip() for line in run.stdout]
    done = subprocess.run([*command, "0"], stdout=subprocess.PIPE, text=True, env=environment, check=True)
    after = done.stdout.split()[:-2]
    assert len(before) == len(set(before)) >= 3
    assert not set(before) & set(after)
    assert done.stdout.split()[-1] == gather.gather(str(corpus), "code").dataset.digest
