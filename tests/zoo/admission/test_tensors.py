"""Tensors that do not match the config are refused, in families other than Phi too."""

import json
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.admission.gate import inspect_folder
from zoo.errors import ZooError

CONFIG = {
    "model_type": "llama",
    "vocab_size": 10,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LAYER = {
    "self_attn.q_proj": (8, 8),
    "self_attn.k_proj": (4, 8),
    "self_attn.v_proj": (4, 8),
    "self_attn.o_proj": (8, 8),
    "mlp.gate_proj": (16, 8),
    "mlp.up_proj": (16, 8),
    "mlp.down_proj": (8, 16),
    "input_layernorm": (8,),
    "post_attention_layernorm": (8,),
}


def llama(made: SimpleNamespace, folder: Path, shapes: dict[str, tuple[int, ...] | None], **config: Any) -> Path:
    """A folder laid out as Llama is; `shapes` replaces some, None takes one away."""
    held: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (10, 8), "model.norm.weight": (8,)}
    for layer in range(2):
        held |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in LAYER.items()}
    told = held | {"lm_head.weight": (10, 8)} | shapes
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    tensors = {name: ("F32", list(shape), bytes(4 * prod(shape))) for name, shape in told.items() if shape is not None}
    made.safetensors(folder / "model.safetensors", tensors)
    return folder


def test_an_honest_llama_enters(tmp_path: Path, made: SimpleNamespace) -> None:
    assert inspect_folder(llama(made, tmp_path / "x", {})).parameters == 1352
    inspect_folder(llama(made, tmp_path / "tied", {"lm_head.weight": None}, tie_word_embeddings=True))
    inspect_folder(llama(made, tmp_path / "head", {}, head_dim=2))


WRONG: dict[str, tuple[dict[str, tuple[int, ...] | None], dict[str, Any], str]] = {
    "width": ({}, {"hidden_size": 16}, "has shape"),
    "inner width": ({}, {"intermediate_size": 32}, "describes [32, 8]"),
    "heads for keys": ({}, {"num_key_value_heads": 4}, "describes [8, 8]"),
    "vocabulary smaller": ({}, {"vocab_size": 9}, "describes [9, 8]"),
    "vocabulary larger": ({}, {"vocab_size": 11}, "vocabulary of 11"),
    "a layer more": ({}, {"num_hidden_layers": 3}, "describes 3 layers"),
    "a layer less": ({}, {"num_hidden_layers": 1}, "describes 1 layers"),
    "a tensor gone": ({"model.layers.1.mlp.up_proj.weight": None}, {}, "mlp.up_proj.weight is missing"),
    "no embedding": ({"model.embed_tokens.weight": None}, {}, "embed_tokens.weight is missing"),
    "head of another width": ({"lm_head.weight": (10, 4)}, {}, "lm_head.weight has shape [10, 4]"),
    "config without sizes": ({}, {"num_attention_heads": None}, "has no hidden_size"),
    "a giant's config": (
        {},
        {"model_type": "mixtral", "hidden_size": 8192, "intermediate_size": 28672},
        "describes a model of at least",
    ),
}


@pytest.mark.parametrize("lie", WRONG)
def test_tensors_of_another_model_are_refused(tmp_path: Path, made: SimpleNamespace, lie: str) -> None:
    shapes, config, said = WRONG[lie]
    folder = llama(made, tmp_path / "x", shapes, **config)
    with pytest.raises(ZooError) as raised:
        inspect_folder(folder)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_learned_positions_are_compared_with_the_config(tmp_path: Path, made: SimpleNamespace) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    shapes = {"wte.weight": (10, 8), "wpe.weight": (16, 8), "h.0.attn.c_attn.weight": (8, 24)}
    made.safetensors(folder / "model.safetensors", {n: ("F32", list(s), bytes(4 * prod(s))) for n, s in shapes.items()})
    told = {"model_type": "gpt2", "vocab_size": 10, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    (folder / "config.json").write_text(json.dumps(told))
    inspect_folder(folder)
    (folder / "config.json").write_text(json.dumps(told | {"n_positions": 1024}))
    with pytest.raises(ZooError, match=r"16 rows, but config\.json has 1024 positions"):
        inspect_folder(folder)
