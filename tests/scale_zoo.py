"""Fills a zoo with thousands of checkpoints and scores in seconds, for the benches and tests of its size.

Every row is made by the product's own writers (`zoo.db.rows`), which are handed a `Recorder` in place of a database:
it keeps their statements, and `flush` runs each kind of statement for many rows at once. Nothing is measured here.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evals.records import Facts, Run
from zoo.choice import CURRENT
from zoo.db import edits, rows
from zoo.db.checkpoints import AliasMove
from zoo.db.postgres import PostgresDatabase, psycopg_sql
from zoo.digest import digest
from zoo.records import Checkpoint, Dataset, File, Parent, ProtocolRecord, Score, TrainedOn
from zoo.registry import Registry

MOMENT = "2026-01-01T00:00:00+00:00"
TASKS = {  # task -> its protocol and metrics, as today's protocols name them; the first is the headline
    "humaneval": ("openai", ("pass@1",)), "mbpp": ("lm-eval", ("pass@1",)), "arc_easy": ("lm-eval", ("acc", "acc_norm")),
    "winogrande": ("lm-eval", ("acc",)), "arc_challenge": ("lm-eval", ("acc",)), "boolq": ("lm-eval", ("acc",)),
    "piqa": ("lm-eval", ("acc",)), "hellaswag": ("lm-eval", ("acc",)), "gsm8k": ("code", ("pass@1",)),
}  # fmt: skip
BATCH = 1000  # checkpoints that are written in one transaction
CODE = ("humaneval", "mbpp", "gsm8k")


class Size(NamedTuple):
    """How large a zoo is: names, versions of each; every version has a run of each task, 10 scores in all."""

    names: int
    versions: int

    @property
    def checkpoints(self) -> int:
        """All versions of all names."""
        return self.names * self.versions


class Recorder:
    """A database that only remembers what it is told to write, for `flush`. It answers as an empty one would."""

    url, readonly = "", False

    def __init__(self, registry: Registry) -> None:
        self.statements: dict[str, list[dict[str, Any]]] = {}
        self.checkpoints = int(registry.database.rows("SELECT count(*) FROM checkpoints")[0][0])
        self.protocols = {row[0] for row in registry.database.rows("SELECT fingerprint FROM protocols")}

    def rows(self, sql: str, **values: Any) -> Sequence[Sequence[Any]]:
        """None, but for the number of the checkpoint just written (rows are numbered from 1) and known protocols."""
        if sql.startswith("SELECT fingerprint FROM protocols"):
            return [(values["f"],)] if values["f"] in self.protocols else []
        return [(self.checkpoints,)] if sql.startswith("SELECT id FROM checkpoints") else []

    def now(self) -> str:
        """The same moment for all."""
        return MOMENT

    def role(self) -> str:
        """Nobody's."""
        return ""

    @contextmanager
    def write(self) -> Iterator[None]:
        """A transaction, which `flush` makes."""
        yield

    def run(self, sql: str, **values: Any) -> int:
        """Keeps an INSERT; there is nothing yet that anything else could change."""
        if sql.startswith("INSERT"):
            self.checkpoints += sql.startswith("INSERT INTO checkpoints ")
            self.protocols.add(str(values.get("fingerprint", "")))
            self.statements.setdefault(sql, []).append(values)
        return 0

    def close(self) -> None:
        """Nothing is open."""

    def flush(self, registry: Registry) -> None:
        """Runs everything that was recorded, in one transaction."""
        database: Any = registry.database
        with database.write():
            for sql, values in self.statements.items():
                if isinstance(database, PostgresDatabase):
                    cursor = database._inside.connection.cursor()
                    cursor.executemany(psycopg_sql(sql), values)
                else:
                    database.connection.executemany(sql, values)
        self.statements.clear()


@cache
def protocol(task: str, metric: str) -> ProtocolRecord:
    """The protocol of a task under a metric, the same at every size."""
    return ProtocolRecord(
        task=task, task_version=1, name=TASKS[task][0], metric=metric, shots=0, prompt="Question: ?\nAnswer:",
        prompts_sha256=digest(task), samples=1000,
        decoding={"max_tokens": 512, "temperature": 0.0} if task in CODE else {},
    )  # fmt: skip


