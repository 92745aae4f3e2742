"""An engine's replicas on the machines of a Ray cluster: started, asked, lost and started again.

One replica holds one model at a time, on one GPU (`--tensor-parallel`: on several) or, where a cluster has
none, on some CPUs. It answers pieces of runs, and knows nothing of runs, scores or the registry: those are
`evals.cluster.spread`'s, in the one process that asks.

Not here: trust. Who can reach a Ray cluster can run code on it; keep it on a network of your own.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from zoo.errors import ZooError
from zoo.records import Record

STARTING_SECONDS = 300.0  # a replica is an import of torch and vLLM, on a machine that may still be starting
LOOK_SECONDS = 2.0  # how often the cluster is asked for machines that came or went

Request = ChoiceRequest | GenerateRequest
Answer = ChoiceScores | Generation


@dataclass(eq=False)
class Piece:
    """Some requests of one run, asked of one replica at a time. deaths: replicas that were lost over it."""

    digest: str
    path: str
    facts: Facts
    requests: Sequence[Request]
    deaths: int = 0


class Share(Record, frozen=True, kw_only=True):
    """What one replica takes of a machine."""

    cpus: int
    gpus: int


class Replica:
    """What runs on a cluster's machine: one engine with one model, changed when another is asked for."""

    def __init__(self, engine: str, options: dict[str, Any]) -> None:
        self.engine, self.options = engine, options
        self.held, self.backend = "", None  # type: str, Any

    def facts(self, digest: str, path: str) -> Facts:
        """What the engine says of itself with this checkpoint; nothing is loaded for that, and nothing let go."""
        facts: Facts = self._connected(digest, path).facts
        return facts

    def answer(self, digest: str, path: str, facts: Facts, requests: Sequence[Request]) -> list[Answer]:
        """The answers to a piece of a run. Raises ZooError where this machine's engine is not the run's."""
        backend = self._with(digest, path)
        mine = backend.facts
        if (mine.engine, mine.version, mine.dtype, mine.identity) != (
            facts.engine, facts.version, facts.dtype, facts.identity
        ):  # fmt: skip
            raise ZooError(
                f"the cluster's machines differ: {mine.engine} {mine.version} {mine.dtype} here, "
                f"{facts.engine} {facts.version} {facts.dtype} there; one run is answered by one engine"
            )
        asked = [one for one in requests if isinstance(one, ChoiceRequest)]
        return list(backend.choose(asked)) if asked else list(backend.generate(requests))

    def _with(self, digest: str, path: str) -> Any:
        if self.held != digest:
            if self.backend is not None:
                self.backend.close()
            self.held, self.backend = "", None
            self.backend = self._connected(digest, path)
            self.held = digest
        return self.backend

    def _connected(self, digest: str, path: str) -> Any:
        import importlib

        from evals.engines import ENGINES

        return importlib.import_module(ENGINES[self.engine]).connect(_folder(digest, path), **self.options)


