"""The engine of any OpenAI-compatible endpoint: vLLM's server, `phizoo serve`, larger baselines behind an API.

Completions, and chat where a request has messages. With the checkpoint's tokenizer, prompts are sent as token
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

from evals.engines import FactsChanged
from evals.engines.http.answer import (
    find_start,
    make_fault,
    read_choices,
    read_continuation,
    read_generation,
    read_stream,
)
from evals.engines.http.endpoint import Endpoint, EndpointError, Limits, Refused
from evals.engines.http.parameters import EFFECTS, thinking_fields, why_needed
from evals.engines.tokens import Pair, Tokens, folder_tokens
from evals.records import ChoiceRequest, ChoiceScores, Decoding, Facts, GenerateRequest, Generation, TextStream
from evals.scoring.thought import ThoughtPlan
from zoo.api_key import ENDPOINT_KEYS, key_for
from zoo.digest import SHA256
from zoo.errors import ZooError
from zoo.shape import folder_shape
from zoo.visible import plain

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)  # from an answer of another form
STOPS = 4  # the API's limit; more are cut here, which gives the same text

Request = TypeVar("Request", GenerateRequest, ChoiceRequest)
Answer = TypeVar("Answer", Generation, ChoiceScores)


class OpenAIHttp:
    """One model at one endpoint; asked from `concurrency` threads.

    chat  None: a request with messages is sent as a chat, any other as a completion; True: all as chats; False: none,
          since their prompts are rendered already
    """

    def __init__(
        self, endpoint: Endpoint, model: str, folder: Path | None, *, chat: bool | None, concurrency: int
    ) -> None:
        self.endpoint, self.wanted_model, self.folder = endpoint, model, folder
        self.chat, self.concurrency = chat, concurrency
        self._without: frozenset[str] = frozenset()  # parameters that the endpoint refuses
        self._planned = self._without  # those of them that the run's identity names
        self._renamed = self._several = False

    @cached_property
    def facts(self) -> Facts:
        """The endpoint's facts, requested once: its model, and whether it gives the log-probabilities of prompts."""
        return self._describe(bool(self.chat))

    @cached_property
    def chat_facts(self) -> Facts:
        """The same for a task that is asked by chat; where no messages are sent, the same facts."""
        return self.facts if self.chat is False else self._describe(chat=True)

    def _describe(self, chat: bool) -> Facts:
        model, owner, context, root = self._served
        prompts = "ids" if not chat and self.tokens is not None else "text"
        without = {"without": sorted(self._without)} if self._without else {}
        return Facts(
            engine="openai_http",
            version="1",
            dtype="endpoint",
            device="endpoint",
            context_tokens=context,
            identity={
                "url": self.endpoint.url, "model": model, "api": "chat" if chat else "completions",
                "server": owner, "root": root, "prompts": prompts,
            } | without,
            can_score_choices=not chat and self._echoes,
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
            known = ", ".join(plain(served)[:80] for served in list(by_id)[:8]) or "none"
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
            read = read_choices(answer, 1)[0]["logprobs"]["token_logprobs"]
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
        """Generations as they come. Raises EndpointError after the answers that came before the fault.

        Raises  FactsChanged when the endpoint refuses a parameter that the requests can do without
        """
        self._several = any(request.draw for request in requests)
        self._planned = self._without
        for name in sorted(self._without if requests else ()):  # an earlier task could do without, this one perhaps not
            self._check_needed(name, requests[0].decoding, "as before")
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

    def _post(self, path: str, body: dict[str, Any], most: tuple[int, int], how: Decoding | None) -> dict[str, Any]:
        """The answer to as much of a request as the endpoint takes. how: None where it scores a prompt."""
        without = self._planned
        sent = {"model": self._served[0]} | {name: value for name, value in body.items() if name not in without}
        if self._renamed and "max_tokens" in sent:
            sent["max_completion_tokens"] = sent.pop("max_tokens")
        try:
            return self.endpoint.post(path, sent, most)
        except Refused as no:
            # newer models want max_tokens under another name, and say so in one form or another
            if "max_tokens" in sent and (no.parameter == "max_tokens" or "max_completion_tokens" in str(no)):
                self._renamed = True
            elif how is None and no.parameter == "temperature":  # a score is no draw
                body = {name: value for name, value in body.items() if name != "temperature"}
            else:
                self._leave_out(no, how)
        return self._post(path, body, most, how)

    def _leave_out(self, refusal: Refused, how: Decoding | None) -> None:
        """Leaves a refused parameter out from now on, which is another run: raises FactsChanged.

        Raises  the refusal itself if it names no parameter; EndpointError if the run cannot do without
        """
        name = refusal.parameter
        if how is None or not name:
            raise refusal
        self._check_needed(name, how, str(refusal))
        self._without |= {name}
        for known in ("facts", "chat_facts"):
            self.__dict__.pop(known, None)
        raise FactsChanged(
            f"{self.endpoint.url} refuses {name} ({refusal}), so it is left out of this run: {EFFECTS[name]}"
        ) from None

    def _check_needed(self, name: str, how: Decoding, reason: str) -> None:
        """Raises EndpointError where the requests need a parameter that the endpoint refuses."""
        why = why_needed(name, how, several=self._several, greedy_only=self.folder is not None)
        if why:
            raise EndpointError(f"{self.endpoint.url} refuses {name} ({reason}): {why}") from None

    def _complete(self, body: dict[str, Any], most_tokens: tuple[int, int]) -> dict[str, Any]:
        return self._post("/completions", {"temperature": 0, **body}, most_tokens, None)

    def _generation(self, request: GenerateRequest) -> Generation:
        chat = bool(request.messages) if self.chat is None else self.chat
        how, body, truncated = request.decoding, self._sampling(request, chat), 0
        try:
            if chat:
                body |= self._chat_fields(request)
                size = sum(len(message["content"].encode()) + 64 for message in body["messages"])
                answer = self._post("/chat/completions", body, (size, how.max_tokens), how)
            else:
                prompt, truncated, body["max_tokens"] = self._prompt(request)
                body["prompt"] = prompt
                if self._padding and self._served[1] == "vllm":
                    body["logit_bias"] = self._padding
                if request.thought is not None:
                    body |= self._thought_fields(request.thought)
                if how.boundary == "healed":
                    body["boundary"] = "healed"
                size = len(prompt.encode()) if isinstance(prompt, str) else len(prompt)
                answer = self._post("/completions", body, (size + 1, how.max_tokens), how)
            return read_generation(request, answer, truncated, chat=chat, tokens=self.tokens)
        except Refused as no:
            return make_fault(request, str(no))

    def _thought_fields(self, plan: ThoughtPlan) -> dict[str, Any]:
        """The part of a rendered chat's request that keeps its tags. Raises ZooError for a budget."""
        if plan.budget is not None:
            raise ZooError(
                f"{self.endpoint.url} cannot close a thought at --thinking-budget in a completion; take --engine vllm, "
                "transformers or llama_cpp"
            )
        special = self.tokens is not None and self.tokens.marks_of(plan.tags)
        return {"skip_special_tokens": False} if special and self._served[1] == "vllm" else {}

    def _chat_fields(self, request: GenerateRequest) -> dict[str, Any]:
        """The part of a request that is a chat's own: its messages, and how the model thinks."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        if not messages:
            text = request.prompt.rstrip() if request.decoding.boundary == "stripped" else request.prompt
            messages = [{"role": "user", "content": text}]
        return {"messages": messages} | thinking_fields(request.thought, self._served[1])

    def stream(self, request: GenerateRequest) -> TextStream:
        """One text in pieces, as the endpoint writes it; a chat's thought, sent apart, stands in `<think>` tags."""
        chat = bool(request.messages)
        path, body = ("/chat/completions" if chat else "/completions"), self._sampling(request, chat)
        if chat:
            body |= self._chat_fields(request)
        else:
            body["prompt"], _, body["max_tokens"] = self._prompt(request)
        body |= {"model": self._served[0], "stream_options": {"include_usage": True}}
        while True:
            try:
                return (yield from read_stream(self.endpoint.stream(path, body), chat=chat))
            except Refused as no:  # nothing was written yet; a single text does without, and is no measurement
                if no.parameter == "max_tokens":
                    body["max_completion_tokens"] = body.pop("max_tokens")
                elif no.parameter in (*EFFECTS, "stream_options"):
                    del body[no.parameter]
                else:
                    raise

    def _sampling(self, request: GenerateRequest, chat: bool) -> dict[str, Any]:
        """The part of a request that says how to draw and where to stop."""
        how = request.decoding
        body: dict[str, Any] = {"max_tokens": how.max_tokens, "temperature": how.temperature, "top_p": how.top_p}
        body["seed"] = request.seed & 0x7FFFFFFFFFFFFFFF
        stops = [stop for stop in how.stop if stop and not chat]  # they would end a thought; a chat is cut here
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
        if tokens is None:
            prompts += [before + after for before, after in request.pairs]
        else:
            pairs = tokens.pairs(request, context - 2)  # the server must have room for one more token than we read
            prompts += [list(pair.tokens) for pair in pairs]
        size = sum(len(prompt) if isinstance(prompt, list) else len(prompt.encode()) for prompt in prompts)
        try:
            body = {"prompt": prompts, "max_tokens": 1, "echo": True, "logprobs": 1}
            choices = read_choices(self._complete(body, (size, len(prompts))), len(prompts))
            read = []
            for number, choice in enumerate(choices):
                logprobs = choice.get("logprobs") or {}
                start = pairs[number].start if pairs else find_start(logprobs, request.pairs[number][0])
                read.append(read_continuation(logprobs, start, len(pairs[number].tokens) if pairs else None))
        except (Refused, *MALFORMED) as no:
            return ChoiceScores(sample=request.sample, choices=(), fault=str(no) or type(no).__name__)
        return ChoiceScores(
            sample=request.sample,
            choices=tuple(read),
            prompt_tokens=max((pair.start + pair.truncated for pair in pairs), default=0),
            truncated=max((pair.truncated for pair in pairs), default=0),
        )


def connect(
    path: Path | None,
    *,
    url: str = "",
    model: str = "",
    chat: bool | None = None,
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
