"""Checks a GGUF file beyond its header, and reads the facts that a folder would have in config.json.

A file holds one whole causal model: no part of a split one, no adapter, no projector. Nothing of it runs; chat
templates are checked as those of folders are. How each architecture computes is not checked here: an engine
refuses what it cannot compute (`evals.engines.gguf`).

Source: ggml's docs/gguf.md (keys); llama.cpp's `llama_ftype` (names of the quantisations).
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from zoo.admission.chat_template import check_template
from zoo.admission.gguf_header import read_gguf
from zoo.admission.safetensors_header import Header
from zoo.errors import ZooError

# general.architecture -> transformers' model_type, where it has another name; all are causal language models
ARCHITECTURES = {
    "phi2": "phi", "phi3": "phi3", "phimoe": "phimoe", "llama": "llama", "llama4": "llama4_text", "mistral": "mistral",
    "qwen2": "qwen2", "qwen2moe": "qwen2_moe", "qwen3": "qwen3", "qwen3moe": "qwen3_moe", "qwen35": "qwen3_5_text",
    "gemma": "gemma", "gemma2": "gemma2", "gemma3": "gemma3_text", "gemma4": "gemma4_text", "gpt2": "gpt2",
    "gptneox": "gpt_neox", "gptj": "gptj", "starcoder": "gpt_bigcode", "starcoder2": "starcoder2",
    "codeshell": "codeshell", "stablelm": "stablelm", "smollm3": "smollm3", "olmo": "olmo", "olmo2": "olmo2",
    "olmoe": "olmoe", "opt": "opt", "bloom": "bloom", "falcon": "falcon", "falcon-h1": "falcon_h1", "mpt": "mpt",
    "mamba": "mamba", "mamba2": "mamba2", "command-r": "cohere", "cohere2": "cohere2", "granite": "granite",
    "granitemoe": "granitemoe", "granitehybrid": "granitemoehybrid", "nemotron": "nemotron", "lfm2": "lfm2",
    "exaone": "exaone", "exaone4": "exaone4", "internlm2": "internlm2", "minicpm": "minicpm", "deci": "deci",
    "deepseek": "deepseek", "deepseek2": "deepseek_v2", "gpt-oss": "gpt_oss", "ernie4_5": "ernie4_5",
    "hunyuan-dense": "hunyuan_v1_dense", "minimax-m2": "minimax_m2",
}  # fmt: skip
# the architecture's key -> config.json's
CONFIG_KEYS = {
    "context_length": "max_position_embeddings", "block_count": "num_hidden_layers", "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size", "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads", "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window", "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.layer_norm_epsilon": "layer_norm_eps", "rope.freq_base": "rope_theta",
    "expert_count": "num_experts", "expert_used_count": "num_experts_per_tok",
}  # fmt: skip
REQUIRED = ("context_length", "block_count", "embedding_length")
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
PART = re.compile(r"(.+)-\d{5}-of-(\d{5})\.gguf")  # as llama-gguf-split names the parts
LAYER = re.compile(r"blk\.(\d{1,6})\.")
EMBEDDING = "token_embd.weight"
ENDS = (EMBEDDING, "output.weight")
POSITIONS = re.compile(r"rope_(freqs|factors_\w+)\.weight")
IDS = ("bos", "eos", "eot", "eom", "unknown", "padding")


class GgufModel(NamedTuple):
    """An accepted file: its header, its facts as config.json states them, its quantisation and its size."""

    header: Header
    config: dict[str, Any]
    quantisation: str
    parameters: int


def gguf_file(folder: Path) -> Path | None:
    """The GGUF file that is a checkpoint's only weights; None where they are of another kind."""
    files = sorted(folder.glob("*.gguf"))
    return files[0] if len(files) == 1 and not any(folder.glob("*.safetensors")) else None


def inspect_gguf(path: Path) -> GgufModel:
    """The facts of a file that may enter, its chat templates checked. Raises ZooError with the file and the reason."""
    model = read_model(path)
    for key, value in model.header.metadata.items():
        if key.startswith("tokenizer.chat_template") and isinstance(value, str):
            check_template(value, f"{path} ({key})")
    return model


def read_model(path: Path) -> GgufModel:
    """The facts of a file, all but its chat templates checked. Raises ZooError with the file and the reason."""
    header = read_gguf(path)
    _check_kind(path, header.metadata)
    vocabulary = _check_tokens(path, header.metadata)
    config = _read_config(path, header.metadata)
    config["vocab_size"] = _check_shapes(path, header, config, vocabulary)
    config["tie_word_embeddings"] = not any(tensor.name == "output.weight" for tensor in header.tensors)
    sizes = [tensor.elements for tensor in header.tensors if not POSITIONS.fullmatch(tensor.name)]
    return GgufModel(header, config, name_quantisation(header), sum(sizes))


