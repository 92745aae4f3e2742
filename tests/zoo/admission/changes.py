"""Changes of a small Phi's folder, and the check that a changed folder does not enter."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.admission.tokenizer import check_tokenizer
from zoo.errors import ZooError
from zoo.registry import open_registry

Change = Callable[[Path], object]


def config(**changed: Any) -> Change:
    """Changes config.json."""

    def change(folder: Path) -> None:
        before = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(before | changed))

    return change


def write(name: str, data: bytes | str | dict[str, Any]) -> Change:
    """Writes one more file."""

    def change(folder: Path) -> None:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(data) if isinstance(data, dict) else data
        place.write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def check_refused(folder: Path, home: Path, reason: str) -> None:
    """The folder is refused in one line with the reason, and nothing of it is left in the home."""
    with open_registry() as registry:
        with pytest.raises(ZooError) as raised:
            registry.add(folder, "x")
        assert registry.list() == []
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not [path for path in (home / "store").rglob("*") if path.is_file() and path.name != "zoo.json"]


def check_tokenizer_refused(folder: Path, name: str, rows: int, reason: str, seconds: float) -> None:
    """The tokenizer of a folder is refused in one line with its file's name and the reason, in so many seconds."""
    begin = time.monotonic()
    with pytest.raises(ZooError, match=reason) as raised:
        check_tokenizer(folder, {"vocab_size": rows})
    assert "\n" not in str(raised.value) and name in str(raised.value)
    assert time.monotonic() - begin < seconds
