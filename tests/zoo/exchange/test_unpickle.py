"""Pickles are converted to safetensors with the same tensors and without being run; hostile ones are refused."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import ZooError
from zoo.exchange import unpickle
from zoo.exchange.huggingface import import_any
from zoo.exchange.unpickle import convert_pickle
from zoo.records import About
from zoo.registry import open_registry

RAN = "/tmp/phizoo-was-run"


class Danger:
    """What a pickle of it would run."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return (self.call[0], self.call[1:])


def archive(path: Path, value: Any, raw: bytes | None = None, **storages: bytes) -> Path:
    """A PyTorch archive with any pickle in it."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", raw if raw is not None else pickle.dumps(value, 2))
        for key, data in storages.items():
            file.writestr(f"archive/data/{key}", data)
    return path


def test_a_state_dict_becomes_the_very_same_tensors(tiny_phi: Path, tmp_path: Path) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "old"
    shutil.copytree(tiny_phi, folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        torch.save({name: tensors[name] for name in part}, folder / f"pytorch_model-{number:05d}-of-00002.bin")
    (folder / "pytorch_model.bin.index.json").write_text("{}")
    with open_registry() as registry:
        with pytest.raises(ZooError, match="is a pickle"):
            import_any(registry, str(folder), "x", None, About())
        found = import_any(registry, str(folder), "x", None, About(), pickles=True)
        held: dict[str, torch.Tensor] = {}
        for path in registry.path(found).glob("*.safetensors"):
            held |= load_file(path)
    assert held.keys() == tensors.keys()
    assert all(torch.equal(held[name], tensors[name]) for name in tensors)


HOSTILE = {
    "os.system": Danger(os.system, f"touch {RAN}"),
    "eval": Danger(eval, f"open({RAN!r}, 'w')"),
    "inside a dict": {"a": Danger(os.system, f"touch {RAN}")},
    "getattr": Danger(getattr, "x", "join"),
    "not a dict": [1, 2],
    "no tensor": {"a": 1},
    "empty": {},
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path, attack: str) -> None:
    Path(RAN).unlink(missing_ok=True)
    path = archive(tmp_path / "x.bin", HOSTILE[attack])
    with pytest.raises(ZooError, match=r"x\.bin: cannot be converted") as raised:
        convert_pickle(path, tmp_path / "x.safetensors")
    assert "\n" not in str(raised.value)
    assert not Path(RAN).exists()
    assert not (tmp_path / "x.safetensors").exists()


def test_what_is_no_archive_or_a_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(pickle.dumps({"a": 1}))
    archive(tmp_path / "b.bin", None, raw=b"\x80\x02" + b"(" * 1000 + b".")
    with zipfile.ZipFile(tmp_path / "c.bin", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(60_000_000))
    for name in "abc":
        with pytest.raises(ZooError, match="cannot be converted"):
            convert_pickle(tmp_path / f"{name}.bin", tmp_path / "x.safetensors")


def test_a_pickle_that_would_hash_for_hours_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nested = b"\x80\x04}" + b")" + b"".join(b"\x94h" + bytes([n]) + b"\x86" for n in range(60)) + b"K\x01s."
    archive(tmp_path / "x.bin", None, raw=nested)
    monkeypatch.setattr(unpickle, "READ_SECONDS", 1)
    with pytest.raises(ZooError, match="cannot be converted"):
        convert_pickle(tmp_path / "x.bin", tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_tensor_that_reaches_outside_its_storage_or_is_a_view_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save({"a": torch.arange(6.0).view(2, 3).t()}, tmp_path / "view.bin")
    with pytest.raises(ZooError, match="not contiguous"):
        convert_pickle(tmp_path / "view.bin", tmp_path / "x.safetensors")
    torch.save({"a": torch.arange(6.0)}, tmp_path / "whole.bin")
    with zipfile.ZipFile(tmp_path / "whole.bin") as file:
        told = {info.filename: file.read(info) for info in file.infolist()}
    with zipfile.ZipFile(tmp_path / "short.bin", "w") as file:
        for name, data in told.items():
            file.writestr(name, data[:-4] if name.endswith("/data/0") else data)
    with pytest.raises(ZooError, match="another size than it claims"):
        convert_pickle(tmp_path / "short.bin", tmp_path / "x.safetensors")
