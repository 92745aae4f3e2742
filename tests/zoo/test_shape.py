"""One reader of config.json, for every family's spelling."""

import json
from pathlib import Path

import pytest

from zoo.published.phi_variants import VARIANTS
from zoo.shape import folder_shape, read_shape

GPT2 = {"model_type": "gpt2", "vocab_size": 10, "n_embd": 8, "n_layer": 3, "n_head": 2, "n_positions": 16}
LLAMA = {
    "model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16,
    "num_key_value_heads": 2, "intermediate_size": 48, "vocab_size": 7, "tie_word_embeddings": True,
    "rope_parameters": {"rope_theta": 5e5},
}  # fmt: skip


def test_each_familys_words_give_the_same_sizes(tmp_path: Path) -> None:
    gpt2, llama = read_shape(GPT2), read_shape(LLAMA)
    assert (gpt2.layers, gpt2.width, gpt2.heads, gpt2.key_heads, gpt2.head_size) == (3, 8, 2, 2, 4)
    assert (gpt2.vocabulary, gpt2.context_tokens, gpt2.inner, gpt2.rotary_factor) == (10, 16, 0, None)
    assert (llama.key_heads, llama.head_size, llama.inner, llama.tied, llama.rotary_theta) == (2, 16, 48, True, 5e5)
    assert llama.cache_values == 2 * 2 * 2 * 16
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert folder_shape(tmp_path) == llama


@pytest.mark.parametrize(("name", "rotated"), [("phi-1-small", 32), ("phi-1", 32), ("phi-2", 32)])
def test_every_phi_rotates_32_numbers_of_a_head(name: str, rotated: int) -> None:
    shape = VARIANTS[name].shape
    assert shape.rotary_dimensions == rotated and not shape.lacks_phi_2_rotary


def test_a_phi_2_without_its_rotary_factor_is_recognised() -> None:
    config = VARIANTS["phi-2"].config | {"partial_rotary_factor": None}
    assert read_shape(config).lacks_phi_2_rotary
    assert not read_shape(config | {"rope_parameters": {"partial_rotary_factor": 0.4}}).lacks_phi_2_rotary
    assert not read_shape(config | {"model_type": "llama"}).lacks_phi_2_rotary


def test_an_empty_config_has_no_sizes() -> None:
    shape = read_shape({})
    assert (shape.layers, shape.heads, shape.head_size, shape.cache_values) == (0, 0, 0, 0)
