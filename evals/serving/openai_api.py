"""Reads OpenAI-compatible requests for one loaded model and forms the answers: completions and chat.

Prompts as text or token ids, draws, stops, seeds, log-probabilities of the prompt (`echo`) and of the text. A
parameter that would change the answer and is not supported is refused, never ignored. `evals.serving.server`
carries requests and answers over HTTP. Nothing that the model writes is run.
"""

import time
from collections.abc import Iterator
from typing import Any

from evals.engines.local.generate import Text, encode_prompt
from evals.engines.local.plain import vocabulary_rows
from evals.engines.local.stream import Pieces, TokenStep, write_steps
from evals.engines.tokens import Prompt
from evals.engines.transformers_local import TransformersLocal
from evals.records import Decoding, GenerateRequest
from evals.scoring.finite import find_overflow
from zoo.records import Record

MOST_LIKELIEST = 20  # as OpenAI's API
NO_PROMPT = "prompt must be a string, a list of strings, or token ids of this model"
# parameter -> the values under which it changes nothing
NEUTRAL: dict[str, tuple[object, ...]] = {
    "frequency_penalty": (None, 0), "presence_penalty": (None, 0), "logit_bias": (None, {}), "suffix": (None, ""),
    "best_of": (None, 1), "tools": (None, []), "functions": (None, []), "response_format": (None, {"type": "text"}),
    "min_tokens": (None, 0), "repetition_penalty": (None, 1), "top_k": (None, -1, 0), "min_p": (None, 0),
}  # fmt: skip


class BadRequest(Exception):
    """A request that cannot be answered; the text says why. status: the HTTP status that it ends with."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def _refuse_overflow(fault: str) -> None:
    """Raises BadRequest for a fault of the model's numbers. Not a 5xx, which a client would ask again."""
    if fault:
        raise BadRequest(fault, 422)


class CompletionRequest(Record, frozen=True, kw_only=True):
    """A request: one entry for each text to write, and what the answer shall hold.

    likeliest  None: no log-probabilities; else those of so many of the likeliest tokens beside the drawn one
    """

    requests: tuple[GenerateRequest, ...]
    prompts: tuple[Prompt, ...]
    echo: bool = False
    likeliest: int | None = None
    chat: bool = False


class CompletionText(Record, frozen=True, kw_only=True):
    """One text of an answer: its characters, its end, its tokens with their log-probabilities (None: none)."""

    text: str
    finish: str
    tokens: int
    steps: tuple[TokenStep, ...] | None = None


def read_decoding(body: dict[str, Any], tokens: int) -> Decoding:
    """The decoding of a request, with OpenAI's defaults. tokens: the default of max_tokens. Raises BadRequest."""
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    numbers = [tokens if most is None else most]
    numbers += [1.0 if body.get(name) is None else body[name] for name in ("temperature", "top_p")]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        raise BadRequest("max_tokens, temperature and top_p must be numbers")
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise BadRequest("stop must be a string or a list of strings")
    boundary = body.get("boundary", "raw")
    if boundary not in ("raw", "stripped", "healed"):
        raise BadRequest("boundary must be raw, stripped or healed")
    tokens, temperature, top_p = int(numbers[0]), float(numbers[1]), float(numbers[2])
    least = 0 if body.get("echo") else 1
    if not least <= tokens <= 65536 or not 0 <= temperature <= 2 or not 0 < top_p <= 1:
        raise BadRequest("max_tokens must be 1 or more, temperature 0 to 2, top_p over 0 and at most 1")
    return Decoding(max_tokens=tokens, stop=tuple(stops), temperature=temperature, top_p=top_p, boundary=boundary)


def read_completion(body: dict[str, Any], engine: TransformersLocal) -> CompletionRequest:
    """Reads a request to /v1/completions: one text per prompt and draw (`n`). Raises BadRequest."""
    _refuse_unsupported(body)
    prompt = body.get("prompt", "")
    alone = isinstance(prompt, str) or _is_token_ids(prompt, engine)
    prompts = [prompt] if alone else prompt
    if not isinstance(prompts, list) or not prompts:
        raise BadRequest(NO_PROMPT)
    if not all(isinstance(text, str) or _is_token_ids(text, engine) for text in prompts):
        raise BadRequest(NO_PROMPT)
    logprobs = body.get("logprobs")
    likeliest = None if logprobs is None or logprobs is False else int(logprobs)
    if likeliest is not None and not 0 <= likeliest <= MOST_LIKELIEST:
        raise BadRequest(f"logprobs must be 0 to {MOST_LIKELIEST}")
    echo = bool(body.get("echo"))
    if echo and likeliest is not None and likeliest > 1:
        raise BadRequest("with echo, logprobs gives each token's own and the likeliest one's: 0 or 1")
    about = CompletionRequest(requests=(), prompts=(), echo=echo, likeliest=likeliest)
    return _encode(prompts, read_decoding(body, 16), body, engine, about)


