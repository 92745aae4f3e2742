"""Computes the shards of a stage in this process, on all cores, or on the nodes of a Ray cluster.

The output has the same bytes everywhere: a shard's result is a pure function of the shard, is written once into
the stage's work folder, and is read back in the order of the shards. A killed run, worker or node loses only the
shards it was computing. Ray nodes need this package and a shared file system, because shards name files. This
file knows nothing about the stages.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from zoo import safe_path
from zoo.api_key import without_keys
from zoo.digest import whole_file
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.records import Record

Input = TypeVar("Input")
Output = TypeVar("Output")

AHEAD = 3  # shards submitted for each worker: enough to keep it busy without using much memory
NODE_DEATHS = 8  # retries of a shard whose node or worker died


class Workers(Record, frozen=True):
    """How a command runs its shards: the number of processes (None: one for each core), or a Ray address."""

    workers: int | None = None
    ray: str = ""


HERE = Workers()
WORKERS: ContextVar[Workers] = ContextVar("WORKERS", default=HERE)


@contextlib.contextmanager
def use_workers(workers: int | None, ray: str) -> Iterator[None]:
    """Runs the stages inside the block on this number of processes, or on Ray."""
    if ray and workers is not None:
        raise ZooError("--workers and --ray exclude each other: a Ray cluster has its own number of cores")
    token = WORKERS.set(Workers(workers=workers, ray=ray))
    try:
        yield
    finally:
        WORKERS.reset(token)


def cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each_shard(
    work: Path, label: str, shards: Sequence[Input], function: Callable[[Input], Output], form: type[Output],
    title: str = "",
) -> Iterator[Output]:  # fmt: skip
    """Yields `function(shard)` for each shard, in order; finished results are kept in `work`.

    function  a module-level function of one shard; it may run in another process
    form      the type of its result, stored as MessagePack so that a later run can read it
    title     the name in the progress line; the label, which names the files, by default
    """
    work.mkdir(parents=True, exist_ok=True)
    paths = [work / f"{label}-{number:05d}.msgpack" for number in range(len(shards))]
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    jobs = [(str(paths[number]), shards[number]) for number in missing]
    with progress(title or label, len(shards), "shards") as bar, contextlib.closing(_run(function, jobs)) as done:
        bar.at(0)
        for path in paths:
            while not path.is_file():
                next(done)
            bar.advance()
            yield msgspec.msgpack.decode(path.read_bytes(), type=form)


def _run(function: Callable[[Any], Any], jobs: Sequence[tuple[str, Any]]) -> Generator[str, None, None]:
    """Runs the jobs and yields the path of each result once it is written."""
    engine = WORKERS.get()
    workers = min(cores() if engine.workers is None else engine.workers, len(jobs))
    if engine.ray and jobs:
        yield from _on_ray(function, jobs, engine.ray)
    elif workers > 1:
        yield from _on_cores(function, jobs, workers)
    else:
        for path, shard in jobs:
            write_shard(path, run_packed(function, shard))
            yield path


def run_packed(function: Callable[[Any], Any], shard: Any) -> bytes:
    """Runs one shard and encodes its result."""
    return msgspec.msgpack.encode(function(shard))


def write_shard(path: str, result: bytes) -> None:
    """Writes a shard's result to its file, whole or not at all."""
    with whole_file(Path(path)) as file:
        file.write(result)


def _run_to_file(path: str, function: Callable[[Any], Any], shard: Any) -> None:
    write_shard(path, run_packed(function, shard))


def _on_cores(function: Callable[[Any], Any], jobs: Sequence[tuple[str, Any]], workers: int) -> Iterator[str]:
    from collections import deque
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    pool = ProcessPoolExecutor(
        workers, mp_context=safe_path.forkserver(), initializer=_exit_with_parent, initargs=(os.getpid(),)
    )
    waiting: deque[tuple[str, Any]] = deque()
    try:
        for path, shard in jobs:
            waiting.append((path, pool.submit(_run_to_file, path, function, shard)))
            if len(waiting) >= AHEAD * workers:
                first, future = waiting.popleft()
                future.result()
                yield first
        while waiting:
            first, future = waiting.popleft()
            future.result()
            yield first
    except BrokenProcessPool:
        raise ZooError(
            "a worker process was killed, perhaps by lack of memory; finished shards are kept, run the command again"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _exit_with_parent(run: int) -> None:
    """Ends this worker soon after the run that started it is killed; otherwise an orphaned worker keeps running."""
    import threading
    import time

    def watch() -> None:
        while True:
            time.sleep(1)
            try:
                os.kill(run, 0)
            except ProcessLookupError:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def needed_variables() -> dict[str, str]:
    """The environment variables that a shard on another machine needs: all that it reads but its own files."""
    kept = without_keys(os.environ)
    needed: dict[str, str] = {name: kept[name] for name in ("HF_HUB_OFFLINE", "HF_HOME") if name in kept}
    for name in ("PHIZOO_HOME", "PHIZOO_DATA"):
        if given := kept.get(name):
            needed[name] = str(Path(given).expanduser().absolute())
    return needed


def _on_ray(function: Callable[[Any], Any], jobs: Sequence[tuple[str, Any]], address: str) -> Iterator[str]:
    """Runs a bounded number of Ray tasks at a time; only the driver writes, so a lost node leaves no partial file."""
    from evals.cluster.connection import connect_ray, find_cause

    ray = connect_ray(address, needed_variables())
    task = ray.remote(num_cpus=1, max_retries=NODE_DEATHS)(run_packed)
    waiting: dict[Any, str] = {}
    left = iter(jobs)
    while True:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if not cpus:
            raise ZooError("the Ray cluster has no CPU (left) for a shard; finished shards are kept. See: ray status")
        room = AHEAD * cpus - len(waiting)
        for path, shard in islice(left, max(0, room)):
            waiting[task.remote(function, shard)] = path
        if not waiting:
            return
        (ready, *_), _ = ray.wait(list(waiting), num_returns=1)
        path = waiting.pop(ready)
        try:
            write_shard(path, ray.get(ready))
        except ray.exceptions.RayTaskError as error:
            raise find_cause(error) from None
        except ray.exceptions.RayError as error:
            raise ZooError(
                f"a shard was lost {NODE_DEATHS} times with its Ray worker ({type(error).__name__}); "
                "finished shards are kept, run the same command again"
            ) from None
        yield path
