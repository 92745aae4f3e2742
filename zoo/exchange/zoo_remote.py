"""Pushes and pulls checkpoints between zoos: only missing bytes are sent, transfers resume, rows come last.

A remote is a folder or an s3:// address with the layout of a store, and one file beside the bytes for
each checkpoint: `entries/<name>/<version>-<digest>.json`, which holds its record, recipe, datasets, runs
and scores. A folder that is a PHIZOO_HOME is opened as a zoo.
"""

import contextlib
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from zoo.address import refuse_secrets
from zoo.admission import gate
from zoo.db import datasets, names
from zoo.db.gc import pin
from zoo.db.rows import insert_scores, write_run
from zoo.db.searches import check_search, search_of_header
from zoo.digest import digest, write_json
from zoo.errors import ZooError, unknown
from zoo.jsonl import parse_json
from zoo.progress import progress
from zoo.records import Checkpoint, Dataset, File, ProtocolRecord, Record, Score, Search, manifest_digest, validate_name
from zoo.registry import Registry, now, open_registry
from zoo.settings import sqlite_url
from zoo.store.bucket import BucketStore, filesystem, translate_faults
from zoo.store.disk import DiskStore
from zoo.store.store import Store, validate_sha256

ENTRY_BYTES = 100_000_000
PROGRESS_BYTES = 50_000_000


class RunEntry(Record, frozen=True):
    """One run with its scores under one metric; `results` is the file of its result lines, None if it was not kept."""

    header: dict[str, Any]
    protocol: ProtocolRecord
    scores: tuple[Score, ...]
    results: File | None


class Entry(Record, frozen=True):
    """A checkpoint with everything that its zoo recorded about it. It is checked before it is trusted."""

    checkpoint: Checkpoint
    recipes: tuple[dict[str, Any], ...]
    datasets: tuple[Dataset, ...]
    runs: tuple[RunEntry, ...]
    aliases: tuple[str, ...]
    searches: tuple[Search, ...] = ()


class RemoteZoo(Protocol):
    """Another zoo, to push to or pull from."""

    store: Store

    def entry(self, spec: str) -> Entry:
        """The entry of a name (newest version), name:version, name@alias or digest prefix."""

    def labels(self) -> list[str]:
        """`name:version` of all its checkpoints."""

    def send(self, entry: Entry, source: Store) -> tuple[int, int]:
        """Stores a checkpoint there; returns how many files were sent and their total size."""


class Transfer(Record, frozen=True):
    """The result of a push or pull."""

    label: str
    digest: str
    files: int
    bytes: int


def make_entry(registry: Registry, spec: str) -> Entry:
    """The entry of one checkpoint: everything that this zoo recorded about it."""
    checkpoint = registry.get(spec)
    dataset_records = _datasets(registry, checkpoint)
    recipe_digests = {checkpoint.recipe_digest, *(dataset.recipe_digest for dataset in dataset_records)}
    recipes = []
    for recipe_digest in sorted(filter(None, recipe_digests)):
        with contextlib.suppress(ZooError):
            recipes.append(registry.recipe(recipe_digest))
    versions = registry.aliases(checkpoint.name)
    return Entry(
        checkpoint=checkpoint, recipes=tuple(recipes), datasets=tuple(dataset_records),
        runs=tuple(_runs(registry, checkpoint)),
        aliases=tuple(alias for alias, version in versions.items() if version == checkpoint.version),
        searches=tuple(registry.searches(checkpoint.digest)),
    )  # fmt: skip


def _datasets(registry: Registry, checkpoint: Checkpoint) -> list[Dataset]:
    """The datasets of a checkpoint and their ancestors, as far as this zoo has their records."""
    waiting = [trained.digest for trained in checkpoint.datasets]
    records: dict[str, Dataset] = {}
    while waiting:
        dataset_digest = waiting.pop()
        if dataset_digest not in records:
            with contextlib.suppress(ZooError):
                records[dataset_digest] = registry.dataset(dataset_digest)
                waiting += records[dataset_digest].parents
    return list(records.values())


def _runs(registry: Registry, checkpoint: Checkpoint) -> Iterator[RunEntry]:
    protocols = registry.protocols()
    scores = registry.scores(checkpoint.digest)
    rows = registry.database.rows(
        "SELECT id, results FROM runs WHERE checkpoint = :digest ORDER BY id", digest=checkpoint.digest
    )
    for run_id, results in rows:
        own = [score for score in scores if score.run == run_id]
        size = registry.store.has(results) if results else None
        file = File(path="results", sha256=results, bytes=size) if size is not None else None
        for fingerprint in dict.fromkeys(score.protocol for score in own):  # each metric has its protocol
            metric = tuple(score for score in own if score.protocol == fingerprint)
            yield RunEntry(header=registry.run(run_id), protocol=protocols[fingerprint], scores=metric, results=file)