def read_chat(body: dict[str, Any], engine: TransformersLocal) -> CompletionRequest:
    """Reads a request to /v1/chat/completions through the model's own chat template. Raises BadRequest."""
    _refuse_unsupported(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise BadRequest("messages must be a list of objects with role and content")
    for message in messages:
        parts = message.get("content")
        if isinstance(parts, list):
            if not all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
                raise BadRequest("content must be text: this model reads nothing else")
            message["content"] = "".join(str(part.get("text", "")) for part in parts)
        if not isinstance(message.get("role"), str) or not isinstance(message.get("content"), str):
            raise BadRequest("every message needs a role and a content of text")
    tokenizer = engine.tokens.tokenizer
    if not getattr(tokenizer, "chat_template", None):
        raise BadRequest("this model has no chat template: it is a base model, ask /v1/completions")
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # the template is the checkpoint's own program: any error is its answer
        raise BadRequest(f"the chat template refuses these messages: {error}") from None
    top = body.get("top_logprobs") or 0
    if not isinstance(top, int) or not 0 <= top <= MOST_LIKELIEST or (top and not body.get("logprobs")):
        raise BadRequest(f"top_logprobs must be 0 to {MOST_LIKELIEST}, and needs logprobs")
    ids = list(engine.tokens.tokenizer(text, add_special_tokens=False)["input_ids"])
    how = read_decoding(body, max(1, engine.facts.context_tokens - len(ids)))
    likeliest = top if body.get("logprobs") else None
    about = CompletionRequest(requests=(), prompts=(), likeliest=likeliest, chat=True)
    return _encode([ids], how, body, engine, about)


def _refuse_unsupported(body: dict[str, Any]) -> None:
    for name, values in NEUTRAL.items():
        if name in body and body[name] not in values:
            raise BadRequest(f"{name} is not supported here; leave it out, or take --engine vllm")


def _encode(
    prompts: list[Any], how: Decoding, body: dict[str, Any], engine: TransformersLocal, about: CompletionRequest
) -> CompletionRequest:
    """Adds the encoded prompts and the seeded draws to a request."""
    import msgspec

    count, seed = body.get("n") or 1, body.get("seed")
    if not isinstance(count, int) or not 1 <= count <= 128:
        raise BadRequest("n must be 1 to 128")
    first = seed if isinstance(seed, int) else time.time_ns() & 0xFFFFFFFF
    context, scored = engine.facts.context_tokens, about.echo and about.likeliest is not None
    requests, encoded = [], []
    for place, prompt in enumerate(prompts):
        text = prompt if isinstance(prompt, str) else engine.tokens.text(prompt)
        ids = Prompt(tokens=tuple(prompt)) if not isinstance(prompt, str) else None
        if scored and ids is None:
            ids = Prompt(tokens=tuple(engine.tokens.encode(text)) or (engine.tokens.prefix or 0,))
        for draw in range(count):
            seeded = (first + 7919 * place + draw) & 0x7FFFFFFFFFFFFFFF
            request = GenerateRequest(sample=str(place), draw=draw, prompt=text, decoding=how, seed=seeded)
            requests.append(request)
            encoded.append(ids or encode_prompt(request, engine.tokens, context))
            # a prompt may fill the context if nothing is written; a text needs one place
            if len(encoded[-1].tokens) > context - (0 if scored and how.max_tokens <= 1 else 1):
                raise BadRequest(f"the prompt has {len(encoded[-1].tokens)} tokens, the context {context}")
    return msgspec.structs.replace(about, requests=tuple(requests), prompts=tuple(encoded))


def _is_token_ids(prompt: object, engine: TransformersLocal) -> bool:
    rows = vocabulary_rows(engine.model)
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(isinstance(token, int) and not isinstance(token, bool) and 0 <= token < rows for token in prompt)
    )


