"""What a configuration file may say: plain values of sane size, nothing that names code to run.

Flags such as trust_remote_code are no boundary (transformers CVE-2026-4372, vLLM CVE-2025-66448,
CVE-2026-22807, CVE-2026-27893 ran code with it off), so a checkpoint is refused by what it says.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import ZooError, nearest
from zoo.safetensors_header import Header, open_plain, strict_json
from zoo.variants import phi_shapes

# Causal language models whose code ships with transformers and vLLM; the phi family first.
MODEL_TYPES = (
    "phi", "phi3", "codegen", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj", "llama", "mistral", "mixtral",
    "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "starcoder2", "stablelm", "smollm3", "olmo", "olmo2", "opt",
    "bloom", "falcon", "cohere", "granite", "pythia", "mpt", "t5",
)  # fmt: skip
CODE_KEYS = {
    "auto_map", "trust_remote_code", "custom_pipelines", "custom_generate", "code_revision", "use_kernels",
    "kernel_config", "backbone", "use_timm_backbone", "custom_object", "remote_code",
}  # fmt: skip
PRIVATE_KEYS = {
    "_name_or_path", "_commit_hash", "_attn_implementation", "_attn_implementation_autoset", "_from_model_config",
}  # fmt: skip
QUANTIZERS = ("bitsandbytes", "gptq", "awq", "fp8", "compressed-tensors", "torchao", "hqq")
# key -> largest value that any model of the field comes near; above it, loading would only exhaust memory
LIMITS = {
    "vocab_size": 10_000_000,
    "hidden_size": 1_000_000,
    "n_embd": 1_000_000,
    "intermediate_size": 10_000_000,
    "n_inner": 10_000_000,
    "num_hidden_layers": 1_000,
    "n_layer": 1_000,
    "num_attention_heads": 10_000,
    "n_head": 10_000,
    "num_key_value_heads": 10_000,
    "max_position_embeddings": 100_000_000,
    "n_positions": 100_000_000,
}
NUMBER = 10**40  # tokenizers write 10^30 for "no limit"; longer ones are made to be costly
PARAMETERS = 10**13
DEPTH = 20
EMBEDDING = re.compile(r"(embed_tokens|wte|embed_in|word_embeddings)\.weight$")
CLASS_KEYS = ("tokenizer_class", "processor_class", "image_processor_type")
CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file, read strictly. Raises ZooError with the file and the reason."""
    with open_plain(path) as file:
        try:
            told = strict_json(file.read())
        except ValueError as error:
            raise ZooError(f"{path}: is not plain JSON: {error}.") from None
    if not isinstance(told, dict):
        raise ZooError(f"{path}: is not a JSON object.")
    return told


def check_settings(path: Path) -> dict[str, Any]:
    """A configuration file's values, if none names code. Raises ZooError with file, key and reason."""
    told = read_json(path)
    for key, value in _entries(told, path):
        _check_entry(path, key, value)
    return told


