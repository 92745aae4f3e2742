"""The training curve of a checkpoint, which may come from another zoo."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dashboard.data.lineage import CURVES, training_lines
from tests.hostile.texts import DEEP


def curve(file: Path) -> list[dict[str, Any]]:
    checkpoint: Any = SimpleNamespace(files=(SimpleNamespace(path=CURVES, sha256="a"),))
    registry: Any = SimpleNamespace(store=SimpleNamespace(object=lambda _: file))
    return training_lines(checkpoint, registry)


def test_a_curve_is_read_by_line_feeds_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "curve"
    file.write_text('{"step": 1, "note": "a\u2028b\u0085"}\n\n{"step": 2}\n[]\n', encoding="utf-8")
    assert [line["step"] for line in curve(file)] == [1, 2]
    for text in DEEP.values():
        file.write_bytes(text)
        assert curve(file) == []
