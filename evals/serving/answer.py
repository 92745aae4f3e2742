"""Forms the answers of the server, step by step: texts, log-probabilities, streams, in OpenAI's shapes.

Everything here is a generator that makes one step of the model at a time, so that `evals.serving.turns` can let
requests take turns. None is yielded after a step that gives nothing to send.
"""

import codecs
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from evals.engines.local.generate import Text
from evals.engines.local.logprobs import TokenRead
from evals.engines.local.stream import Pieces, TokenStep
from evals.engines.stepping import SteppingEngine
from evals.scoring.finite import find_overflow
from evals.serving.request import BadRequest, CompletionRequest, CompletionText, count_thought, open_stream
from zoo.records import Record

SIDE_BY_SIDE = 8  # texts of one request that are written at once: a step, and the cache, stay small
Answer = tuple[list[dict[str, Any]], dict[str, Any]]
NO_TEXT = CompletionText(text="", finish="length", tokens=0, steps=())


def _refuse_overflow(fault: str) -> None:
    """Raises BadRequest for a fault of the model's numbers. Not a 5xx, which a client would ask again."""
    if fault:
        raise BadRequest(fault, 422)


def step_answer(engine: SteppingEngine, request: CompletionRequest) -> Generator[None, None, Answer]:
    """Answers a request; yields after each step of the model. Returns the choices in the order asked, and the usage."""
    before: list[Any] = [None] * len(request.requests)
    if request.likeliest is None:
        texts = yield from _step_texts(engine, request)
        if request.echo:
            before = [(each.prompt, None) for each in request.requests]
    elif request.echo:
        before, texts = yield from _step_prompts(engine, request)
    else:
        texts = []
        for number in range(len(request.requests)):
            texts.append((yield from _step_text(engine, request, number)))
    choices = [_form_choice(engine, request, *row) for row in zip(range(len(texts)), texts, before, strict=True)]
    written, thought = (
        sum(column) for column in zip(*((each.tokens, each.thought_tokens) for each in texts), strict=True)
    )
    return choices, count_usage(request, written, thought)


def count_usage(request: CompletionRequest, written: int, thought: int) -> dict[str, Any]:
    """Tokens of the prompts, each counted once, tokens written, and those of thoughts among them."""
    prompts = zip(request.requests, request.prompts, strict=True)
    by_prompt = {each.sample: len(prompt.tokens) for each, prompt in prompts}
    read = sum(by_prompt.values())
    details = {"completion_tokens_details": {"reasoning_tokens": thought}} if thought else {}
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **details}


def _open_text(engine: SteppingEngine, request: CompletionRequest, number: int) -> Text:
    return Text(request.requests[number], request.prompts[number], engine.tokens, engine.facts.context_tokens)


def _step_texts(engine: SteppingEngine, request: CompletionRequest) -> Generator[None, None, Sequence[CompletionText]]:
    """Writes all texts side by side, without log-probabilities."""
    if not request.requests[0].decoding.max_tokens:
        return [CompletionText(text="", finish="length", tokens=0)] * len(request.requests)
    texts = [_open_text(engine, request, number) for number in range(len(request.requests))]
    # longest prompts first, as `evals.engines.local.write`
    order = sorted(range(len(texts)), key=lambda number: -len(texts[number].prompt.tokens))
    for _ in engine.step_texts([texts[number] for number in order], SIDE_BY_SIDE):
        yield
    _refuse_overflow(next((text.fault for text in texts if text.fault), ""))
    return [CompletionText.of(text) for text in texts]


def _step_text(
    engine: SteppingEngine, request: CompletionRequest, number: int
) -> Generator[None, None, CompletionText]:
    """Writes one text to its end with the log-probabilities of its tokens."""
    if not request.requests[number].decoding.max_tokens:
        return NO_TEXT
    text, made = _open_text(engine, request, number), []
    for step in engine.write_steps(text, request.likeliest or 0):
        made.append(step)
        yield
    _refuse_overflow(text.fault)
    return CompletionText.of(text, tuple(made))


def _step_prompts(
    engine: SteppingEngine, request: CompletionRequest
) -> Generator[None, None, tuple[list[Any], list[CompletionText]]]:
    """Each prompt's text and tokens with their log-probabilities (the first has none), and the text after it.

    One greedy token after a prompt costs nothing, since the prompt is read anyway; a scorer asks for no more.
    """
    reads: dict[int, list[TokenRead]] = {}
    for step in engine.step_prompts([prompt.tokens for prompt in request.prompts]):
        reads.update(step)
        yield
    before, texts = [], []
    for number, prompt in enumerate(request.prompts):
        made = []
        _refuse_overflow(find_overflow(token.logprob for token in reads[number]))
        for token in reads[number]:
            top = ((token.best, token.best_logprob),) if request.likeliest else ()
            made.append(TokenStep(token=token.token, logprob=token.logprob, top=top))
        text = _spell(engine, prompt.tokens).decode("utf-8", "replace")
        before.append((text, (prompt.tokens[0], made[:-1])))
        how = request.requests[number].decoding
        if how.max_tokens == 1 and how.temperature == 0:
            written = engine.tokens.text([made[-1].token])
            texts.append(CompletionText(text=written, finish="length", tokens=1, steps=(made[-1],)))
        else:
            texts.append((yield from _step_text(engine, request, number)))
    return before, texts


def _spell(engine: SteppingEngine, tokens: Sequence[int]) -> bytes:
    return b"".join(map(engine.tokens.spelling.of, tokens))


