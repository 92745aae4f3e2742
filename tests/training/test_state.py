"""States: whole or absent, verified when read, kept by rule, never another run's."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from training.recipe import States
from training.state import Keeper, Loaded, differences
from zoo.errors import ZooError

RULE = States(keep_last=2)
IDENTITY = {"recipe": {"training": {"steps": 9}}, "datasets": ["aa"], "parent": None, "processes": 1}


def keeper(folder: Path, rule: States = RULE, **changed: Any) -> Keeper:
    return Keeper(folder, rule, {**IDENTITY, **changed})


def newest(kept: Keeper) -> tuple[Loaded | None, list[str]]:
    return kept.newest(kept.read)


def save(one: Keeper, step: int, best: tuple[int, float] | None = None) -> None:
    one.save(step, {"w": torch.full((3,), float(step))}, {"0.w.step": torch.tensor(float(step))}, best)
    one.wait()


def test_the_newest_state_comes_back_whole(tmp_path: Path) -> None:
    one = keeper(tmp_path)
    for step in (1, 2, 3):
        save(one, step, best=(2, 0.5))
    loaded, notes = newest(keeper(tmp_path))
    assert loaded is not None
    assert (loaded.saved.step, loaded.saved.best, notes) == (3, (2, 0.5), [])
    assert loaded.weights["w"].tolist() == [3.0] * 3
    assert loaded.optimizer["0.w.step"].tolist() == 3.0


def test_what_is_kept(tmp_path: Path) -> None:
    one = keeper(tmp_path, States(keep_last=2, keep_every_steps=4))
    for step in range(1, 12):
        save(one, step, best=(3, 0.1) if step >= 3 else None)
    assert one.steps() == [3, 4, 8, 10, 11]
    assert sorted(path.name for path in one.folder.iterdir()) == [f"{step:08d}" for step in one.steps()]


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_state_gives_way_to_the_one_before(tmp_path: Path, file: str, damage: str) -> None:
    one = keeper(tmp_path)
    save(one, 1)
    save(one, 2)
    path = one.folder / "00000002" / file
    whole = path.read_bytes()
    if damage == "flip":
        path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
        if file == "state.json":  # one bit of a digest
            path.write_bytes(whole.replace(b'"weights.safetensors": "', b'"weights.safetensors": "0'))
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.unlink()
    loaded, notes = newest(keeper(tmp_path))
    assert loaded is not None
    assert loaded.saved.step == 1
    assert "the state of step 2 is damaged" in notes[0]


def test_what_a_kill_left_half_written_is_not_seen(tmp_path: Path) -> None:
    one = keeper(tmp_path)
    save(one, 1)
    shutil.copytree(one.folder / "00000001", one.folder / ".00000002.part")
    shutil.copytree(one.folder / "00000001", one.folder / ".00000000.gone")
    loaded, notes = newest(one)
    assert loaded is not None
    assert (loaded.saved.step, notes) == (1, [])
    one.sweep()
    assert [path.name for path in one.folder.iterdir()] == ["00000001"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"recipe": {"training": {"steps": 10}}}, "recipe.training.steps: 9 -> 10"),
        ({"datasets": ["bb"]}, 'datasets: ["aa"] -> ["bb"]'),
        ({"processes": 2}, "processes: 1 -> 2"),
    ],
)
def test_another_run_is_told_what_differs(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    save(keeper(tmp_path), 1)
    with pytest.raises(ZooError) as told:
        newest(keeper(tmp_path, **changed))
    assert says in str(told.value)
    assert newest(keeper(tmp_path))[0] is not None  # and nothing was lost


def test_a_fault_while_writing_reaches_the_loop(tmp_path: Path) -> None:
    one = keeper(tmp_path)
    one.folder.mkdir(parents=True)
    one.folder.rmdir()
    one.folder.write_text("a file where the folder should be")
    one.save(1, {"w": torch.zeros(1)}, {}, None)
    with pytest.raises(OSError, match="states"):
        one.wait()
    one.wait()  # told once


def test_when_a_state_is_due(tmp_path: Path) -> None:
    counted = keeper(tmp_path, States(every_seconds=0.0, every_steps=5, keep_every_steps=7))
    assert [step for step in range(1, 15) if counted.due(step)] == [5, 7, 10, 14]
    timed = keeper(tmp_path, States(every_seconds=100.0))
    assert not timed.due(1)
    timed.saved_at -= 101
    assert timed.due(1)


def test_differences_are_dotted() -> None:
    found = differences({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5})
    assert found == ["a.c: 2 -> 4", "d: 3 -> null", "e: null -> 5"]
