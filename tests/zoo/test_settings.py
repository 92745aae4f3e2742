"""Where the zoo lies, for homes whose names mean something in a URL."""

import os
from pathlib import Path

import pytest

from zoo import settings
from zoo.db.database import sqlite_file
from zoo.registry import open_registry

NAMES = ("my zoo ü", "a#b", "50%20off", "who?x=1", "a&b;c", "quote'd", "semi:colon", "%3F", "[x", os.fsdecode(b"\xff"))


@pytest.mark.parametrize("name", NAMES)
def test_the_database_lies_in_the_home(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / name
    monkeypatch.setenv("PHIZOO_HOME", str(home))
    monkeypatch.delenv("PHIZOO_DB", raising=False)
    assert sqlite_file(settings.database_url()) == home / "zoo.db"
    with open_registry():
        pass
    with open_registry(readonly=True) as registry:
        assert registry.list() == []
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert (home / "zoo.db").is_file()
