"""The parameters that an endpoint refuses: read from its error's body, and which of them a run can do without.

Newer models refuse parameters of older ones (temperature, stop, max_tokens). One that the reading of a protocol does
not need is left out, and the run's identity says so; any other ends the run with its name. Nothing is left out unseen.

Forms of errors: OpenAI's (`error.param`), FastAPI's and pydantic's (`detail[].loc`: llama-cpp-python, vLLM, Mistral),
llama-server's and Ollama's (a message alone), Google's ("Unknown name").
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

from evals.records import Decoding
from evals.scoring.thought import ThoughtPlan
from zoo.errors import ZooError

REFUSAL = re.compile(
    r"unsupported|not supported|n't supported|does not support|doesn't support|unknown|unrecogni[sz]ed|unexpected"
    r"|not permitted|not allowed|forbidden|not accept|not available|not implemented|deprecated|only the default"
    r"|cannot be (?:set|specified|used)|cannot find field|no such (?:field|parameter)|invalid (?:param|argument|field)",
    re.IGNORECASE,
)
# the effect on a run of leaving a parameter out
EFFECTS = {
    "temperature": "texts are drawn at the server's own temperature",
    "top_p": "texts are drawn from the server's own nucleus",
    "seed": "a second run may write other texts",
    "stop": "texts are cut here, after they are written",
}
NO_PARAMETERS = ("model", "messages", "prompt", "stream", "echo")  # words of any message
BUDGET_SERVERS = ("vllm", "phi-zoo")  # take thinking_token_budget
TEMPLATE_SERVERS = ("vllm", "sglang", "llamacpp", "phi-zoo")  # take the template's names in chat_template_kwargs
MOST_SEARCHED = 4096  # characters of a message
MOST_PARTS = 1000  # of an error's body


def refused_parameter(body: Any, sent: Collection[str]) -> str:
    """The parameter that an error's body refuses, of those that were sent; "" if it names none.

    >>> refused_parameter({"error": {"message": "Unsupported value", "param": "temperature"}}, {"temperature": 0})
    'temperature'
    >>> refused_parameter({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}, {"seed": 1})
    'seed'
    >>> refused_parameter({"error": {"message": "seed is too large: 9000", "param": "seed"}}, {"seed": 9000})
    ''
    """
    names = {name for name in sent if name not in NO_PARAMETERS}
    parts = list(_walk(body))
    refuses = any(REFUSAL.search(text[:MOST_SEARCHED]) for _, text in parts)
    if not refuses:
        return ""
    for name, text in parts:  # the field that names it
        if name in ("param", "loc", "parameter", "field", "name") and _bare(text) in names:
            return _bare(text)
    for name, text in parts:  # the name as a word of a message, in quotes before any other
        if name in ("message", "msg", "error", "detail", "description", "") and REFUSAL.search(text[:MOST_SEARCHED]):
            words = re.findall(r"""['"`‘“]([\w.]+)['"`’”]""", text[:MOST_SEARCHED])
            words += re.findall(r"[A-Za-z_]\w*", text[:MOST_SEARCHED])
            if word := next((_bare(word) for word in words if _bare(word) in names), ""):
                return word
    return ""


def _bare(text: str) -> str:
    """A parameter's name without the path before it: body.seed, $.seed."""
    return text.strip("'\"` ").rpartition(".")[2]


def _walk(body: Any) -> Iterator[tuple[str, str]]:
    """(field, text) of all texts in an error's body; the values that were sent (`input`, `ctx`) are left out."""
    waiting, parts = [("", body)], 0
    while waiting and parts < MOST_PARTS:
        name, value = waiting.pop(0)
        parts += 1
        if isinstance(value, dict):
            waiting += [(str(key), each) for key, each in value.items() if key not in ("input", "ctx", "url", "body")]
        elif isinstance(value, list):
            waiting += [(name, each) for each in value[:MOST_PARTS]]
        elif isinstance(value, str):
            yield name, value


def thinking_fields(plan: ThoughtPlan | None, server: str) -> dict[str, Any]:
    """The part of a chat's request that switches thinking on or off, or ends it, in the words of a server.

    server  as it names itself in /models
    Raises  ZooError where the words are not known: the model would be asked as without the option
    """
    fields: dict[str, Any] = {}
    if plan is None:
        return fields
    if plan.switch is not None:
        if server not in TEMPLATE_SERVERS:
            raise ZooError(
                f'--thinking: no switch of thinking is known for a server that calls itself "{server}"; known: '
                f"{', '.join(TEMPLATE_SERVERS)}. Set it there and leave out --thinking, or take another engine"
            )
        fields["chat_template_kwargs"] = {"enable_thinking": plan.switch, "thinking": plan.switch}
    if plan.budget is not None:
        if server not in BUDGET_SERVERS:
            raise ZooError(
                f'--thinking-budget: no such parameter is known for a server that calls itself "{server}"; known: '
                f"{', '.join(BUDGET_SERVERS)}. Take --engine transformers, llama_cpp or vllm, which close a thought "
                "themselves"
            )
        fields["thinking_token_budget"] = plan.budget
    return fields


def why_needed(name: str, decoding: Decoding, *, several: bool, greedy_only: bool) -> str:
    """Why a run needs a parameter and what to type instead; "" if its reading does without.

    several      samples are drawn more than once
    greedy_only  the scores would stand beside those of other engines, whose texts are greedy

    stop         is cut here in any case
    temperature  may be left out at 1, every server's own; greedy texts may become single draws of the server's own
                 where no other engine has that model
    seed         may be left out where a draw is not to differ from another one
    top_p        may be left out at 1, which cuts nothing
    """
    if name == "stop":
        return ""
    if name == "top_p":
        return "" if decoding.top_p == 1.0 else f"this run draws from the nucleus {decoding.top_p:g}; take --top-p 1"
    if name == "seed":
        return "several draws of a sample need seeds of their own; take --draws 1" if several else ""
    if name == "temperature":
        if decoding.temperature == 1.0:
            return ""
        if decoding.temperature or several:
            return f"this run draws at {decoding.temperature:g}; take --temperature 1 --top-p 1"
        if greedy_only:
            return "this protocol's texts are greedy; take --engine transformers, or name the model endpoint:MODEL"
        return ""
    if name in ("max_tokens", "max_completion_tokens"):
        return "a text needs a limit; take a server that knows max_tokens or max_completion_tokens"
    return "this run asks for it; leave out the option that sends it, or take another engine"
