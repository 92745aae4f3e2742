"""Converts Phi's older weight formats to today's by moving rows as bytes: nothing is computed or rounded.

    mixformer   transformer.h.N.mixer.Wqkv, rows all q, then all k, then all v   (Microsoft's own code)
    sequential  layers.N.mixer.Wqkv, the same with every layer numbered          (its first release)
    fused       self_attn.query_key_value, rows head by head: q, k, v            (transformers 4.36)
    today       self_attn.q_proj, k_proj, v_proj                                 (transformers 4.37 and later)

Every conversion is checked by comparing logits: see `zoo.exchange.phi_proof`.

Source: transformers' convert_phi_weights_to_hf.py and pull request 28163; PhiConfig of 4.36.
"""

import json
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo.admission.plain_file import open_plain
from zoo.admission.safetensors_header import BITS, Header, Tensor, read_header
from zoo.digest import CHUNK_BYTES
from zoo.errors import ZooError
from zoo.published.phi_variants import legacy_format
from zoo.shape import read_shape

Spans = tuple[tuple[int, int], ...]
ROTARY = 32
END_OF_TEXT = 50256  # CodeGen's; the class default (1, 2) is wrong for Phi's tokenizer

RENAMES = (
    (r"transformer\.embd\.wte\.weight", "model.embed_tokens.weight"),
    (r"transformer\.h\.(\d+)\.ln\.(weight|bias)", r"model.layers.\1.input_layernorm.\2"),
    (r"transformer\.h\.(\d+)\.mixer\.out_proj\.(weight|bias)", r"model.layers.\1.self_attn.dense.\2"),
    (r"transformer\.h\.(\d+)\.mixer\.Wqkv\.(weight|bias)", r"model.layers.\1.self_attn.query_key_value.\2"),
    (r"transformer\.h\.(\d+)\.mlp\.(fc1|fc2)\.(weight|bias)", r"model.layers.\1.mlp.\2.\3"),
    (r"lm_head\.ln\.(weight|bias)", r"model.final_layernorm.\1"),
    (r"lm_head\.linear\.(weight|bias)", r"lm_head.\1"),
)
LEFT_OUT = re.compile(r".*(inv_freq|rotary_emb\.scale|attn\.bias|masked_bias|causal_mask)")


