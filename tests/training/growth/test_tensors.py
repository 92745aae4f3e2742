"""Tensors read with plain reads: whole, in part, from shards, in their own type."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from training.growth.tensors import TensorFolder
from zoo.errors import ZooError


def test_what_is_read_is_what_was_saved(tmp_path: Path) -> None:
    drawn = torch.Generator().manual_seed(0)
    first = {"a": torch.randn(5, 3, generator=drawn), "b": torch.randn(7, generator=drawn).bfloat16()}
    second = {"c": torch.randn(2, 2, 4, generator=drawn).half(), "d": torch.randn(3, generator=drawn).double()}
    save_file(first, tmp_path / "model-1.safetensors")
    save_file(second, tmp_path / "model-2.safetensors")
    folder = TensorFolder(tmp_path)
    for name, value in (first | second).items():
        assert folder.shape(name) == tuple(value.shape)
        assert folder.read(name).dtype == value.dtype
        assert torch.equal(folder.read(name), value)
    assert torch.equal(folder.read("a", 1, 4), first["a"][1:4])
    assert torch.equal(folder.read("c", 1), second["c"][1:])
    assert "a" in folder
    assert "x" not in folder


def test_a_type_that_no_phi_has_is_told(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ZooError, match=r"model.safetensors: a is I64"):
        TensorFolder(tmp_path).read("a")
