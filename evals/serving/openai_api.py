"""What an OpenAI-compatible request asks of one loaded model, and the answer: completions and chat.

Prompts as text or token ids, draws, stops, seeds, log-probabilities of the prompt (`echo`) and of what is
written. What would change the answer and is not done here is refused, never ignored. `evals.serving.server`
carries it over HTTP. It runs nothing that the model writes.
"""

import time
from collections.abc import Iterator
from typing import Any

from evals.engines.local.generate import Text, encode_prompt
from evals.engines.local.stream import Pieces, TokenStep, write_steps
from evals.engines.tokens import Prompt
from evals.engines.transformers_local import TransformersLocal
from evals.records import Decoding, GenerateRequest
from zoo.records import Record

MOST_LIKELIEST = 20  # as OpenAI's API
# parameter -> the values under which it changes nothing
NEUTRAL: dict[str, tuple[object, ...]] = {
    "frequency_penalty": (None, 0), "presence_penalty": (None, 0), "logit_bias": (None, {}), "suffix": (None, ""),
    "best_of": (None, 1), "tools": (None, []), "functions": (None, []), "response_format": (None, {"type": "text"}),
    "min_tokens": (None, 0), "repetition_penalty": (None, 1), "top_k": (None, -1, 0), "min_p": (None, 0),
}  # fmt: skip


class BadRequest(Exception):
    """A request that cannot be answered; the text says why. status: the HTTP status that it ends with."""

    def __init__(self, told: str, status: int = 400) -> None:
        super().__init__(told)
        self.status = status


class Asked(Record, frozen=True, kw_only=True):
    """A request: one entry a text to write, and what to tell of the texts and the prompts.

    likeliest  None: no log-probabilities; else of how many of the likeliest tokens beside the drawn one
    """

    requests: tuple[GenerateRequest, ...]
    prompts: tuple[Prompt, ...]
    echo: bool = False
    likeliest: int | None = None
    chat: bool = False


class Told(Record, frozen=True, kw_only=True):
    """One text as an answer tells it: its words, its end, its tokens with their log-probabilities (None: none)."""

    text: str
    finish: str
    tokens: int
    steps: tuple[TokenStep, ...] | None = None


def decoding(body: dict[str, Any], tokens: int) -> Decoding:
    """The decoding that a request asks for, with OpenAI's defaults. tokens: its default number. Raises BadRequest."""
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    told = [tokens if most is None else most]
    told += [1.0 if body.get(name) is None else body[name] for name in ("temperature", "top_p")]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in told):
        raise BadRequest("max_tokens, temperature and top_p must be numbers")
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise BadRequest("stop must be a string or a list of strings")
    boundary = body.get("boundary", "raw")
    if boundary not in ("raw", "stripped", "healed"):
        raise BadRequest("boundary must be raw, stripped or healed")
    tokens, temperature, top_p = int(told[0]), float(told[1]), float(told[2])
    least = 0 if body.get("echo") else 1
    if not least <= tokens <= 65536 or not 0 <= temperature <= 2 or not 0 < top_p <= 1:
        raise BadRequest("max_tokens must be 1 or more, temperature 0 to 2, top_p over 0 and at most 1")
    return Decoding(max_tokens=tokens, stop=tuple(stops), temperature=temperature, top_p=top_p, boundary=boundary)


def asked(body: dict[str, Any], backend: TransformersLocal) -> Asked:
    """What /v1/completions asks: one text per prompt and draw (`n`). Raises BadRequest."""
    _neutral(body)
    given = body.get("prompt", "")
    prompts = [given] if isinstance(given, str) or (isinstance(given, list) and _ids(given, backend)) else given
    if not isinstance(prompts, list) or not prompts or not all(isinstance(p, str) or _ids(p, backend) for p in prompts):
        raise BadRequest("prompt must be a string, a list of strings, or token ids of this model")
    told = body.get("logprobs")
    likeliest = None if told is None or told is False else int(told)
    if likeliest is not None and not 0 <= likeliest <= MOST_LIKELIEST:
        raise BadRequest(f"logprobs must be 0 to {MOST_LIKELIEST}")
    echo = bool(body.get("echo"))
    if echo and likeliest is not None and likeliest > 1:
        raise BadRequest("with echo, logprobs tells each token's own and the likeliest one's: 0 or 1")
    how = decoding(body, 16)
    return _spread(prompts, how, body, backend, Asked(requests=(), prompts=(), echo=echo, likeliest=likeliest))


