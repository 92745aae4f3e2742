"""Reads OpenAI-compatible requests for one loaded model: completions and chat.

Every value is checked for its type and its range, and every request for the work that it asks for. A parameter that
would change the answer and is not supported is refused, never ignored. `evals.serving.answer` forms the answers.
"""

import json
import math
import re
import time
from functools import lru_cache
from typing import Any, Literal

import msgspec

from evals.chat import SWITCHES
from evals.engines.local.generate import Text, encode_prompt
from evals.engines.local.stream import TokenStep
from evals.engines.stepping import SteppingEngine
from evals.engines.tokens import Prompt
from evals.records import Decoding, GenerateRequest
from evals.scoring.thought import ThoughtPlan, ThoughtTags, find_opened, find_tags
from evals.scoring.thought_stream import ThoughtStream
from zoo.admission.chat_template import ChatTemplate, TemplateFault
from zoo.records import Record

MOST_LIKELIEST = 20  # as OpenAI's API
DRAWS = 128  # as OpenAI's API
TEXTS = 256  # prompts x n
WRITTEN_TOKENS = 1 << 18  # prompts x n x max_tokens: 128 draws of a context of 2048
MAX_TOKENS = 65536
STOPS, STOP_CHARACTERS = 64, 1000
MESSAGES = 2000
NO_PROMPT = "prompt must be a string, a list of strings, or token ids of this model"
# parameter -> the values under which it changes nothing
NEUTRAL: dict[str, tuple[object, ...]] = {
    "frequency_penalty": (None, 0), "presence_penalty": (None, 0), "logit_bias": (None, {}), "suffix": (None, ""),
    "best_of": (None, 1), "tools": (None, []), "functions": (None, []), "response_format": (None, {"type": "text"}),
    "min_tokens": (None, 0), "repetition_penalty": (None, 1), "top_k": (None, -1, 0), "min_p": (None, 0),
    "tool_choice": (None, "none", "auto"), "ignore_eos": (None, False), "prompt_logprobs": (None,),
    "truncate_prompt_tokens": (None,), "guided_json": (None,), "guided_regex": (None,), "guided_choice": (None,),
    "guided_grammar": (None,), "structured_outputs": (None,), "chat_template": (None,),
    "add_generation_prompt": (None, True), "continue_final_message": (None, False), "use_beam_search": (None, False),
}  # fmt: skip
ROLES = ("system", "user", "assistant")