def fill(registry: Registry, size: Size, stored: bool = False, first: int = 0) -> None:
    """Fills an empty zoo: checkpoints with files, parents, data, tags and aliases; runs with scores.

    first   the number of the first name: names below it are here already, from another call
    stored  also writes the bytes that the rows name: one small file for each version and for each run
    """
    data = [
        registry.add_dataset(
            Dataset(name=f"data-{n}", digest=digest(["data", n]), kind="documents", documents=9, tokens=10**9)
        )
        for n in range(20)
    ]
    objects = Path(registry.store.trees).parent / "objects"  # now: an empty store is marked as this zoo's
    recorder = Recorder(registry)
    texts: list[bytes] = [b"{}"]
    for place in range(first * size.versions, (first + size.names) * size.versions):
        texts.append(b"weights %d" % place)
        checkpoint = _checkpoint(place, size, data)
        rows.insert(recorder, checkpoint)
        for number, task in enumerate(TASKS):
            texts.append(b"results %d %d" % (place, number))
            _record_runs(recorder, checkpoint, task, sha(texts[-1]), place, number)
        if place % BATCH == BATCH - 1:
            recorder.flush(registry)
    for name in range(first, first + size.names):
        recorder.run("INSERT INTO counters (name, last) VALUES (:name, :last)", name=_name(name), last=size.versions)
        move = AliasMove("best", 0, 1 + name % size.versions, MOMENT)
        edits.move_alias(recorder, _name(name), move)
    recorder.flush(registry)
    with registry.database.write():  # each cell has one run, on all samples: it stands, see `zoo.choice`
        registry.database.run("UPDATE scores SET chosen = :level", level=CURRENT)
    _analyse(registry)
    if stored:
        for text in texts:
            path = objects / sha(text)[:2] / sha(text)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)


def _analyse(registry: Registry) -> None:
    """Lets a server know how large the tables are, which it otherwise learns within a minute."""
    if isinstance(registry.database, PostgresDatabase):
        with registry.database._connection() as connection:
            connection.execute("VACUUM ANALYZE")


def sha(text: bytes) -> str:
    """The sha256 of some bytes."""
    return hashlib.sha256(text).hexdigest()


def _name(number: int) -> str:
    return f"model-{number:05d}"


def _digest(place: int) -> str:
    return digest(["checkpoint", place])


def _checkpoint(place: int, size: Size, data: Sequence[Dataset]) -> Checkpoint:
    name, version = place // size.versions, 1 + place % size.versions
    weights = b"weights %d" % place
    files = (
        File(path="config.json", sha256=sha(b"{}"), bytes=2),
        File(path="model.safetensors", sha256=sha(weights), bytes=len(weights)),
    )
    parents = (Parent(digest=_digest(place - 1), relation="finetune"),) if version > 1 else ()
    return Checkpoint(
        name=_name(name), version=version, digest=_digest(place), files=files,
        architecture={f"setting_{n}": n for n in range(25)}, parameters=10**6 * (1 + place * 7919 % 20_000),
        context_tokens=2048, prompt_style="completion", training_tokens=10**9, recipe_digest=None, parents=parents,
        datasets=(TrainedOn(digest=data[place % len(data)].digest, tokens=10**9),), licence="mit",
        created=f"2026-01-{1 + place % 28:02d}T00:00:00+00:00", source="", family=f"family {name % 9}",
        tags=("keep",) if place % 50 == 0 else (),
    )  # fmt: skip


def _record_runs(recorder: Recorder, checkpoint: Checkpoint, task: str, results: str, place: int, number: int) -> None:
    metrics = TASKS[task][1]
    first = protocol(task, metrics[0])
    facts = Facts(engine="transformers", version="5", dtype="float32", device="cpu", context_tokens=2048)
    run = Run(
        id=digest([checkpoint.digest, task])[:32], checkpoint=checkpoint.digest, checkpoint_label=checkpoint.label,
        task=task, protocol=msgspec.to_builtins(first), fingerprint=first.fingerprint, backend=facts, seed=0, draws=1,
        limit=None, samples=1000, hardware={"cpu": "a processor", "memory": 24}, versions={"torch": "2", "zoo": "0.1"},
        commit="", sandbox="container" if task in CODE else "", started=MOMENT,
    )  # fmt: skip
    header = msgspec.to_builtins(run)
    for metric in metrics:
        under = protocol(task, metric)
        value = (place * 37 + number * 11) % 1000 / 1000
        score = Score(
            checkpoint=checkpoint.digest, run=run.id, task=task, protocol=under.fingerprint, metric=metric,
            value=value, low=max(0.0, value - 0.03), high=min(1.0, value + 0.03), n=1000, clusters=1000, unscored=0,
            results=results,
        )  # fmt: skip
        if metric == metrics[0]:
            rows.write_run(recorder, header, under, [score], results, MOMENT)
        else:
            rows.keep_protocol(recorder, under)
            rows.insert_scores(recorder, header, under, [score], MOMENT)
