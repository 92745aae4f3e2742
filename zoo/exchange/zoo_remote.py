"""Pushes and pulls checkpoints between zoos: only missing bytes are sent, transfers resume, rows come last.

A remote is a folder or an s3:// address with the layout of a store, and one file beside the bytes for
each checkpoint: `entries/<name>/<version>-<digest>.json`, which holds its record, recipe, datasets, runs
and scores. A folder that is a PHIZOO_HOME is opened as a zoo.
"""

import contextlib
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from zoo.address import refuse_secrets
from zoo.admission import gate
from zoo.admission.describe import now
from zoo.admission.records import Entry, RunEntry, check_entry, decode_entry, entry_files, recorded_address
from zoo.admission.tokenizer import check_tokenizer
from zoo.db import datasets, names
from zoo.db.database import UNTOUCHED, DatabaseError, sqlite_file
from zoo.db.pins import enter_pinned
from zoo.db.rows import insert_scores, keep_protocol, write_run
from zoo.db.searches import search_of_header
from zoo.digest import digest, write_json
from zoo.errors import ZooError, unknown
from zoo.progress import progress
from zoo.records import NAME, Checkpoint, Dataset, File, Record, Score
from zoo.registry import Registry, open_registry
from zoo.settings import sqlite_url
from zoo.shape import read_shape
from zoo.store.bucket import BucketStore, filesystem, translate_faults
from zoo.store.disk import DiskStore
from zoo.store.store import Store

ENTRY_BYTES = 100_000_000
PROGRESS_BYTES = 50_000_000
BY_WAY = " by way of "


class RemoteZoo(Protocol):
    """Another zoo, to push to or pull from."""

    store: Store
    origin: str  # its address, without secrets

    def entry(self, spec: str) -> Entry:
        """The entry of a name (newest version), name:version, name@alias or digest prefix."""

    def labels(self) -> list[str]:
        """`name:version` of all its checkpoints."""

    def send(self, entry: Entry, source: Store, origin: str) -> tuple[int, int]:
        """Stores a checkpoint there; returns how many files were sent and their total size.

        origin  the address of the zoo that sends it
        """


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
            if fingerprint not in protocols:
                continue  # a column without its protocol means nothing in another zoo
            metric = tuple(score for score in own if score.protocol == fingerprint)
            yield RunEntry(header=registry.run(run_id), protocol=protocols[fingerprint], scores=metric, results=file)


def fetch(registry: Registry, entry: Entry, source: Store, spec: str, origin: str) -> Transfer:
    """Copies a checkpoint into this zoo: the missing bytes, then their inspection, then the rows, all or none.

    spec    what was asked for: the entry must be of it
    origin  the address that it comes from, without secrets
    Raises  ZooError if a record or file may not enter; complete files stay for the next attempt until gc
    """
    entry = check_entry(entry, spec)
    received = entry.checkpoint
    store, database = registry.store, registry.database
    files = list({file.sha256: file for file in entry_files(entry)}.values())
    moved: dict[str, int] = {}
    inspected: list[Checkpoint] = []
    with store.incoming() as staging:

        def receive() -> None:
            missing = [file for file in files if store.has(file.sha256) != file.bytes]
            moved.update((file.sha256, file.bytes) for file in missing)
            with _bar(f"pulling {received.label}", sum(file.bytes for file in missing)) as advance:
                for file in missing:
                    keep_fetched(store, source, file)
                    advance(file.bytes)
            inspected[:] = [_inspected(received, _staged_tree(store, staging, received.files))]

        def enter() -> Checkpoint:
            return _enter_records(registry, entry, inspected[0], origin)

        added = enter_pinned(database, staging.name, [file.sha256 for file in files], receive, enter)
    return Transfer(label=added.label, digest=added.digest, files=len(moved), bytes=sum(moved.values()))


def _inspected(received: Checkpoint, tree: Path) -> Checkpoint:
    """A received record with what its own files say in place of what another zoo claims."""
    inspected = gate.inspect_folder(tree, linked=True)
    check_tokenizer(tree, inspected.config)
    return msgspec.structs.replace(
        received, architecture=inspected.config, parameters=inspected.parameters,
        quantisation=inspected.quantisation, chat_template=inspected.chat_template,
        context_tokens=read_shape(inspected.config).context_tokens,
    )  # fmt: skip


