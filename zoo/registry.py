"""The one API of the zoo: add, get, find, alias, scores, verify.

A Registry is a database of records and a store of bytes. A checkpoint's row is written last, when
all its bytes are in the store and durable: what can be found is whole. Nothing here runs, unpickles
or loads a model.
"""

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from zoo import names, safety, settings
from zoo.checkpoint import (
    About,
    Checkpoint,
    Dataset,
    File,
    ProtocolRecord,
    Score,
    checked_name,
    manifest_digest,
)
from zoo.database import Database, open_database
from zoo.digest import canonical, digest
from zoo.errors import ZooError, unknown
from zoo.store import Store, copy_hashed, open_store

LISTING = "phizoo models list"
CHECKPOINT = msgspec.json.Decoder(Checkpoint)
DATASET = msgspec.json.Decoder(Dataset)
PROTOCOL = msgspec.json.Decoder(ProtocolRecord)
Lines = list[str]  # inside the class, `list` is the registry's own
SCORE_COLUMNS = Score.__struct_fields__


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

    def add(self, source: str | Path, name: str, about: About = About()) -> Checkpoint:  # noqa: B008
        """The checkpoint made of a folder; the same bytes under the same name give the existing one.

        source  a folder with config.json and *.safetensors
        Raises  ZooError when something in it may not enter, or the disk is full; nothing is left behind
        """
        checked_name(name)
        folder = Path(source).expanduser()
        safety.inspect_folder(folder)
        with self.database.write():
            pass  # a zoo that may only be read says so before anything is copied
        with self.store.incoming() as staging:
            tree = staging / "tree"
            files = copy_tree(folder, tree, safety.inspect_folder(folder).paths)
            held = safety.inspect_folder(tree)  # what was copied, not what stood there before
            self.store.publish(tree, files)
            return self._enter(name, files, held, about)

    def _enter(self, name: str, files: tuple[File, ...], held: safety.Inspected, about: About) -> Checkpoint:
        recipe_digest = digest(about.recipe) if about.recipe is not None else None
        checkpoint = Checkpoint(
            name=name,
            version=1,
            digest=manifest_digest(files),
            files=files,
            architecture=held.config,
            parameters=held.parameters,
            context_tokens=int(held.config.get("max_position_embeddings") or held.config.get("n_positions") or 0),
            prompt_style=about.prompt_style,
            training_tokens=about.training_tokens,
            recipe_digest=recipe_digest,
            parents=about.parents,
            datasets=about.datasets,
            licence=about.licence,
            created=now(),
            source=about.source,
            family=about.family or str(held.config.get("model_type", "")),
            training_flops=about.training_flops,
            tags=tuple(sorted(set(about.tags))),
            notes=about.notes,
        )
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
            last = self.database.rows("SELECT max(version) FROM checkpoints WHERE name = :name", name=checkpoint.name)[
                0
            ][0]
            checkpoint = msgspec.structs.replace(checkpoint, version=(last or 0) + 1)
            if recipe is not None:
                self._keep_recipe(recipe)
            self._insert(checkpoint)
        return checkpoint

    def _insert(self, checkpoint: Checkpoint) -> None:
        row = checkpoint_row(checkpoint)
        self.database.run(
            f"INSERT INTO checkpoints ({', '.join(row)}) VALUES ({', '.join(f':{c}' for c in row)})", **row
        )
        number = self.database.rows(
            "SELECT id FROM checkpoints WHERE name = :name AND version = :version",
            name=checkpoint.name,
            version=checkpoint.version,
        )[0][0]
        for file in checkpoint.files:
            self.database.run(
                "INSERT INTO files (checkpoint_id, path, sha256, bytes) VALUES (:id, :path, :sha256, :bytes)",
                id=number,
                path=file.path,
                sha256=file.sha256,
                bytes=file.bytes,
            )
        for parent in sorted({(p.digest, p.relation) for p in checkpoint.parents}):
            self.database.run(
                "INSERT INTO parents (checkpoint_id, digest, relation) VALUES (:id, :digest, :relation)",
                id=number,
                digest=parent[0],
                relation=parent[1],
            )
        seen: dict[str, int] = {}
        for dataset in checkpoint.datasets:
            seen[dataset.digest] = seen.get(dataset.digest, 0) + dataset.tokens
        for dataset_digest, tokens in seen.items():
            self.database.run(
                "INSERT INTO trained_on (checkpoint_id, digest, tokens) VALUES (:id, :digest, :tokens)",
                id=number,
                digest=dataset_digest,
                tokens=tokens,
            )

    def _keep_recipe(self, recipe: dict[str, Any]) -> None:
        if not self.database.rows("SELECT digest FROM recipes WHERE digest = :digest", digest=digest(recipe)):
            self.database.run(
                "INSERT INTO recipes (digest, record) VALUES (:digest, :record)",
                digest=digest(recipe),
                record=canonical(recipe).decode(),
            )

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
            if held:
                self.database.run(
                    "UPDATE aliases SET version = :version WHERE name = :name AND alias = :alias",
                    name=name,
                    alias=alias,
                    version=version,
                )
            else:
                self.database.run(
                    "INSERT INTO aliases (name, alias, version) VALUES (:name, :alias, :version)",
                    name=name,
                    alias=alias,
                    version=version,
                )

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of a name and the version each points at."""
        found = self.database.rows("SELECT alias, version FROM aliases WHERE name = :name ORDER BY alias", name=name)
        return {row[0]: row[1] for row in found}

    def verify(self, spec: str | None = None) -> Lines:
        """What is wrong with the stored bytes of one checkpoint or all: one line a fault, none if whole."""
        checkpoints = [self.get(spec)] if spec else self.list(all_versions=True)
        faults: dict[str, str] = {}  # each object is read once, however many checkpoints hold it
        problems = []
        for checkpoint in checkpoints:
            for file in checkpoint.files:
                if file.sha256 not in faults:
                    faults[file.sha256] = self.store.damage(file)
                if faults[file.sha256]:
                    problems.append(f"{checkpoint.label}: {file.path}: {faults[file.sha256]}")
        return problems

    # -- datasets and recipes ---------------------------------------------------------------------

    def add_dataset(self, dataset: Dataset) -> Dataset:
        """Keeps a dataset's record (its recipe under its digest); one that is there already is left."""
        checked_name(dataset.name)
        with self.database.write():
            if self.database.rows("SELECT id FROM datasets WHERE digest = :digest", digest=dataset.digest):
                return self.dataset(dataset.digest)
            if dataset.recipe is not None:
                self._keep_recipe(dataset.recipe)
                dataset = msgspec.structs.replace(dataset, recipe_digest=digest(dataset.recipe))
            if not dataset.created:
                dataset = msgspec.structs.replace(dataset, created=now())
            self.database.run(
                "INSERT INTO datasets (name, digest, record) VALUES (:name, :digest, :record)",
                name=dataset.name,
                digest=dataset.digest,
                record=canonical(dataset).decode(),
            )
        return dataset

    def dataset(self, spec: str) -> Dataset:
        """The newest dataset of a name, or the one of a digest prefix of 8 or more."""
        found = self.database.rows("SELECT record FROM datasets WHERE name = :name ORDER BY id DESC LIMIT 1", name=spec)
        if not found and names.PREFIX.fullmatch(spec):
            found = self.database.rows(
                "SELECT record FROM datasets WHERE digest >= :low AND digest < :high", low=spec, high=spec + "g"
            )
            if len(found) > 1:
                raise ZooError(f"{spec} begins the digests of {len(found)} datasets; give more of it.")
        if not found:
            known = [row[0] for row in self.database.rows("SELECT DISTINCT name FROM datasets")]
            raise unknown("dataset", spec, known, "phizoo data list")
        return DATASET.decode(found[0][0])

    def datasets(self) -> Sequence[Dataset]:
        """All datasets, oldest first."""
        return [DATASET.decode(row[0]) for row in self.database.rows("SELECT record FROM datasets ORDER BY id")]

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
        run_id, sha256 = str(header["id"]), ""
        if results is not None:
            sha256 = self._keep_file(results)
        with self.database.write():
            if not self.database.rows(
                "SELECT fingerprint FROM protocols WHERE fingerprint = :f", f=protocol.fingerprint
            ):
                self.database.run(
                    "INSERT INTO protocols (fingerprint, record) VALUES (:f, :record)",
                    f=protocol.fingerprint,
                    record=canonical(protocol).decode(),
                )
            before = self.database.rows("SELECT created, results FROM runs WHERE id = :id", id=run_id)
            self.database.run("DELETE FROM scores WHERE run = :id", id=run_id)
            self.database.run("DELETE FROM runs WHERE id = :id", id=run_id)
            self.database.run(
                "INSERT INTO runs (id, checkpoint, results, created, record) "
                "VALUES (:id, :checkpoint, :results, :created, :record)",
                id=run_id,
                checkpoint=str(header["checkpoint"]),
                results=sha256 or (before[0][1] if before else ""),
                created=before[0][0] if before else now(),
                record=canonical(header).decode(),
            )
            places = ", ".join(f":{column}" for column in SCORE_COLUMNS)
            for score in scores:
                kept = score if score.created else msgspec.structs.replace(score, created=now())
                self.database.run(
                    f"INSERT INTO scores ({', '.join(SCORE_COLUMNS)}) VALUES ({places})", **msgspec.structs.asdict(kept)
                )

    def _keep_file(self, path: Path) -> str:
        with self.store.incoming() as staging:
            sha256, size = copy_hashed(path, staging / "results")
            self.store.publish(staging, [File(path="results", sha256=sha256, bytes=size)])
        return sha256

    def scores(self, checkpoint: str | None = None, task: str | None = None) -> Sequence[Score]:
        """Measured scores, oldest first; of one checkpoint (a name or digest) and of one task if given."""
        wanted, values = [], {}
        if checkpoint is not None:
            full = names.FULL.fullmatch(checkpoint)
            wanted.append("checkpoint = :checkpoint")
            values["checkpoint"] = checkpoint if full else self.get(checkpoint).digest
        if task is not None:
            wanted.append("task = :task")
            values["task"] = task
        sql = f"SELECT {', '.join(SCORE_COLUMNS)} FROM scores" + (" WHERE " + " AND ".join(wanted) if wanted else "")
        found = self.database.rows(sql + " ORDER BY id", **values)
        return [Score(**dict(zip(SCORE_COLUMNS, row, strict=True))) for row in found]

    def protocols(self) -> dict[str, ProtocolRecord]:
        """All protocols that anything was measured under, by fingerprint."""
        found = self.database.rows("SELECT fingerprint, record FROM protocols ORDER BY fingerprint")
        return {row[0]: PROTOCOL.decode(row[1]) for row in found}

    def run(self, run_id: str) -> dict[str, Any]:
        """A run's header as plain data. A prefix of 8 or more will do."""
        found = self.database.rows(
            "SELECT record FROM runs WHERE id >= :low AND id < :high", low=run_id, high=run_id + "~"
        )
        if len(found) != 1:
            what = f"{run_id} begins the ids of {len(found)} runs" if found else f'no run "{run_id}"'
            raise ZooError(f"{what}. The runs of a checkpoint: phizoo models show NAME")
        run: dict[str, Any] = msgspec.json.decode(found[0][0])
        return run

    def runs(self) -> Sequence[dict[str, Any]]:
        """The headers of all runs, oldest first."""
        return [
            msgspec.json.decode(row[0]) for row in self.database.rows("SELECT record FROM runs ORDER BY created, id")
        ]

    def results(self, run_id: str) -> Path:
        """The file with a run's result lines."""
        found = self.database.rows("SELECT results FROM runs WHERE id = :id", id=self.run(run_id)["id"])
        if not found[0][0]:
            raise ZooError(f"run {run_id} was kept without its results. Run it again: phizoo eval run")
        return self.store.object(found[0][0])


def copy_tree(source: Path, target: Path, paths: Sequence[str]) -> tuple[File, ...]:
    """Copies files into a new folder, hashing each in the same pass."""
    files = []
    for path in paths:
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        sha256, size = copy_hashed(source / path, place)
        files.append(File(path=path, sha256=sha256, bytes=size))
    return tuple(files)


def checkpoint_row(checkpoint: Checkpoint) -> dict[str, Any]:
    """The columns of a checkpoint: the whole record as JSON, and what queries look at."""
    fields = ("name", "version", "digest", "family", "parameters", "context_tokens", "prompt_style", "training_tokens",
              "training_flops", "licence", "source", "created", "bytes")  # fmt: skip
    return {field: getattr(checkpoint, field) for field in fields} | {"record": canonical(checkpoint).decode()}
