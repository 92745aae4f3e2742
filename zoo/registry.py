"""The API of the zoo: add, get, find, alias, scores, verify.

A Registry is a database of records and a store of bytes. A checkpoint's row is written last, once
all its bytes are in the store and durable, so every checkpoint that can be found is complete. Nothing
here runs, unpickles or loads a model.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from zoo import ownership, settings
from zoo.address import shown
from zoo.admission.describe import describe_checkpoint, now
from zoo.cli import output
from zoo.db import audit, checkpoints, datasets, edits, gc, names, query, rows, searches
from zoo.db.checkpoints import AliasMove
from zoo.db.database import Database, where_equal
from zoo.db.gc import Collected, Garbage
from zoo.db.open import open_database
from zoo.db.pins import enter_pinned
from zoo.db.rows import Newest, Tasks
from zoo.db.stored import PLAIN
from zoo.errors import ZooError
from zoo.records import (
    About,
    Checkpoint,
    Dataset,
    File,
    ProtocolRecord,
    Score,
    Search,
    Split,
)
from zoo.store.damage import find_problems
from zoo.store.open import open_store
from zoo.store.store import Store, copy_hashed

LISTING = "phizoo models list"
Lines = list[str]  # inside the class, `list` is the registry's own


@contextmanager
def open_registry(db: str | None = None, store: str | None = None, readonly: bool = False) -> Iterator["Registry"]:
    """The registry at a database URL and a store (default: from the environment), closed at the end.

    readonly  needs no write permission, creates nothing, migrates nothing; otherwise the right to write is checked
              here, before any long work whose end is a write
    Raises    ZooError if either cannot be opened, or only one of a shared pair is set
    """
    if db is None and store is None:
        settings.check_pair()
    database = open_database(db or settings.database_url(), readonly)
    if db is None and store is None:
        output.state_zoo(settings.chosen_zoo())
    try:
        yield Registry(database, open_store(store or settings.store_url()))
    finally:
        database.close()


def check_writable() -> None:
    """Raises ZooError if this user may not write to the zoo: call it before long work whose end is a write."""
    with open_registry():
        pass


class Registry:
    """An open zoo, created by `open_registry`."""

    def __init__(self, database: Database, store: Store) -> None:
        self.database, self.unchecked_store, self._is_checked = database, store, False

    @property
    def store(self) -> Store:
        """The store, once it is known to belong to the database. Raises ZooError in one line if it does not."""
        if not self._is_checked:
            ownership.check(self.database, self.unchecked_store, writing=not self.database.readonly)
            self._is_checked = True
        return self.unchecked_store

    # -- checkpoints ------------------------------------------------------------------------------

    def add(
        self,
        source: str | Path,
        name: str,
        about: About = About(),  # noqa: B008
        link: bool = False,
    ) -> Checkpoint:
        """Adds a folder as the next version of a name; the same bytes under the same name return the existing one.

        source  a folder, or an fsspec URL of one, with config.json and *.safetensors; or a GGUF file
        link    hand the folder over: its files become the store's, read-only, without a copy
        Raises  ZooError if a file may not enter; OSError if the disk is full; nothing is left behind
        """
        from zoo.admission import ingest  # a lookup does not need it, and it takes a third of the import

        def fill(tree: Path) -> tuple[tuple[File, ...] | None, About]:
            copied = ingest.copy_source(source, tree, self.store.trees, link)
            notes = " ".join(part for part in (about.notes, copied.note()) if part)
            # an address may be recorded, a password may not
            origin = shown(str(source)) if "://" in str(source) else ""
            return copied.files, msgspec.structs.replace(about, notes=notes, source=about.source or origin)

        return self._add(name, fill, link)

    def make(self, name: str, write: Callable[[Path], About]) -> Checkpoint:
        """Adds the checkpoint that `write` writes into an empty folder on the store's own disk.

        Its bytes are moved in, never copied: a model that fills half a disk can be made on it.
        Raises  what `write` raises, and ZooError if a file may not enter; nothing is left behind
        """

        def fill(tree: Path) -> tuple[tuple[File, ...] | None, About]:
            tree.mkdir()
            return None, write(tree)

        return self._add(name, fill)

    def _add(
        self, name: str, fill: Callable[[Path], tuple[tuple[File, ...] | None, About]], linked: bool = False
    ) -> Checkpoint:
        """Adds the folder that `fill` writes; it returns the files with their digests, or None to hash them here."""
        from zoo.admission import gate, ingest
        from zoo.admission.tokenizer import check_tokenizer

        if not self.database.rows("SELECT name FROM counters WHERE name = :name", name=name):
            names.check_new(name)
        self.database.check_writable()  # before anything is copied
        with self.store.incoming() as staging:
            tree = staging / "tree"
            files, about = fill(tree)
            inspected = gate.inspect_folder(tree, linked)  # the copy, since the source may have changed meanwhile
            check_tokenizer(tree, inspected.config)
            files = files or ingest.hash_files(tree, inspected.paths)
            checkpoint = describe_checkpoint(name, files, inspected, about)
            if about.once and (same := checkpoints.find_same(self.database, checkpoint)):
                return same
            return enter_pinned(
                self.database, staging.name, [file.sha256 for file in files],
                lambda: self.store.publish(tree, files), lambda: self.enter(checkpoint, about.recipe),
            )  # fmt: skip

    def enter(self, checkpoint: Checkpoint, recipe: dict[str, Any] | None = None) -> Checkpoint:
        """Writes the row of a checkpoint whose bytes are in the store, as the next version of its name."""
        return edits.enter(self.database, checkpoint, recipe)

    def get(self, spec: str) -> Checkpoint:
        """The checkpoint of a name (its newest version), `name:3`, `name@alias` or a digest prefix.

        Raises ZooError with the nearest known name if there is none.
        """
        return checkpoints.get_checkpoint(self.database, spec)

    def path(self, spec: str | Checkpoint) -> Path:
        """A local folder with exactly the checkpoint's files, ready for `from_pretrained`."""
        checkpoint = self.get(spec) if isinstance(spec, str) else spec
        store = ownership.within_reach(lambda: self.store, self.unchecked_store, checkpoint.files)
        return store.tree(checkpoint.digest, checkpoint.files)

    def list(self, name: str | None = None, all_versions: bool = False) -> list[Checkpoint]:
        """All checkpoints by name, only the newest version of each unless all are requested."""
        return list(checkpoints.list_checkpoints(self.database, name, all_versions))

    def find(
        self, where: str | Sequence[str] = (), limit: int | None = None, order: str = "name", **filters: Any
    ) -> Sequence[Checkpoint]:
        """All versions that satisfy every condition and filter, by name and version or in another order.

        where    conditions such as "humaneval.low > 0.4 and parameters < 3e9", see `zoo.db.condition`
        filters  name, family, licence, tag, parent, dataset, prompt_style, min_parameters, max_parameters
        order    name, newest, parameters, or a score such as humaneval.low, the highest first
        """
        conditions = [where] if isinstance(where, str) else where
        if order == "name":
            return list(query.find(self.database, conditions, filters, limit))
        return query.in_order(self.database, list(query.find(self.database, conditions, filters)), order)[:limit]

    def alias(self, name: str, alias: str, version: int, expect: int | None = None) -> None:
        """Points `name@alias` at a version, atomically.

        expect  the version that it must point at now (0: it must not exist); None moves it in any case
        Raises  ZooError if the version is unknown, or `expect` does not hold
        """
        edits.set_alias(self.database, name, alias, version, expect)

    def unalias(self, name: str, alias: str) -> None:
        """Removes an alias. Raises ZooError if there is none."""
        edits.remove_alias(self.database, name, alias)

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of a name and the version that each points at."""
        return checkpoints.list_aliases(self.database, name)

    def alias_history(self, name: str) -> Sequence[AliasMove]:
        """Every move of a name's aliases, oldest first."""
        return checkpoints.alias_history(self.database, name)

    def author(self, checkpoint: Checkpoint) -> audit.Author:
        """Who added a checkpoint; nobody for one of an older version."""
        key = {"name": checkpoint.name, "version": checkpoint.version}
        return audit.author_of(self.database, "checkpoints", **key) or audit.NOBODY

    def run_author(self, run_id: str) -> audit.Author | None:
        """Who published a run, by its whole id; None if it is not here."""
        return audit.author_of(self.database, "runs", id=run_id)

    def audit(self, limit: int) -> Sequence[audit.AuditEntry]:
        """Who wrote what: at most `limit` writes, the newest first."""
        return audit.read_audit(self.database, limit)

    def tag(self, spec: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Checkpoint:
        """The checkpoint with tags added and removed."""
        return edits.set_tags(self.database, spec, add, remove)

    def note(self, spec: str, text: str) -> Checkpoint:
        """The checkpoint with its note replaced."""
        return edits.set_note(self.database, spec, text)

    def rename(self, old: str, new: str) -> None:
        """Gives all versions and aliases of a name another name."""
        gc.rename(self.database, old, new)

    def remove(self, spec: str, with_scores: bool = False) -> Checkpoint:
        """Removes one version, unless something refers to it; see `zoo.db.gc`."""
        return gc.remove(self.database, spec, with_scores)

    def gc(
        self, dry: bool = False, most: float = gc.MOST_SHARE, grace: float = gc.GRACE_SECONDS,
        tell: Callable[[Garbage], None] = lambda _garbage: None,
    ) -> Collected:  # fmt: skip
        """Deletes the bytes that nothing refers to, as `phizoo models gc` does; see `zoo.db.gc.collect`."""
        return gc.collect(self.database, self.store, dry, most, grace, tell)

    def verify(self, spec: str | None = None, repair: bool = False) -> Lines:
        """The faults in the stored bytes of one checkpoint or all, one line each; none if they are whole.

        repair  also removes damaged files from the store, so that adding or pulling restores them
        """
        chosen = [self.get(spec)] if spec is not None else self.list(all_versions=True)
        return find_problems(self.store, chosen, repair)

    # -- datasets and recipes ---------------------------------------------------------------------

    def add_dataset(self, dataset: Dataset, newest: bool = False) -> Dataset:
        """Keeps a dataset's record under its name; an existing record is not changed.

        newest  also make it the current dataset of its name, if the name has moved to another since
        """
        return datasets.add(self.database, dataset, now(), newest)

    def dataset(self, spec: str) -> Dataset:
        """The newest dataset of a name, or the one of a digest prefix of 8 or more."""
        return datasets.get(self.database, spec)

    def datasets(self) -> Sequence[Dataset]:
        """All datasets, once per name, oldest first."""
        records = self.database.rows("SELECT record FROM datasets ORDER BY id")
        return [datasets.DATASET.decode(row[0]) for row in records]

    def recipe(self, recipe_digest: str) -> dict[str, Any]:
        """The resolved recipe of a digest."""
        return datasets.read_recipe(self.database, recipe_digest)

    # -- scores -----------------------------------------------------------------------------------

    def add_scores(
        self, header: dict[str, Any], protocol: ProtocolRecord, scores: Sequence[Score], results: Path | None = None
    ) -> None:
        """Keeps a run: header, protocol, scores and the results file. The same run again replaces it.

        header  evals.records.Run as plain data; `id` and `checkpoint` are read
        """
        moment = now()
        if results is None:
            with self.database.write():
                rows.write_run(self.database, header, protocol, scores, "", moment)
            return
        with self.store.incoming() as staging:
            sha256, size = copy_hashed(results, staging / "results")
            file = File(path="results", sha256=sha256, bytes=size)
            enter_pinned(
                self.database, staging.name, [sha256], lambda: self.store.publish(staging, [file]),
                lambda: rows.write_run(self.database, header, protocol, scores, sha256, moment),
            )  # fmt: skip

    def add_combined(self, score: Score, protocol: ProtocolRecord) -> None:
        """Keeps a score that combines stored runs which differ by seed alone, in place of an earlier one."""
        with self.database.write():
            rows.insert_scores(self.database, self.run(score.run), protocol, [score], now())

    def restate(self, scores: Sequence[Score]) -> None:
        """Gives stored scores another interval, and the groups that it was made from."""
        with self.database.write():
            for score in scores:
                rows.restate(self.database, score)

    def scores(
        self, checkpoint: str | None = None, task: Tasks = None, chosen: bool = False, newest: Newest = None
    ) -> Sequence[Score]:
        """Measured scores, oldest first; of one checkpoint (a name or digest) and of some tasks if given.

        chosen  only the score that stands for each cell, see `zoo.choice`: what every table shows
        newest  only of the newest version of each name, and of these digests
        """
        if checkpoint is not None and not names.FULL.fullmatch(checkpoint):
            checkpoint = self.get(checkpoint).digest
        return rows.read_scores(self.database, checkpoint, task, chosen, newest)

    def protocols(self) -> dict[str, ProtocolRecord]:
        """All protocols of the scores, by fingerprint."""
        records = self.database.rows("SELECT fingerprint, record FROM protocols ORDER BY fingerprint")
        return {row[0]: rows.PROTOCOL.decode(row[1]) for row in records}

    def run(self, run_id: str) -> dict[str, Any]:
        """A run's header as plain data, by its id or a unique prefix of it."""
        runs = names.with_prefix(self.database, "runs", run_id)
        if not run_id or len(runs) != 1:
            reason = f"{run_id} begins the ids of {len(runs)} runs" if runs else f'no run "{run_id}"'
            raise ZooError(f"{reason}. The runs of a checkpoint: phizoo models show NAME")
        return PLAIN.decode(runs[0][1])

    def runs(self, checkpoint: str | None = None) -> Sequence[dict[str, Any]]:
        """The headers of all runs, or of those of one checkpoint digest, oldest first."""
        where, values = where_equal(checkpoint=checkpoint)
        records = self.database.rows(f"SELECT record FROM runs{where} ORDER BY created, id", **values)
        return [PLAIN.decode(row[0]) for row in records]

    def results(self, run_id: str) -> Path:
        """A local file with a run's result lines."""
        files = self.database.rows("SELECT results FROM runs WHERE id = :id", id=self.run(run_id)["id"])
        if not files[0][0]:
            raise ZooError(f"run {run_id} was stored without its results. Run it again: phizoo eval run")
        return self.store.object(files[0][0])

    # -- searches of training data ----------------------------------------------------------------

    def add_search(self, search: Search) -> Search:
        """Keeps a search; the splits of the runs of its checkpoint and task are to be made again.

        Raises  ZooError for a search whose parts do not agree
        """
        return searches.add(self.database, search, now())

    def remove_search(self, search_id: str) -> Search:
        """Removes a search, by its id or a unique prefix of it; the splits are to be made again."""
        return searches.remove(self.database, search_id)

    def searches(self, checkpoint: str | None = None, task: str | None = None) -> Sequence[Search]:
        """Searches, oldest first; of one checkpoint (a name or digest) and of one task if given."""
        if checkpoint is not None and not names.FULL.fullmatch(checkpoint):
            checkpoint = self.get(checkpoint).digest
        return searches.read(self.database, checkpoint, task)

    def searched_tasks(self, checkpoint: str | None = None) -> set[tuple[str, str]]:
        """(checkpoint digest, task) of all searches, or of those of one checkpoint digest."""
        return searches.searched_tasks(self.database, checkpoint)

    def splits(self, checkpoint: str | None = None, task: Tasks = None, newest: Newest = None) -> dict[str, Split]:
        """The splits of runs by their searches, by run; of the checkpoints and tasks that `scores` gives for these."""
        return searches.read_splits(self.database, checkpoint, task, newest)

    def write_split(self, split: Split, parts: Sequence[Score]) -> None:
        """Keeps the split of a run and the scores of its parts in place of those that it had."""
        searches.write_split(self.database, split, parts)
