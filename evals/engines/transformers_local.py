"""The transformers engine: any causal model in a local folder, on a CPU or one GPU.

fp32 on a CPU, bf16 on a GPU. `evals.engines.local.load` loads and checks the folder.
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from evals.engines.local.choices import choose
from evals.engines.local.generate import Text, encode_prompt
from evals.engines.local.load import load, resolve
from evals.engines.local.logprobs import TokenRead, step_prompts
from evals.engines.local.paths import Paths
from evals.engines.local.plain import vocabulary_rows
from evals.engines.local.probe import prove
from evals.engines.local.stream import Pieces, TokenStep, write_steps
from evals.engines.local.write import generate, step_texts
from evals.engines.tokens import Tokens
from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation, StreamEnd, TextStream
from zoo.errors import ZooError
from zoo.families import folder_family

# Padded tokens a forward pass. On a CPU activations should stay in the cache: 512 read HellaSwag 2.4 times as
# fast as 8192 with 9M parameters; a GPU wants many, and 65536 fit 24 GiB.
CPU_BUDGET, GPU_BUDGET = 512, 65536
CPU_SLOTS, GPU_SLOTS = 64, 256


class TransformersLocal:
    """One local model; its weights are read when first used."""

    def __init__(self, path: Path, facts: Facts, *, budget: int, slots: int) -> None:
        self.path, self.facts, self.budget, self.slots = path, facts, budget, slots
        self._loaded: tuple[Any, Tokens, Paths] | None = None
        self._loading = Lock()  # a server's first requests come together

    @property
    def model(self) -> Any:
        """The model, loaded now if it was not."""
        return self._load()[0]

    @property
    def tokens(self) -> Tokens:
        """Its tokenizer."""
        return self._load()[1]

    @property
    def paths(self) -> Paths:
        """The paths that are proven for it."""
        return self._load()[2]

    def _load(self) -> tuple[Any, Tokens, Paths]:
        with self._loading:
            if self._loaded is None:
                model, tokens = load(self.path, self.facts.dtype, self.facts.device)
                paths = prove(model, tokens, self.facts.context_tokens)
                self._loaded = model, tokens, paths
                self.facts = msgspec.structs.replace(self.facts, path=paths.describe(self.facts.context_tokens))
            return self._loaded

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Generations as they end."""
        if requests:
            yield from generate(self.model, self.tokens, self.paths, requests, self.facts.context_tokens, self.slots)

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Choice scores as batches end."""
        if requests:
            yield from choose(self.model, self.tokens, self.paths, requests, self.facts.context_tokens, self.budget)

    @property
    def rows(self) -> int:
        """The width of the model's logits."""
        return vocabulary_rows(self.model)

    def step_texts(self, texts: Sequence[Text], slots: int) -> Iterator[list[Text]]:
        """Writes texts, `slots` at a time; yields after each step of the model those that ended with it."""
        return step_texts(self.model, self.tokens, self.paths, texts, min(slots, self.slots))

    def write_steps(self, text: Text, likeliest: int) -> Iterator[TokenStep]:
        """Writes one text; yields each token with its log-probability and those of the likeliest ones there."""
        return write_steps(self.model, self.tokens, self.paths, text, likeliest)

    def stream(self, request: GenerateRequest) -> TextStream:
        """One text in pieces, as it is written. Raises ZooError where its logits stop being finite."""
        prompt = encode_prompt(request, self.tokens, self.facts.context_tokens)
        text = Text(request, prompt, self.tokens, self.facts.context_tokens)
        pieces = Pieces(text)
        for _ in write_steps(self.model, self.tokens, self.paths, text, 0):
            if piece := pieces.new():
                yield piece
        if text.fault:
            raise ZooError(text.fault)
        if piece := pieces.new():
            yield piece
        return StreamEnd(finish="length" if text.finish == "length" else "stop", tokens=len(text.written))

    def step_prompts(self, sequences: Sequence[Sequence[int]]) -> Iterator[list[tuple[int, list[TokenRead]]]]:
        """Reads every token of every sequence but its first, and the likeliest next one.

        Yields after each forward pass its sequences' places with their reads.
        """
        return step_prompts(self.model, sequences, self.tokens.size, self.budget)

    def close(self) -> None:
        """Frees the weights."""
        self._loaded = None


def connect(
    path: Path, *, dtype: str = "auto", device: str = "auto", batch: int | None = None, **_others: object
) -> TransformersLocal:
    """The engine on a folder that `from_pretrained` can read. Nothing heavy is imported yet.

    dtype   "auto" (fp32 on a CPU, bf16 on a GPU), "float32", "bfloat16" or "float16"
    device  "auto" (a GPU where there is one), "cpu" or "cuda"
    batch   how many samples at a time; by default from a token budget
    Raises  ZooError as `resolve` does, and without torch and transformers
    """
    dtype, device, context = resolve(path, dtype, device)
    try:
        transformers, torch = version("transformers"), version("torch").split("+")[0]
    except PackageNotFoundError as error:
        raise ZooError(f"{error.name} is not installed: pip install 'phi-zoo[eval]'") from None
    family = folder_family(path)
    # a Phi's answers never changed, so neither do the ids of its runs; other families were read in other ways before
    path_of = {} if family.name == "phi" else {"path": family.path}
    facts = Facts(
        engine="transformers", version=transformers, dtype=dtype, device=device, context_tokens=context,
        identity={"attention": family.attention, "torch": torch} | path_of,
    )  # fmt: skip
    budget, slots = (CPU_BUDGET, CPU_SLOTS) if device == "cpu" else (GPU_BUDGET, GPU_SLOTS)
    return TransformersLocal(path, facts, budget=batch * 64 if batch else budget, slots=batch or slots)
