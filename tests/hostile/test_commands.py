"""A walk over all commands with hostile arguments, homes and variables: one line and exit code 0, 1 or 2, never more.

Each command line runs in a forked child (`tests.hostile.commands`). The short walk takes a few words; `-m long` takes all
of them, every option too, and every home with a line for each command.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from tests.hostile.commands import leaves, run
from zoo.registry import open_registry

COMMANDS = dict(leaves())
# these work for minutes without an argument, or open a page
WORKING = {
    ("quickstart",),
    ("train", "ladder"),
    ("train", "bench"),
    ("eval", "sandbox", "test"),
    ("doctor",),
    ("leaderboard",),
}
NOT_UTF8 = os.fsdecode(b"\xff\xfe")
SHORT_WORDS = ("", NOT_UTF8, "tiny:１", "tiny:99999999999999999999", "a\x1b[2Jb")
LONG_WORDS = (
    *SHORT_WORDS, " ", "-", "--", ".", "..", "/", "a/../b", "tiny:0", "tiny:-1", "tiny@", "tiny@x", "@", ":", "\ud835", "a\nb",
    "x" * 5000, "/dev/null", "/dev/zero", "/proc/self/mem", "/etc", "%s%n", "s3://k:s@x/y", "http://127.0.0.1:1/x", "foo://x",
    "hf:", "hf:a/b@", "file:///x", "NaN", "1e999", "{}", "[", "deadbeefdead", "*", "'; DROP TABLE scores; --", "\u202ex",
)  # fmt: skip
VALUES = (
    "",
    NOT_UTF8,
    "-1",
    "999999999999999999999999",
    "NaN",
    "1e999",
    "x" * 5000,
    "/dev/null",
    "/nope/x",
    "\x1b[2J",
    "a,b",
    "{",
)
# a line for each way in which commands read a zoo
LINES = (
    "models list", "models show tiny", "models find", "models card tiny", "models lineage tiny", "models verify", "models gc",
    "models path tiny", "models diff tiny tiny", "models edit tiny --note x", "models alias tiny best", "models push tiny ZOO",
    "models pull tiny /nope", "models upgrade", "data list", "data show x", "train curves tiny", "eval runs", "eval ranks humaneval",
    "eval show deadbeef", "eval compare tiny tiny", "eval reproduce tiny/arc_easy", "eval export tiny/arc_easy", "serve tiny --dry-run",
    "leaderboard --json", "models export tiny FOLDER",
)  # fmt: skip
SHORT_LINES = ("models list", "models show tiny", "models edit tiny --note x", "eval runs", "eval ranks humaneval")


@pytest.fixture(scope="module")
def home(tiny_phi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo with one checkpoint, tiny."""
    folder = tmp_path_factory.mktemp("hostile") / "home"
    (folder / "store").mkdir(parents=True)
    with open_registry(f"sqlite:///{folder}/zoo.db", str(folder / "store")) as registry:
        registry.add(tiny_phi, "tiny")
    return folder


def words_of(path: tuple[str, ...], word: str) -> list[str]:
    """A command line with the word in the place of each argument."""
    count = sum(max(1, each.nargs) for each in COMMANDS[path].params if isinstance(each, click.Argument))
    return [*path, *[word] * count]


def check(words: list[str], env: Mapping[str, str], folder: Path, seconds: float = 60.0) -> list[str]:
    """The fault of a command line's end, in a list; an empty list for a good end."""
    print("tried 1")  # for tests/hostile/count.py
    fault = run(words, env, folder, seconds).fault()
    return [f"{' '.join(words)[:80]!r}: {fault[:200]}"] if fault else []


def with_arguments() -> list[tuple[str, ...]]:
    return [
        path for path, command in COMMANDS.items() if any(isinstance(each, click.Argument) for each in command.params)
    ]


def test_no_command_is_left_out() -> None:
    assert len(COMMANDS) > 55 and set(COMMANDS) >= WORKING


def test_hostile_words(home: Path, tmp_path: Path) -> None:
    env = {"PHIZOO_HOME": str(home)}
    # each command has one word, each word many commands
    lines = [words_of(path, SHORT_WORDS[place % len(SHORT_WORDS)]) for place, path in enumerate(with_arguments())]
    assert [fault for words in lines for fault in check(words, env, tmp_path)] == []


@pytest.mark.long
@pytest.mark.parametrize("path", with_arguments(), ids=" ".join)
def test_every_hostile_word(path: tuple[str, ...], home: Path, tmp_path: Path) -> None:
    env = {"PHIZOO_HOME": str(home)}
    assert [fault for word in LONG_WORDS for fault in check(words_of(path, word), env, tmp_path)] == []


@pytest.mark.long
@pytest.mark.parametrize("path", sorted(set(COMMANDS) - WORKING), ids=" ".join)
def test_every_option(path: tuple[str, ...], home: Path, tmp_path: Path) -> None:
    options = [
        each for each in COMMANDS[path].params if isinstance(each, click.Option) and not each.is_flag and not each.count
    ]
    lines = [[*words_of(path, "nothing"), each.opts[-1], value] for each in options for value in VALUES]
    env = {"PHIZOO_HOME": str(home)}
    assert [fault for words in lines for fault in check(words, env, tmp_path)] == []


