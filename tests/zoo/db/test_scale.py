"""A command asks as few statements of a large zoo as of a small one, and each finds its rows by an index."""

import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.scale_zoo import Size, fill
from zoo.cli import root
from zoo.cli.output import table
from zoo.db import checkpoints, rows
from zoo.db.database import Database, SqliteDatabase
from zoo.db.postgres import PostgresDatabase
from zoo.errors import ZooError
from zoo.registry import Registry, open_registry

FEW, MORE = Size(6, 3), Size(24, 3)
COMMANDS = (
    *("models list", "models list --all --json", "models list --limit 2 --page 2", "models list model-00003 --all"),
    *("models show model-00003", "models show model-00003:2 --json", "models verify"),
    "models find --where humaneval.low>0.1 --where parameters<1e12", "models find --where arc_easy.acc_norm.value>0",
    "models find --where tag=keep --json", "models gc --dry-run", "eval ranks arc_easy", "eval ranks gsm8k --json",
    *("leaderboard --json --suite own", "leaderboard --print --suite phi-1", "leaderboard --json --suite all"),
)  # fmt: skip


class Asked(NamedTuple):
    """A statement with its values."""

    sql: str
    values: dict[str, Any]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """Every query of this test, as it is asked."""
    log: list[Asked] = []
    for kind in (SqliteDatabase, PostgresDatabase):
        original: Any = kind.rows

        def rows_(self: Any, sql: str, _original: Any = original, **values: Any) -> Any:
            log.append(Asked(sql, values))
            return _original(self, sql, **values)

        monkeypatch.setattr(kind, "rows", rows_)
    return log


@pytest.fixture
def url(db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty zoo, which is this environment's."""
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path))
    monkeypatch.setenv("PHIZOO_DB", db)
    monkeypatch.setenv("PHIZOO_STORE", str(tmp_path / "store"))
    return db


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    """A zoo with a few names."""
    with open_registry(url) as filled:
        fill(filled, FEW)
        yield filled


def ask(asked: list[Asked], command: str) -> list[str]:
    """The statements of one command."""
    asked.clear()
    assert root.run(command.split()) == 0
    return sorted(statement.sql for statement in asked)


def test_four_times_as_many_names_take_no_statement_more(url: str, tmp_path: Path, asked: list[Asked]) -> None:
    with open_registry(url, str(tmp_path / "store")) as registry:
        fill(registry, FEW, stored=True)
    before = {command: ask(asked, command) for command in COMMANDS}
    with open_registry(url, str(tmp_path / "store")) as registry:
        fill(registry, Size(MORE.names - FEW.names, FEW.versions), stored=True, first=FEW.names)
    for command in COMMANDS:
        assert not Counter(ask(asked, command)) - Counter(before[command]), command
    assert all(1 < len(statements) < 45 for statements in before.values())


def plan_of(database: Database, statement: Asked) -> str:
    """How the database would answer a statement, one step a line."""
    if isinstance(database, SqliteDatabase):
        plan = database.connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.values)
        return "\n".join(str(row[3]) for row in plan)
    assert isinstance(database, PostgresDatabase)
    with database.write():
        database.run("SET LOCAL enable_seqscan = off")  # a table of a few rows is read whole otherwise
        database.run("SET LOCAL enable_bitmapscan = off")
        return "\n".join(row[0] for row in database.rows(f"EXPLAIN {statement.sql}", **statement.values))


def scanned(plan: str) -> set[str]:
    """The tables that are read from end to end, without an index."""
    return {name for name, index in re.findall(r"(?:SCAN|Seq Scan on) (\w+)(.*INDEX)?", plan) if not index}


def test_every_query_of_a_large_table_uses_an_index(registry: Registry, asked: list[Asked]) -> None:
    run = registry.runs()[0]["id"]
    asked.clear()
    registry.run(run[:9])
    registry.list()
    registry.list("model-00003", all_versions=True)
    registry.get("model-00003@best")
    registry.get(registry.get("model-00003").digest[:10])
    registry.scores(task="arc_easy", chosen=True)
    registry.scores(task=("arc_easy", "piqa"), chosen=True, newest=())
    registry.splits(task=("arc_easy",), newest=())
    registry.runs()
    rows.read_sandboxes(registry.database, newest=())
    rows.read_results_of(registry.database, "piqa")
    rows.read_headline(registry.database, "piqa")
    checkpoints.read_labels(registry.database)
    statements = list(asked)
    assert len(statements) > 12
    for statement in statements:
        plan = plan_of(registry.database, statement)
        assert not scanned(plan) & {"scores", "runs", "checkpoints", "c", "files"}, (statement, plan)


CONDITIONS = ("n > 3", "unscored > 0", "acc_norm.low > 0.4", "acc_norm.n > 4", "low > 0.9", "value > 0.9", "high < 0.1")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_on_scores_reads_an_index_alone(registry: Registry, asked: list[Asked], condition: str) -> None:
    registry.find(f"arc_easy.{condition}")
    plan = plan_of(registry.database, asked[-1])
    steps = re.findall(r"(?:COVERING INDEX|Index Only Scan using) (ix_scores_by_\w+)", plan)
    assert len(steps) == 1, plan
    assert not scanned(plan) & {"scores"}, plan


def test_a_list_is_the_same_whatever_its_pages(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def printed(command: str) -> bytes:
        root.run(command.split())
        return capsysbinary.readouterr().out

    commands = ("models list --all --json", "models list --all", "models find --where parameters>0 --json")
    whole = [printed(command) for command in commands]
    monkeypatch.setattr("zoo.db.checkpoints.PAGE", 4)
    monkeypatch.setattr("zoo.cli.models_show.PAGE", 4)
    assert [printed(command) for command in commands] == whole
    labels = [f"{one['name']}:{one['version']}" for one in json.loads(whole[0])]
    assert labels == [one.label for one in registry.list(all_versions=True)]
    pages = [json.loads(printed(f"models list --all --json --limit 7 --page {page}")) for page in (1, 2, 3, 4)]
    assert [f"{one['name']}:{one['version']}" for page in pages for one in page] == labels
    assert b"Page 4 is empty" in printed("models list --all --limit 7 --page 4")
    assert b"ALIASES" in whole[1]
    assert b"best" in whole[1]


def test_a_page_without_a_limit_is_refused(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["models", "list", "--page", "2"]) == 2
    assert "--page 2 needs --limit" in capsys.readouterr().err
    assert registry.list()


def test_a_long_table_is_printed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.cli.output.BLOCK", 2)
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    table((("a" * n, str(n)) for n in (9, 1, 2, 12)), ("NAME", ">N"))
    assert file.getvalue().splitlines() == [
        "NAME       N",
        "aaaaaaaaa  9",
        "a          1",
        "aa             2",
        "aaaaaaaaaaaa  12",
    ]


def test_a_prefix_finds_its_run_and_several_are_refused(registry: Registry) -> None:
    run = registry.runs()[0]["id"]
    assert registry.run(run[:12])["id"] == registry.run(run)["id"] == run
    for prefix in ("", "0", "zz", run[:-1] + "-"):
        with pytest.raises(ZooError, match=r"no run|begins the ids"):
            registry.run(prefix)