def _enter_records(registry: Registry, entry: Entry, checkpoint: Checkpoint, origin: str) -> Checkpoint:
    """Writes the rows of an entry whose bytes are here: all of them, or none."""
    database = registry.database
    recipe = next((recipe for recipe in entry.recipes if digest(recipe) == checkpoint.recipe_digest), None)
    with database.write():
        for dataset in entry.datasets:
            datasets.add(database, dataset, now())
        added = registry.enter(checkpoint, recipe)
        for alias in entry.aliases:
            if alias not in registry.aliases(added.name):
                registry.alias(added.name, alias, added.version)
        for search in entry.searches:
            registry.add_search(search)
        before = {str(row[0]): str(row[1]) for row in database.rows("SELECT id, checkpoint FROM runs")}
        for run in entry.runs:
            _enter_run(registry, run, before.get(str(run.header["id"])), origin)
    return added


def _enter_run(registry: Registry, run: RunEntry, owner: str | None, origin: str) -> None:
    """Keeps a pulled run. Of one that was here before, nothing is overwritten; only scores that are new are added.

    Scores of its parts are not taken over: they are made here, from the searches and the result lines.

    owner   the digest of the checkpoint whose run of this id was here before; None if there was none
    origin  the address that it comes from: every score says that it was not measured here
    """
    run_id = str(run.header["id"])
    if owner not in (None, run.header["checkpoint"]):
        raise ZooError(f"the run {run_id[:12]} is of another checkpoint here; the other zoo's records cannot enter.")
    if search := search_of_header(run.header):
        registry.add_search(search)
    scores = [
        msgspec.structs.replace(score, measured_at=_measured_at(score, origin))
        for score in run.scores
        if score.subset == "all"
    ]
    if owner is None:
        sha256 = run.results.sha256 if run.results else ""
        write_run(registry.database, run.header, run.protocol, scores, sha256, now())
        return
    known = registry.database.rows(
        "SELECT id FROM scores WHERE run = :run AND protocol = :protocol", run=run_id, protocol=run.protocol.fingerprint
    )
    new = [score for score in scores if score.seeds > 1 or not known]
    keep_protocol(registry.database, run.protocol)
    insert_scores(registry.database, registry.run(run_id), run.protocol, new, now())


def _measured_at(score: Score, origin: str) -> str:
    """Where a pulled score was measured, as far as the other zoo says."""
    if not score.measured_at or score.measured_at == origin:
        return origin
    return f"{score.measured_at.partition(BY_WAY)[0]}{BY_WAY}{origin}"


def _staged_tree(store: Store, staging: Path, files: Sequence[File]) -> Path:
    """The files of a checkpoint as a folder, for the inspection before its row is written."""
    for file in files:
        path = staging / "tree" / file.path
        if path.exists():
            continue  # of a first try, whose objects gc took
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
        self.origin = zoo_address(registry)

    def entry(self, spec: str) -> Entry:
        with self._readable():
            return check_entry(make_entry(self.registry, spec), spec)

    def labels(self) -> list[str]:
        with self._readable():
            return [checkpoint.label for checkpoint in self.registry.list(all_versions=True)]

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Turns what cannot be parsed in the other zoo's rows into a ZooError: they are not ours."""
        try:
            yield
        except (msgspec.MsgspecError, DatabaseError, TypeError, ValueError, AttributeError, KeyError) as error:
            reason = str(error)[:200] or type(error).__name__
            raise ZooError(f"{self.origin}: its records cannot be read ({reason}); see there: phizoo doctor") from error

    def send(self, entry: Entry, source: Store, origin: str) -> tuple[int, int]:
        transfer = fetch(self.registry, entry, source, entry.checkpoint.label, origin)
        return transfer.files, transfer.bytes


class Place(NamedTuple):
    """Where an entry lies, and what its path says that it is."""

    name: str
    version: int
    digest: str
    path: str