def answer(engine: TransformersLocal, request: CompletionRequest) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The choices of an answer in the order asked, and its usage."""
    before: list[Any]
    if request.likeliest is None:
        made = list(engine.continue_tokens(request.requests, request.prompts))
        _refuse_overflow(next((text.fault for text in made if text.fault), ""))
        texts = [
            CompletionText(text=text.text, finish=text.finish, tokens=text.tokens)
            for text in sorted(made, key=lambda text: (int(text.sample), text.draw))
        ]
        before = [(each.prompt, None) if request.echo else None for each in request.requests]
    elif request.echo:
        before, texts = _read_prompts(engine, request)
    else:
        texts = [_write_text(engine, request, number) for number in range(len(request.requests))]
        before = [None] * len(texts)
    choices = [_form_choice(engine, request, *row) for row in zip(range(len(texts)), texts, before, strict=True)]
    return choices, count_usage(request, sum(text.tokens for text in texts))


def count_usage(request: CompletionRequest, written: int) -> dict[str, int]:
    """Tokens of the prompts, each counted once, and tokens written."""
    prompts = zip(request.requests, request.prompts, strict=True)
    by_prompt = {each.sample: len(prompt.tokens) for each, prompt in prompts}
    read = sum(by_prompt.values())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _write_text(engine: TransformersLocal, request: CompletionRequest, number: int) -> CompletionText:
    """One text written to its end with the log-probabilities of its tokens."""
    if not request.requests[number].decoding.max_tokens:
        return CompletionText(text="", finish="length", tokens=0, steps=())
    text = Text(request.requests[number], request.prompts[number], engine.tokens, engine.facts.context_tokens)
    made = tuple(write_steps(engine.model, engine.tokens, engine.paths, text, request.likeliest or 0))
    _refuse_overflow(text.fault)
    return CompletionText(text=text.bytes.decode("utf-8", "replace"), finish=text.finish, tokens=len(made), steps=made)


def _read_prompts(engine: TransformersLocal, request: CompletionRequest) -> tuple[list[Any], list[CompletionText]]:
    """Each prompt's text and tokens with their log-probabilities (the first has none), and the text after it.

    One greedy token after a prompt costs nothing, since the prompt is read anyway; a scorer asks for no more.
    """
    before, texts = [], []
    reads = engine.prompt_logprobs([prompt.tokens for prompt in request.prompts])
    for number, (prompt, read) in enumerate(zip(request.prompts, reads, strict=True)):
        made = []
        _refuse_overflow(find_overflow(token.logprob for token in read))
        for token in read:
            top = ((token.best, token.best_logprob),) if request.likeliest else ()
            made.append(TokenStep(token=token.token, logprob=token.logprob, top=top))
        text = _spell(engine, prompt.tokens).decode("utf-8", "replace")
        before.append((text, (prompt.tokens[0], made[:-1])))
        how = request.requests[number].decoding
        if how.max_tokens == 1 and how.temperature == 0:
            written = engine.tokens.text([made[-1].token])
            texts.append(CompletionText(text=written, finish="length", tokens=1, steps=(made[-1],)))
        else:
            texts.append(_write_text(engine, request, number))
    return before, texts


def _spell(engine: TransformersLocal, tokens: Any) -> bytes:
    return b"".join(map(engine.tokens.spelling.of, tokens))


def _form_choice(
    engine: TransformersLocal, request: CompletionRequest, index: int, made: CompletionText, before: Any
) -> dict[str, Any]:
    logprobs = None
    if request.chat:
        if made.steps is not None:
            logprobs = form_chat_logprobs(engine, made.steps)
        message = {"role": "assistant", "content": made.text}
        return {"index": index, "message": message, "finish_reason": made.finish, "logprobs": logprobs}
    shown, prompt = before or ("", None)
    if made.steps is not None:
        first, reads = prompt or (None, [])
        logprobs = form_text_logprobs(engine, first, [*reads, *made.steps])
    return {"index": index, "text": shown + made.text, "finish_reason": made.finish, "logprobs": logprobs}


def form_text_logprobs(
    engine: TransformersLocal, first: int | None, made: list[TokenStep], begins: int = 0
) -> dict[str, Any]:
    """Log-probabilities in the form of /v1/completions.

    first   the prompt's first token, which has none; None when the prompt is not part of the answer
    begins  where the text begins, in characters, when a part of it was sent before
    """
    ids = [*([first] if first is not None else []), *(step.token for step in made)]
    pieces = [_spell(engine, [token]) for token in ids]
    ends = [begins + len(b"".join(pieces[:place]).decode("utf-8", "replace")) for place in range(len(ids))]
    texts = [piece.decode("utf-8", "replace") for piece in pieces]
    head: list[None] = [None] if first is not None else []
    top = []
    for step, text in zip(made, texts[len(head) :], strict=True):
        here = {text: step.logprob}
        for token, logprob in step.top:
            name = engine.tokens.text([token])
            # two tokens may have the same text (both broken UTF-8): the second is then named by its number
            if token != step.token:
                here[f"token_id:{token}" if name in here else name] = logprob
        top.append(here)
    return {
        "tokens": texts,
        "token_logprobs": [*head, *(step.logprob for step in made)],
        "top_logprobs": [*head, *top],
        "text_offset": ends,
    }


def form_chat_logprobs(engine: TransformersLocal, made: Any) -> dict[str, Any]:
    """Log-probabilities in the form of /v1/chat/completions."""

    def describe(token: int, logprob: float) -> dict[str, Any]:
        piece = _spell(engine, [token])
        return {"token": piece.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(piece)}

    return {
        "content": [
            {**describe(step.token, step.logprob), "top_logprobs": [describe(*pair) for pair in step.top]}
            for step in made
        ]
    }


def stream_texts(
    engine: TransformersLocal, request: CompletionRequest
) -> Iterator[tuple[int, str, list[TokenStep], str | None]]:
    """Yields (number of the text, its new piece, the piece's tokens, its end or None), one text after the other."""
    if request.echo:
        raise BadRequest("echo cannot be streamed; leave one of them out")
    for number, (each, prompt) in enumerate(zip(request.requests, request.prompts, strict=True)):
        text = Text(each, prompt, engine.tokens, engine.facts.context_tokens)
        pieces, behind = Pieces(text), []  # type: Pieces, list[TokenStep]
        for step in write_steps(engine.model, engine.tokens, engine.paths, text, request.likeliest or 0):
            behind.append(step)
            if not text.finish and (piece := pieces.new()):
                yield number, piece, behind, None
                behind = []
        _refuse_overflow(text.fault)
        yield number, pieces.new(), behind, text.finish
