"""An engine's replicas on the machines of a Ray cluster: started, asked, lost and started again.

One replica holds one model at a time, on one GPU (`--tensor-parallel`: on several) or, where a cluster has
none, on some CPUs. It answers pieces of runs and knows nothing of runs, scores or the registry, which belong to
`evals.cluster.spread`, in the one process that asks.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.cluster.connection import connect_ray, find_cause
from evals.engines import Engine, connect
from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from zoo.admission.gguf import gguf_file
from zoo.errors import ZooError
from zoo.records import Record

STARTING_SECONDS = 300.0  # a replica is an import of torch and vLLM, on a machine that may still be starting
LOOK_SECONDS = 2.0  # how often the cluster is asked for machines that joined or left

Request = ChoiceRequest | GenerateRequest
Answer = ChoiceScores | Generation


@dataclass(eq=False)
class RunPiece:
    """Some requests of one run, asked of one replica at a time. deaths: replicas that were lost over it."""

    digest: str
    path: str
    facts: Facts
    requests: Sequence[Request]
    deaths: int = 0


class Share(Record, frozen=True, kw_only=True):
    """The part of a machine that one replica takes."""

    cpus: int
    gpus: int


class Replica:
    """The actor on a machine of the cluster: one engine with one model, replaced when another is asked for."""

    def __init__(self, engine: str, options: dict[str, Any]) -> None:
        self.engine, self.options = engine, options
        self.digest = ""
        self.loaded: Engine | None = None

    def facts(self, digest: str, path: str) -> Facts:
        """The engine's facts with this checkpoint; does not load or unload a model."""
        return connect(self.engine, _folder(digest, path), **self.options).facts

    def answer(self, digest: str, path: str, facts: Facts, requests: Sequence[Request]) -> list[Answer]:
        """The answers to a piece of a run. Raises ZooError where this machine's engine is not the run's."""
        loaded = self._load(digest, path)
        mine = loaded.facts
        if (mine.engine, mine.version, mine.dtype, mine.identity) != (
            facts.engine, facts.version, facts.dtype, facts.identity
        ):  # fmt: skip
            raise ZooError(
                f"the cluster's machines differ: {mine.engine} {mine.version} {mine.dtype} here, "
                f"{facts.engine} {facts.version} {facts.dtype} there; one run is answered by one engine"
            )
        choices = [request for request in requests if isinstance(request, ChoiceRequest)]
        texts = [request for request in requests if isinstance(request, GenerateRequest)]
        return list(loaded.choose(choices)) if choices else list(loaded.generate(texts))

    def _load(self, digest: str, path: str) -> Engine:
        if self.loaded is None or self.digest != digest:
            if self.loaded is not None:
                self.loaded.close()
            self.digest, self.loaded = "", None
            self.loaded = connect(self.engine, _folder(digest, path), **self.options)
            self.digest = digest
        return self.loaded


def _folder(digest: str, path: str) -> Path:
    """The checkpoint's folder on this machine: the driver's if the disk is shared, else that of this machine's zoo."""
    if (Path(path) / "config.json").is_file() or gguf_file(Path(path)):
        return Path(path)
    import socket

    from zoo.registry import open_registry

    try:
        with open_registry(readonly=True) as registry:
            return registry.path(digest)
    except ZooError as error:
        raise ZooError(
            f"{socket.gethostname()} has no checkpoint {digest[:12]} ({error}); share PHIZOO_HOME's disk with it, "
            "or set PHIZOO_DB and PHIZOO_STORE where its Ray was started"
        ) from None


