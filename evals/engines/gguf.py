"""GGUF files in the engines: their tokenizer, and what transformers must read to compute the same function.

transformers dequantises a GGUF and rebuilds its config from some of its keys. A key or a tensor that it does not
read (a rope scaling, a window, a soft cap, a bias) would change the answers in silence, so each must be read, be
equal to the config that it made, or be without effect; otherwise the file is refused and llama_cpp runs it.

Source of the pre-tokenizers: llama.cpp, src/llama-vocab.cpp (LLAMA_VOCAB_PRE_TYPE_*).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from zoo.admission.gguf import CONFIG_KEYS, POSITIONS, gguf_file
from zoo.admission.gguf_header import STRING, read_gguf
from zoo.errors import ZooError

# tokenizer.ggml.pre -> how a byte-level vocabulary cuts text, besides those that transformers knows
GPT2_CUT = ("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion")  # GPT-2's expression alone
DIGITS_FIRST = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")  # each digit alone
# keys of an architecture -> attribute of the config that must have the same value where transformers reads no key
EQUALS = CONFIG_KEYS | {
    "attention.value_length": "head_dim", "rope.dimension_count": "head_dim",
    "attn_logit_softcapping": "attn_logit_softcapping", "final_logit_softcapping": "final_logit_softcapping",
}  # fmt: skip
INERT = ("vocab_size", "rope.scaling.finetuned", "tensor_data_layout")
# general.architecture -> its name in transformers' table, where that differs
RENAMED = {"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gpt-oss": "gpt_oss", "minimax-m2": "minimax_m2"}
LLAMA_CPP = "take --engine llama_cpp"


def gguf_tokenizer(file: Path) -> Any:
    """The tokenizer in a GGUF file, cut as llama.cpp cuts.

    Raises  ZooError where it is of a kind that would be cut in another way
    """
    from tokenizers import Regex, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from transformers.integrations.gguf.gguf_tokenizer_mapping import (
        GGUF_PRE_TOKENIZER_SPLITS,
        convert_gguf_tokenizer,
        get_gguf_tokenizer,
    )  # fmt: skip

    architecture, parts, settings = get_gguf_tokenizer(str(file))
    cut = parts.get("pre_tokenizer_type")
    if parts.get("tokenizer_type") == "gpt2" and cut not in (*GPT2_CUT, *DIGITS_FIRST, *GGUF_PRE_TOKENIZER_SPLITS):
        raise ZooError(
            f"{file}: its pre-tokenizer {cut!r} is not known, so prompts would get other tokens; convert it again"
        )
    try:
        backend, _ = convert_gguf_tokenizer(architecture, parts)
    except (ValueError, KeyError) as error:
        raise ZooError(f"{file}: its tokenizer cannot be read: {str(error).strip().splitlines()[0]}") from None
    if cut in DIGITS_FIRST:
        whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        digits = pre_tokenizers.Split(Regex(r"\p{N}"), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([digits, whole])
    made: Any = PreTrainedTokenizerFast
    return made(tokenizer_object=backend, **settings)


def refuse_gguf(folder: Path, engine: str) -> None:
    """Raises ZooError where a folder's weights are a GGUF file, which this engine does not run here."""
    if gguf_file(folder):
        raise ZooError(f"{folder} is a GGUF file, which {engine} does not run here; {LLAMA_CPP} or transformers")


def gguf_ends(file: Path) -> frozenset[int]:
    """The tokens that end a text by a file's own keys: of a text, and of a turn."""
    metadata = read_gguf(file).metadata
    numbers = (metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom"))
    return frozenset(number for number in numbers if number is not None)


def check_readable(file: Path) -> None:
    """Raises ZooError where transformers would not compute a file's function; the engine's config is checked later."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS

    header = read_gguf(file)
    architecture = header.metadata["general.architecture"]
    if RENAMED.get(architecture, architecture) not in (*GGUF_CONFIG_MAPPING, *GGUF_CONFIG_ARCHS):
        raise ZooError(f"{file}: transformers reads no GGUF of the architecture {architecture}; {LLAMA_CPP}")
    for tensor in header.tensors:
        if POSITIONS.fullmatch(tensor.name):
            raise ZooError(f"{file}: transformers ignores {tensor.name}, so positions would be wrong; {LLAMA_CPP}")


@contextmanager
def quick_reading() -> Iterator[None]:
    """Inside, transformers reads a GGUF's header once and in a tenth of the time, and draws no bar.

    Its own code slices a memory map some 500,000 times for 98,000 strings, copies each string byte by byte, in three
    passes, and makes the table of tensor names once for each module: most of a load's time. Reading the file here and
    passing a state_dict is no plainer way: the names and the reordering of each family's tensors are private there too.
    """
    import gguf
    import numpy
    from transformers import modeling_gguf_pytorch_utils

    legacy: Any = modeling_gguf_pytorch_utils
    slow = legacy._gguf_parse_value

    class PlainReader(gguf.GGUFReader):
        """The package's reader over an array that is no memory map's subclass, which is slow to slice."""

        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
            size = numpy.dtype(dtype).itemsize * int(count)
            return numpy.asarray(self.data)[offset : offset + size].view(dtype)

    def parse(value: Any, kinds: Any) -> Any:
        is_text = kinds[-1] == STRING if isinstance(kinds, list) else kinds == STRING
        return value.tobytes().decode() if is_text else slow(value, kinds)

    replaced = (
        (gguf, "GGUFReader", cache(PlainReader)), (gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map)),
        (legacy, "_gguf_parse_value", parse), (legacy, "tqdm", _no_bar),
    )  # fmt: skip
    before = [getattr(module, name) for module, name, _ in replaced]
    for module, name, quick in replaced:
        setattr(module, name, quick)
    try:
        yield
    finally:
        for (module, name, _), value in zip(replaced, before, strict=True):
            setattr(module, name, value)


def _no_bar(items: Any, **_options: Any) -> Any:
    return items


def check_loaded(file: Path, model: Any) -> None:
    """Raises ZooError where the model that transformers made leaves out a tensor or a key of the file."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS

    header = read_gguf(file)
    stored = sum(tensor.elements for tensor in header.tensors)
    made = sum(parameter.numel() for parameter in model.parameters())
    if stored != made:
        raise ZooError(f"{file} has {stored:,} numbers, transformers reads {made:,} of them; {LLAMA_CPP}")
    architecture = header.metadata["general.architecture"]
    if architecture in GGUF_CONFIG_ARCHS:
        return
    read: Any = GGUF_CONFIG_MAPPING[RENAMED.get(architecture, architecture)]
    for key, value in header.metadata.items():
        prefix, _, name = key.partition(".")
        if prefix != architecture or read.get(name) is not None or name in INERT:
            continue
        if not _is_equal(name, value, model.config):
            raise ZooError(f"{file}: transformers ignores {key} ({value!r:.40}), which changes answers; {LLAMA_CPP}")


def _is_equal(name: str, value: Any, config: Any) -> bool:
    """Whether a key that transformers does not read says what the config has anyway, or nothing."""
    if name.startswith("rope.scaling."):
        return name == "rope.scaling.type" and value == "none"
    if name == "attention.causal":
        return bool(value)
    rope = getattr(config, "rope_parameters", None) or {}
    attribute = EQUALS.get(name, "")
    here = rope.get(attribute, getattr(config, attribute, None)) if attribute else None
    if here is None and attribute == "head_dim":
        here = config.hidden_size // config.num_attention_heads
    return here is not None and not isinstance(value, (str, list)) and abs(here - value) <= 1e-6 * abs(value)