def refuse_part(path: Path, count: str = "1") -> None:
    """Raises ZooError where a file is one part of a split model, by its name or by the count that it states."""
    named = PART.fullmatch(path.name)
    if named is None and count in ("0", "1"):
        return
    stem, parts = (named[1], named[2]) if named else (path.stem, f"{int(count):05}" if count.isdecimal() else "0000N")
    first = path.with_name(f"{stem}-00001-of-{parts}.gguf")
    raise ZooError(
        f"{path}: is one part of a split model; join the parts first: llama-gguf-split --merge {first} {stem}.gguf"
    )


def _check_kind(path: Path, metadata: dict[str, Any]) -> None:
    architecture, kind = metadata.get("general.architecture"), metadata.get("general.type", "model")
    refuse_part(path, str(metadata.get("split.count", 1)))
    if kind != "model":
        raise ZooError(f"{path}: is a GGUF of the type {str(kind)[:40]!r}; expected one whole model.")
    if architecture not in ARCHITECTURES:
        known = ", ".join(list(ARCHITECTURES)[:6])
        raise ZooError(
            f"{path}: general.architecture {str(architecture)[:40]!r} is not supported as GGUF ({known}, ...); take "
            "the model's folder of safetensors: phizoo models add FOLDER"
        )


def _check_tokens(path: Path, metadata: dict[str, Any]) -> int:
    """The number of tokens. Raises ZooError where they are no vocabulary that every reader numbers alike."""
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise ZooError(f"{path}: has no vocabulary (tokenizer.ggml.tokens), so no text could be evaluated.")
    if len(set(tokens)) < len(tokens):
        raise ZooError(f"{path}: two of its tokens are spelled the same; readers would number them differently.")
    for key in ("token_type", "scores"):
        values = metadata.get(f"tokenizer.ggml.{key}", tokens)
        if not isinstance(values, list) or len(values) != len(tokens):
            raise ZooError(f"{path}: tokenizer.ggml.{key} is not a list of {len(tokens):,}, one for each token.")
    for name in IDS:
        number = metadata.get(f"tokenizer.ggml.{name}_token_id", 0)
        if type(number) is not int or not 0 <= number < len(tokens):
            raise ZooError(f"{path}: tokenizer.ggml.{name}_token_id is {number!r:.40}, which is no token.")
    return len(tokens)


def _read_config(path: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    architecture = metadata["general.architecture"]
    config: dict[str, Any] = {"model_type": ARCHITECTURES[architecture]}
    for key, name in CONFIG_KEYS.items():
        value = metadata.get(f"{architecture}.{key}")
        numbers = value if isinstance(value, list) else [value]  # some have one a layer
        if value is None and key not in REQUIRED:
            continue
        if not numbers or not all(type(part) in (int, float) for part in numbers):
            raise ZooError(f"{path}: {architecture}.{key} is {value!r:.40}, expected a number.")
        config[name] = max(numbers)
    for name in ("bos", "eos"):
        if (number := metadata.get(f"tokenizer.ggml.{name}_token_id")) is not None:
            config[f"{name}_token_id"] = number
    return config


def _check_shapes(path: Path, header: Header, config: dict[str, Any], vocabulary: int) -> int:
    """The rows of the embedding. Raises ZooError where the tensors are not of the model that the keys describe."""
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    rows = shapes.get(EMBEDDING, (0, 0))
    if len(rows) != 2 or rows[0] != width or rows[1] < vocabulary:
        raise ZooError(
            f"{path}: tensor {EMBEDDING} has shape {list(shapes.get(EMBEDDING, ()))}, its keys describe "
            f"{vocabulary:,} tokens of {width}."
        )
    if shapes.get("output.weight", rows) != rows:
        raise ZooError(f"{path}: tensor output.weight has another shape than {EMBEDDING}.")
    numbers = {int(match[1]) for name in shapes if (match := LAYER.match(name))}
    if len(numbers) != layers or numbers != set(range(len(numbers))):  # the stated number may be any
        raise ZooError(f"{path}: its tensors are of {len(numbers)} layers, its keys describe {layers} layers.")
    return rows[1]


def name_quantisation(header: Header) -> str:
    """The name of a file's quantisation: as its file type says, if the tensors agree, else that of most numbers.

    A mixed file (Q4_K_M) has its name from the file type; the embedding and the head are often finer, so they
    count only where nothing else does.
    """
    inner = [tensor for tensor in header.tensors if tensor.name not in ENDS and len(tensor.shape) > 1]
    counts: Counter[str] = Counter()
    for tensor in inner or header.tensors:
        counts[tensor.dtype] += tensor.elements
    most = counts.most_common(1)[0][0]
    stated = FILE_TYPES.get(header.metadata.get("general.file_type", -1), "")
    return stated if stated.partition("_")[0] == most.partition("_")[0] else most