def asked_chat(body: dict[str, Any], backend: TransformersLocal) -> Asked:
    """What /v1/chat/completions asks: the messages through the model's own chat template. Raises BadRequest."""
    _neutral(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise BadRequest("messages must be a list of objects with role and content")
    for one in messages:
        parts = one.get("content")
        if isinstance(parts, list):
            if not all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
                raise BadRequest("content must be text: this model reads nothing else")
            one["content"] = "".join(str(part.get("text", "")) for part in parts)
        if not isinstance(one.get("role"), str) or not isinstance(one.get("content"), str):
            raise BadRequest("every message needs a role and a content of text")
    tokenizer = backend.tokens.tokenizer
    if not getattr(tokenizer, "chat_template", None):
        raise BadRequest("this model has no chat template: it is a base model, ask /v1/completions")
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # the template is a program of the checkpoint's: whatever it raises is its answer
        raise BadRequest(f"the chat template refuses these messages: {error}") from None
    top = body.get("top_logprobs") or 0
    if not isinstance(top, int) or not 0 <= top <= MOST_LIKELIEST or (top and not body.get("logprobs")):
        raise BadRequest(f"top_logprobs must be 0 to {MOST_LIKELIEST}, and needs logprobs")
    ids = list(backend.tokens.tokenizer(text, add_special_tokens=False)["input_ids"])
    how = decoding(body, max(1, backend.facts.context_tokens - len(ids)))
    likeliest = top if body.get("logprobs") else None
    return _spread([ids], how, body, backend, Asked(requests=(), prompts=(), likeliest=likeliest, chat=True))


def _neutral(body: dict[str, Any]) -> None:
    for name, values in NEUTRAL.items():
        if name in body and body[name] not in values:
            raise BadRequest(f"{name} is not supported here; leave it out, or take --engine vllm")


def _spread(prompts: list[Any], how: Decoding, body: dict[str, Any], backend: TransformersLocal, about: Asked) -> Asked:
    """The request with its prompts encoded and its draws seeded."""
    import msgspec

    count, seed = body.get("n") or 1, body.get("seed")
    if not isinstance(count, int) or not 1 <= count <= 128:
        raise BadRequest("n must be 1 to 128")
    first = seed if isinstance(seed, int) else time.time_ns() & 0xFFFFFFFF
    context, scored = backend.facts.context_tokens, about.echo and about.likeliest is not None
    requests, encoded_ = [], []
    for place, prompt in enumerate(prompts):
        text = prompt if isinstance(prompt, str) else backend.tokens.text(prompt)
        ids = Prompt(tokens=tuple(prompt)) if not isinstance(prompt, str) else None
        if scored and ids is None:
            ids = Prompt(tokens=tuple(backend.tokens.encode(text)) or (backend.tokens.eos or 0,))
        for draw in range(count):
            seeded = (first + 7919 * place + draw) & 0x7FFFFFFFFFFFFFFF
            one = GenerateRequest(sample=str(place), draw=draw, prompt=text, decoding=how, seed=seeded)
            requests.append(one)
            encoded_.append(ids or encode_prompt(one, backend.tokens, context))
            # a prompt may fill the context when only it is read: what comes after needs one place
            if len(encoded_[-1].tokens) > context - (0 if scored and how.max_tokens <= 1 else 1):
                raise BadRequest(f"the prompt has {len(encoded_[-1].tokens)} tokens, the context {context}")
    return msgspec.structs.replace(about, requests=tuple(requests), prompts=tuple(encoded_))


def _ids(prompt: object, backend: TransformersLocal) -> bool:
    rows = backend.model.config.vocab_size
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(isinstance(token, int) and not isinstance(token, bool) and 0 <= token < rows for token in prompt)
    )


