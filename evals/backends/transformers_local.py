"""The transformers engine: any causal model in a local folder, on a CPU or one GPU.

fp32 on a CPU, bf16 on a GPU. Nothing of a model's folder is executed (`trust_remote_code` is off) and
nothing is fetched. What PHI.md warns of is checked at load: fp16 with eager attention, ids beyond
the tokenizer, the missing partial rotary factor.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evals.backends.decode import generate
from evals.backends.tree import choose
from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from evals.tokens import Tokens
from zoo.errors import ZooError

CPU_BUDGET, GPU_BUDGET = 8192, 65536  # padded tokens a forward pass; measured best on 2 cores, safe on 24 GiB
CPU_SLOTS, GPU_SLOTS = 64, 256


class TransformersLocal:
    """A loaded model behind the backend seam."""

    def __init__(self, model: Any, tokens: Tokens, facts: Facts, *, budget: int, slots: int) -> None:
        self.model, self.tokens, self.facts = model, tokens, facts
        self.budget, self.slots = budget, slots

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Generations as they end."""
        yield from generate(self.model, self.tokens, requests, self.facts.context_tokens, self.slots)

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Choice scores as batches end."""
        yield from choose(self.model, self.tokens, requests, self.facts.context_tokens, self.budget)

    def close(self) -> None:
        """Lets the weights go."""
        self.model = None


def connect(path: Path, *, dtype: str = "auto", device: str = "auto", batch: int | None = None) -> TransformersLocal:
    """Loads a folder that `from_pretrained` can read.

    dtype   "auto" (fp32 on a CPU, bf16 on a GPU), "float32", "bfloat16" or "float16"
    batch   how many samples at a time; by default from a token budget
    Raises  ZooError when the folder holds no causal model, or in fp16 without a GPU
    """
    import torch
    import transformers

    logs: Any = transformers.logging
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    if dtype == "float16" and device == "cpu":
        raise ZooError("float16 on a CPU gives NaN for phi-2's attention; take --dtype float32 or bfloat16")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, dtype), local_files_only=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError, KeyError) as error:
        line = str(error).strip().splitlines()[0]
        raise ZooError(
            f"{path} cannot be loaded as a causal language model: {line}. Look: phizoo models verify"
        ) from None
    model = model.to(device).eval()
    tokens = Tokens(tokenizer)
    _checked(model.config, tokens, path)
    facts = Facts(
        engine="transformers",
        version=transformers.__version__,
        dtype=dtype,
        device=torch.cuda.get_device_name() if device == "cuda" else device,
        context_tokens=int(model.config.max_position_embeddings),
        identity={"attention": "sdpa", "torch": torch.__version__.split("+")[0]},
    )
    cpu = device == "cpu"
    budget, slots = (CPU_BUDGET, CPU_SLOTS) if cpu else (GPU_BUDGET, GPU_SLOTS)
    return TransformersLocal(model, tokens, facts, budget=batch * 64 if batch else budget, slots=batch or slots)


def _checked(config: Any, tokens: Tokens, path: Path) -> None:
    """What makes a Phi silently wrong: more tokens than embedding rows, an end-of-text id it does not have."""
    if tokens.size > config.vocab_size:
        raise ZooError(
            f"{path}: the tokenizer has {tokens.size} tokens, the model {config.vocab_size} rows; "
            "they do not belong together, export both again"
        )
    if tokens.eos is None or tokens.eos >= config.vocab_size:
        raise ZooError(
            f"{path}: the tokenizer names no end-of-text token that the model has; write eos_token into its config"
        )
