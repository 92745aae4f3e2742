"""Checks that a checkpoint's tensors match its config.json.

Phi: every name and every shape. Families with Llama's layout: the shapes of the linear layers, in every
layer. Others: the vocabulary, the number of layers, and the total size. Quantised weights have shapes of
their own, so only their names and layers are checked.
"""

import re
from pathlib import Path
from typing import Any

from zoo.admission.safetensors_header import FLOATS, Header
from zoo.errors import ZooError
from zoo.published.phi_variants import legacy_format, phi_shapes
from zoo.shape import read_shape

EMBEDDING = re.compile(r"(embed_tokens|wte|embed_in|word_embeddings)\.weight$")
POSITIONS = re.compile(r"(wpe|embed_positions)\.weight$")
LAYER = re.compile(r"\.(?:layers|h|blocks?)\.(\d{1,6})\.")
BUFFER = re.compile(
    r".*(inv_freq|\.attn\.(masked_)?bias|\.attention\.(masked_)?bias|causal_mask|position_ids|\.tid2eid)"
)
LLAMA_LIKE = (
    "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "stablelm", "smollm3", "olmo", "olmo2",
    "granite", "cohere",
)  # fmt: skip
FLOAT_TYPES = (*FLOATS, "F8_E4M3")
REPEATED = ("hrm_text",)  # families that run their layers several times and count each time
ROOM = 4  # a config's size is a lower bound; a quarter of it or less belongs to another model
PACKED = 16  # numbers that quantised weights pack into one element, at most


def check_tensors(folder: Path, headers: dict[str, Header], config: dict[str, Any]) -> None:
    """Checks that the tensors match the config. Raises ZooError with the first that does not."""
    shapes: dict[str, tuple[int, ...]] = {}
    quantised = config.get("quantization_config") is not None
    for path, header in headers.items():
        for tensor in header.tensors:
            if tensor.name in shapes:
                raise ZooError(f"{folder / path}: tensor {tensor.name} is also in another file; readers would differ.")
            if tensor.dtype not in FLOAT_TYPES and not quantised and not BUFFER.fullmatch(tensor.name):
                raise ZooError(
                    f"{folder / path}: tensor {tensor.name} is {tensor.dtype}, but config.json has no "
                    "quantization_config; weights are floating-point numbers."
                )
            shapes[tensor.name] = tensor.shape
    if config["model_type"] == "phi":
        _check_phi(folder, shapes, config)
        return
    _check_layers(folder, shapes, config)
    _check_size(folder, headers, config, quantised)
    if not quantised:
        _check_embedding(folder, shapes, config)
        if config["model_type"] in LLAMA_LIKE:
            _check_llama(folder, shapes, config)


def _check_phi(folder: Path, shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> None:
    legacy = legacy_format(shapes)
    if legacy:
        raise ZooError(
            f"{folder}: its tensors are in Phi's {legacy} format, which today's loaders misread; "
            f"convert them: phizoo models add {folder} --name NAME"
        )
    try:
        expected = phi_shapes(config)
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(
            f"{folder / 'config.json'}: does not describe a Phi model ({error}); see phizoo models variants"
        ) from None
    if config.get("tie_word_embeddings") and "lm_head.weight" not in shapes:
        del expected["lm_head.weight"]
    _check_shapes(folder, shapes, expected)
    extra = sorted(name for name in shapes.keys() - expected.keys() if not name.endswith("inv_freq"))
    if extra:
        raise ZooError(
            f"{folder}: tensor {extra[0]} is not part of the model that config.json describes ({len(extra)} in total)."
        )


def _check_embedding(folder: Path, shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> None:
    vocabulary = config.get("vocab_size")
    learned = any(POSITIONS.search(name) for name in shapes)
    positions = config.get("n_positions") or (config.get("max_position_embeddings") if learned else None)
    for name, shape in shapes.items():
        # only the vocabulary: some families have a smaller embedding width
        if EMBEDDING.search(name) and len(shape) == 2 and vocabulary and shape[0] < vocabulary:
            raise ZooError(
                f"{folder}: tensor {name} has {shape[0]} rows, but config.json has a vocabulary of {vocabulary}."
            )
        if POSITIONS.search(name) and positions and shape[0] < positions:
            raise ZooError(f"{folder}: tensor {name} has {shape[0]} rows, but config.json has {positions} positions.")


def _check_layers(folder: Path, shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> None:
    layers = read_shape(config).layers
    numbers = {int(match[1]) for name in shapes if (match := LAYER.search(f".{name}"))}
    ahead = config.get("num_nextn_predict_layers")  # they guess further tokens, and no engine reads them
    most = layers + (ahead if type(ahead) is int else 0)
    whole = numbers.issuperset(range(layers)) and all(number < most for number in numbers)
    if layers and not whole and config["model_type"] not in REPEATED:
        last = f", the last is {max(numbers)}" if numbers else ""
        raise ZooError(
            f"{folder}: its tensors are of {len(numbers)} layers{last}; config.json describes {layers} layers."
        )


def _check_size(folder: Path, headers: dict[str, Header], config: dict[str, Any], quantised: bool) -> None:
    """Refuses a config that would make a loader allocate much more memory than the files need."""
    sizes = read_shape(config)
    width, inner = sizes.width, sizes.inner or sizes.width
    # a lower bound for every family: queries and outputs, two MLP matrices, one embedding
    least = sizes.layers * (2 * width * width + 2 * width * inner) + width * sizes.vocabulary
    elements = sum(tensor.elements for header in headers.values() for tensor in header.tensors)
    if least > elements * ROOM * (PACKED if quantised else 1):
        raise ZooError(
            f"{folder}: its tensors contain {elements:,} numbers, config.json describes a model of at least {least:,}."
        )


def _check_llama(folder: Path, shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> None:
    sizes = read_shape(config)
    required = ("hidden_size", "num_attention_heads", "vocab_size")
    if not all(config.get(key) for key in required) or not sizes.layers:
        raise ZooError(f"{folder / 'config.json'}: has no hidden_size, num_attention_heads, layers or vocab_size.")
    width, inner, vocabulary = sizes.width, sizes.inner, sizes.vocabulary
    query_rows, key_rows = sizes.heads * sizes.head_size, sizes.key_heads * sizes.head_size
    linear = {
        "self_attn.q_proj": (query_rows, width), "self_attn.k_proj": (key_rows, width),
        "self_attn.v_proj": (key_rows, width), "self_attn.o_proj": (width, query_rows),
    }  # fmt: skip
    if inner:
        linear |= {"mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner)}
    expected: dict[str, tuple[int, ...]] = {
        f"model.layers.{layer}.{name}.weight": shape for layer in range(sizes.layers) for name, shape in linear.items()
    }
    expected |= {"model.embed_tokens.weight": (vocabulary, width), "model.norm.weight": (width,)}
    if config["model_type"] in ("olmo", "cohere"):
        del expected["model.norm.weight"]  # a norm of its own kind
    if "lm_head.weight" in shapes:
        expected["lm_head.weight"] = (vocabulary, width)
    _check_shapes(folder, shapes, expected)


def _check_shapes(folder: Path, shapes: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> None:
    for name, shape in expected.items():
        if shapes.get(name) != shape:
            fault = f"has shape {list(shapes[name])}" if name in shapes else "is missing"
            raise ZooError(f"{folder}: tensor {name} {fault}, config.json describes {list(shape)}.")