class ExchangeRemote:
    """A folder or bucket of objects and entries."""

    def __init__(self, url: str, store: Store) -> None:
        self.url, self.store, self.origin = url, store, recorded_address(url)
        if isinstance(store, BucketStore):
            self.fs, self.root = store.fs, store.root
        else:
            self.fs, self.root = filesystem(f"file://{Path(store.url).absolute()}")

    def entry(self, spec: str) -> Entry:
        places = self._places()
        if not places:
            raise ZooError(f"{self.url}: no checkpoint is there. Send one: phizoo models push NAME {self.url}")
        return check_entry(self._read(self._choose(spec, places)), spec)

    def _places(self) -> list[Place]:
        """Every entry, oldest version first."""
        with translate_faults(self.url):
            try:
                paths = self.fs.find(f"{self.root}/entries")
            except FileNotFoundError:
                return []
        places = []
        for path in paths:
            version, _, rest = posixpath.basename(path).partition("-")
            name, digest_ = posixpath.basename(posixpath.dirname(path)), rest.removesuffix(".json")
            if names.number(version) > 0 and names.FULL.fullmatch(digest_) and NAME.fullmatch(name):
                places.append(Place(name, names.number(version), digest_, path))
        return sorted(places)

    def _choose(self, spec: str, places: list[Place]) -> Place:
        """The entry that a spec means. A digest wins over a name that looks like one."""
        own = [place for place in places if names.PREFIX.fullmatch(spec) and place.digest.startswith(spec)]
        if len({place.digest for place in own}) > 1:
            raise ZooError(f"{spec} begins several digests there. All: phizoo models pull --list {self.origin}")
        if not own:
            name, at, alias = spec.partition("@")
            name, colon, version = name.partition(":")
            own = [p for p in places if p.name == name and (not colon or p.version == names.number(version))]
            own = [place for place in own if alias in self._read(place).aliases] if at else own
        if not own:
            listing = f"phizoo models pull --list {self.origin}"
            raise unknown("checkpoint", spec, sorted({place.name for place in places}), listing)
        return own[-1]

    def _read(self, place: Place) -> Entry:
        """The entry of a place; its name, version and digest must be those of its path."""
        with translate_faults(self.origin):
            if self.fs.info(place.path)["size"] > ENTRY_BYTES:
                raise ZooError(f"{place.path}: is too large for an entry.")
            text = self.fs.cat_file(place.path)
        entry = decode_entry(text, place.path)
        checkpoint = entry.checkpoint
        if (checkpoint.name, checkpoint.version, checkpoint.digest) != place[:3]:
            claimed = f"{checkpoint.name!r:.100} version {checkpoint.version}, {checkpoint.digest[:12]!r}"
            raise ZooError(f"{place.path}: its record is of {claimed}; push it again.")
        return entry

    def labels(self) -> list[str]:
        return [f"{place.name}:{place.version}" for place in self._places()]

    def send(self, entry: Entry, source: Store, origin: str) -> tuple[int, int]:
        checkpoint = entry.checkpoint
        files = {file.sha256: file for file in entry_files(entry)}.values()
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
def open_remote(url: str, readonly: bool = True) -> Iterator[RemoteZoo]:
    """The zoo at an address: a folder, a PHIZOO_HOME, or s3://bucket/folder.

    readonly  to pull: nothing there is written or migrated
    """
    refuse_secrets(url, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, instead.")
    if "://" in url and not url.startswith("file://"):
        yield ExchangeRemote(url, BucketStore(url))
        return
    folder = Path(url.removeprefix("file://")).expanduser().absolute()
    if (folder / "zoo.db").exists():
        database = sqlite_url(folder / "zoo.db") + (UNTOUCHED if readonly else "")
        with open_registry(database, str(folder / "store"), readonly) as registry:
            yield ZooRemote(registry)
        return
    yield ExchangeRemote(url, DiskStore(folder))


def zoo_address(registry: Registry) -> str:
    """The address of an open zoo: the folder of its database, or its URL without secrets."""
    file = sqlite_file(registry.database.url)
    return recorded_address(str(file.absolute().parent) if file else registry.database.url)


def push(registry: Registry, spec: str, url: str) -> Transfer:
    """Sends a checkpoint to another zoo, except the files that it has already."""
    entry = make_entry(registry, spec)
    with open_remote(url, readonly=False) as remote:
        if remote.store.url.rstrip("/") == registry.store.url.rstrip("/"):
            raise ZooError(f"{remote.origin}: is this zoo's own store; push to another address.")
        files, size = remote.send(entry, registry.store, zoo_address(registry))
    return Transfer(label=entry.checkpoint.label, digest=entry.checkpoint.digest, files=files, bytes=size)


def pull(registry: Registry, spec: str, url: str) -> Transfer:
    """Fetches a checkpoint from another zoo, except the files that are here already."""
    with open_remote(url) as remote:
        return fetch(registry, remote.entry(spec), remote.store, spec, remote.origin)