def answer(backend: TransformersLocal, told: Asked) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The choices of an answer in the order asked, and its usage."""
    before: list[Any]
    if told.likeliest is None:
        made = backend.continue_tokens(told.requests, told.prompts)
        texts = [
            Told(text=one.text, finish=one.finish, tokens=one.tokens)
            for one in sorted(made, key=lambda one: (int(one.sample), one.draw))
        ]
        before = [(request.prompt, None) if told.echo else None for request in told.requests]
    elif told.echo:
        before, texts = _echoed(backend, told)
    else:
        texts = [_whole(backend, told, number) for number in range(len(told.requests))]
        before = [None] * len(texts)
    choices = [_choice(backend, told, *row) for row in zip(range(len(texts)), texts, before, strict=True)]
    return choices, usage(told, sum(one.tokens for one in texts))


def usage(told: Asked, written: int) -> dict[str, int]:
    """Tokens of the prompts, each counted once, and tokens written."""
    by_prompt = {request.sample: len(one.tokens) for request, one in zip(told.requests, told.prompts, strict=True)}
    read = sum(by_prompt.values())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _whole(backend: TransformersLocal, told: Asked, number: int) -> Told:
    """One text written to its end with the log-probabilities of its tokens."""
    if not told.requests[number].decoding.max_tokens:
        return Told(text="", finish="length", tokens=0, steps=())
    text = Text(told.requests[number], told.prompts[number], backend.tokens, backend.facts.context_tokens)
    made = tuple(write_steps(backend.model, backend.tokens, text, told.likeliest or 0))
    return Told(text=text.bytes.decode("utf-8", "replace"), finish=text.finish, tokens=len(made), steps=made)


def _echoed(backend: TransformersLocal, told: Asked) -> tuple[list[Any], list[Told]]:
    """What is told of each prompt, its tokens with their log-probabilities (the first has none), and what follows it.

    A greedy token after a prompt that is read anyway costs nothing; a scorer asks for no more.
    """
    before, texts = [], []
    reads = backend.prompt_logprobs([prompt.tokens for prompt in told.prompts])
    for number, (prompt, read) in enumerate(zip(told.prompts, reads, strict=True)):
        made = [
            TokenStep(
                token=one.token, logprob=one.logprob, top=((one.best, one.best_logprob),) if told.likeliest else ()
            )
            for one in read
        ]
        text = _bytes(backend, prompt.tokens).decode("utf-8", "replace")
        before.append((text, (prompt.tokens[0], made[:-1])))
        how = told.requests[number].decoding
        if how.max_tokens == 1 and how.temperature == 0:
            written = backend.tokens.text([made[-1].token])
            texts.append(Told(text=written, finish="length", tokens=1, steps=(made[-1],)))
        else:
            texts.append(_whole(backend, told, number))
    return before, texts


def _bytes(backend: TransformersLocal, tokens: Any) -> bytes:
    table = backend.tokens.bytes_of
    return b"".join(table[token] if token < backend.tokens.size else b"" for token in tokens)


def _choice(backend: TransformersLocal, told: Asked, index: int, made: Told, before: Any) -> dict[str, Any]:
    logprobs = None
    if told.chat:
        if made.steps is not None:
            logprobs = chat_logprobs(backend, made.steps)
        message = {"role": "assistant", "content": made.text}
        return {"index": index, "message": message, "finish_reason": made.finish, "logprobs": logprobs}
    shown, prompt = before or ("", None)
    if made.steps is not None:
        first, reads = prompt or (None, [])
        logprobs = text_logprobs(backend, first, [*reads, *made.steps])
    return {"index": index, "text": shown + made.text, "finish_reason": made.finish, "logprobs": logprobs}


def text_logprobs(
    backend: TransformersLocal, first: int | None, made: list[TokenStep], begins: int = 0
) -> dict[str, Any]:
    """Log-probabilities as /v1/completions tells them.

    first   the prompt's first token, which has none; None when the prompt is not told
    begins  where the text begins, in characters, when some of it was told before
    """
    ids = [*([first] if first is not None else []), *(step.token for step in made)]
    pieces = [_bytes(backend, [token]) for token in ids]
    ends = [begins + len(b"".join(pieces[:place]).decode("utf-8", "replace")) for place in range(len(ids))]
    texts = [piece.decode("utf-8", "replace") for piece in pieces]
    head: list[None] = [None] if first is not None else []
    top = []
    for step, text in zip(made, texts[len(head) :], strict=True):
        here = {text: step.logprob}
        for token, logprob in step.top:
            name = backend.tokens.text([token])
            # it may spell like the token itself or another (both broken UTF-8): its number then tells them apart
            if token != step.token:
                here[f"token_id:{token}" if name in here else name] = logprob
        top.append(here)
    return {
        "tokens": texts,
        "token_logprobs": [*head, *(step.logprob for step in made)],
        "top_logprobs": [*head, *top],
        "text_offset": ends,
    }


def chat_logprobs(backend: TransformersLocal, made: Any) -> dict[str, Any]:
    """Log-probabilities as /v1/chat/completions tells them."""

    def one(token: int, logprob: float) -> dict[str, Any]:
        piece = _bytes(backend, [token])
        return {"token": piece.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(piece)}

    content = [{**one(step.token, step.logprob), "top_logprobs": [one(*pair) for pair in step.top]} for step in made]
    return {"content": content}


def streamed(backend: TransformersLocal, told: Asked) -> Iterator[tuple[int, str, list[TokenStep], str | None]]:
    """(text, its new piece, the tokens behind it, its end or None) as they are written, one text after the other."""
    if told.echo:
        raise BadRequest("echo cannot be streamed; leave one of them out")
    for number, request in enumerate(told.requests):
        text = Text(request, told.prompts[number], backend.tokens, backend.facts.context_tokens)
        pieces, behind = Pieces(text), []  # type: Pieces, list[TokenStep]
        for step in write_steps(backend.model, backend.tokens, text, told.likeliest or 0):
            behind.append(step)
            if not text.finish and (piece := pieces.new()):
                yield number, piece, behind, None
                behind = []
        yield number, pieces.new(), behind, text.finish
