"""The engines: one literal table, resolved when used, and the protocol that each of them follows."""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from zoo.errors import ZooError, unknown

# engine -> module with `connect(folder, **options) -> Engine`
ENGINES = {
    "transformers": "evals.engines.transformers_local",
    "llama_cpp": "evals.engines.llama_cpp",
    "vllm": "evals.engines.vllm.offline",
    "vllm_server": "evals.engines.vllm.server",
    "openai_http": "evals.engines.http.openai",
    "replay": "evals.engines.replay",
}
# engines that send a chat's messages, or none: a checkpoint's template is not rendered here
SENDS_MESSAGES = frozenset({"openai_http", "replay"})


class FactsChanged(ZooError):
    """An engine's facts are other ones than those that a run was planned with, so it is to be planned again.

    An endpoint that refuses a parameter is an example: the run's identity then says that it was left out.
    """


class Engine(Protocol):
    """One engine with one model. It answers in any order, and the evaluation writes each answer down at once."""

    facts: Facts

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Yields one Generation per request, in any order."""

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Yields one ChoiceScores per request, in any order."""

    def close(self) -> None:
        """Frees the model and everything opened for it."""


def connect(engine: str, folder: Path | None, **options: Any) -> Engine:
    """An engine of the table on a checkpoint's folder. Raises ZooError for an unknown engine, naming the nearest."""
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES, ", ".join(ENGINES))
    return cast(Engine, importlib.import_module(ENGINES[engine]).connect(folder, **options))