class BadRequest(Exception):
    """A request that cannot be answered; the text says why.

    status  the HTTP status that it ends with
    param   the parameter at fault, code: a word for programs; both as in OpenAI's errors
    """

    def __init__(self, message: str, status: int = 400, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


class CompletionRequest(Record, frozen=True, kw_only=True):
    """A request: one entry for each text to write, and what the answer shall hold.

    likeliest  None: no log-probabilities; else those of so many of the likeliest tokens beside the drawn one
    """

    requests: tuple[GenerateRequest, ...]
    prompts: tuple[Prompt, ...]
    echo: bool = False
    likeliest: int | None = None
    chat: bool = False
    stream: bool = False
    with_usage: bool = False


class CompletionText(Record, frozen=True, kw_only=True):
    """One text of an answer: its characters, its end, its tokens with their log-probabilities (None: none).

    thought         a chat's thought, which is no part of the text
    thought_tokens  how many of the tokens it took
    """

    text: str
    finish: str
    tokens: int
    steps: tuple[TokenStep, ...] | None = None
    thought: str = ""
    thought_tokens: int = 0

    @classmethod
    def of(cls, text: Text, steps: tuple[TokenStep, ...] | None = None) -> "CompletionText":
        """The record of a text that has ended."""
        parts = {"thought": "", "answer": text.bytes.decode("utf-8", "replace")}
        stream = open_stream(text)
        if stream is not None:
            whole, parts["answer"] = parts["answer"], ""
            for kind, part in stream.feed(whole, ended=True):
                parts[kind] += part
        return cls(
            text=parts["answer"], finish=text.finish or "length", tokens=len(text.written), steps=steps,
            thought=parts["thought"], thought_tokens=count_thought(text, stream, parts["thought"]),
        )  # fmt: skip


def open_stream(text: Text) -> ThoughtStream | None:
    """The splitter of a chat's text into thought and answer; None for a completion, whose tags are text."""
    plan = text.request.thought
    return None if plan is None else ThoughtStream(plan.tags, plan.opened)


def count_thought(text: Text, stream: ThoughtStream | None, thought: str) -> int:
    """The tokens of a text that its thought took, up to its end tag."""
    if text.thinking is None or stream is None or not (thought or stream.inside):
        return 0
    return text.thinking.split(text.bytes)[2]


def read_number(body: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    """A number of a request in low..high; null counts as left out. Raises BadRequest."""
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"{name} must be a number", param=name)
    if not math.isfinite(value if isinstance(value, float) else 0.0) or not low <= value <= high:
        raise BadRequest(f"{name} must be {low:g} to {high:g}", param=name)
    return value


def read_whole(body: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    """A whole number of a request in low..high; null counts as left out. Raises BadRequest.

    >>> read_whole({"n": 2.0}, "n", 1, 1, 128)
    2
    """
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise BadRequest(f"{name} must be a whole number", param=name)
    if not low <= value <= high:
        raise BadRequest(f"{name} must be {low} to {high}", param=name)
    return value


def read_flag(body: dict[str, Any], name: str) -> bool:
    """A boolean of a request; null counts as false. Raises BadRequest."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false", param=name)
    return bool(value)


def read_stops(body: dict[str, Any]) -> tuple[str, ...]:
    """The stop strings of a request, empty ones left out. Raises BadRequest."""
    stop = body.get("stop")
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise BadRequest("stop must be a string or a list of strings", param="stop")
    if len(stops) > STOPS or any(len(text) > STOP_CHARACTERS for text in stops):
        raise BadRequest(f"stop may have {STOPS} strings of {STOP_CHARACTERS} characters", param="stop")
    return tuple(text for text in stops if text)


def read_decoding(body: dict[str, Any], tokens: int, *, least: int = 1) -> Decoding:
    """The decoding of a request, with OpenAI's defaults. tokens: the default of max_tokens, least: its lowest value.

    Raises  BadRequest
    """
    name = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    most = read_whole(body, name, tokens, 0, MAX_TOKENS)
    if most < least:
        raise BadRequest(f"{name} must be {least} or more", param=name)
    temperature = float(read_number(body, "temperature", 1.0, 0, 2))
    top_p = float(read_number(body, "top_p", 1.0, 0, 1))
    if top_p == 0:
        raise BadRequest("top_p must be over 0", param="top_p")
    boundary: Any = body.get("boundary", "raw")
    if boundary not in ("raw", "stripped", "healed"):
        raise BadRequest("boundary must be raw, stripped or healed", param="boundary")
    kind: Literal["raw", "stripped", "healed"] = boundary
    return Decoding(max_tokens=most, stop=read_stops(body), temperature=temperature, top_p=top_p, boundary=kind)


def read_completion(body: dict[str, Any], engine: SteppingEngine) -> CompletionRequest:
    """Reads a request to /v1/completions: one text per prompt and draw (`n`). Raises BadRequest."""
    about = _read_form(body)
    prompt = body.get("prompt", "")
    alone = isinstance(prompt, str) or _is_token_ids(prompt, engine)
    prompts = [prompt] if alone else prompt
    if not isinstance(prompts, list) or not prompts:
        raise BadRequest(NO_PROMPT, param="prompt")
    if not all(isinstance(text, str) or _is_token_ids(text, engine) for text in prompts):
        raise BadRequest(NO_PROMPT, param="prompt")
    likeliest = None
    if body.get("logprobs") is not None and body["logprobs"] is not False:
        likeliest = read_whole(body, "logprobs", 0, 0, MOST_LIKELIEST)
    echo = read_flag(body, "echo")
    if echo and likeliest is not None and likeliest > 1:
        raise BadRequest("with echo, logprobs gives each token's own and the likeliest one's: 0 or 1", param="logprobs")
    if echo and about.stream:
        raise BadRequest("echo cannot be streamed; leave one of them out", param="echo")
    about = msgspec.structs.replace(about, echo=echo, likeliest=likeliest)
    return _encode(prompts, read_decoding(body, 16, least=0 if echo else 1), body, engine, about)


def read_chat(body: dict[str, Any], engine: SteppingEngine) -> CompletionRequest:
    """Reads a request to /v1/chat/completions through the model's own chat template. Raises BadRequest."""
    about = _read_form(body)
    text, plan = render_chat(read_messages(body.get("messages")), engine, read_switches(body))
    top = read_whole(body, "top_logprobs", 0, 0, MOST_LIKELIEST)
    with_logprobs = read_flag(body, "logprobs")
    if top and not with_logprobs:
        raise BadRequest("top_logprobs needs logprobs", param="top_logprobs")
    _refuse_long(text, engine, "messages")
    ids = list(engine.tokens.tokenizer(text, add_special_tokens=False)["input_ids"])
    how = read_decoding(body, max(1, engine.facts.context_tokens - len(ids)))
    about = msgspec.structs.replace(about, likeliest=top if with_logprobs else None, chat=True)
    request = _encode([ids], how, body, engine, about)
    plan = msgspec.structs.replace(plan, budget=read_thought_budget(body))
    requests = tuple(msgspec.structs.replace(each, thought=plan) for each in request.requests)
    return msgspec.structs.replace(request, requests=requests)


def read_switches(body: dict[str, Any]) -> dict[str, bool]:
    """The switches of thinking in a request's `chat_template_kwargs`. Raises BadRequest."""
    switches = body.get("chat_template_kwargs")
    if switches is None:
        return {}
    if not isinstance(switches, dict):
        raise BadRequest("chat_template_kwargs must be an object", param="chat_template_kwargs")
    for name, value in switches.items():
        if name not in SWITCHES or not isinstance(value, bool):
            raise BadRequest(
                f"chat_template_kwargs may have {' or '.join(SWITCHES)}, each true or false; got {name[:40]!r}",
                param="chat_template_kwargs",
            )
    return switches


def read_thought_budget(body: dict[str, Any]) -> int | None:
    """The tokens after which a request's thought is closed (vLLM's name); None: never. Raises BadRequest."""
    name = "thinking_token_budget"
    return None if body.get(name) is None else read_whole(body, name, 0, 0, MAX_TOKENS)


def read_messages(messages: object) -> list[dict[str, str]]:
    """The messages of a chat, each with a role and a text alone. Raises BadRequest."""
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise BadRequest("messages must be a list of objects with role and content", param="messages")
    if len(messages) > MESSAGES:
        raise BadRequest(f"messages may be {MESSAGES} at most", param="messages")
    read = []
    for message in messages:
        if message.get("role") not in ROLES:
            raise BadRequest(f"the role of a message must be one of {', '.join(ROLES)}", param="messages")
        if message.get("tool_calls") or message.get("function_call"):
            raise BadRequest("tools are not supported here; leave out tool_calls", param="messages")
        parts = message.get("content")
        if isinstance(parts, list):
            if not all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
                raise BadRequest("content must be text: this model reads nothing else", param="messages")
            texts = [part.get("text") for part in parts]
            parts = "".join(texts) if all(isinstance(text, str) for text in texts) else None
        if not isinstance(parts, str):
            raise BadRequest("every message needs a role and a content of text", param="messages")
        read.append({"role": message["role"], "content": parts})
    return read


def render_chat(
    messages: list[dict[str, str]], engine: SteppingEngine, switches: dict[str, bool]
) -> tuple[str, ThoughtPlan]:
    """The prompt that the model's own chat template makes of messages, and how the thought behind it is found.

    switches  the template's switch of thinking, which may be sent under each of its names
    Raises    BadRequest where the template refuses the messages, or has no such switch
    """
    tokenizer = engine.tokens.tokenizer
    text = getattr(tokenizer, "chat_template", None)
    if isinstance(text, dict):  # several by name
        text = text.get("default")
    if not text:
        raise BadRequest("this model has no chat template: it is a base model, ask /v1/completions")
    marks = {name: mark if isinstance(mark, list) else str(mark) for name, mark in tokenizer.special_tokens_map.items()}
    template, tags = _open_template(text, json.dumps(marks, default=str))
    named: dict[str, Any] = {name: value for name, value in switches.items() if re.search(rf"\b{name}\b", text)}
    if switches and not named:
        raise BadRequest("this model's chat template has no switch of thinking", param="chat_template_kwargs")
    try:
        prompt = template.render(messages, **named)
    except TemplateFault as fault:
        raise BadRequest(str(fault), param="messages") from None
    return prompt, ThoughtPlan(tags, find_opened(prompt, tags, messages[-1]["content"]))


@lru_cache(2)
def _open_template(text: str, marks: str) -> tuple[ChatTemplate, tuple[ThoughtTags, ...]]:
    """The served model's template with its tags; it renders in a child with limits, which stays."""
    return ChatTemplate(text, "this model", json.loads(marks)), find_tags(text)


def _read_form(body: dict[str, Any]) -> CompletionRequest:
    """Checks the parameters that both kinds of requests have; a request without texts yet."""
    for name, values in NEUTRAL.items():
        if name in body and body[name] not in values:
            raise BadRequest(f"{name} is not supported here; leave it out, or take --engine vllm", param=name)
    options = body.get("stream_options")
    if options is None:
        options = {}
    if not isinstance(options, dict) or not isinstance(options.get("include_usage"), bool | None):
        raise BadRequest("stream_options must be an object with include_usage", param="stream_options")
    with_usage = bool(options.get("include_usage"))
    return CompletionRequest(requests=(), prompts=(), stream=read_flag(body, "stream"), with_usage=with_usage)


def _encode(
    prompts: list[Any], how: Decoding, body: dict[str, Any], engine: SteppingEngine, about: CompletionRequest
) -> CompletionRequest:
    """Adds the encoded prompts and the seeded draws to a request."""
    draws = read_whole(body, "n", 1, 1, DRAWS)
    first = read_whole(body, "seed", time.time_ns() & 0xFFFFFFFF, -(1 << 63), (1 << 64) - 1)
    if len(prompts) * draws > TEXTS:
        raise BadRequest(f"{len(prompts)} prompts x n {draws} are more than {TEXTS} texts; send fewer", param="n")
    context, scored = engine.facts.context_tokens, about.echo and about.likeliest is not None
    requests, encoded, work = [], [], 0
    for place, prompt in enumerate(prompts):
        ids = _encode_one(prompt, how, engine, scored=scored)
        # a prompt may fill the context if nothing is written; a text needs one place
        nothing = how.max_tokens == 0 or (scored and how.max_tokens == 1 and how.temperature == 0)
        if len(ids.tokens) > context - (0 if nothing else 1):
            raise _over_context(len(ids.tokens), how.max_tokens, context)
        work += draws * min(how.max_tokens, context - len(ids.tokens))
        text = prompt if isinstance(prompt, str) else engine.tokens.text(prompt)
        for draw in range(draws):
            seeded = (first + 7919 * place + draw) & 0x7FFFFFFFFFFFFFFF
            requests.append(GenerateRequest(sample=str(place), draw=draw, prompt=text, decoding=how, seed=seeded))
            encoded.append(ids)
    if work > WRITTEN_TOKENS:
        raise BadRequest(
            f"prompts x n x max_tokens are {work} tokens, at most {WRITTEN_TOKENS} a request; send fewer, or lower "
            "max_tokens", param="max_tokens",
        )  # fmt: skip
    return msgspec.structs.replace(about, requests=tuple(requests), prompts=tuple(encoded))


def _encode_one(prompt: Any, how: Decoding, engine: SteppingEngine, *, scored: bool) -> Prompt:
    """One prompt's tokens, whole: it is never cut."""
    if not isinstance(prompt, str):
        return Prompt(tokens=tuple(prompt))
    _refuse_long(prompt, engine, "prompt")
    if scored:
        return Prompt(tokens=tuple(engine.tokens.encode(prompt)) or (engine.tokens.prefix or 0,))
    request = GenerateRequest(sample="", draw=0, prompt=prompt, decoding=how, seed=0)
    return encode_prompt(request, engine.tokens, 1 << 40)  # no cut: `_encode` refuses what is too long


def _refuse_long(text: str, engine: SteppingEngine, param: str) -> None:
    """Refuses a text that cannot fit the context whatever its tokens, before time is spent on them."""
    context, longest = engine.facts.context_tokens, engine.tokens.longest_bytes
    if longest and len(text) > (context + 1) * longest:
        raise _over_context(-(-len(text) // longest), 0, context, param, "at least ")


def _over_context(prompt: int, completion: int, context: int, param: str = "prompt", bound: str = "") -> BadRequest:
    """The refusal of a prompt that is longer than the context, in OpenAI's words."""
    return BadRequest(
        f"This model's maximum context length is {context} tokens, however you requested {bound}{prompt + completion} "
        f"tokens ({bound}{prompt} in your prompt; {completion} for the completion). Please reduce your prompt; or "
        "completion length.", param=param, code="context_length_exceeded",
    )  # fmt: skip


def _is_token_ids(prompt: object, engine: SteppingEngine) -> bool:
    rows = engine.rows
    return (
        isinstance(prompt, list) and bool(prompt) and all(type(token) is int and 0 <= token < rows for token in prompt)
    )
