"""The engine of any OpenAI-compatible endpoint: vLLM's server, `phizoo serve`, larger baselines behind an API.

Completions by default, chat with `chat=True`. With the checkpoint's tokenizer, prompts are sent as token
ids, so the endpoint reads the same tokens as a local engine; without it, as text. Choices are scored from
the prompt's own log-probabilities (`echo`). An unsupported request is refused, never approximated: no
log-probabilities (chat), a healed boundary on a server that does not know it, a token that straddles
context and continuation.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from queue import Empty, Queue
from typing import Any, TypeVar

from evals.engines.http.endpoint import Endpoint, EndpointError, Limits, Refused, read_usage
from evals.engines.tokens import Pair, Tokens, folder_tokens
from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from evals.scoring.finite import find_overflow
from zoo.api_key import ENDPOINT_KEYS, key_for
from zoo.digest import SHA256
from zoo.errors import ZooError
from zoo.shape import folder_shape

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)  # from an answer of another form
ROUNDING = 1e-3  # a server may give a log-probability so far above 0
STOPS = 4  # the API's limit; more are cut here, which gives the same text

Request = TypeVar("Request", GenerateRequest, ChoiceRequest)
Answer = TypeVar("Answer", Generation, ChoiceScores)


class OpenAIHttp:
    """One model at one endpoint; asked from `concurrency` threads."""

    def __init__(self, endpoint: Endpoint, model: str, folder: Path | None, *, chat: bool, concurrency: int) -> None:
        self.endpoint, self.wanted_model, self.folder = endpoint, model, folder
        self.chat, self.concurrency = chat, concurrency
        self._renamed = False

    @cached_property
    def facts(self) -> Facts:
        """The endpoint's facts, requested once: its model, and whether it gives the log-probabilities of prompts."""
        model, owner, context, root = self._served
        return Facts(
            engine="openai_http",
            version="1",
            dtype="endpoint",
            device="endpoint",
            context_tokens=context,
            identity={
                "url": self.endpoint.url, "model": model, "api": "chat" if self.chat else "completions",
                "server": owner, "root": root, "prompts": "ids" if self.tokens is not None else "text",
            },
            can_score_choices=not self.chat and self._echoes,
        )  # fmt: skip

    @cached_property
    def tokens(self) -> Tokens | None:
        """The checkpoint's tokenizer, if there is one and the endpoint takes token ids."""
        if self.folder is None or self.chat:
            return None
        return folder_tokens(self.folder)

    @cached_property
    def _padding(self) -> dict[str, float]:
        """A bias against embedding rows above the tokenizer's: they are untrained, and no engine here draws them."""
        if self.tokens is None or self.folder is None:
            return {}
        rows = range(self.tokens.size, folder_shape(self.folder).vocabulary)
        return {str(row): -100.0 for row in rows}

    @cached_property
    def _served(self) -> tuple[str, str, int, str]:
        """(model, its server, context, the place of its weights) from /models; the wanted model must be there."""
        try:
            answer = self.endpoint.get("/models")
        except Refused as no:
            raise EndpointError(
                f"{self.endpoint.url}/models refuses the request ({no}); is it such an address?"
            ) from None
        models = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(models, list) or not all(isinstance(model, dict) and "id" in model for model in models):
            raise EndpointError(f"{self.endpoint.url}/models lists no models; is it an OpenAI-compatible address?")
        by_id = {str(model["id"]): model for model in models}
        name = self.wanted_model or (next(iter(by_id)) if len(by_id) == 1 else "")
        if name not in by_id:
            known = ", ".join(list(by_id)[:8]) or "none"
            missing = f'does not serve "{name}"; it serves' if name else "serves not just one model, but"
            raise EndpointError(f"{self.endpoint.url} {missing}: {known}. Name one of them (--model NAME)")
        context = by_id[name].get("max_model_len")
        root = str(by_id[name].get("root") or "")
        served, mine = Path(root).name, self.folder.name if self.folder else ""
        # a checkpoint's folder is named by its digest, and vLLM names the folder that it loaded
        if SHA256.fullmatch(served) and SHA256.fullmatch(mine) and served != mine:
            raise EndpointError(
                f"{self.endpoint.url} serves checkpoint {served[:12]} as {name}, not {mine[:12]}: another model"
            )
        root = served if SHA256.fullmatch(served) else root
        return name, str(by_id[name].get("owned_by", "")), context if type(context) is int and context > 2 else 0, root

    @cached_property
    def _echoes(self) -> bool:
        """Whether completions give a prompt's log-probabilities, for the tokens of the checkpoint's tokenizer."""
        text = "def add(a, b):"
        try:
            answer = self._complete({"prompt": [text], "max_tokens": 1, "echo": True, "logprobs": 1}, (64, 1))
            read = _read_choices(answer, 1)[0]["logprobs"]["token_logprobs"]
        except (Refused, EndpointError, *MALFORMED) as error:
            if isinstance(error, EndpointError) and "choices" not in str(error):
                raise
            return False
        if self.tokens is not None and len(read) - 1 != len(self.tokens.encode(text)):
            raise EndpointError(
                f"{self.endpoint.url} reads {text!r} as {len(read) - 1} tokens, this checkpoint's tokenizer as "
                f"{len(self.tokens.encode(text))}: another model is served there"
            )
        return True

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Generations as they come. Raises EndpointError after the answers that came before the fault."""
        if any(request.decoding.boundary == "healed" for request in requests) and self._served[1] != "phi-zoo":
            raise ZooError(
                f"{self.endpoint.url} cannot heal a prompt's last token, which this protocol asks for; "
                "take --engine vllm or transformers, or the @stripped protocol"
            )
        yield from self._ask_all(requests, self._generation)

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Choice scores as they come, one request a question."""
        yield from self._ask_all(requests, self._scores)

    def close(self) -> None:
        """Prints the requests and tokens used, and their cost if prices are given; does not wait."""
        self.endpoint.stopped.set()
        spent = self.endpoint.spent
        if spent.requests:
            used = f"{spent.requests} requests, {spent.prompt_tokens} + {spent.tokens} tokens"
            money = f", {spent.money:.4f} spent" if any(self.endpoint.limits.price) else ""
            print(f"{self.endpoint.url}: {used}{money}", file=sys.stderr)

    def _ask_all(self, requests: Sequence[Request], ask: Callable[[Request], Answer]) -> Iterator[Answer]:
        """Answers from `concurrency` threads. The first fault ends the asking; requests in flight are waited for."""
        waiting: Queue[Request] = Queue()
        for request in requests:
            waiting.put(request)
        answered: Queue[Answer | BaseException | None] = Queue()
        stop = threading.Event()

        def work() -> None:
            try:
                while not stop.is_set():
                    answered.put(ask(waiting.get_nowait()))
            except Empty:
                pass
            except BaseException as error:  # carried to the loop's thread and raised there
                stop.set()
                answered.put(error)
            finally:
                answered.put(None)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self.concurrency, len(requests)))]
        for thread in threads:
            thread.start()
        running, fault = len(threads), None
        try:
            while running:
                answer = answered.get()
                if answer is None:
                    running -= 1
                elif isinstance(answer, BaseException):
                    fault = fault or answer
                else:
                    yield answer
        finally:
            stop.set()
        if fault is not None:
            raise fault

    def _complete(self, body: dict[str, Any], most_tokens: tuple[int, int]) -> dict[str, Any]:
        return self.endpoint.post("/completions", {"model": self._served[0], "temperature": 0, **body}, most_tokens)

    def _chat(self, body: dict[str, Any], most_tokens: tuple[int, int]) -> dict[str, Any]:
        """A chat's answer; newer models want max_tokens under another name, and say so."""
        request = {"model": self._served[0], **body}
        if self._renamed:
            request["max_completion_tokens"] = request.pop("max_tokens")
        try:
            return self.endpoint.post("/chat/completions", request, most_tokens)
        except Refused as no:
            if self._renamed or "max_completion_tokens" not in str(no):
                raise
            self._renamed = True
            return self._chat(body, most_tokens)

    def _generation(self, request: GenerateRequest) -> Generation:
        how, body, truncated = request.decoding, self._sampling(request), 0
        try:
            if self.chat:
                text = request.prompt.rstrip() if how.boundary == "stripped" else request.prompt
                body["messages"] = [{"role": "user", "content": text}]
                answer = self._chat(body, (len(text.encode()) + 64, how.max_tokens))
            else:
                prompt, truncated, body["max_tokens"] = self._prompt(request)
                body["prompt"] = prompt
                if self._padding and self._served[1] == "vllm":
                    body["logit_bias"] = self._padding
                if how.boundary == "healed":
                    body["boundary"] = "healed"
                size = len(prompt.encode()) if isinstance(prompt, str) else len(prompt)
                answer = self._complete(body, (size + 1, how.max_tokens))
            return _read_generation(request, answer, truncated, chat=self.chat)
        except Refused as no:
            return _make_fault(request, str(no))

    def stream(self, request: GenerateRequest) -> Iterator[str]:
        """One text in pieces, as the endpoint writes it, by /completions."""
        body = self._sampling(request)
        prompt, _, body["max_tokens"] = self._prompt(request)
        for event in self.endpoint.stream("/completions", {"model": self._served[0], **body, "prompt": prompt}):
            choices = event.get("choices")
            first = choices[0] if choices and isinstance(choices, list) else None
            if isinstance(first, dict) and isinstance(first.get("text"), str):
                yield first["text"]

    def _sampling(self, request: GenerateRequest) -> dict[str, Any]:
        """The part of a request that says how to draw and where to stop."""
        how = request.decoding
        body: dict[str, Any] = {"max_tokens": how.max_tokens, "temperature": how.temperature, "top_p": how.top_p}
        body["seed"] = request.seed & 0x7FFFFFFFFFFFFFFF
        stops = [stop for stop in how.stop if stop]
        if stops:
            body["stop"] = stops if self._served[1] in ("vllm", "phi-zoo") else stops[:STOPS]
        return body

    def _prompt(self, request: GenerateRequest) -> tuple[list[int] | str, int, int]:
        """The prompt as sent, tokens cut from its left, and room to write; the same as in the local engines."""
        how, context = request.decoding, self._served[2]
        if self.tokens is None or how.boundary == "healed":
            return (request.prompt.rstrip() if how.boundary == "stripped" else request.prompt), 0, how.max_tokens
        room = max(context - how.max_tokens, context // 2) if context else 1 << 30
        prompt = self.tokens.prompt(request.prompt, how, room)
        left = context - len(prompt.tokens) if context else how.max_tokens
        return list(prompt.tokens), prompt.truncated, min(how.max_tokens, left)

    def _scores(self, request: ChoiceRequest) -> ChoiceScores:
        """Scores all choices of a question in one request; the one token that must be generated is discarded."""
        tokens, context = self.tokens, self._served[2] or 1 << 30
        pairs: list[Pair] = []
        prompts: list[Any] = []
        for before, after in request.pairs:
            if tokens is None:
                prompts.append(before + after)
            else:
                # the server must have room for one more token than we read
                pairs.append(tokens.pair(before, after, context - 2))
                prompts.append(list(pairs[-1].tokens))
        size = sum(len(prompt) if isinstance(prompt, list) else len(prompt.encode()) for prompt in prompts)
        try:
            body = {"prompt": prompts, "max_tokens": 1, "echo": True, "logprobs": 1}
            choices = _read_choices(self._complete(body, (size, len(prompts))), len(prompts))
            read = []
            for number, (before, _) in enumerate(request.pairs):
                logprobs = choices[number].get("logprobs") or {}
                start = pairs[number].start if pairs else _find_start(logprobs, before)
                read.append(_read_continuation(logprobs, start, len(pairs[number].tokens) if pairs else None))
        except (Refused, *MALFORMED) as no:
            return ChoiceScores(sample=request.sample, choices=(), fault=str(no) or type(no).__name__)
        return ChoiceScores(
            sample=request.sample,
            choices=tuple(read),
            prompt_tokens=max((pair.start + pair.truncated for pair in pairs), default=0),
            truncated=max((pair.truncated for pair in pairs), default=0),
        )


def _read_choices(answer: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The choices of an answer in order. Raises EndpointError for another number or form."""
    choices = answer.get("choices")
    whole = isinstance(choices, list) and len(choices) == count
    if not whole or not all(isinstance(each, dict) and type(each.get("index", 0)) is int for each in choices or ()):
        raise EndpointError(f"the endpoint sent no {count} choices ({str(answer)[:80]!r}); what was answered is kept")
    return sorted(choices or (), key=lambda choice: choice.get("index", 0))


def _find_start(read: dict[str, Any], before: str) -> int:
    """The index of the continuation's first token, from text offsets. Raises Refused when no token starts there."""
    boundary = len(before.rstrip())
    offsets = list(read["text_offset"])
    if not boundary:
        raise Refused("an empty context cannot be scored without the model's tokenizer")
    if boundary not in offsets:
        raise Refused("a token straddles context and continuation; only the model's own tokenizer can split it")
    return offsets.index(boundary)


def _read_continuation(read: dict[str, Any], start: int, count: int | None) -> Choice:
    """The continuation's share of a prompt's log-probabilities; the last token is the generated one."""
    logprobs = read["token_logprobs"]
    if count is not None and len(logprobs) not in (count, count + 1):
        raise Refused(f"{len(logprobs)} log-probabilities for a prompt of {count} tokens")
    end = len(logprobs) - 1 if count is None else count
    mine = logprobs[start:end]
    best = [max(top.values()) for top in read["top_logprobs"][start:end]]
    numbers = [*mine, *best]
    if not mine or any(type(value) not in (int, float) for value in numbers):
        raise Refused("a token without a log-probability")
    if fault := find_overflow(numbers):
        raise Refused(fault)
    if max(numbers) > ROUNDING:
        raise Refused(f"a log-probability of {max(numbers):g}, which is above 0")
    greedy = all(value >= top for value, top in zip(mine, best, strict=True))
    return Choice(logprob=float(sum(mine)), tokens=len(mine), greedy=greedy)


def _read_generation(request: GenerateRequest, answer: dict[str, Any], truncated: int, *, chat: bool) -> Generation:
    choice = _read_choices(answer, 1)[0]
    part, name = (choice.get("message"), "content") if chat else (choice, "text")
    text = part.get(name) if isinstance(part, dict) else part
    if text is None and isinstance(part, dict) and chat:
        text = ""  # a refusal or a tool call: an answer, and an empty one
    if not isinstance(part, dict) or not isinstance(text, str):
        raise EndpointError(f"the endpoint sent no text ({str(choice)[:80]!r}); what was answered is kept")
    prompt_tokens, tokens = read_usage(answer) or (0, 0)
    ends = [place for stop in request.decoding.stop if stop and (place := text.find(stop)) >= 0]
    return Generation(
        sample=request.sample, draw=request.draw, text=text[: min(ends)] if ends else text,
        prompt_tokens=prompt_tokens, tokens=tokens,
        finish="stop" if ends or choice.get("finish_reason") != "length" else "length", truncated=truncated,
    )  # fmt: skip


def _make_fault(request: GenerateRequest, fault: str) -> Generation:
    return Generation(
        sample=request.sample, draw=request.draw, text="", prompt_tokens=0, tokens=0, finish="fault", fault=fault
    )


def connect(
    path: Path | None,
    *,
    url: str = "",
    model: str = "",
    chat: bool = False,
    concurrency: int = 8,
    limits: Limits | None = None,
    keys: Sequence[str] = ENDPOINT_KEYS,
    **_local: object,
) -> OpenAIHttp:
    """The engine of an endpoint. Nothing is requested from it yet.

    path         the checkpoint's folder, for its tokenizer; None for a model that is not in the zoo
    url          up to and with /v1
    model        the name it is served under; may be left out where only one is served
    keys         environment variables in which the API key is looked for
    Raises       ZooError for a malformed address, or one that carries a secret
    """
    if not url:
        raise ZooError("--engine openai_http needs --url, like http://127.0.0.1:8000/v1")
    endpoint = Endpoint(url, key_for(url, keys), limits or Limits())
    return OpenAIHttp(endpoint, model, path, chat=chat, concurrency=concurrency)
