"""States of several processes: taken only whole, and only for their own run (the writing: test_parallel.py)."""

from pathlib import Path

import pytest

from training.recipe import States
from training.state import FACTS, Keeper
from zoo.digest import file_sha256, write_json
from zoo.errors import ZooError


def state(folder: Path, identity: dict[str, int]) -> Keeper:
    place = folder / "states" / "00000003"
    place.mkdir(parents=True)
    (place / "__0_0.distcp").write_bytes(b"shard of the first")
    (place / "__1_0.distcp").write_bytes(b"shard of the second")
    files = {name: file_sha256(place / name) for name in ("__0_0.distcp", "__1_0.distcp")}
    write_json(place / FACTS, {"step": 3, "identity": {"processes": 2}, "files": files, "best": None})
    return Keeper(folder, States(), identity)


def test_a_whole_state_is_taken(tmp_path: Path) -> None:
    assert state(tmp_path, {"processes": 2}).verify(3).step == 3


@pytest.mark.parametrize("harm", ["changed", "lost"])
def test_a_shard_that_is_not_as_written_is_seen(tmp_path: Path, harm: str) -> None:
    keeper = state(tmp_path, {"processes": 2})
    shard = tmp_path / "states" / "00000003" / "__1_0.distcp"
    if harm == "lost":
        shard.unlink()
    else:
        shard.write_bytes(b"shard of the secomd")
    with pytest.raises((ValueError, OSError)):
        keeper.verify(3)


def test_another_number_of_processes_is_told(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="processes: 2 -> 4"):
        state(tmp_path, {"processes": 4}).verify(3)