def check_entry(entry: Entry) -> Entry:
    """The entry, if its names, paths and digests are valid. Raises ZooError otherwise."""
    checkpoint = entry.checkpoint
    validate_name(checkpoint.name)
    for file in _files(entry):
        validate_sha256(file.sha256)
        gate.check_path(file.path)
    for alias in entry.aliases:
        validate_name(alias)
    for dataset in entry.datasets:
        validate_name(dataset.name)
    for search in entry.searches:
        if check_search(search).checkpoint != checkpoint.digest:
            raise ZooError(f"{checkpoint.label}: its entry has a search of {search.checkpoint[:12]}; push it again.")
    if manifest_digest(checkpoint.files) != checkpoint.digest:
        raise ZooError(
            f"{checkpoint.label}: its digest does not match its files; the other zoo is damaged, verify it there."
        )
    return entry


def _files(entry: Entry) -> list[File]:
    """The files of the checkpoint and of its runs' results."""
    return [*entry.checkpoint.files, *(run.results for run in entry.runs if run.results)]


def fetch(registry: Registry, entry: Entry, source: Store) -> Transfer:
    """Copies a checkpoint into this zoo: the missing bytes, then their inspection, then the rows.

    Raises ZooError if a file may not enter; complete files stay for the next attempt until gc
    """
    received = check_entry(entry).checkpoint
    store, database = registry.store, registry.database
    files = list({file.sha256: file for file in _files(entry)}.values())
    with store.incoming() as staging, pin(database, staging.name, [file.sha256 for file in files], now()):
        missing = [file for file in files if store.has(file.sha256) != file.bytes]
        size = sum(file.bytes for file in missing)
        with _bar(f"pulling {received.label}", size) as advance:
            for file in missing:
                keep_fetched(store, source, file)
                advance(file.bytes)
        inspected = gate.inspect_folder(_staged_tree(store, staging, received.files), linked=True)
        checkpoint = msgspec.structs.replace(received, architecture=inspected.config, parameters=inspected.parameters)
        for dataset in entry.datasets:
            datasets.add(database, dataset, now())
        recipe = next((recipe for recipe in entry.recipes if digest(recipe) == received.recipe_digest), None)
        added = registry.enter(checkpoint, recipe)
        for alias in entry.aliases:
            if alias not in registry.aliases(added.name):
                registry.alias(added.name, alias, added.version)
        for search in entry.searches:
            registry.add_search(search)
        for run in entry.runs:
            _enter_run(registry, run)
    return Transfer(label=added.label, digest=added.digest, files=len(missing), bytes=size)


def _enter_run(registry: Registry, run: RunEntry) -> None:
    """Keeps a pulled run, unless this zoo has it: our own measurements are not overwritten.

    Of a run that is here, a score that combines it with those of other seeds is still taken. Scores of its parts are
    not taken over: they are made here, from the searches and the result lines.
    """
    if search := search_of_header(run.header):
        registry.add_search(search)
    key = {"run": str(run.header["id"]), "protocol": run.protocol.fingerprint}
    whole = [score for score in run.scores if score.subset == "all"]
    with registry.database.write():
        if registry.database.rows("SELECT id FROM scores WHERE run = :run AND protocol = :protocol", **key):
            combined = [score for score in whole if score.seeds > 1]
            insert_scores(registry.database, run.header, run.protocol, combined, now())
            return
        sha256 = run.results.sha256 if run.results else ""
        write_run(registry.database, run.header, run.protocol, whole, sha256, now())


def _staged_tree(store: Store, staging: Path, files: Sequence[File]) -> Path:
    """The files of a checkpoint as a folder, for the inspection before its row is written."""
    for file in files:
        path = staging / "tree" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = store.object(file.sha256)
        try:
            path.hardlink_to(stored)
        except OSError:
            store.fetch(file, path)
    return staging / "tree"


def keep_fetched(store: Store, source: Store, file: File) -> None:
    """Copies one object between stores and checks it; resumes a copy that was killed."""
    local = store if isinstance(store, DiskStore) else store.cache if isinstance(store, BucketStore) else None
    if local is None:
        raise TypeError(f"{type(store).__name__} has no local folder")
    source.fetch(file, local.partial(file.sha256))
    local.settle(file)
    if store is not local and local.has(file.sha256) == file.bytes:
        folder = local.object(file.sha256).parent
        store.publish(folder, [File(path=file.sha256, sha256=file.sha256, bytes=file.bytes)])


@contextlib.contextmanager
def _bar(label: str, total: int) -> Iterator[Any]:
    if total < PROGRESS_BYTES:
        yield lambda _done: None
        return
    with progress(label, total, "bytes") as bar:
        yield bar.advance


