"""Push and pull between zoos: only missing bytes move, what was broken off goes on, rows come last.

A remote is a folder or an s3:// address laid out as a store, with one file beside the bytes for
each checkpoint: `entries/<name>/<version>-<digest>.json`, its record and all that belongs to it
(recipe, datasets, runs, scores). A folder that is somebody's PHIZOO_HOME is used as the zoo it is.
"""

import contextlib
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from zoo.admission import gate
from zoo.db import datasets, names
from zoo.db import gc as tidy
from zoo.db import scores as measured
from zoo.digest import digest, write_json
from zoo.errors import ZooError, unknown
from zoo.progress import progress
from zoo.records import Checkpoint, Dataset, File, ProtocolRecord, Record, Score, checked_name, manifest_digest
from zoo.registry import Registry, now, open_registry
from zoo.store.bucket import BucketStore, filesystem, told
from zoo.store.store import DiskStore, Store, checked_sha256

ENTRY_BYTES = 100_000_000
TELL_BYTES = 50_000_000


class Measured(Record, frozen=True):
    """One run with its scores; `results` is the file of its result lines, None if it was not kept."""

    header: dict[str, Any]
    protocol: ProtocolRecord
    scores: tuple[Score, ...]
    results: File | None


class Entry(Record, frozen=True):
    """A checkpoint with all that its zoo knows of it. What it says is checked before it is believed."""

    checkpoint: Checkpoint
    recipes: tuple[dict[str, Any], ...]
    datasets: tuple[Dataset, ...]
    runs: tuple[Measured, ...]
    aliases: tuple[str, ...]


class Remote(Protocol):
    """Another zoo."""

    store: Store

    def entry(self, spec: str) -> Entry:
        """The entry of a name (newest version), name:version, name@alias or digest prefix."""

    def labels(self) -> list[str]:
        """`name:version` of all that is there."""

    def send(self, entry: Entry, source: Store) -> tuple[int, int]:
        """Puts a checkpoint there; gives back how many files moved and their bytes."""


class Moved(Record, frozen=True):
    """What a push or pull did."""

    label: str
    digest: str
    files: int
    bytes: int


def entry_of(registry: Registry, spec: str) -> Entry:
    """All that a zoo knows of one checkpoint."""
    found = registry.get(spec)
    datasets = _datasets(registry, found)
    wanted = [found.recipe_digest, *(dataset.recipe_digest for dataset in datasets)]
    recipes = []
    for recipe_digest in sorted({one for one in wanted if one}):
        with contextlib.suppress(ZooError):
            recipes.append(registry.recipe(recipe_digest))
    aliases = [alias for alias, version in registry.aliases(found.name).items() if version == found.version]
    return Entry(
        checkpoint=found,
        recipes=tuple(recipes),
        datasets=tuple(datasets),
        runs=tuple(_runs(registry, found)),
        aliases=tuple(aliases),
    )


def _datasets(registry: Registry, found: Checkpoint) -> list[Dataset]:
    """The datasets of a checkpoint and what those were made from, as far as this zoo knows."""
    waiting = [trained.digest for trained in found.datasets]
    held: dict[str, Dataset] = {}
    while waiting:
        one = waiting.pop()
        if one not in held:
            with contextlib.suppress(ZooError):
                held[one] = registry.dataset(one)
                waiting += held[one].parents
    return list(held.values())


def _runs(registry: Registry, found: Checkpoint) -> Iterator[Measured]:
    protocols = registry.protocols()
    scores = registry.scores(found.digest)
    rows = registry.database.rows("SELECT id, results FROM runs WHERE checkpoint = :d ORDER BY id", d=found.digest)
    for run_id, results in rows:
        own = tuple(score for score in scores if score.run == run_id)
        if not own:
            continue
        size = registry.store.has(results) if results else None
        file = File(path="results", sha256=results, bytes=size) if size is not None else None
        yield Measured(header=registry.run(run_id), protocol=protocols[own[0].protocol], scores=own, results=file)


def checked(entry: Entry) -> Entry:
    """The entry, if what it says of itself holds: names, paths, digests. Raises ZooError otherwise."""
    found = entry.checkpoint
    checked_name(found.name)
    for file in (*found.files, *(run.results for run in entry.runs if run.results)):
        checked_sha256(file.sha256)
        gate.check_path(file.path)
    for alias in entry.aliases:
        checked_name(alias)
    for dataset in entry.datasets:
        checked_name(dataset.name)
    if manifest_digest(found.files) != found.digest:
        raise ZooError(
            f"{found.label}: its digest is not that of its files; the other zoo is damaged, verify it there."
        )
    return entry


def fetch(registry: Registry, entry: Entry, source: Store) -> Moved:
    """Takes a checkpoint into this zoo: missing bytes, then a look at them, then its rows.

    Raises ZooError when something in it may not enter; whole files stay for the next try until gc
    """
    found = checked(entry).checkpoint
    store, database = registry.store, registry.database
    files = list({f.sha256: f for f in (*found.files, *(r.results for r in entry.runs if r.results))}.values())
    with store.incoming() as staging, tidy.pinned(database, staging.name, [f.sha256 for f in files], now()):
        missing = [file for file in files if store.has(file.sha256) != file.bytes]
        moved = sum(file.bytes for file in missing)
        with _bar(f"pulling {found.label}", moved) as advance:
            for file in missing:
                keep_fetched(store, source, file)
                advance(file.bytes)
        held = gate.inspect_folder(_staged_tree(store, staging, found.files), linked=True)
        known = msgspec.structs.replace(found, architecture=held.config, parameters=held.parameters)
        for dataset in entry.datasets:
            datasets.add(database, dataset, now())
        recipe = next((one for one in entry.recipes if digest(one) == found.recipe_digest), None)
        added = registry.enter(known, recipe)
        for alias in entry.aliases:
            if alias not in registry.aliases(added.name):
                registry.alias(added.name, alias, added.version)
        for run in entry.runs:
            _enter_run(registry, run)
    return Moved(label=added.label, digest=added.digest, files=len(missing), bytes=moved)


