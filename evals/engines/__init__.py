"""The engines behind one seam: a literal table, resolved when used.

A backend generates text, reads choice log-probabilities, and tells facts about itself. It yields
answers in any order as they come; the loop writes each down at once.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation

# engine -> module with `connect(...) -> Backend`
BACKENDS = {
    "transformers": "evals.engines.transformers_local",
    "vllm": "evals.engines.vllm.offline",
    "vllm_server": "evals.engines.vllm.server",
    "openai_http": "evals.engines.http.openai",
    "replay": "evals.engines.replay",
}


class Backend(Protocol):
    """One engine with one model loaded."""

    facts: Facts

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Yields one Generation per request, in any order."""

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Yields one ChoiceScores per request, in any order."""

    def close(self) -> None:
        """Frees what was opened."""
