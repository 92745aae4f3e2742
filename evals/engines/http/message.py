"""The message of a chat's answer: its thought, its answer, and the tokens of each.

Servers name a thought `reasoning_content` (vLLM before 0.11, SGLang, llama-server, DeepSeek) or `reasoning` (vLLM,
Ollama, OpenRouter), send it as a part of the content (Mistral), leave it in the text between tags, or keep it to
themselves and count its tokens (OpenAI).
"""

from typing import Any

from evals.scoring.thought import SplitText, ThoughtPlan, split_thought, unwrap_answer

FIELDS = ("reasoning_content", "reasoning", "thinking")
THOUGHTS = ("thinking", "reasoning", "redacted_thinking")  # kinds of parts


def read_message(message: dict[str, Any]) -> tuple[str, str] | None:
    """(thought, text) of a message as the server sent it; None if it has neither.

    A refusal or a tool call has no text: that is an answer, and an empty one.

    >>> read_message({"content": "4", "reasoning_content": "2 and 2"})
    ('2 and 2', '4')
    >>> read_message({"content": [{"type": "thinking", "thinking": "2 and 2"}, {"type": "text", "text": "4"}]})
    ('2 and 2', '4')
    >>> read_message({"content": 4}) is None
    True
    """
    thought: str = next((value for name in FIELDS if isinstance(value := message.get(name), str) and value), "")
    content = message.get("content")
    if content is None:
        return thought, ""
    if isinstance(content, str):
        return thought, content
    if not isinstance(content, list):
        return None
    if not all(isinstance(part, dict) for part in content):
        return None
    thoughts = "".join(_text_of(part) for part in content if part.get("type") in THOUGHTS)
    texts = "".join(_text_of(part) for part in content if part.get("type") not in THOUGHTS)
    return thought if thought else thoughts, texts


def _text_of(part: dict[str, Any]) -> str:
    """The text of a part of a message; a part of thought may hold parts of its own."""
    value = next((part[name] for name in ("text", "thinking", "reasoning") if name in part), "")
    if isinstance(value, list):
        return "".join(_text_of(each) for each in value if isinstance(each, dict))
    return value if isinstance(value, str) else ""


def split_message(thought: str, text: str, plan: ThoughtPlan, *, cut: bool, counted: int) -> SplitText:
    """The parts of an answer. A server's own split stays, without marks around the answer; else tags split the text.

    cut      the text ended at its limit
    counted  tokens that the server counts as thought

    >>> from evals.scoring.thought import THINK
    >>> split_message("2 and", "", ThoughtPlan((THINK,)), cut=True, counted=0).unfinished
    True
    """
    if thought:
        return SplitText(thought, unwrap_answer(text.lstrip(), plan.tags), cut and not text.strip(), 0)
    if not text.strip() and cut and counted:  # the server keeps the thought to itself
        return SplitText("", "", True, 0)
    return split_thought(text, plan.tags, plan.opened)


def count_reasoning(answer: dict[str, Any]) -> int:
    """The tokens of thought that an answer reports; 0 if it reports none.

    >>> count_reasoning({"usage": {"completion_tokens_details": {"reasoning_tokens": 64}}})
    64
    """
    usage = answer.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    for part in (details, usage):
        count = part.get("reasoning_tokens") if isinstance(part, dict) else None
        if type(count) is int and 0 < count < 1 << 40:
            return count
    return 0
