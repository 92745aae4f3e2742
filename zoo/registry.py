"""The one API of the zoo: add, get, find, alias, scores, verify.

A Registry is a database of records and a store of bytes. A checkpoint's row is written last, when
all its bytes are in the store and durable: what can be found is whole. Nothing here runs, unpickles
or loads a model.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from zoo import settings
from zoo.db import datasets, names, rows
from zoo.db import gc as tidy
from zoo.db import scores as measured
from zoo.db.database import Database, open_database
from zoo.db.query import find
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import About, Checkpoint, Dataset, File, ProtocolRecord, Score, checked_name, manifest_digest
from zoo.store.store import Store, open_store

if TYPE_CHECKING:
    from zoo.admission.gate import Inspected

LISTING = "phizoo models list"
CHECKPOINT = msgspec.json.Decoder(Checkpoint)
Lines = list[str]  # inside the class, `list` is the registry's own


class AliasMove(NamedTuple):
    """One move of an alias: from a version (0: there was none) to one (0: taken away), and when."""

    alias: str
    previous: int
    version: int
    moved: str


@contextmanager
def open_registry(db: str | None = None, store: str | None = None, readonly: bool = False) -> Iterator["Registry"]:
    """The registry at a database URL and a store (default: from the environment), closed at the end.

    readonly  needs no write permission, makes nothing, migrates nothing
    Raises    ZooError when either cannot be had
    """
    database = open_database(db or settings.database_url(), readonly)
    try:
        yield Registry(database, open_store(store or settings.store_url()))
    finally:
        database.close()


def now() -> str:
    """This moment in UTC, ISO 8601, microseconds kept so that order is kept."""
    return datetime.datetime.now(datetime.UTC).isoformat()


class Registry:
    """An open zoo. Made by `open_registry`."""

    def __init__(self, database: Database, store: Store) -> None:
        self.database, self.store = database, store

    # -- checkpoints ------------------------------------------------------------------------------

    def add(
        self,
        source: str | Path,
        name: str,
        about: About = About(),  # noqa: B008
        link: bool = False,
    ) -> Checkpoint:
        """The checkpoint made of a folder; the same bytes under the same name give the existing one.

        source  a folder, or an fsspec URL of one, with config.json and *.safetensors
        link    hand the folder over: its files become the store's, read-only, without a copy
        Raises  ZooError when something in it may not enter; OSError when the disk is full; nothing is left
        """
        from zoo.admission import (
            gate,
            ingest,  # a lookup needs neither, and they take a third of the import
        )

        checked_name(name)
        with self.database.write():
            pass  # a zoo that may only be read says so before anything is copied
        with self.store.incoming() as staging:
            tree = staging / "tree"
            files = ingest.bring(source, tree, self.store.trees, link)
            held = gate.inspect_folder(tree, link)  # what was brought, not what stood there before
            if "@" not in str(source) and "://" in str(source):  # an address, without anybody's password in it
                about = msgspec.structs.replace(about, source=about.source or str(source))
            checkpoint = described(name, files, held, about)
            with tidy.pinned(self.database, staging.name, [file.sha256 for file in files], now()):
                self.store.publish(tree, files)
                return self.enter(checkpoint, about.recipe)

    def make(self, name: str, write: Callable[[Path], About]) -> Checkpoint:
        """The checkpoint that `write` lays into an empty folder on the store's own disk.

        Its bytes are moved in, never copied: a model that fills half a disk can be made on it.
        Raises  what `write` raises, and ZooError when something it wrote may not enter; nothing is left
        """
        from zoo.admission import gate, ingest

        checked_name(name)
        with self.database.write():
            pass
        with self.store.incoming() as staging:
            tree = staging / "tree"
            tree.mkdir()
            about = write(tree)
            held = gate.inspect_folder(tree)
            files = ingest.listed(tree, held.paths)
            checkpoint = described(name, files, held, about)
            with tidy.pinned(self.database, staging.name, [file.sha256 for file in files], now()):
                self.store.publish(tree, files)
                return self.enter(checkpoint, about.recipe)

    def enter(self, checkpoint: Checkpoint, recipe: dict[str, Any] | None = None) -> Checkpoint:
        """Writes the row of a checkpoint whose bytes are in the store, as the next version of its name."""
        with self.database.write():
            found = self.database.rows(
                "SELECT record FROM checkpoints WHERE name = :name AND digest = :digest",
                name=checkpoint.name,
                digest=checkpoint.digest,
            )
            if found:
                return CHECKPOINT.decode(found[0][0])
            version = rows.next_version(self.database, checkpoint.name)
            checkpoint = msgspec.structs.replace(checkpoint, version=version)
            if recipe is not None:
                rows.keep_recipe(self.database, recipe)
            rows.insert(self.database, checkpoint)
        return checkpoint

    def get(self, spec: str) -> Checkpoint:
        """The checkpoint of a name (its newest version), `name:3`, `name@alias` or a digest prefix.

        Raises ZooError with the nearest known name when there is none.
        """
        return CHECKPOINT.decode(names.record(self.database, spec))

    def path(self, spec: str | Checkpoint) -> Path:
        """A local folder with exactly the checkpoint's files, which `from_pretrained` loads as it is."""
        checkpoint = self.get(spec) if isinstance(spec, str) else spec
        return self.store.tree(checkpoint.digest, checkpoint.files)

    def list(self, name: str | None = None, all_versions: bool = False) -> list[Checkpoint]:
        """All checkpoints by name, only the newest version of each unless all are asked for."""
        sql = "SELECT record FROM checkpoints c"
        wanted = []
        if name is not None:
            wanted.append("name = :name")
        if not all_versions:
            wanted.append("version = (SELECT max(version) FROM checkpoints o WHERE o.name = c.name)")
        if wanted:
            sql += " WHERE " + " AND ".join(wanted)
        values = {"name": name} if name is not None else {}
        return [CHECKPOINT.decode(row[0]) for row in self.database.rows(sql + " ORDER BY name, version", **values)]

    def find(self, where: str | Sequence[str] = (), limit: int | None = None, **filters: Any) -> Sequence[Checkpoint]:
        """All versions for which every condition and filter holds, by name and version.

        where    conditions such as "humaneval.low > 0.4 and parameters < 3e9", see `zoo.db.condition`
        filters  name, family, licence, tag, parent, dataset, prompt_style, min_parameters, max_parameters
        """
        return find(self, [where] if isinstance(where, str) else where, filters, limit)

    def alias(self, name: str, alias: str, version: int, expect: int | None = None) -> None:
        """Points `name@alias` at a version, at once and whole.

        expect  the version it must point at now (0: it must not exist); None moves it in any case
        Raises  ZooError when the version is unknown, or `expect` does not hold
        """
        checked_name(alias)
        with self.database.write():
            if not self.database.rows(
                "SELECT id FROM checkpoints WHERE name = :name AND version = :version", name=name, version=version
            ):
                self.get(name)  # an unknown name is told with its nearest
                raise ZooError(f"{name} has no version {version}. Its versions: {LISTING} {name} --all")
            held = self.aliases(name).get(alias, 0)
            if expect is not None and expect != held:
                is_at = f"is at version {held}" if held else "does not exist"
                raise ZooError(
                    f"{name}@{alias} {is_at}, expected {expect}: it was moved meanwhile. "
                    f"Look: phizoo models show {name}"
                )
            self._move_alias(name, alias, version, held)

    def unalias(self, name: str, alias: str) -> None:
        """Takes an alias away. Raises ZooError when there is none."""
        with self.database.write():
            self.get(f"{name}@{alias}")
            self._move_alias(name, alias, 0, self.aliases(name)[alias])

    def _move_alias(self, name: str, alias: str, version: int, held: int) -> None:
        if held == version:
            return
        self.database.run("DELETE FROM aliases WHERE name = :name AND alias = :alias", name=name, alias=alias)
        if version:
            self.database.run(
                "INSERT INTO aliases (name, alias, version) VALUES (:name, :alias, :version)",
                name=name,
                alias=alias,
                version=version,
            )
        self.database.run(
            "INSERT INTO alias_history (name, alias, version, previous, moved) "
            "VALUES (:name, :alias, :version, :previous, :moved)",
            name=name,
            alias=alias,
            version=version,
            previous=held,
            moved=now(),
        )

    def alias_history(self, name: str) -> Sequence[AliasMove]:
        """Every move of a name's aliases, oldest first."""
        found = self.database.rows(
            "SELECT alias, previous, version, moved FROM alias_history WHERE name = :name ORDER BY id", name=name
        )
        return [AliasMove(*row) for row in found]

    def tag(self, spec: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Checkpoint:
        """The checkpoint with tags added and taken away."""
        with self.database.write():
            before = self.get(spec)
            tags = tuple(sorted((set(before.tags) | set(add)) - set(remove)))
            after = msgspec.structs.replace(before, tags=tags)
            rows.rewrite(self.database, before, after)
        return after

    def note(self, spec: str, text: str) -> Checkpoint:
        """The checkpoint with its note replaced."""
        with self.database.write():
            before = self.get(spec)
            after = msgspec.structs.replace(before, notes=text)
            rows.rewrite(self.database, before, after)
        return after

    def rename(self, old: str, new: str) -> None:
        """Gives all versions and aliases of a name another name."""
        tidy.rename(self, old, new)

    def remove(self, spec: str, with_scores: bool = False) -> Checkpoint:
        """Takes one version out, unless something refers to it; see `zoo.db.gc`."""
        return tidy.remove(self, spec, with_scores)

    def gc(self, dry: bool = False) -> tidy.Collected:
        """Deletes the bytes that nothing refers to; see `zoo.db.gc`."""
        return tidy.collect(self, datetime.datetime.now(datetime.UTC), dry)

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of a name and the version each points at."""
        found = self.database.rows("SELECT alias, version FROM aliases WHERE name = :name ORDER BY alias", name=name)
        return {row[0]: row[1] for row in found}

    def verify(self, spec: str | None = None, mend: bool = False) -> Lines:
        """What is wrong with the stored bytes of one checkpoint or all: one line a fault, none if whole.

        mend  also takes damaged files out of the store, so that adding or pulling puts whole ones there
        """
        checkpoints = [self.get(spec)] if spec else self.list(all_versions=True)
        faults: dict[str, str] = {}  # each object is read once, however many checkpoints hold it
        problems = []
        for checkpoint in checkpoints:
            for file in checkpoint.files:
                if file.sha256 not in faults:
                    faults[file.sha256] = self.store.damage(file)
                    if mend and faults[file.sha256]:
                        self.store.set_aside(file.sha256)
                if faults[file.sha256]:
                    problems.append(f"{checkpoint.label}: {file.path}: {faults[file.sha256]}")
            strays = self.store.strays(checkpoint.digest, checkpoint.files)
            problems += [f"{checkpoint.label}: {stray} is not one of its files; delete it" for stray in strays]
        return problems

    # -- datasets and recipes ---------------------------------------------------------------------

    def add_dataset(self, dataset: Dataset, newest: bool = False) -> Dataset:
        """Keeps a dataset's record under its name; one that is there already is left.

        newest  also make it the one that its name means, if the name has moved on to another since
        """
        return datasets.add(self.database, dataset, now(), newest)

    def dataset(self, spec: str) -> Dataset:
        """The newest dataset of a name, or the one of a digest prefix of 8 or more."""
        return datasets.get(self.database, spec)

    def datasets(self) -> Sequence[Dataset]:
        """All datasets, once a name, oldest first."""
        return datasets.every(self.database)

    def recipe(self, recipe_digest: str) -> dict[str, Any]:
        """The resolved recipe of a digest."""
        found = self.database.rows("SELECT record FROM recipes WHERE digest = :digest", digest=recipe_digest)
        if not found:
            raise ZooError(f"no recipe {recipe_digest[:12]}. A checkpoint's recipe: phizoo models show NAME")
        recipe: dict[str, Any] = msgspec.json.decode(found[0][0])
        return recipe

    # -- scores -----------------------------------------------------------------------------------

    def add_scores(
        self, header: dict[str, Any], protocol: ProtocolRecord, scores: Sequence[Score], results: Path | None = None
    ) -> None:
        """Keeps a run: header, protocol, scores and the results file. The same run again replaces it.

        header  evals.records.Run as plain data; `id` and `checkpoint` are read
        """
        measured.keep_run(self.database, self.store, header, protocol, scores, results, now())

    def scores(self, checkpoint: str | None = None, task: str | None = None) -> Sequence[Score]:
        """Measured scores, oldest first; of one checkpoint (a name or digest) and of one task if given."""
        if checkpoint is not None and not names.FULL.fullmatch(checkpoint):
            checkpoint = self.get(checkpoint).digest
        return measured.scores(self.database, checkpoint, task)

    def protocols(self) -> dict[str, ProtocolRecord]:
        """All protocols that anything was measured under, by fingerprint."""
        return measured.protocols(self.database)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run's header as plain data; the beginning of its id will do."""
        return measured.run(self.database, run_id)

    def runs(self) -> Sequence[dict[str, Any]]:
        """The headers of all runs, oldest first."""
        return measured.runs(self.database)

    def results(self, run_id: str) -> Path:
        """A local file with a run's result lines."""
        return measured.results(self.database, self.store, run_id)


def described(name: str, files: tuple[File, ...], held: "Inspected", about: About) -> Checkpoint:
    """The record of what a folder holds and a user tells; its version is given when it is entered."""
    return Checkpoint(
        name=name,
        version=0,
        digest=manifest_digest(files),
        files=files,
        architecture=held.config,
        parameters=held.parameters,
        context_tokens=int(held.config.get("max_position_embeddings") or held.config.get("n_positions") or 0),
        prompt_style=about.prompt_style,
        training_tokens=about.training_tokens,
        recipe_digest=digest(about.recipe) if about.recipe is not None else None,
        parents=about.parents,
        datasets=about.datasets,
        licence=about.licence,
        created=now(),
        source=about.source,
        family=about.family or str(held.config.get("model_type", "")),
        training_flops=about.training_flops,
        tags=tuple(sorted(set(about.tags))),
        notes=" ".join([*([about.notes] if about.notes else []), *(f"Warning: {w}." for w in held.warnings)]),
    )
