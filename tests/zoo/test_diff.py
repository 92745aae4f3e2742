"""A comparison of checkpoints lists every changed tensor with the size of its change, and nothing else."""

import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo import diff
from zoo.records import About
from zoo.registry import open_registry


def test_each_change_is_reported_with_its_size(tmp_path: Path, made: SimpleNamespace) -> None:
    tensors = made.phi_tensors(0)
    bias = [1.0, 2.0, 2.0] + [0.0] * 8
    tensors["lm_head.bias"] = ("F32", [11], struct.pack("<11f", *bias))
    made.safetensors(made.phi(tmp_path / "a") / "model.safetensors", tensors)
    bias[1] = 1.7
    tensors["lm_head.bias"] = ("F32", [11], struct.pack("<11f", *bias))
    tensors["rotary.inv_freq"] = ("F32", [1], bytes(4))
    made.safetensors(made.phi(tmp_path / "b", partial_rotary_factor=0.4) / "model.safetensors", tensors)
    with open_registry() as registry:
        registry.add(tmp_path / "a", "a", About(recipe={"rate": 1, "same": 2}))
        registry.add(tmp_path / "b", "b", About(recipe={"rate": 3, "same": 2}, licence="mit"))
        found = diff.diff(registry, "a", "b")
    assert [(one.key, one.before, one.after) for one in found.config] == [("partial_rotary_factor", 0.5, 0.4)]
    assert [(one.key, one.before, one.after) for one in found.recipe] == [("rate", 1, 3)]
    assert [one.key for one in found.record] == ["licence"]
    assert [one.key for one in found.files] == ["config.json", "model.safetensors"]
    assert found.tensors_equal == 18
    changed, added = found.tensors
    assert (changed.name, changed.what, added.name, added.what) == (
        "lm_head.bias",
        "changed",
        "rotary.inv_freq",
        "added",
    )
    assert changed.largest == pytest.approx(0.3, abs=1e-6)
    assert changed.relative == pytest.approx(0.1, abs=1e-6)
    text = diff.text(found)
    assert "changed  lm_head.bias F32[11]  largest 0.3  relative 0.1" in text
    assert "tensors: 18 equal, 2 differ" in text


def test_another_width_and_another_dtype_are_reported(tmp_path: Path, made: SimpleNamespace) -> None:
    made.phi(tmp_path / "a", 1)
    made.phi(tmp_path / "b", 1, vocab_size=12)
    tensors = made.phi_tensors(1)
    half = b"".join(data[2:4] for data in (tensors["lm_head.bias"][2][at : at + 4] for at in range(0, 44, 4)))
    tensors["lm_head.bias"] = ("BF16", [11], half)
    last = {"lm_head.bias": tensors.pop("lm_head.bias")}
    made.safetensors(made.phi(tmp_path / "c", 1) / "model.safetensors", tensors | last)
    with open_registry() as registry:
        for name in "abc":
            registry.add(tmp_path / name, name)
        shapes = {one.name: (one.what, one.before, one.after) for one in diff.diff(registry, "a", "b").tensors}
        (dtype,) = diff.diff(registry, "a", "c").tensors
    assert shapes["lm_head.bias"] == ("shape", "F32[11]", "F32[12]")
    assert len(shapes) == 3
    assert (dtype.what, dtype.largest) == ("dtype", 0.0)