def _change(sql: str, *values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        connection = sqlite3.connect(folder / "zoo.db")
        connection.execute(sql, values)
        connection.commit()
        connection.close()

    return change


def _steer(folder: Path) -> None:
    connection = sqlite3.connect(folder / "zoo.db")
    record = json.loads(connection.execute("SELECT record FROM checkpoints").fetchone()[0])
    record |= {"notes": "\x1b[2J\u202e", "licence": "a\rb", "tags": ["\x9b31m"]}
    connection.execute("UPDATE checkpoints SET record = ?", (json.dumps(record),))
    connection.commit()
    connection.close()


def _write_noise(folder: Path) -> None:
    (folder / "zoo.db").write_bytes(bytes(range(256)) * 40)


def _make_folder(folder: Path) -> None:
    (folder / "zoo.db").unlink()
    (folder / "zoo.db").mkdir()


HOMES: dict[str, Callable[[Path], None]] = {
    "random bytes": _write_noise,
    "cut short": lambda folder: os.truncate(folder / "zoo.db", 5000),
    "a later schema": _change("UPDATE alembic_version SET version_num = '9999'"),
    "a record cut short": _change("UPDATE checkpoints SET record = '{'"),
    "a deep record": _change("UPDATE checkpoints SET record = ?", "[" * 100_000),
    "a record of another kind": _change("UPDATE checkpoints SET record = '[]'"),
    "a row with another name": _change("UPDATE checkpoints SET record = replace(record, 'tiny', 'other')"),
    "no table": _change("DROP TABLE checkpoints"),
    "no column": _change("ALTER TABLE scores RENAME TO other"),
    "steering text": _steer,
    "a folder as the database": _make_folder,
}  # fmt: skip


@pytest.mark.parametrize("name", HOMES)
def test_hostile_homes(name: str, home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "home"
    shutil.copytree(home, broken)
    HOMES[name](broken)
    env = {"PHIZOO_HOME": str(broken)}
    assert [fault for line in SHORT_LINES for fault in check(line.split(), env, tmp_path)] == []


@pytest.mark.long
@pytest.mark.parametrize("name", HOMES)
def test_hostile_homes_by_every_command(name: str, home: Path, tmp_path: Path) -> None:
    faults = []
    for place, line in enumerate(LINES):
        broken = tmp_path / str(place)
        shutil.copytree(home, broken)
        HOMES[name](broken)
        words = (
            line.replace("ZOO", str(tmp_path / f"zoo{place}")).replace("FOLDER", str(tmp_path / f"out{place}")).split()
        )
        faults += check(words, {"PHIZOO_HOME": str(broken)}, tmp_path)
    assert faults == []


PLACES = {
    "a device": "/dev/null", "the processes": "/proc", "no text": "", "a long name": "/tmp/" + "x" * 300,
    "not UTF-8": os.fsdecode(b"/tmp/hostile-\xff\xfe"), "a file": __file__,
}  # fmt: skip
VARIABLES: dict[str, dict[str, str]] = {
    **{f"home: {name}": {"PHIZOO_HOME": value} for name, value in PLACES.items()},
    **{f"database: {value[:12]}": {"PHIZOO_DB": value} for value in
       ("notaurl", "sqlite:///", "sqlite:////nope/x.db", "mysql://x", "://", "postgresql://[::1", "x" * 3000)},
    **{f"store: {value}": {"PHIZOO_STORE": value} for value in ("s3://", "foo://x", "/dev/null")},
    "a C locale": {"LC_ALL": "C"}, "columns": {"COLUMNS": "x", "LINES": "-1"}, "no folder for temporary files": {"TMPDIR": "/nope"},
    "a key with a carriage return": {"PHIZOO_API_KEY": "a\r", "HF_TOKEN": "b\r"}, "data": {"PHIZOO_DATA": "/dev/null"},
}  # fmt: skip


@pytest.mark.parametrize("name", VARIABLES)
def test_hostile_variables(name: str, home: Path, tmp_path: Path) -> None:
    env = {"PHIZOO_HOME": str(home)} | VARIABLES[name]
    assert [fault for line in ("models list", "models show tiny") for fault in check(line.split(), env, tmp_path)] == []


@pytest.mark.long
@pytest.mark.parametrize("name", VARIABLES)
def test_hostile_variables_by_every_command(name: str, home: Path, tmp_path: Path) -> None:
    env = {"PHIZOO_HOME": str(home)} | VARIABLES[name]
    lines = [
        line.replace("ZOO", str(tmp_path / "zoo")).replace("FOLDER", str(tmp_path / "out")).split() for line in LINES
    ]
    assert [fault for words in lines for fault in check(words, env, tmp_path)] == []
