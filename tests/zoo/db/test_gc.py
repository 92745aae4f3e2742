"""gc lists first, keeps what is young, and frees more than half of a store only if that is asked for."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo.cli import root
from zoo.errors import ZooError
from zoo.registry import Registry, open_registry


def garbage(registry: Registry, digit: str, size: int, hours: float) -> Path:
    """An object that nothing names, written so many hours ago."""
    path = Path(registry.store.url) / "objects" / (digit * 2) / (digit * 64)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - hours * 3600,) * 2)
    return path


def test_gc_lists_first_and_keeps_what_is_young(
    made: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "phi"), "one")
        old, young = garbage(registry, "a", 100, 25), garbage(registry, "b", 100, 23)
    assert root.run(["models", "gc", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "1 of 4 files belong to nothing" in told
    assert f"  {'a' * 16}" in told
    assert "25.0 hours old" in told
    assert "1 more belong to nothing and stay: they are younger than 24 hours (--grace)" in told
    assert old.exists()
    assert root.run(["models", "gc", "--json"]) == 0
    freed = json.loads(capsys.readouterr().out)
    assert (freed["objects"], freed["bytes"], freed["young"]) == (1, 100, 1)
    assert [one["sha256"] for one in freed["files"]] == ["a" * 64]
    assert (old.exists(), young.exists()) == (False, True)
    assert root.run(["models", "gc", "--grace", "22"]) == 0
    assert not young.exists()


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1_000_000,)])
def test_more_than_half_by_number_or_by_bytes_needs_yes(
    sizes: tuple[int, ...], made: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "phi"), "one")
        paths = [garbage(registry, "abc"[number], size, 48) for number, size in enumerate(sizes)]
        with pytest.raises(ZooError, match=r"nothing was deleted\. If these may go: phizoo models gc --yes"):
            registry.gc()
    assert root.run(["models", "gc"]) == 2
    assert f"  {'a' * 16}" in capsys.readouterr().out
    assert all(path.exists() for path in paths)
    assert root.run(["models", "gc", "--yes"]) == 0
    assert not any(path.exists() for path in paths)
    with open_registry() as registry:
        assert registry.verify() == []


def test_an_object_that_is_added_again_is_young_again(made: SimpleNamespace, tmp_path: Path) -> None:
    with open_registry() as registry:
        folder = made.phi(tmp_path / "phi")
        checkpoint = registry.add(folder, "one")
        for file in checkpoint.files:
            os.utime(registry.store.object(file.sha256), (0, 0))
        registry.add(folder, "two")
        registry.remove("one")
        registry.remove("two")
        assert registry.gc(most=1.0).objects == 0
        assert registry.gc(most=1.0, grace=0).objects == 2