class Cluster:
    """The replicas of one engine on a Ray cluster. Use `open_cluster`."""

    def __init__(self, ray: Any, engine: str, options: dict[str, Any], cpus: int | None, most: int | None) -> None:
        self.ray, self.engine, self.options, self.most = ray, engine, options, most
        self.share = _share(self._machines(), cpus, int(options.get("tensor_parallel") or 1))
        self.actor = ray.remote(Replica)
        self.idle: dict[Any, str] = {}  # replica -> digest of the checkpoint it holds
        self.starting: dict[Any, tuple[Any, float]] = {}  # future that it is ready -> (replica, since when)
        self.busy: dict[Any, tuple[Any, RunPiece]] = {}  # future of the answers -> (replica, its piece)
        self.facts_of: dict[str, Facts] = {}  # digest of a checkpoint -> the engine's facts with it
        self.looked = 0.0

    def _machines(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def count_room(self) -> int:
        """How many replicas the machines have room for."""
        kind, size = ("GPU", self.share.gpus) if self.share.gpus else ("CPU", self.share.cpus)
        room = sum(int(machine.get(kind, 0) // size) for machine in self._machines())
        return min(room, self.most or room)

    def update(self) -> None:
        """Starts replicas on machines that joined, and gives up those whose machine left."""
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        wanted, running = self.count_room(), len(self.idle) + len(self.busy)
        for _ in range(wanted - running - len(self.starting)):
            replica = self.actor.options(num_cpus=self.share.cpus, num_gpus=self.share.gpus).remote(
                self.engine, self.options
            )
            self.starting[replica.__ray_ready__.remote()] = (replica, self.looked)
        for ready, (_, since) in list(self.starting.items()):
            late = self.looked - since > STARTING_SECONDS
            if len(self.starting) + running > wanted or late:
                self.ray.kill(self.starting.pop(ready)[0])
                if late and not running:
                    raise ZooError(
                        f"no replica started within {STARTING_SECONDS:g} s: is the cluster busy? See: ray status"
                    )
        if not wanted:
            raise ZooError("the Ray cluster has no machine left; what was answered is kept; the same command continues")

    def ask(self, replica: Any, piece: RunPiece) -> None:
        """Hands a piece to an idle replica."""
        del self.idle[replica]
        answers = replica.answer.remote(piece.digest, piece.path, piece.facts, piece.requests)
        self.busy[answers] = (replica, piece)

    def facts(self, replica: Any, digest: str, path: str) -> Facts | None:
        """The engine's facts with a checkpoint, from an idle replica; None when that replica is gone."""
        if digest not in self.facts_of:
            try:
                self.facts_of[digest] = self.ray.get(replica.facts.remote(digest, path))
            except self.ray.exceptions.RayTaskError as error:
                raise find_cause(error) from None
            except self.ray.exceptions.RayError:
                del self.idle[replica]
        return self.facts_of.get(digest)

    def take_answers(self) -> Iterator[tuple[RunPiece, list[Answer] | None]]:
        """Yields the pieces that returned with their answers, or with None because their replica is gone."""
        waited = [*self.busy, *self.starting]
        ended, _ = self.ray.wait(waited, num_returns=1, timeout=LOOK_SECONDS) if waited else ([], [])
        for future in ended:
            starting = future in self.starting
            replica, piece = (self.starting.pop(future)[0], None) if starting else self.busy.pop(future)
            try:
                answers = self.ray.get(future)
            except self.ray.exceptions.RayTaskError as error:
                raise find_cause(error) from None
            except self.ray.exceptions.RayError:  # the replica died, or its machine with the answers on it
                self.ray.kill(replica)
                if piece is not None:
                    yield piece, None
                continue
            self.idle[replica] = "" if piece is None else piece.digest
            if piece is not None:
                yield piece, answers


def _share(machines: Sequence[dict[str, float]], cpus: int | None, gpus: int) -> Share:
    """The share of a replica: GPUs where a machine has any, else CPUs (4, or all of a smaller machine)."""
    if any(machine.get("GPU", 0) for machine in machines):
        most = int(max(machine.get("GPU", 0) for machine in machines))
        if most < gpus:
            raise ZooError(f"--tensor-parallel {gpus}: no machine of the cluster has more than {most} GPUs")
        return Share(cpus=1, gpus=gpus)
    most = int(max((machine.get("CPU", 0) for machine in machines), default=0))
    if not most or (cpus or 1) > most:
        raise ZooError(f"no machine of the cluster has {cpus or 1} CPUs (the largest has {most}); see: ray status")
    return Share(cpus=cpus or min(4, most), gpus=0)


@contextmanager
def open_cluster(
    address: str, engine: str, options: dict[str, Any], *, cpus: int | None = None, most: int | None = None
) -> Iterator[Cluster]:
    """The cluster at an address with as many replicas of an engine as it has room for.

    address  as `connect_ray` takes it
    options  arguments of the engine's `connect`
    cpus     CPUs of a replica where the cluster has no GPU
    most     replicas at most
    Raises   ZooError when Ray is not installed or the cluster does not answer
    """
    local: dict[str, Any] = {}
    if address == "local":  # answers are small: the store needs no third of the memory
        local = {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "object_store_memory": 128 << 20}
    ray = connect_ray(address, **local)
    try:
        yield Cluster(ray, engine, options, cpus, most)
    finally:
        ray.shutdown()