def _enter_run(registry: Registry, run: Measured) -> None:
    """Keeps a pulled run, unless this zoo has it: what was measured here is not overwritten."""
    if registry.database.rows("SELECT id FROM runs WHERE id = :id", id=str(run.header["id"])):
        return
    with registry.database.write():
        sha256 = run.results.sha256 if run.results else ""
        measured.write_run(registry.database, run.header, run.protocol, run.scores, sha256, now())


def _staged_tree(store: Store, staging: Path, files: Sequence[File]) -> Path:
    """The files of a checkpoint as a folder, to be looked at before its row is written."""
    for file in files:
        place = staging / "tree" / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        held = store.object(file.sha256)
        try:
            place.hardlink_to(held)
        except OSError:
            store.fetch(file, place)
    return staging / "tree"


def keep_fetched(store: Store, source: Store, file: File) -> None:
    """Copies one object from a store to another, checked on the way; goes on where a kill left it."""
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
    if total < TELL_BYTES:
        yield lambda _done: None
        return
    with progress(label, total, "bytes") as bar:
        yield bar.advance


class ZooRemote:
    """Somebody's PHIZOO_HOME: a whole zoo with a database of its own."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.store = registry, registry.store

    def entry(self, spec: str) -> Entry:
        return entry_of(self.registry, spec)

    def labels(self) -> list[str]:
        return [found.label for found in self.registry.list(all_versions=True)]

    def send(self, entry: Entry, source: Store) -> tuple[int, int]:
        moved = fetch(self.registry, entry, source)
        return moved.files, moved.bytes


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
        return checked(self._read(self._chosen(spec, places)))

    def _places(self) -> list[tuple[str, int, str, str]]:
        """(name, version, digest, path) of every entry, oldest version first."""
        with told(self.url):
            try:
                paths = self.fs.find(f"{self.root}/entries")
            except FileNotFoundError:
                return []
        found = []
        for path in paths:
            version, _, rest = posixpath.basename(path).partition("-")
            name = posixpath.basename(posixpath.dirname(path))
            if version.isdecimal() and names.FULL.fullmatch(rest.removesuffix(".json")):
                found.append((name, int(version), rest.removesuffix(".json"), path))
        return sorted(found)

    def _chosen(self, spec: str, places: list[tuple[str, int, str, str]]) -> str:
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
        with told(self.url):
            if self.fs.info(path)["size"] > ENTRY_BYTES:
                raise ZooError(f"{path}: is larger than an entry can be.")
            text = self.fs.cat_file(path)
        try:
            return msgspec.json.decode(text, type=Entry)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ZooError(f"{path}: is not an entry that this phizoo can read ({error}); push it again.") from error

    def labels(self) -> list[str]:
        return [f"{name}:{version}" for name, version, _, _ in self._places()]

    def send(self, entry: Entry, source: Store) -> tuple[int, int]:
        found = entry.checkpoint
        wanted = {f.sha256: f for f in (*found.files, *(run.results for run in entry.runs if run.results))}
        missing = [file for file in wanted.values() if self.store.has(file.sha256) != file.bytes]
        total = sum(file.bytes for file in missing)
        with _bar(f"pushing {found.label}", total) as advance:
            for file in missing:
                self._send_file(file, source)
                advance(file.bytes)
        path = f"{self.root}/entries/{found.name}/{found.version}-{found.digest}.json"
        if isinstance(self.store, BucketStore):
            with told(self.url):
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
def open_remote(url: str) -> Iterator[Remote]:
    """The zoo at an address: a folder, somebody's PHIZOO_HOME, or s3://bucket/folder."""
    if "://" in url and not url.startswith("file://"):
        yield ExchangeRemote(url, BucketStore(url))
        return
    folder = Path(url.removeprefix("file://")).expanduser().absolute()
    if (folder / "zoo.db").exists():
        with open_registry(f"sqlite:///{folder / 'zoo.db'}", str(folder / "store")) as registry:
            yield ZooRemote(registry)
        return
    yield ExchangeRemote(url, DiskStore(folder))


def push(registry: Registry, spec: str, url: str) -> Moved:
    """Sends a checkpoint to another zoo; what is there already is not sent again."""
    entry = entry_of(registry, spec)
    with open_remote(url) as remote:
        files, size = remote.send(entry, registry.store)
    return Moved(label=entry.checkpoint.label, digest=entry.checkpoint.digest, files=files, bytes=size)


def pull(registry: Registry, spec: str, url: str) -> Moved:
    """Fetches a checkpoint from another zoo; what is here already is not fetched again."""
    with open_remote(url) as remote:
        return fetch(registry, remote.entry(spec), remote.store)
