"""One run's folder: header, generations, results; one flushed line each, safe to kill at any moment.

header.json        checkpoint, task, engine and options, written whole before anything runs
generations.jsonl  the model's texts (kinds "generate" and "code"), one line per draw
results.jsonl      their scores, one line per draw; the evidence behind every published score

A kill can cut the last line short: it is removed when the folder is opened again. Unscored results
(a fault of ours) are removed too, so that the same command scores them again.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import msgspec

from evals.meter import add_cost
from evals.records import Generation, Result, Run, decode_results, encode_line
from zoo.digest import whole_file, write_json
from zoo.errors import ZooError, nearest
from zoo.lock import lock_file

Key = tuple[str, int]


class RunFolder:
    """An open run: its answers and results so far, and where the next line goes. Close it, or use `open_run`."""

    def __init__(self, path: Path, lock: BinaryIO) -> None:
        self.path, self._lock = path, lock
        self.generations = read_generations(path)
        self.results: dict[Key, Result] = {(r.sample, r.draw): r for r in read_results(path / "results.jsonl")}
        # unbuffered: a line that a full disk refuses is not written later, when the file is closed
        self._generations = (path / "generations.jsonl").open("ab", buffering=0)
        self._results = (path / "results.jsonl").open("ab", buffering=0)

    def add_generation(self, generation: Generation) -> None:
        """Appends one generation, flushed to the operating system."""
        self.generations[generation.sample, generation.draw] = generation
        _append(self._generations, encode_line(generation))

    def add_result(self, result: Result) -> None:
        """Appends one result, flushed to the operating system."""
        self.results[result.sample, result.draw] = result
        _append(self._results, encode_line(result))

    def ordered(self, samples: Iterable[str], draws: int) -> list[Result]:
        """The results so far in the task's order."""
        keys = [(sample, draw) for sample in samples for draw in range(draws)]
        return [self.results[key] for key in keys if key in self.results]

    def close(self) -> None:
        """Flushes to disk and unlocks the folder."""
        for file in (self._generations, self._results):
            os.fsync(file.fileno())
            file.close()
        self._lock.close()


def _append(file: FileIO, line: bytes) -> None:
    """Writes a whole line, or raises the disk's error (full, over quota) with the file's name in it."""
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file.name)) from None


@contextlib.contextmanager
def open_run(runs: Path, header: Run) -> Iterator[RunFolder]:
    """The folder of a run, new or resumed, locked by this process.

    Raises ZooError when another process is writing the same run.
    """
    path = runs / header.id
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / ".lock").open("wb")
    try:
        lock_file(lock, f"run {header.id[:12]} is being written by another process; wait for it or end it")
    except ZooError:
        lock.close()
        raise
    if not (path / "header.json").exists():
        write_json(path / "header.json", msgspec.to_builtins(header))
    _mend(path / "generations.jsonl", keep_unscored=True)
    _mend(path / "results.jsonl", keep_unscored=False)
    folder = RunFolder(path, lock)
    try:
        yield folder
    finally:
        folder.close()


def _mend(path: Path, *, keep_unscored: bool) -> None:
    """Drops a line cut short by a kill, and results without a score, so that they are made again."""
    if not path.exists():
        return
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if not keep_unscored:
        kept = [line for line in whole.splitlines(keepends=True) if b'"score":null' not in line]
        whole = b"".join(kept)
    if whole != text:
        with whole_file(path) as file:
            file.write(whole)


def drop_unanswered(path: Path) -> None:
    """Removes the folder of a run that has no answer yet: the same question is asked as another run."""
    if read_generations(path) or read_results(path / "results.jsonl"):
        return
    for name in ("header.json", "generations.jsonl", "results.jsonl", ".lock"):
        (path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a file of the user's own is kept
        path.rmdir()


def read_results(path: Path) -> list[Result]:
    """The results in a file, its whole lines only. Raises ZooError when a line is damaged."""
    if not path.exists():
        return []
    try:
        return decode_results(path.read_bytes())
    except msgspec.DecodeError as error:
        raise ZooError(f"{path} is damaged ({error}); move it away and run the same command again") from None


def read_generations(folder: Path) -> dict[Key, Generation]:
    """The texts in a run's folder by sample and draw, whole lines only. Raises ZooError when a line is damaged."""
    path = folder / "generations.jsonl"
    if not path.exists():
        return {}
    text = path.read_bytes()
    decoder = msgspec.json.Decoder(Generation)
    try:
        generations = [decoder.decode(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]
    except msgspec.DecodeError as error:
        raise ZooError(f"{path} is damaged ({error}); move it away and run the same command again") from None
    return {(generation.sample, generation.draw): generation for generation in generations}


def find_run(runs: Path, beginning: str, missing: str = "no run with id") -> Path:
    """The folder of the run whose id begins so. Raises ZooError when none or several do, with the nearest id.

    missing  how the error begins when there is none
    """
    names = [path.name for path in runs.iterdir() if path.is_dir()] if runs.is_dir() else []
    matching = [name for name in names if name.startswith(beginning)]
    if len(matching) == 1:
        return runs / matching[0]
    count = f"{len(matching)} runs with id" if matching else missing
    raise ZooError(f'{count} "{beginning}"{nearest(beginning, names)}. All runs: phizoo eval runs')


def read_header(path: Path) -> Run:
    """The header of a run's folder. Raises ZooError when there is none."""
    try:
        return msgspec.json.decode((path / "header.json").read_bytes(), type=Run)
    except FileNotFoundError:
        raise ZooError(f"no run in {path}. All runs: phizoo eval runs") from None
    except msgspec.DecodeError as error:
        raise ZooError(f"{path / 'header.json'} is damaged ({error}); move the folder away and run again") from None


def note_path(folder: RunFolder, path: str) -> None:
    """Writes into the run's header how the engine read it, which is known once its model is loaded."""
    header = read_header(folder.path)
    if path and header.backend.path != path:
        backend = msgspec.structs.replace(header.backend, path=path)
        write_json(folder.path / "header.json", msgspec.to_builtins(msgspec.structs.replace(header, backend=backend)))


def note_cost(folder: RunFolder, cost: dict[str, float], answers: int) -> None:
    """Adds what one start of the run took to its header. answers: lines that this start made."""
    header = read_header(folder.path)
    total = add_cost(header.cost, cost, answers)
    if total != header.cost:
        write_json(folder.path / "header.json", msgspec.to_builtins(msgspec.structs.replace(header, cost=total)))


def write_ordered(folder: RunFolder, samples: Iterable[str], draws: int) -> Path:
    """Rewrites the results in the task's order, so that equal answers give equal bytes. Returns the file."""
    path = folder.path / "results.jsonl"
    lines = b"".join(encode_line(result) for result in folder.ordered(samples, draws))
    if path.read_bytes() != lines:
        with whole_file(path) as file:
            file.write(lines)
    return path
