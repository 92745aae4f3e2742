"""Every released schema is migrated with its data, on both databases, atomically."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from zoo.admission.describe import describe_checkpoint
from zoo.db import migrations
from zoo.db.database import SqliteDatabase, sqlite_file
from zoo.db.migrations import upgrade
from zoo.db.open import SCHEMA, open_database, upgrade_database
from zoo.db.postgres import PostgresDatabase
from zoo.db.rows import columns_of
from zoo.digest import canonical, digest
from zoo.errors import ZooError
from zoo.records import About, Checkpoint, Dataset
from zoo.registry import Registry, open_registry


@pytest.fixture
def db(empty_db: str) -> str:
    """Here every schema is made from the first one."""
    return empty_db


@contextlib.contextmanager
def upgraded(url: str) -> Iterator[Registry]:
    """The registry after `phizoo models upgrade`."""
    upgrade_database(url)
    with open_registry(url) as registry:
        yield registry


def opened(url: str) -> Any:
    """A database as it lies, nothing migrated."""
    file = sqlite_file(url)
    if file is None:
        return PostgresDatabase(url, readonly=False)
    return SqliteDatabase(url, file, readonly=False)


def populated_0001(url: str, folder: Path, made: SimpleNamespace) -> list[Checkpoint]:
    """A zoo as the first schema wrote it: two versions, an alias, a run with two metrics."""
    from zoo.admission import gate

    database = opened(url)
    upgrade(database, "0001")
    held = gate.inspect_folder(made.phi(folder))
    found = []
    with database.write():
        for version, tags in ((1, ("b", "a")), (2, ())):
            digest = str(version) * 64
            one = describe_checkpoint("one", (), held, About(tags=tags))
            one = Checkpoint(
                **{name: getattr(one, name) for name in one.__struct_fields__} | {"version": version, "digest": digest}
            )
            later = ("quantisation", "chat_template")  # columns of later schemas
            row = {name: value for name, value in columns_of(one).items() if name not in later}
            database.run(
                f"INSERT INTO checkpoints ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", **row
            )
            found.append(one)
        database.run("INSERT INTO aliases (name, alias, version) VALUES ('one', 'best', 1)")
        protocol = made.protocol()
        database.run(
            "INSERT INTO protocols (fingerprint, record) VALUES (:f, :r)",
            f=protocol.fingerprint,
            r=json.dumps({"metric": protocol.metric}),
        )
        for metric in ("pass@1", "pass@10"):
            database.run(
                "INSERT INTO scores (run, checkpoint, task, protocol, metric, subset, value, low, high, n, clusters, "
                "unscored, results, created) VALUES ('r', :c, 'humaneval', :p, :m, 'all', 0.5, 0.4, 0.6, 164, 164, 0, '', '')",
                c="1" * 64,
                p=protocol.fingerprint,
                m=metric,
            )
    database.close()
    return found


def test_a_populated_zoo_of_the_first_schema_keeps_everything(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    before = populated_0001(db, tmp_path / "x", made)
    with upgraded(db) as registry:
        assert registry.database.schema_version() == SCHEMA
        assert registry.list(all_versions=True) == before
        assert [found.version for found in registry.find(tag="a")] == [1]
        assert [found.version for found in registry.find("humaneval.low > 0.3")] == [1]
        assert [found.version for found in registry.find("humaneval.pass@10.low > 0.3")] == [1]
        headline = registry.database.rows("SELECT metric FROM scores WHERE headline = 1")
        assert [row[0] for row in headline] == ["pass@1"]
        assert [(move.alias, move.version) for move in registry.alias_history("one")] == [("best", 1)]
        assert registry.add(tmp_path / "x", "one").version == 3
        assert registry.get("one@best") == before[0]


def test_scores_under_two_names_of_one_protocol_get_one_column(db: str, made: SimpleNamespace) -> None:
    database = opened(db)
    upgrade(database, "0006")
    record = made.protocol(task="mmlu", name="lm-eval-5", metric="acc")
    former = msgspec.to_builtins(record) | {"name": "phi-2"}
    old = digest({key: value for key, value in former.items() if key != "prompt"})
    other = made.protocol(task="mmlu", name="lm-eval", metric="acc")
    with database.write():
        for fingerprint, facts in (
            (old, former), (record.fingerprint, msgspec.to_builtins(record)),
            (other.fingerprint, msgspec.to_builtins(other)), ("first", {"metric": "acc"}),
        ):  # fmt: skip
            database.run(
                "INSERT INTO protocols (fingerprint, record) VALUES (:f, :r)",
                f=fingerprint,
                r=canonical(facts).decode(),
            )
        for run, fingerprint, n in (("a", old, 100), ("b", record.fingerprint, 90), ("c", other.fingerprint, 100)):
            database.run(
                "INSERT INTO scores (run, checkpoint, task, protocol, metric, subset, value, low, high, n, clusters, "
                "unscored, results, created, headline, chosen) VALUES (:run, :c, 'mmlu', :p, 'acc', 'all', 0.5, 0.4, "
                "0.6, :n, 57, 0, '', '', 1, 2)",
                run=run, c="1" * 64, p=fingerprint, n=n,
            )  # fmt: skip
    database.close()
    with upgraded(db) as registry:
        assert set(registry.database.rows("SELECT fingerprint FROM protocols")) == {
            ("first",), (record.fingerprint,), (other.fingerprint,),
        }  # fmt: skip
        assert [score.protocol == record.fingerprint for score in registry.scores()] == [True, True, False]
        assert [score.run for score in registry.scores(chosen=True)] == ["a", "c"]


def populated_0002(url: str, folder: Path, made: SimpleNamespace) -> list[Checkpoint]:
    """A zoo as the second schema wrote it: the first's, brought up to it, with datasets and what followed."""
    before = populated_0001(url, folder, made)
    database = opened(url)
    upgrade(database, "0002")
    with database.write():
        for name, digit in (("code", "a"), ("text", "b"), ("code", "c")):
            told = Dataset(name=name, digest=digit * 64, kind="tokens", documents=1, tokens=2, created="2026-01-01")
            database.run(
                "INSERT INTO datasets (name, digest, record) VALUES (:n, :d, :r)",
                n=name,
                d=told.digest,
                r=canonical(told).decode(),
            )
        database.run("INSERT INTO tags (checkpoint_id, tag) VALUES (2, 'new')")
    database.close()
    return before