def _entries(told: Any, path: Path, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth > DEPTH:
        raise ZooError(f"{path}: is nested more than {DEPTH} deep; a configuration is not.")
    if isinstance(told, dict):
        for key, value in told.items():
            yield key, value
            yield from _entries(value, path, depth + 1)
    elif isinstance(told, list):
        for value in told:
            yield "", value
            yield from _entries(value, path, depth + 1)


def _check_entry(path: Path, key: str, value: Any) -> None:
    if key in CODE_KEYS and value:
        raise ZooError(
            f"{path}: names code to run ({key}); take the key out, or import only weights and tokenizer: "
            "phizoo models import FOLDER --name NAME --drop-code"
        )
    if key.startswith("_") and key not in PRIVATE_KEYS:
        raise ZooError(f"{path}: has the private key {key[:80]!r}, which some version may act on; take it out.")
    names_engine = key.endswith("_implementation") or "_implementation_" in key
    if names_engine and not isinstance(value, (bool, type(None))) and not CLASS_NAME.fullmatch(str(value)):
        raise ZooError(f"{path}: {key} is {str(value)[:80]!r}, which could be fetched and run; expected such as sdpa.")
    if key == "quantization_config" and isinstance(value, dict):
        _check_quantization(path, value)
    if key in CLASS_KEYS and value is not None and not CLASS_NAME.fullmatch(str(value)):
        raise ZooError(f"{path}: {key} is {str(value)[:80]!r}, not the name of a class.")
    if isinstance(value, bool):
        return
    if isinstance(value, int) and not -NUMBER < value < NUMBER:
        raise ZooError(f"{path}: {key} is a number of {len(str(value))} digits; expected at most 40.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ZooError(f"{path}: {key} is not finite.")


def _check_quantization(path: Path, told: dict[str, Any]) -> None:
    method = told.get("quant_method")
    if method not in QUANTIZERS:
        raise ZooError(
            f"{path}: quantization_config has the method {str(method)[:40]!r}; known: {', '.join(QUANTIZERS)}."
        )
    for key, value in told.items():
        if isinstance(value, str) and ("/" in value or value.endswith(".py")):
            raise ZooError(f"{path}: quantization_config.{key} is a path ({value[:80]!r}); take it out.")


def check_config(path: Path) -> dict[str, Any]:
    """config.json, if its model is of a known kind and of a size that can exist."""
    config = check_settings(path)
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        close = nearest(str(kind), MODEL_TYPES)
        raise ZooError(
            f"{path}: model_type {str(kind)[:40]!r} is not on the list{close}: {', '.join(MODEL_TYPES[:6])}, ..."
        )
    for key, limit in LIMITS.items():
        value = config.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
            raise ZooError(f"{path}: {key} is {str(value)[:40]}, expected a whole number of 1 to {limit:,}.")
    _check_size(path, config)
    return config


def _check_size(path: Path, config: dict[str, Any]) -> None:
    """Refuses sizes that are sane one by one and absurd together."""
    width = config.get("hidden_size") or config.get("n_embd") or 1
    inner = config.get("intermediate_size") or config.get("n_inner") or 4 * width
    layers = config.get("num_hidden_layers") or config.get("n_layer") or 1
    size = layers * (4 * width * width + 2 * width * inner) + 2 * width * (config.get("vocab_size") or 1)
    if size > PARAMETERS:
        raise ZooError(f"{path}: describes a model of {size:.1e} parameters; expected at most {PARAMETERS:.0e}.")


def check_tensors(folder: Path, headers: dict[str, Header], config: dict[str, Any]) -> None:
    """Checks that the tensors are those that the config describes: names and shapes for Phi, sizes for others."""
    held: dict[str, tuple[int, ...]] = {}
    for path, header in headers.items():
        for tensor in header.tensors:
            if tensor.name in held:
                raise ZooError(
                    f"{folder / path}: tensor {tensor.name} stands in another file too; readers would differ."
                )
            held[tensor.name] = tensor.shape
    if config["model_type"] == "phi":
        _check_phi(folder, held, config)
    else:
        _check_embedding(folder, held, config)


def _check_phi(folder: Path, held: dict[str, tuple[int, ...]], config: dict[str, Any]) -> None:
    from zoo.convert import legacy_format

    legacy = legacy_format(held)
    if legacy:
        raise ZooError(
            f"{folder}: its tensors are in Phi's {legacy} format, which today's loaders misread; "
            f"convert and prove them: phizoo models import {folder} --name NAME"
        )
    try:
        wanted = phi_shapes(config)
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(
            f"{folder / 'config.json'}: does not describe a Phi model ({error}); see phizoo models variants"
        ) from None
    if config.get("tie_word_embeddings") and "lm_head.weight" not in held:
        del wanted["lm_head.weight"]
    for name, shape in wanted.items():
        if name not in held:
            raise ZooError(f"{folder}: tensor {name} is missing; config.json describes one of shape {list(shape)}.")
        if held[name] != shape:
            raise ZooError(
                f"{folder}: tensor {name} has shape {list(held[name])}, config.json describes {list(shape)}."
            )
    extra = sorted(name for name in held.keys() - wanted.keys() if not name.endswith("inv_freq"))
    if extra:
        raise ZooError(
            f"{folder}: tensor {extra[0]} is not part of the model that config.json describes ({len(extra)} such)."
        )


def _check_embedding(folder: Path, held: dict[str, tuple[int, ...]], config: dict[str, Any]) -> None:
    vocabulary = config.get("vocab_size")
    layers = config.get("num_hidden_layers") or config.get("n_layer")
    for name, shape in held.items():
        # only the vocabulary: some families embed in a smaller space than they compute in
        if EMBEDDING.search(name) and len(shape) == 2 and vocabulary and shape[0] < vocabulary:
            raise ZooError(f"{folder}: tensor {name} has {shape[0]} rows, config.json a vocabulary of {vocabulary}.")
    numbers = {int(found[1]) for name in held if (found := re.search(r"\.(?:layers|h|block)\.(\d{1,6})\.", name))}
    if numbers and layers and max(numbers) + 1 != layers:
        raise ZooError(f"{folder}: its tensors are of {max(numbers) + 1} layers, config.json describes {layers}.")
