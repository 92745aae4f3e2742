"""The transformers engine: any causal model in a local folder, on a CPU or one GPU.

fp32 on a CPU, bf16 on a GPU. Nothing of a model's folder is executed (`trust_remote_code` is off) and
nothing is fetched. The loading traps of docs/phi.md are checked: fp16 with eager attention, ids beyond
the tokenizer, a missing partial rotary factor.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evals.engines import gpus
from evals.engines.local.choices import choose
from evals.engines.local.generate import generate
from evals.engines.local.logprobs import Read, read
from evals.engines.tokens import Prompt, Tokens, folder_tokenizer
from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from zoo.errors import ZooError, nearest

# Padded tokens a forward pass. On a CPU activations should stay in the cache: 512 read HellaSwag 2.4 times as
# fast as 8192 with 9M parameters; a GPU wants many, and 65536 fit 24 GiB.
CPU_BUDGET, GPU_BUDGET = 512, 65536
CPU_SLOTS, GPU_SLOTS = 64, 256
DTYPES = ("float32", "bfloat16", "float16")


class TransformersLocal:
    """One local model behind the backend seam; its weights are read when first used."""

    def __init__(self, path: Path, facts: Facts, *, budget: int, slots: int) -> None:
        self.path, self.facts, self.budget, self.slots = path, facts, budget, slots
        self._loaded: tuple[Any, Tokens] | None = None

    @property
    def model(self) -> Any:
        """The model, loaded now if it was not."""
        return self._load()[0]

    @property
    def tokens(self) -> Tokens:
        """Its tokenizer."""
        return self._load()[1]

    def _load(self) -> tuple[Any, Tokens]:
        if self._loaded is None:
            self._loaded = load(self.path, self.facts.dtype, self.facts.device)
        return self._loaded

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Generations as they end."""
        if requests:
            yield from generate(self.model, self.tokens, requests, self.facts.context_tokens, self.slots)

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Choice scores as batches end."""
        if requests:
            yield from choose(self.model, self.tokens, requests, self.facts.context_tokens, self.budget)

    def continue_tokens(self, requests: Sequence[GenerateRequest], prompts: Sequence[Prompt]) -> Iterator[Generation]:
        """Generations from prompts that come as tokens; each must leave room in the context."""
        yield from generate(self.model, self.tokens, requests, self.facts.context_tokens, self.slots, prompts)

    def prompt_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[list[Read]]:
        """The log-probability of every token of every sequence but its first, and the likeliest next one."""
        return read(self.model, sequences, self.tokens.size, self.budget)

    def close(self) -> None:
        """Lets the weights go."""
        self._loaded = None


def resolved(path: Path, dtype: str, device: str) -> tuple[str, str, int]:
    """(dtype, device, context tokens) with "auto" resolved, from the folder's config. Imports nothing heavy.

    Raises  ZooError when the folder has no config.json, for an unknown dtype, for a Phi-2 shaped folder
            without its rotary factor, and where fp16 gives NaN
    """
    if device == "auto":
        device = "cuda" if gpus.count() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    if dtype not in DTYPES:
        raise ZooError(f'no dtype "{dtype}"{nearest(dtype, DTYPES)}; one of auto, {", ".join(DTYPES)}')
    if dtype == "float16" and device == "cpu":
        raise ZooError("float16 on a CPU gives NaN for phi-2's attention; take --dtype float32 or bfloat16")
    try:
        config = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ZooError(f"{path} cannot be loaded as a model: {error}. Look: phizoo models verify") from None
    _phi(config, path)
    return dtype, device, int(config.get("max_position_embeddings", config.get("n_positions", 2048)))


def _phi(config: dict[str, Any], path: Path) -> None:
    """Refuses a phi-2 that would rotate 40 of 80 dimensions, as `PhiConfig` does by default (docs/phi.md)."""
    heads = config.get("num_attention_heads") or 0
    if config.get("model_type") != "phi" or not heads or config.get("hidden_size", 0) != 80 * heads:
        return
    factor = (config.get("rope_parameters") or {}).get("partial_rotary_factor", config.get("partial_rotary_factor"))
    if factor != 0.4:
        raise ZooError(
            f"{path} has Phi-2's heads of 80 with partial_rotary_factor {factor or 'missing (0.5)'}, expected 0.4: "
            "its rotary positions would be wrong; write 0.4 into config.json"
        )


def connect(
    path: Path, *, dtype: str = "auto", device: str = "auto", batch: int | None = None, **_others: object
) -> TransformersLocal:
    """A backend for a folder that `from_pretrained` can read. Nothing heavy is imported yet.

    dtype   "auto" (fp32 on a CPU, bf16 on a GPU), "float32", "bfloat16" or "float16"
    device  "auto" (a GPU where there is one), "cpu" or "cuda"
    batch   how many samples at a time; by default from a token budget
    Raises  ZooError as `resolved` does
    """
    dtype, device, context = resolved(path, dtype, device)
    facts = Facts(
        engine="transformers",
        version=version("transformers"),
        dtype=dtype,
        device=device,
        context_tokens=context,
        identity={"attention": "sdpa", "torch": version("torch").split("+")[0]},
    )
    budget, slots = (CPU_BUDGET, CPU_SLOTS) if device == "cpu" else (GPU_BUDGET, GPU_SLOTS)
    return TransformersLocal(path, facts, budget=batch * 64 if batch else budget, slots=batch or slots)


def load(path: Path, dtype: str, device: str) -> tuple[Any, Tokens]:
    """The model on its device and its tokenizer, checked to belong together.

    Raises  ZooError when the folder holds no causal model, or the GPU asked for is not usable
    """
    import torch
    import transformers

    logs: Any = transformers.logging
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    if device != "cpu" and not torch.cuda.is_available():
        raise ZooError(f"this torch ({torch.__version__}) sees no GPU; take --device cpu, or see: phizoo doctor")
    try:
        tokenizer = folder_tokenizer(path)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, dtype), local_files_only=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError, KeyError) as error:
        line = str(error).strip().splitlines()[0]
        raise ZooError(
            f"{path} cannot be loaded as a causal language model: {line}. Look: phizoo models verify"
        ) from None
    tokens = Tokens(tokenizer)
    _checked(model.config, tokens, path)
    return model.to(device).eval(), tokens


def _checked(config: Any, tokens: Tokens, path: Path) -> None:
    """What makes a Phi silently wrong: more tokens than embedding rows, an end-of-text id it does not have."""
    if tokens.size > config.vocab_size:
        raise ZooError(
            f"{path}: the tokenizer has {tokens.size} tokens, the model {config.vocab_size} rows; "
            "they do not belong together, export both again"
        )
    # PhiConfig's own defaults are 1 and 2: a quotation mark and "#" in Phi's vocabulary
    for name in ("bos_token_id", "eos_token_id"):
        told = getattr(config, name, None)
        if config.model_type == "phi" and told is not None and told != tokens.eos:
            raise ZooError(
                f"{path}/config.json has {name} {told}, expected {tokens.eos} (the tokenizer's end of text): "
                f"write {name} {tokens.eos} into config.json, or texts would not end"
            )
    if tokens.eos is None or tokens.eos >= config.vocab_size:
        raise ZooError(
            f"{path}: the tokenizer names no end-of-text token that the model has; write eos_token into its config"
        )