def test_a_populated_zoo_of_the_second_schema_keeps_everything(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    before = populated_0002(db, tmp_path / "x", made)
    with upgraded(db) as registry:
        assert registry.database.schema_version() == SCHEMA
        assert registry.list(all_versions=True) == before
        assert [found.version for found in registry.find(tag="new")] == [2]
        assert [(one.name, one.digest[0]) for one in registry.datasets()] == [
            ("code", "a"),
            ("text", "b"),
            ("code", "c"),
        ]
        assert registry.dataset("code").digest == "c" * 64
        assert registry.dataset("b" * 64).name == "text"
        again = msgspec.structs.replace(registry.dataset("text"), name="prose")
        assert registry.add_dataset(again).name == "prose"
        assert registry.dataset("prose").digest == "b" * 64
        assert len(registry.datasets()) == 4
        assert registry.add(tmp_path / "x", "one").version == 3


def test_scores_of_the_third_schema_get_their_runs_facts_and_one_stands(
    db: str, tmp_path: Path, made: SimpleNamespace
) -> None:
    populated_0002(db, tmp_path / "x", made)
    database = opened(db)
    upgrade(database, "0003")
    protocol = made.protocol(metric="acc")
    with database.write():
        database.run(
            "INSERT INTO protocols (fingerprint, record) VALUES (:f, :r)",
            f=protocol.fingerprint,
            r=canonical(protocol).decode(),
        )
        for run, draws, n in (("many", 20, 164), ("newest", 1, 164), ("part", 1, 100)):
            backend = {"engine": "vllm", "dtype": "bfloat16"}
            record = json.dumps({"id": run, "backend": backend, "seed": 3, "draws": draws, "samples": n})
            database.run(
                "INSERT INTO runs (id, checkpoint, results, created, record) VALUES (:id, :c, '', '', :r)",
                id=run,
                c="1" * 64,
                r=record,
            )
            database.run(
                "INSERT INTO scores (run, checkpoint, task, protocol, metric, subset, value, low, high, n, clusters, "
                "unscored, results, created, headline) VALUES "
                "(:run, :c, 'humaneval', :p, 'acc', 'all', 0.5, 0.4, 0.6, :n, 164, 0, '', '', 1)",
                run=run,
                c="1" * 64,
                p=protocol.fingerprint,
                n=n,
            )
    database.close()
    with upgraded(db) as registry:
        stand = {score.metric: score for score in registry.scores(chosen=True)}
        assert {score.run for score in stand.values()} == {"r", "many"}
        score = stand["acc"]
        assert (score.engine, score.dtype, score.seed, score.draws, score.seeds) == ("vllm", "bfloat16", 3, 20, 1)
        assert [score.whole for score in registry.scores() if score.metric == "acc"] == [True, True, False]
        assert {score.measured_at for score in registry.scores()} == {""}
        assert [found.version for found in registry.find("humaneval.acc.n >= 164")] == [1]
        assert registry.find("humaneval.acc.n < 164") == []


def test_upgrading_twice_changes_nothing(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    populated_0001(db, tmp_path / "x", made)
    with upgraded(db) as registry:
        before = registry.list(all_versions=True)
        upgrade(registry.database)
        assert registry.list(all_versions=True) == before


def test_the_newest_schema_is_the_last_migration() -> None:
    versions = sorted((Path(migrations.__file__).parent / "versions").glob("0*.py"))
    assert versions[-1].name.split("_")[0] == SCHEMA


def test_a_step_that_fails_leaves_the_old_schema(
    db: str, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import alembic.op

    before = populated_0001(db, tmp_path / "x", made)

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(alembic.op, "create_index", fails)
        with pytest.raises(RuntimeError, match="the power went"):
            upgrade_database(db)
    database = opened(db)
    assert database.schema_version() == "0001"
    assert not any("tags" in row[0] for row in tables(database))
    database.close()
    with upgraded(db) as registry:
        assert registry.list(all_versions=True) == before


def tables(database: Any) -> Any:
    if isinstance(database, SqliteDatabase):
        return database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    return database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def test_a_reader_is_asked_to_have_the_owner_upgrade(tmp_path: Path, made: SimpleNamespace) -> None:
    url = f"sqlite:///{tmp_path / 'zoo.db'}"
    populated_0001(url, tmp_path / "x", made)
    with pytest.raises(ZooError, match="phizoo models upgrade"):
        open_database(url, readonly=True)


def test_a_zoo_of_a_newer_phizoo_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'zoo.db'}"
    open_database(url).close()
    with sqlite3.connect(tmp_path / "zoo.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ZooError, match="its schema is 9999"):
        open_database(url)


def test_a_file_that_is_no_database_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "zoo.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ZooError, match="is not a database"):
        open_database(f"sqlite:///{tmp_path / 'zoo.db'}")


def test_a_missing_server_is_reported_without_its_password() -> None:
    with pytest.raises(ZooError, match="cannot be reached") as raised:
        open_database("postgresql://ann:secret@127.0.0.1:1/zoo")
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_flags_in_the_headers_of_runs_become_searches(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    """A zoo of the third schema: one run with flags, one that nobody searched for, one with flags of nothing."""
    populated_0002(db, tmp_path / "x", made)
    database = opened(db)
    upgrade(database, "0003")
    checkpoint, protocol = "1" * 64, made.protocol()
    flags = {"flagged": ["humaneval/3", "humaneval/1"], "unknown": None, "empty": []}
    with database.write():
        for run, overlapping in flags.items():
            header = {"id": run, "checkpoint": checkpoint if run != "empty" else "2" * 64, "task": "humaneval"}
            header |= {"samples": 164, "overlapping": overlapping}  # type: ignore[dict-item]
            database.run(
                "INSERT INTO runs (id, checkpoint, results, created, record) VALUES (:i, :c, '', '2026', :r)",
                i=run,
                c=header["checkpoint"],
                r=json.dumps(header),
            )
            for subset, n in (("all", 164), ("clean", 162), ("overlapping", 2)):
                if subset == "all" or run == "flagged":
                    database.run(
                        "INSERT INTO scores (run, checkpoint, task, protocol, metric, subset, value, low, high, n, "
                        "clusters, unscored, results, created, headline) VALUES (:i, :c, 'humaneval', :p, 'pass@1', "
                        ":s, 0.5, 0.4, 0.6, :n, :n, 0, '', '', 1)",
                        i=run, c=header["checkpoint"], p=protocol.fingerprint, s=subset, n=n,
                    )  # fmt: skip
    database.close()
    with upgraded(db) as registry:
        search, none = sorted(registry.searches(), key=lambda search: search.checkpoint)
        assert (search.flagged, search.samples, search.datasets) == (("humaneval/1", "humaneval/3"), (), ())
        assert (none.checkpoint, none.flagged) == ("2" * 64, ())
        assert [row[0] for row in registry.database.rows("SELECT id FROM searches ORDER BY checkpoint")] == [
            search.id,
            none.id,
        ]
        assert registry.add_search(search) == search  # pulled again, it is the same one
        assert len(registry.searches()) == 2
        splits = registry.splits()
        assert (splits["flagged"].overlapping, splits["flagged"].samples) == (2, 164)
        assert splits["empty"].overlapping == 0
        assert "older version" in splits["flagged"].unsearched
        assert "unknown" not in splits
        kept = [(score.run, score.subset) for score in registry.scores() if score.run in flags]
        assert kept == [("flagged", "all"), ("flagged", "overlapping"), ("unknown", "all"), ("empty", "all")]
