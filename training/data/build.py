"""Builds each dataset once, in a folder named by the digest of its content, and finds it again by its recipe.

A dataset folder is whole or absent. A stage works in `.work/KEY`, where KEY is the digest of everything that
determines the result, so a killed run reuses its finished shards. This file knows nothing about the stages.
"""

import datetime
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from training.data.document import Document, DocumentFiles
from zoo import gz, settings
from zoo.db.names import check_new
from zoo.digest import digest, file_sha256, whole_file, write_json
from zoo.errors import ZooError, unknown
from zoo.lock import locked
from zoo.records import Dataset, Record, Stage

Item = TypeVar("Item")


class Built(Record, frozen=True):
    """The result of a stage in its folder `out`: counts by stage, parents, and additions to the recipe."""

    kind: str
    documents: int
    tokens: int
    stages: tuple[Stage, ...]
    parents: tuple[str, ...] = ()
    recipe: dict[str, Any] = {}
    licence: str = "unknown"


class MadeDataset(Record, frozen=True):
    """A dataset, and whether this call made it (`fresh`) or found it."""

    dataset: Dataset
    fresh: bool


def folder_of(dataset: Dataset) -> Path:
    """The folder of a dataset's files. Raises ZooError if the folder is missing."""
    path = settings.datasets_dir() / dataset.digest
    if not (path / "dataset.json").is_file():
        raise ZooError(f"dataset {dataset.name} is registered, but its folder {path} is missing; make it again")
    return path


def find(name: str, kinds: Sequence[str] = ()) -> Dataset:
    """The newest dataset with this name or digest prefix. Raises ZooError for an unknown name or another kind."""
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        known = {dataset.name for dataset in registry.datasets()}
        if name not in known and not re.fullmatch("[0-9a-f]{8,64}", name):
            raise unknown("dataset", name, sorted(known), "phizoo data list")
        dataset = registry.dataset(name)
    if kinds and dataset.kind not in kinds:
        raise ZooError(f"{name} holds {dataset.kind}, here {' or '.join(kinds)} are needed. All: phizoo data list")
    return dataset


def _find_built(name: str, key: str) -> Dataset | None:
    """The dataset that an earlier run made for this key, registered under `name`; None if its folder is not whole."""
    mark = settings.datasets_dir() / ".made" / key
    if not mark.is_file():
        return None
    path = settings.datasets_dir() / mark.read_text().strip() / "dataset.json"
    if not path.is_file():
        return None
    dataset = msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=Dataset), name=name)
    register(dataset)
    return dataset


def register(dataset: Dataset) -> None:
    """Registers a dataset as the newest of its name, unless it already is."""
    from zoo.registry import open_registry

    with open_registry() as registry:
        same = [known for known in registry.datasets() if known.name == dataset.name]
        if not any(known.digest == dataset.digest for known in same) or registry.dataset(dataset.name).digest != (
            dataset.digest
        ):
            registry.add_dataset(dataset, newest=True)


def make(name: str, recipe: dict[str, Any], state: Any, build: Callable[[Path], Built]) -> MadeDataset:
    """Makes the dataset of a recipe, or finds it if it exists.

    recipe  everything that determines the result, stage and version included; it is kept with the dataset
    state   a cheap sign that an input has changed (file times); it does not enter the recipe
    build   fills `work/out`, and may keep finished shards in `work` for a later run
    """
    from zoo.registry import check_writable

    check_new(name)
    check_writable()
    key = digest([recipe, state])
    if known := _find_built(name, key):
        return MadeDataset(dataset=known, fresh=False)
    work = settings.datasets_dir() / ".work" / key[:16]
    lock = work.with_suffix(".lock")
    with locked(lock, f"another process is making this dataset (lock {lock}); wait for it, then run it again"):
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        built = build(work)
        full = {**recipe, **built.recipe}
        dataset = Dataset(
            name=name, digest=content_digest(out), kind=built.kind, documents=built.documents, tokens=built.tokens,
            stages=built.stages, parents=built.parents, recipe=full, recipe_digest=digest(full), licence=built.licence,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        final = settings.datasets_dir() / dataset.digest
        write_json(out / "dataset.json", dataset)
        if not (final / "dataset.json").is_file():
            shutil.rmtree(final, ignore_errors=True)
            os.rename(out, final)
        with whole_file(settings.datasets_dir() / ".made" / key) as file:
            file.write(dataset.digest.encode())
        register(dataset)
        shutil.rmtree(work, ignore_errors=True)
    return MadeDataset(dataset=dataset, fresh=True)


def content_digest(folder: Path) -> str:
    """sha256 of a dataset folder's content; gzip files count unpacked, so the compressor's version does not matter."""
    return digest(
        [
            [path.relative_to(folder).as_posix(), _content_sha256(path)]
            for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix())
            if path.is_file() and path.name != "dataset.json"
        ]
    )


def _content_sha256(path: Path) -> str:
    if path.suffix != ".gz":
        return file_sha256(path)
    import hashlib

    with gz.open_binary(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slices(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cuts a sequence into slices of `size` items; the last may be shorter.

    >>> slices("abcde", 2)
    ['ab', 'cd', 'e']
    """
    return [items[start : start + size] for start in range(0, len(items), size)]


class Counts:
    """Counts the items of one stage: each is kept, or dropped for a reason.

    >>> counts = Counts("files")
    >>> counts.keep(2)
    >>> counts.drop("empty")
    >>> counts.stage()
    Stage(name='files', entered=3, kept=2, dropped={'empty': 1})
    """

    def __init__(self, name: str) -> None:
        self.name, self.kept, self.dropped = name, 0, {}  # type: str, int, dict[str, int]

    def keep(self, number: int = 1) -> None:
        """Counts items that were kept."""
        self.kept += number

    def drop(self, reason: str, number: int = 1) -> None:
        """Counts items that were dropped for this reason."""
        self.dropped[reason] = self.dropped.get(reason, 0) + number

    def stage(self) -> Stage:
        """The counts as a record, reasons sorted by name."""
        entered = self.kept + sum(self.dropped.values())
        return Stage(name=self.name, entered=entered, kept=self.kept, dropped=dict(sorted(self.dropped.items())))


def count_outcome(counts: Mapping[str, Counts], stage: str, reason: str) -> None:
    """Counts an item as kept by the stages before `stage` and dropped there; an empty `stage`: kept by all."""
    for name, count in counts.items():
        if name == stage:
            count.drop(reason)
            return
        count.keep()


def write_result(out: Path, outcomes: Iterable[Document]) -> tuple[int, int]:
    """Writes a stage's documents in order, kept and dropped ones to separate files.

    Returns the number of kept documents and their tokens. Memory holds at most two files of each kind.
    """
    number = tokens = 0
    with DocumentFiles(out, "documents") as kept, DocumentFiles(out, "dropped") as dropped:
        for document in outcomes:
            if document.reason:
                dropped.add(document)
            else:
                kept.add(document)
                number, tokens = number + 1, tokens + document.tokens
    return number, tokens