class TensorPiece(NamedTuple):
    """One tensor of today's format: its source file, and the byte ranges of that file's data part, in order."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    spans: Spans


def as_mixformer(name: str, layers: int) -> str:
    """Translates a name of the sequential format to mixformer: embedding 0, blocks 1..L, head L+1.

    >>> as_mixformer("layers.1.mixer.Wqkv.weight", 24), as_mixformer("layers.25.linear.bias", 24)
    ('transformer.h.0.mixer.Wqkv.weight', 'lm_head.linear.bias')
    """
    match = re.fullmatch(r"layers\.(\d+)\.(.+)", name)
    if match is None:
        return name
    number, rest = int(match[1]), match[2]
    if number == 0:
        return f"transformer.embd.{rest}"
    return f"transformer.h.{number - 1}.{rest}" if number <= layers else f"lm_head.{rest}"


def convert_config(config: dict[str, Any]) -> dict[str, Any]:
    """Converts an older config.json to today's from its numbers alone; nothing else is carried over.

    Raises ZooError if a size is missing
    """

    def first(*keys: str, default: Any = None) -> Any:
        for key in keys:
            if config.get(key) is not None:
                return config[key]
        if default is None:
            raise ZooError(f"config.json: {keys[0]} is missing; expected the config of a Phi model.")
        return default

    width, heads = int(first("hidden_size", "n_embd")), int(first("num_attention_heads", "n_head"))
    vocabulary = int(first("vocab_size"))
    if heads < 1 or width % heads:
        raise ZooError(f"config.json: {heads} heads do not divide a width of {width}.")
    size = width // heads
    # without a value, Microsoft's class rotates 32 dimensions (also of phi-2's 80), transformers' half of them
    default_rotary = min(ROTARY, size) if "n_head" in config else size // 2
    factor = config.get("partial_rotary_factor") or int(first("rotary_dim", default=default_rotary)) / size
    end = END_OF_TEXT if vocabulary > END_OF_TEXT else int(first("eos_token_id", default=0))
    return {
        "architectures": ["PhiForCausalLM"], "model_type": "phi", "vocab_size": vocabulary, "hidden_size": width,
        "intermediate_size": int(first("intermediate_size", "n_inner", default=4 * width)),
        "num_hidden_layers": int(first("num_hidden_layers", "n_layer")), "num_attention_heads": heads,
        "num_key_value_heads": int(first("num_key_value_heads", "n_head_kv", default=heads)),
        "hidden_act": str(first("hidden_act", "activation_function", default="gelu_new")),
        "max_position_embeddings": int(first("max_position_embeddings", "n_positions", default=2048)),
        "layer_norm_eps": float(first("layer_norm_eps", "layer_norm_epsilon", default=1e-5)),
        "initializer_range": float(first("initializer_range", default=0.02)),
        "resid_pdrop": float(first("resid_pdrop", default=0.0)),
        "embd_pdrop": float(first("embd_pdrop", default=0.0)),
        "attention_dropout": float(first("attention_dropout", "attn_pdrop", default=0.0)),
        "partial_rotary_factor": factor, "rope_theta": float(first("rope_theta", default=10000.0)),
        "qk_layernorm": False, "tie_word_embeddings": False, "bos_token_id": end, "eos_token_id": end,
        "torch_dtype": str(first("torch_dtype", "dtype", default="float32")),
    }  # fmt: skip


def plan_tensors(headers: dict[str, Header], config: dict[str, Any]) -> list[TensorPiece]:
    """The source bytes of every tensor of today's format, in the order of the files.

    config  today's
    Raises  ZooError for a tensor that belongs to none of the formats
    """
    names = [tensor.name for header in headers.values() for tensor in header.tensors]
    legacy = legacy_format(names)
    pieces: list[TensorPiece] = []
    for file, header in headers.items():
        for tensor in header.tensors:
            if LEFT_OUT.fullmatch(tensor.name):
                continue
            name = _translate_name(tensor.name, legacy, int(config["num_hidden_layers"]))
            if ".query_key_value." in name:
                pieces += _split(file, tensor, name, legacy, config)
            else:
                pieces.append(TensorPiece(name, tensor.dtype, tensor.shape, file, ((tensor.begin, tensor.end),)))
    return pieces


def _translate_name(name: str, legacy: str, layers: int) -> str:
    if legacy == "fused":
        return name
    given = as_mixformer(name, layers) if legacy == "sequential" else name
    for pattern, today in RENAMES:
        if re.fullmatch(pattern, given):
            return re.sub(pattern, today, given)
    raise ZooError(f"tensor {name} belongs to none of Phi's formats; the folder may contain another model.")


def _split(file: str, tensor: Tensor, name: str, legacy: str, config: dict[str, Any]) -> Iterator[TensorPiece]:
    """Splits one fused tensor into q, k and v by the row layout of its format."""
    shape = read_shape(config)
    heads, key_heads, size = shape.heads, shape.key_heads, shape.head_size
    if tensor.shape[0] != (heads + 2 * key_heads) * size or (legacy == "fused" and heads != key_heads):
        raise ZooError(
            f"tensor {tensor.name} has {tensor.shape[0]} rows; {heads} heads of {size} with "
            f"{key_heads} for keys need {(heads + 2 * key_heads) * size}."
        )
    row = (tensor.end - tensor.begin) // tensor.shape[0]
    rows: dict[str, list[tuple[int, int]]]
    if legacy == "fused":
        rows = {
            part: [((3 * h + index) * size, (3 * h + index + 1) * size) for h in range(heads)]
            for index, part in enumerate("qkv")
        }
    else:
        q, k = heads * size, key_heads * size
        rows = {"q": [(0, q)], "k": [(q, q + k)], "v": [(q + k, q + 2 * k)]}
    for part, spans in rows.items():
        count = sum(end - begin for begin, end in spans)
        yield TensorPiece(
            name.replace("query_key_value", f"{part}_proj"), tensor.dtype, (count, *tensor.shape[1:]), file,
            tuple((tensor.begin + begin * row, tensor.begin + end * row) for begin, end in spans),
        )  # fmt: skip


def convert(source: Path, target: Path, config: dict[str, Any]) -> None:
    """Converts an older folder into a new one, file by file, a chunk at a time."""
    headers = {path.name: read_header(path) for path in sorted(source.glob("*.safetensors"))}
    pieces = plan_tensors(headers, config)
    target.mkdir(parents=True, exist_ok=True)
    weight_map = {}
    for file, header in headers.items():
        own = [piece for piece in pieces if piece.file == file]
        with open_plain(source / file) as reading:
            write_safetensors(target / file, own, _spans(reading, header.data_start, own))
        weight_map.update({piece.name: file for piece in own})
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if len(headers) > 1:
        total = sum(end - begin for piece in pieces for begin, end in piece.spans)
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (target / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _spans(reading: Any, data_start: int, pieces: Sequence[TensorPiece]) -> Iterator[bytes]:
    for piece in pieces:
        for begin, end in piece.spans:
            reading.seek(data_start + begin)
            left = end - begin
            while left:
                chunk = reading.read(min(left, CHUNK_BYTES))
                if not chunk:
                    raise ZooError(f"tensor {piece.name}: its file ended early: it changed during the conversion.")
                left -= len(chunk)
                yield chunk


def write_safetensors(path: Path, pieces: Sequence[TensorPiece], chunks: Iterable[bytes]) -> None:
    """Writes tensors to one safetensors file, in this order."""
    offset, header = 0, {"__metadata__": {"format": "pt"}}  # type: int, dict[str, Any]
    for piece in pieces:
        size = sum(end - begin for begin, end in piece.spans)
        if offset % (BITS[piece.dtype] // 8):
            raise ZooError(f"tensor {piece.name}: mixed widths in one file would not be aligned; save it as one dtype.")
        header[piece.name] = {"dtype": piece.dtype, "shape": list(piece.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as writing:
        writing.write(struct.pack("<Q", len(text)) + text)
        writing.writelines(chunks)
        writing.flush()
        os.fsync(writing.fileno())
