"""Writes small GGUF files for tests: any metadata and tensors, or a random Llama with a byte-level vocabulary."""

import json
import struct
from pathlib import Path
from typing import Any

ALIGNMENT = 32
Values = dict[str, tuple[int, Any]]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(kind: int, content: Any) -> bytes:
    """A metadata value of ggml's type; an array is (9, (type of its elements, elements))."""
    if kind == 8:
        return text(content)
    if kind == 9:
        inner, elements = content
        return struct.pack("<IQ", inner, len(elements)) + b"".join(value(inner, element) for element in elements)
    codes = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    return struct.pack(f"<{codes[kind]}", content)


def gguf_bytes(values: Values, tensors: dict[str, tuple[int, tuple[int, ...], bytes]], version: int = 3) -> bytes:
    """A whole file. tensors: name -> (ggml's type, shape with the fastest dimension first, bytes)."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(values))]
    parts += [text(key) + struct.pack("<I", kind) + value(kind, content) for key, (kind, content) in values.items()]
    offset, data = 0, b""
    for name, (kind, shape, content) in tensors.items():
        parts.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
        data += content + b"\0" * (-len(content) % ALIGNMENT)
        offset = len(data)
    header = b"".join(parts)
    return header + b"\0" * (-len(header) % ALIGNMENT) + data


def small(**changes: Any) -> tuple[Values, dict[str, tuple[int, tuple[int, ...], bytes]]]:
    """The least that may enter: a Llama of one layer and width 8, four tokens; `changes` replace or drop (None) keys."""
    values: Values = {
        "general.architecture": (8, "llama"), "general.file_type": (4, 0), "llama.context_length": (4, 64),
        "llama.block_count": (4, 1), "llama.embedding_length": (4, 8), "llama.attention.head_count": (4, 2),
        "tokenizer.ggml.model": (8, "gpt2"), "tokenizer.ggml.pre": (8, "gpt-2"),
        "tokenizer.ggml.tokens": (9, (8, ["<end>", "a", "b", "c"])),
        "tokenizer.ggml.token_type": (9, (5, [3, 1, 1, 1])), "tokenizer.ggml.eos_token_id": (4, 0),
    }  # fmt: skip
    for key, changed in changes.items():
        values.pop(key, None)
        if changed is not None:
            values[key] = changed
    tensors = {
        "token_embd.weight": (0, (8, 4), struct.pack("<32f", *range(32))),
        "blk.0.attn_norm.weight": (0, (8,), struct.pack("<8f", *range(8))),
    }
    return values, tensors


def tiny_llama(
    file: Path, tiny_phi: Path, rope: dict[str, Any] | None = None, seed: int = 3, context: int = 128, **changes: Any
) -> Any:
    """Writes a random Llama in F32 with the tiny Phi's vocabulary; the same model in transformers, for its logits.

    rope     rope_parameters of the model; the file gets the tensor that converters write for them, rope_freqs
    context  the most tokens it takes
    changes  keys of the file
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    parts = json.loads((tiny_phi / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    tokens = sorted(parts["vocab"], key=parts["vocab"].__getitem__)
    end = parts["vocab"]["<|endoftext|>"]
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokens), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=context, tie_word_embeddings=True, initializer_range=0.2,
        bos_token_id=end, eos_token_id=end, rope_parameters=rope,
    )  # fmt: skip
    made: Any = LlamaForCausalLM(config)
    model = made.eval()
    values: Values = {
        "general.architecture": (8, "llama"), "general.name": (8, "tiny"), "general.file_type": (4, 0),
        "llama.context_length": (4, context), "llama.block_count": (4, 2), "llama.embedding_length": (4, 64),
        "llama.feed_forward_length": (4, 128), "llama.attention.head_count": (4, 4),
        "llama.attention.head_count_kv": (4, 2), "llama.attention.layer_norm_rms_epsilon": (6, config.rms_norm_eps),
        "llama.rope.freq_base": (6, 10000.0), "llama.rope.dimension_count": (4, 16),
        "llama.vocab_size": (4, len(tokens)), "tokenizer.ggml.model": (8, "gpt2"),
        "tokenizer.ggml.pre": (8, "gpt-2"), "tokenizer.ggml.tokens": (9, (8, tokens)),
        "tokenizer.ggml.token_type": (9, (5, [3 if token == "<|endoftext|>" else 1 for token in tokens])),
        "tokenizer.ggml.merges": (9, (8, [" ".join(merge) for merge in parts["merges"]])),
        "tokenizer.ggml.bos_token_id": (4, end), "tokenizer.ggml.eos_token_id": (4, end),
        "tokenizer.ggml.add_bos_token": (7, False),
    }  # fmt: skip
    values.update(changes)
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    inner = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for layer in range(2):
        names |= {f"model.layers.{layer}.{a}.weight": f"blk.{layer}.{b}.weight" for a, b in inner.items()}
    tensors = {}
    for name, weight in model.state_dict().items():
        if name in names:
            array = weight.numpy()
            if heads := {"attn_q": 4, "attn_k": 2}.get(names[name].split(".")[-2]):  # llama.cpp rotates neighbours
                array = array.reshape(heads, 2, 8, 64).swapaxes(1, 2).reshape(array.shape)
            tensors[names[name]] = (0, tuple(reversed(array.shape)), array.astype("<f4").tobytes())
    if rope:  # by how much each frequency is divided
        plain = 10000.0 ** -(torch.arange(0, 16, 2) / 16)
        factors = (plain / model.model.rotary_emb.inv_freq).numpy()
        tensors["rope_freqs.weight"] = (0, (8,), factors.astype("<f4").tobytes())
    file.write_bytes(gguf_bytes(values, tensors))
    return model