def _folder(digest: str, path: str) -> Path:
    """The checkpoint's folder on this machine: the asker's where the disk is shared, else this machine's own zoo's."""
    if (Path(path) / "config.json").is_file():
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
    """The replicas of one engine on a Ray cluster. Use `opened`."""

    def __init__(self, ray: Any, engine: str, options: dict[str, Any], cpus: int | None, most: int | None) -> None:
        self.ray, self.engine, self.options, self.most = ray, engine, options, most
        self.share = _share(self._machines(), cpus, int(options.get("tensor_parallel") or 1))
        self.actor = ray.remote(Replica)
        self.idle: dict[Any, str] = {}  # replica -> digest of the checkpoint it holds
        self.starting: dict[Any, tuple[Any, float]] = {}  # what tells that it is there -> (replica, since when)
        self.busy: dict[Any, tuple[Any, Piece]] = {}  # what will be the answers -> (replica, what it was asked)
        self.told: dict[str, Facts] = {}  # digest of a checkpoint -> what the engine says of it
        self.looked = 0.0

    def _machines(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def wanted(self) -> int:
        """Replicas that the machines there have room for."""
        kind, size = ("GPU", self.share.gpus) if self.share.gpus else ("CPU", self.share.cpus)
        room = sum(int(machine.get(kind, 0) // size) for machine in self._machines())
        return min(room, self.most or room)

    def look(self) -> None:
        """Starts replicas on machines that came, and waits no longer for one whose machine went."""
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        wanted, there = self.wanted(), len(self.idle) + len(self.busy)
        for _ in range(wanted - there - len(self.starting)):
            replica = self.actor.options(num_cpus=self.share.cpus, num_gpus=self.share.gpus).remote(
                self.engine, self.options
            )
            self.starting[replica.__ray_ready__.remote()] = (replica, self.looked)
        for told, (_, since) in list(self.starting.items()):
            late = self.looked - since > STARTING_SECONDS
            if len(self.starting) + there > wanted or late:
                self.ray.kill(self.starting.pop(told)[0])
                if late and not there:
                    raise ZooError(
                        f"no replica started within {STARTING_SECONDS:g} s: is the cluster busy? See: ray status"
                    )
        if not wanted:
            raise ZooError("the Ray cluster has no machine left; what was answered is kept, the same command goes on")

    def ask(self, replica: Any, piece: Piece) -> None:
        """Hands a piece to an idle replica."""
        del self.idle[replica]
        told = replica.answer.remote(piece.digest, piece.path, piece.facts, piece.requests)
        self.busy[told] = (replica, piece)

    def facts(self, replica: Any, digest: str, path: str) -> Facts | None:
        """What the engine says of a checkpoint, asked of an idle replica; None when that one has gone."""
        if digest not in self.told:
            try:
                self.told[digest] = self.ray.get(replica.facts.remote(digest, path))
            except self.ray.exceptions.RayTaskError as error:
                raise _cause(error) from None
            except self.ray.exceptions.RayError:
                del self.idle[replica]
        return self.told.get(digest)

    def came(self) -> Iterator[tuple[Piece, list[Answer] | None]]:
        """Pieces that came back with their answers, or with None because their replica is gone."""
        waited = [*self.busy, *self.starting]
        ended, _ = self.ray.wait(waited, num_returns=1, timeout=LOOK_SECONDS) if waited else ([], [])
        for told in ended:
            starting = told in self.starting
            replica, piece = (self.starting.pop(told)[0], None) if starting else self.busy.pop(told)
            try:
                answers = self.ray.get(told)
            except self.ray.exceptions.RayTaskError as error:
                raise _cause(error) from None
            except self.ray.exceptions.RayError:  # the replica died, or its machine with the answers on it
                self.ray.kill(replica)
                if piece is not None:
                    yield piece, None
                continue
            self.idle[replica] = "" if piece is None else piece.digest
            if piece is not None:
                yield piece, answers


def _share(machines: Sequence[dict[str, float]], cpus: int | None, gpus: int) -> Share:
    """What a replica takes: GPUs where a machine has any, else CPUs (4, or all of a smaller machine)."""
    if any(machine.get("GPU", 0) for machine in machines):
        most = int(max(machine.get("GPU", 0) for machine in machines))
        if most < gpus:
            raise ZooError(f"--tensor-parallel {gpus}: no machine of the cluster has more than {most} GPUs")
        return Share(cpus=1, gpus=gpus)
    most = int(max((machine.get("CPU", 0) for machine in machines), default=0))
    if not most or (cpus or 1) > most:
        raise ZooError(f"no machine of the cluster has {cpus or 1} CPUs (the largest has {most}); see: ray status")
    return Share(cpus=cpus or min(4, most), gpus=0)


def _cause(error: Any) -> Exception:
    """A replica's own ZooError as it is; anything else stays a fault of ours with its traceback."""
    cause = error.cause
    return cause if isinstance(cause, ZooError) else error


@contextmanager
def opened(
    address: str, engine: str, options: dict[str, Any], *, cpus: int | None = None, most: int | None = None
) -> Iterator[Cluster]:
    """The cluster at an address with as many replicas of an engine as it has room for.

    address  as Ray has it: "auto", HOST:PORT, ray://HOST:PORT; "local" starts one on this machine alone
    options  what is handed to the engine's `connect`
    cpus     CPUs of a replica where the cluster has no GPU
    most     replicas at most
    Raises   ZooError when Ray is not installed or the cluster does not answer
    """
    import importlib.util
    import logging
    import os

    if importlib.util.find_spec("ray") is None:
        raise ZooError("Ray is not installed: pip install 'phi-zoo[ray]'")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address.rpartition(":")[0] in ("", "127.0.0.1", "localhost") and address != "auto":
        # Ray turns a loopback address into this machine's own, where others can reach it, unless told so
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a replica without GPUs sees none: not asked for
    _reached(address)
    import ray

    local: dict[str, Any] = {}
    if address == "local":  # answers are small: the store needs no third of the memory
        local = {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "object_store_memory": 128 << 20}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RaySystemError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ZooError(f"no Ray cluster at {address} ({line}). Start one: ray start --head") from None
    try:
        yield Cluster(ray, engine, options, cpus, most)
    finally:
        ray.shutdown()


def _reached(address: str) -> None:
    """Raises ZooError when nothing listens at HOST:PORT: Ray itself would try for a minute and a half."""
    import socket

    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ZooError(f"no Ray cluster at {address} ({error}). Start one: ray start --head") from None
