"""Pushes and pulls checkpoints between zoos: only missing bytes are sent, transfers resume, rows come last.

A remote is a folder or an s3:// address that holds objects and entries (`zoo.exchange.exchange`), or a PHIZOO_HOME,
which is opened as the zoo that it is.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from zoo.address import refuse_secrets
from zoo.admission import gate
from zoo.admission.describe import now
from zoo.admission.records import Entry, RunEntry, check_entry, entry_files, recorded_address
from zoo.admission.tokenizer import check_tokenizer
from zoo.db import datasets, identity
from zoo.db.database import UNTOUCHED, DatabaseError, sqlite_file
from zoo.db.pins import enter_pinned
from zoo.db.rows import insert_scores, keep_protocol, write_run
from zoo.db.searches import search_of_header
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.exchange.exchange import ExchangeRemote, Removed, keep_fetched
from zoo.exchange.name_file import Sender, make_sender, split_owner
from zoo.progress import transfer_bar
from zoo.records import Checkpoint, Dataset, File, Record, Score
from zoo.registry import Registry, open_registry
from zoo.settings import sqlite_url
from zoo.shape import read_shape
from zoo.store.bucket import BucketStore
from zoo.store.disk import DiskStore
from zoo.store.filesystem import check_address
from zoo.store.store import Store

BY_WAY = " by way of "


class RemoteZoo(Protocol):
    """Another zoo, to push to or pull from."""

    store: Store
    origin: str  # its address, without secrets

    def entry(self, spec: str) -> Entry:
        """The entry of a name (newest version), name:version, name@alias or digest prefix."""

    def labels(self) -> list[str]:
        """`name:version` of all its checkpoints."""

    def remove(self, spec: str, zoo: str, forced: bool = False) -> Removed:
        """Removes a checkpoint that was pushed there."""

    def send(self, entry: Entry, source: Store, sender: Sender, owner: str = "") -> tuple[int, int]:
        """Stores a checkpoint there; returns how many files were sent and their total size."""


class Transfer(Record, frozen=True):
    """The result of a push or pull; notes: what the user should know about it."""

    label: str
    digest: str
    files: int
    bytes: int
    notes: tuple[str, ...] = ()


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
            with transfer_bar(f"pulling {received.label}", sum(file.bytes for file in missing)) as advance:
                for file in missing:
                    keep_fetched(store, source, file, advance)
            inspected[:] = [_inspected(received, _staged_tree(store, staging, received.files))]

        def enter() -> tuple[Checkpoint, tuple[str, ...]]:
            return _enter_records(registry, entry, inspected[0], origin, spec.partition("@")[2])

        added, notes = enter_pinned(database, staging.name, [file.sha256 for file in files], receive, enter)
    size = sum(moved.values())
    return Transfer(label=added.label, digest=added.digest, files=len(moved), bytes=size, notes=notes)


def _inspected(received: Checkpoint, tree: Path) -> Checkpoint:
    """A received record with what its own files say in place of what another zoo claims."""
    inspected = gate.inspect_folder(tree, linked=True)
    check_tokenizer(tree, inspected.config)
    return msgspec.structs.replace(
        received, architecture=inspected.config, parameters=inspected.parameters,
        quantisation=inspected.quantisation, chat_template=inspected.chat_template,
        context_tokens=read_shape(inspected.config).context_tokens,
    )  # fmt: skip


def _enter_records(
    registry: Registry, entry: Entry, checkpoint: Checkpoint, origin: str, asked: str
) -> tuple[Checkpoint, tuple[str, ...]]:
    """Writes the rows of an entry whose bytes are here: all of them, or none. asked: the alias asked for, or ""."""
    database = registry.database
    recipe = next((recipe for recipe in entry.recipes if digest(recipe) == checkpoint.recipe_digest), None)
    with database.write():
        for dataset in entry.datasets:
            datasets.add(database, dataset, now())
        added = registry.enter(checkpoint, recipe)
        notes = tuple(filter(None, (_keep_alias(registry, added, alias, asked) for alias in entry.aliases)))
        for search in entry.searches:
            registry.add_search(search)
        before = {str(row[0]): str(row[1]) for row in database.rows("SELECT id, checkpoint FROM runs")}
        for run in entry.runs:
            _enter_run(registry, run, before.get(str(run.header["id"])), origin)
    return added, notes


def _keep_alias(registry: Registry, added: Checkpoint, alias: str, asked: str) -> str:
    """Takes over an alias that is new here, or that was asked for by name. Returns what to tell, "" for nothing."""
    current = registry.aliases(added.name).get(alias, 0)
    if current in (0, added.version) or alias == asked:
        registry.alias(added.name, alias, added.version)
        return f"{added.name}@{alias} was at version {current} here" if current not in (0, added.version) else ""
    return (
        f"{added.name}@{alias} is at version {added.version} there and stays at {current} here; "
        f"to move it: phizoo models alias {added.label} {alias}"
    )


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

    def send(self, entry: Entry, source: Store, sender: Sender, owner: str = "") -> tuple[int, int]:
        if owner:
            raise ZooError(f"{self.origin}: is a zoo with names of its own; push without {owner}/ before the name.")
        transfer = fetch(self.registry, entry, source, entry.checkpoint.label, sender.address)
        return transfer.files, transfer.bytes

    def remove(self, spec: str, zoo: str, forced: bool = False) -> Removed:
        raise ZooError(f"{self.origin}: is a zoo; remove it there: PHIZOO_HOME=FOLDER phizoo models remove {spec}")


@contextlib.contextmanager
def open_remote(url: str, readonly: bool = True) -> Iterator[RemoteZoo]:
    """The zoo at an address: a folder, a PHIZOO_HOME, or s3://bucket/folder.

    readonly  to pull: nothing there is written or migrated
    """
    refuse_secrets(check_address(url), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, instead.")
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
    """Sends a checkpoint to another zoo, except the files that it has already. spec: may be OWNER/NAME."""
    owner, spec = split_owner(spec)
    entry = make_entry(registry, spec)
    sender = make_sender(registry.database, zoo_address(registry), entry.checkpoint.name)
    with open_remote(url, readonly=False) as remote:
        if remote.store.url.rstrip("/") == registry.store.url.rstrip("/"):
            raise ZooError(f"{remote.origin}: is this zoo's own store; push to another address.")
        files, size = remote.send(entry, registry.store, sender, owner)
    return Transfer(label=entry.checkpoint.label, digest=entry.checkpoint.digest, files=files, bytes=size)


def pull(registry: Registry, spec: str, url: str) -> Transfer:
    """Fetches a checkpoint from another zoo, except the files that are here already. spec: may be OWNER/NAME."""
    with open_remote(url) as remote:
        return fetch(registry, remote.entry(spec), remote.store, split_owner(spec)[1], remote.origin)


def unpush(registry: Registry, spec: str, url: str, forced: bool = False) -> Removed:
    """Removes a checkpoint from a folder or bucket that it was pushed to; see `ExchangeRemote.remove`."""
    with open_remote(url, readonly=False) as remote:
        return remote.remove(spec, identity.read(registry.database).id, forced)
