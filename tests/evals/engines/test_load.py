"""Loaded models are whole: two loads give the same bits, at the same time too, and nothing is filled at random."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from evals.engines.local.load import load_model
from tests.evals.engines.tiny_families import tiny_config, tiny_model
from zoo.errors import ZooError
from zoo.families import FAMILIES, REFUSED


def has_tied_head(folder: Path) -> bool:
    model: Any = load_model(folder)
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_models_loaded_in_threads_keep_their_tied_heads(tmp_path: Path) -> None:
    tiny_model(tiny_config("llama", tie_word_embeddings=True)).save_pretrained(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(has_tied_head, [tmp_path] * 12))
    assert has_tied_head(tmp_path)


def bits(model: Any) -> dict[str, bytes]:
    """The bytes of every parameter and buffer, those that no file has included."""
    named = (*model.named_parameters(), *model.named_buffers())
    return {name: bytes(tensor.detach().reshape(-1).view(torch.uint8).numpy()) for name, tensor in named}


@pytest.mark.parametrize("kind", [
    kind if kind in ("llama", "gpt2", "mamba2") else pytest.param(kind, marks=pytest.mark.long)
    for kind, family in FAMILIES.items() if family.path != REFUSED
])  # fmt: skip
def test_two_loads_give_the_bits_that_were_saved(kind: str, tmp_path: Path) -> None:
    made = tiny_model(tiny_config(kind))
    made.save_pretrained(tmp_path)
    loaded = []
    for seed in (1, 2):  # a tensor that is filled at random would follow the seed
        torch.manual_seed(seed)
        loaded.append(load_model(tmp_path))
    assert bits(loaded[0]) == bits(loaded[1])
    saved, read = (dict(model.named_parameters()) for model in (made, loaded[0]))
    if type(made) is type(loaded[0]):
        assert saved.keys() == read.keys()
    # the text model alone of one that sees, too, has other names
    same = {tensor.detach().numpy().tobytes() for tensor in saved.values()}
    assert [name for name, tensor in read.items() if tensor.detach().numpy().tobytes() not in same] == []


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mamba2", "mixtral", "qwen3_5_text", "rwkv"])
def test_a_tensor_that_the_files_lack_is_refused_at_load(kind: str, tmp_path: Path) -> None:
    tiny_model(tiny_config(kind)).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    lost = max(name for name, tensor in weights.items() if tensor.ndim > 1 and "embed" not in name)
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, file, metadata={"format": "pt"})
    with pytest.raises(ZooError, match="lack the tensor"):
        load_model(tmp_path)