def _form_choice(
    engine: SteppingEngine, request: CompletionRequest, index: int, made: CompletionText, before: Any
) -> dict[str, Any]:
    logprobs = None
    if request.chat:
        if made.steps is not None:
            logprobs = form_chat_logprobs(engine, made.steps)
        message = {"role": "assistant", "content": made.text}
        if made.thought:
            message["reasoning_content"] = made.thought
        return {"index": index, "message": message, "finish_reason": made.finish, "logprobs": logprobs}
    shown, prompt = before or ("", None)
    if made.steps is not None:
        first, reads = prompt or (None, [])
        logprobs = form_text_logprobs(engine, first, [*reads, *made.steps])
    return {"index": index, "text": shown + made.text, "finish_reason": made.finish, "logprobs": logprobs}


def form_text_logprobs(
    engine: SteppingEngine, first: int | None, made: list[TokenStep], begins: int = 0
) -> dict[str, Any]:
    """Log-probabilities in the form of /v1/completions.

    first   the prompt's first token, which has none; None when the prompt is not part of the answer
    begins  where the text begins, in characters, when a part of it was sent before
    """
    ids = [*([first] if first is not None else []), *(step.token for step in made)]
    pieces = [_spell(engine, [token]) for token in ids]
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
        "text_offset": [begins + offset for offset in _offsets(pieces)],
    }


def _offsets(pieces: Sequence[bytes]) -> Iterator[int]:
    """The characters before each piece; bytes of a character that is not whole yet count as one.

    >>> list(_offsets([b"a", b"\\xe2\\x82", b"\\xac", b"b"]))
    [0, 1, 2, 2]
    """
    decoder, count = codecs.getincrementaldecoder("utf-8")("replace"), 0
    for piece in pieces:
        yield count + bool(decoder.getstate()[0])
        count += len(decoder.decode(piece))


def form_chat_logprobs(engine: SteppingEngine, made: Sequence[TokenStep]) -> dict[str, Any]:
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


def step_stream(
    engine: SteppingEngine, request: CompletionRequest, head: dict[str, Any]
) -> Generator[dict[str, Any] | None, None, None]:
    """The events of a streamed answer, one text after the other; None after a step that gives nothing to send.

    head  the parts that every event has
    """
    head = {**head, "object": "chat.completion.chunk" if request.chat else "text_completion"}
    written, thought, roles = 0, 0, len(request.requests) if request.chat else 0
    for number in range(len(request.requests)):
        begins, text = 0, _open_text(engine, request, number)
        pieces = _step_pieces(engine, request, text)
        for step in _step_parts(pieces, text) if request.chat else pieces:
            if step is None:
                yield None
                continue
            for each in range(roles):  # before the first piece, not before the first fault
                delta = {"role": "assistant", "content": ""}
                yield {**head, "choices": [{"index": each, "delta": delta, "finish_reason": None}]}
            roles = 0
            choice: dict[str, Any] = {"index": number, "finish_reason": step.finish, "logprobs": None}
            choice |= {"delta": {step.field: step.text} if step.text else {}} if request.chat else {"text": step.text}
            if request.likeliest is not None and request.chat:
                choice["logprobs"] = form_chat_logprobs(engine, step.steps)
            elif request.likeliest is not None:
                choice["logprobs"] = form_text_logprobs(engine, None, list(step.steps), begins)
            written, begins = written + len(step.steps), begins + len(step.text)
            thought += step.thought_tokens
            yield {**head, "choices": [choice]}
    if request.with_usage:
        yield {**head, "choices": [], "usage": count_usage(request, written, thought)}


class Piece(Record, frozen=True, kw_only=True):
    """A part of a streamed text: the tokens behind it, and the text's end at its last.

    field           where it stands in a chat's message
    thought_tokens  at the text's end: how many of its tokens were a thought
    """

    text: str
    steps: tuple[TokenStep, ...]
    finish: str | None = None
    field: str = "content"
    thought_tokens: int = 0


def _step_pieces(engine: SteppingEngine, request: CompletionRequest, text: Text) -> Iterator[Piece | None]:
    """Yields after each token None, or a text's new piece."""
    pieces, behind = Pieces(text), []  # type: Pieces, list[TokenStep]
    for step in engine.write_steps(text, request.likeliest or 0):
        behind.append(step)
        if not text.finish and (piece := pieces.new()):
            yield Piece(text=piece, steps=tuple(behind))
            behind = []
        else:
            yield None
    _refuse_overflow(text.fault)
    yield Piece(text=pieces.new(), steps=tuple(behind), finish=text.finish)


def _step_parts(pieces: Iterator[Piece | None], text: Text) -> Iterator[Piece | None]:
    """The pieces of a chat's text as parts of its thought and of its answer."""
    stream = open_stream(text)
    assert stream is not None  # every chat has a plan
    thought, behind = "", ()  # type: str, tuple[TokenStep, ...]
    for piece in pieces:
        if piece is None:
            yield None
            continue
        behind += piece.steps
        parts = stream.feed(piece.text, ended=piece.finish is not None)
        for kind, part in parts:
            thought += part if kind == "thought" else ""
            yield Piece(text=part, steps=behind, field="reasoning_content" if kind == "thought" else "content")
            behind = ()
        if piece.finish is not None:
            yield Piece(text="", steps=behind, finish=piece.finish, thought_tokens=count_thought(text, stream, thought))
        elif not parts:
            yield None