class ZooRemote:
    """A PHIZOO_HOME: a whole zoo with its own database."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.store = registry, registry.store

    def entry(self, spec: str) -> Entry:
        return make_entry(self.registry, spec)

    def labels(self) -> list[str]:
        return [checkpoint.label for checkpoint in self.registry.list(all_versions=True)]

    def send(self, entry: Entry, source: Store) -> tuple[int, int]:
        transfer = fetch(self.registry, entry, source)
        return transfer.files, transfer.bytes


class ExchangeRemote:
    """A folder or bucket of objects and entries."""

    def __init__(self, url: str, store: Store) -> None:
        self.url, self.store = url, store
        if isinstance(store, BucketStore):
            self.fs, self.root = store.fs, store.root
        else:
            self.fs, self.root = filesystem(f"file://{Path(store.url).absolute()}")

    def entry(self, spec: str) -> Entry:
        places = self._places()
        if not places:
            raise ZooError(f"{self.url}: no checkpoint is there. Send one: phizoo models push NAME {self.url}")
        return check_entry(self._read(self._choose(spec, places)))

    def _places(self) -> list[tuple[str, int, str, str]]:
        """(name, version, digest, path) of every entry, oldest version first."""
        with translate_faults(self.url):
            try:
                paths = self.fs.find(f"{self.root}/entries")
            except FileNotFoundError:
                return []
        places = []
        for path in paths:
            version, _, rest = posixpath.basename(path).partition("-")
            name = posixpath.basename(posixpath.dirname(path))
            if version.isdecimal() and names.FULL.fullmatch(rest.removesuffix(".json")):
                places.append((name, int(version), rest.removesuffix(".json"), path))
        return sorted(places)

    def _choose(self, spec: str, places: list[tuple[str, int, str, str]]) -> str:
        name, at, alias = spec.partition("@")
        name, _, version = name.partition(":")
        own = [place for place in places if place[0] == name and (not version or str(place[1]) == version)]
        if at:
            own = [place for place in own if alias in self._read(place[3]).aliases]
        if not own and names.PREFIX.fullmatch(spec):
            own = [place for place in places if place[2].startswith(spec)]
        if not own:
            raise unknown("checkpoint", spec, sorted({p[0] for p in places}), f"phizoo models pull --list {self.url}")
        return own[-1][3]

    def _read(self, path: str) -> Entry:
        with translate_faults(self.url):
            if self.fs.info(path)["size"] > ENTRY_BYTES:
                raise ZooError(f"{path}: is too large for an entry.")
            text = self.fs.cat_file(path)
        try:
            return msgspec.convert(parse_json(text), Entry, str_keys=True)
        except ValueError as error:
            raise ZooError(f"{path}: cannot be parsed as an entry ({error}); push it again.") from error

    def labels(self) -> list[str]:
        return [f"{name}:{version}" for name, version, _, _ in self._places()]

    def send(self, entry: Entry, source: Store) -> tuple[int, int]:
        checkpoint = entry.checkpoint
        files = {file.sha256: file for file in _files(entry)}.values()
        missing = [file for file in files if self.store.has(file.sha256) != file.bytes]
        total = sum(file.bytes for file in missing)
        with _bar(f"pushing {checkpoint.label}", total) as advance:
            for file in missing:
                self._send_file(file, source)
                advance(file.bytes)
        path = f"{self.root}/entries/{checkpoint.name}/{checkpoint.version}-{checkpoint.digest}.json"
        if isinstance(self.store, BucketStore):
            with translate_faults(self.url):
                self.fs.pipe_file(path, msgspec.json.encode(entry))
        else:
            write_json(Path(path), entry)
        return len(missing), total

    def _send_file(self, file: File, source: Store) -> None:
        if isinstance(self.store, BucketStore):
            self.store.upload(source.object(file.sha256), file.sha256)
        else:
            keep_fetched(self.store, source, file)


@contextlib.contextmanager
def open_remote(url: str) -> Iterator[RemoteZoo]:
    """The zoo at an address: a folder, a PHIZOO_HOME, or s3://bucket/folder."""
    refuse_secrets(url, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, instead.")
    if "://" in url and not url.startswith("file://"):
        yield ExchangeRemote(url, BucketStore(url))
        return
    folder = Path(url.removeprefix("file://")).expanduser().absolute()
    if (folder / "zoo.db").exists():
        with open_registry(sqlite_url(folder / "zoo.db"), str(folder / "store")) as registry:
            yield ZooRemote(registry)
        return
    yield ExchangeRemote(url, DiskStore(folder))


def push(registry: Registry, spec: str, url: str) -> Transfer:
    """Sends a checkpoint to another zoo, except the files that it has already."""
    entry = make_entry(registry, spec)
    with open_remote(url) as remote:
        files, size = remote.send(entry, registry.store)
    return Transfer(label=entry.checkpoint.label, digest=entry.checkpoint.digest, files=files, bytes=size)


def pull(registry: Registry, spec: str, url: str) -> Transfer:
    """Fetches a checkpoint from another zoo, except the files that are here already."""
    with open_remote(url) as remote:
        return fetch(registry, remote.entry(spec), remote.store)
