"""The engines that a server of ours can hold: they write and read one step of the model at a time.

A server lets requests take turns between steps. `transformers` and `llama_cpp` are such engines.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from evals.engines.local.generate import Text
from evals.engines.local.logprobs import TokenRead
from evals.engines.local.stream import TokenStep
from evals.engines.tokens import Tokens
from evals.records import Facts


class SteppingEngine(Protocol):
    """One engine with one model, which is loaded when first used."""

    @property
    def facts(self) -> Facts:
        """The facts that a run records."""

    @property
    def tokens(self) -> Tokens:
        """Its tokenizer."""

    @property
    def rows(self) -> int:
        """The width of the model's logits."""

    def step_texts(self, texts: Sequence[Text], slots: int) -> Iterator[list[Text]]:
        """Writes texts, `slots` at a time; yields after each step of the model those that ended with it."""

    def write_steps(self, text: Text, likeliest: int) -> Iterator[TokenStep]:
        """Writes one text; yields each token with its log-probability and those of the likeliest ones there."""

    def step_prompts(self, sequences: Sequence[Sequence[int]]) -> Iterator[list[tuple[int, list[TokenRead]]]]:
        """Reads every token of every sequence but its first, and the likeliest next one, as places with reads."""

    def close(self) -> None:
        """Frees the weights."""
