"""Reads an endpoint's answers: its choices, a text with its thought, a prompt's log-probabilities.

An answer of another form is a fault of the endpoint, never a score.
"""

from collections.abc import Iterable
from typing import Any

from evals.engines.http.endpoint import EndpointError, Refused, read_usage
from evals.engines.http.message import count_reasoning, read_message, split_message
from evals.engines.tokens import Tokens
from evals.records import Choice, GenerateRequest, Generation, StreamEnd, TextStream
from evals.scoring.finite import find_overflow
from evals.scoring.thought import THINK, SplitText, ThoughtPlan

ROUNDING = 1e-3  # a server may give a log-probability so far above 0


def read_choices(answer: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The choices of an answer in order. Raises EndpointError for another number or form."""
    choices = answer.get("choices")
    whole = isinstance(choices, list) and len(choices) == count
    if not whole or not all(isinstance(each, dict) and type(each.get("index", 0)) is int for each in choices or ()):
        raise EndpointError(f"the endpoint sent no {count} choices ({str(answer)[:80]!r}); what was answered is kept")
    return sorted(choices or (), key=lambda choice: choice.get("index", 0))


def find_start(read: dict[str, Any], before: str) -> int:
    """The index of the continuation's first token, from text offsets. Raises Refused when no token starts there."""
    boundary = len(before.rstrip())
    offsets = list(read["text_offset"])
    if not boundary:
        raise Refused("an empty context cannot be scored without the model's tokenizer")
    if boundary not in offsets:
        raise Refused("a token straddles context and continuation; only the model's own tokenizer can split it")
    return offsets.index(boundary)


def read_continuation(read: dict[str, Any], start: int, count: int | None) -> Choice:
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


def read_generation(
    request: GenerateRequest, answer: dict[str, Any], truncated: int, *, chat: bool, tokens: Tokens | None
) -> Generation:
    """The text of an answer. By chat without its thought, whose tokens the endpoint or the tokenizer counts."""
    choice = read_choices(answer, 1)[0]
    message = choice.get("message") if chat else {"content": choice.get("text")}
    read = read_message(message) if isinstance(message, dict) else None
    if read is None or not (chat or isinstance(choice.get("text"), str)):
        raise EndpointError(f"the endpoint sent no text ({str(choice)[:80]!r}); what was answered is kept")
    (thought, text), cut, counted = read, choice.get("finish_reason") == "length", count_reasoning(answer)
    plan = request.thought or (ThoughtPlan((THINK,)) if chat else None)
    split = split_message(thought, text, plan, cut=cut, counted=counted) if plan else SplitText("", text)
    counted = counted or (len(tokens.encode(split.thought, special=False)) if tokens and split.thought else 0)
    prompt_tokens, written = read_usage(answer) or (0, 0)
    text = split.answer
    ends = [place for stop in request.decoding.stop if stop and (place := text.find(stop)) >= 0]
    return Generation(
        sample=request.sample, draw=request.draw, text=text[: min(ends)] if ends else text,
        prompt_tokens=prompt_tokens, tokens=written, finish="length" if cut and not ends else "stop",
        truncated=truncated, thought=split.thought, thought_tokens=counted, unfinished=split.unfinished,
    )  # fmt: skip


def read_stream(events: Iterable[dict[str, Any]], *, chat: bool) -> TextStream:
    """The pieces of a streamed text; by chat, a thought that is sent apart stands in `<think>` tags before it.

    >>> events = [{"choices": [{"delta": {"reasoning": "2 + 2"}}]}, {"choices": [{"delta": {"content": "4"}}]}]
    >>> "".join(read_stream(events, chat=True))
    '<think>2 + 2</think>4'
    """
    thinking, reason, tokens = False, "", None
    for event in events:
        used = read_usage(event)
        tokens = used[1] if used else tokens
        choices = event.get("choices")
        first = choices[0] if choices and isinstance(choices, list) else None
        reason = (first.get("finish_reason") if isinstance(first, dict) else None) or reason
        part = first.get("delta") if chat and isinstance(first, dict) else {"content": (first or {}).get("text")}
        thought, text = (read_message(part) if isinstance(part, dict) else None) or ("", "")
        if thought:
            yield thought if thinking else THINK.begin + thought
            thinking = True
        if text:
            yield THINK.end + text if thinking else text
            thinking = False
    return StreamEnd(finish=str(reason), tokens=tokens)


def make_fault(request: GenerateRequest, fault: str) -> Generation:
    """The generation of a request that was not answered."""
    return Generation(
        sample=request.sample, draw=request.draw, text="", prompt_tokens=0, tokens=0, finish="fault", fault=fault
    )
