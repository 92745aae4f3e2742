"""Served chats: the thought stands apart from the answer, streamed or not, and the template's switch is taken."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from evals.engines.http.openai import connect as openai_http
from evals.engines.local.slots import Slots
from evals.engines.transformers_local import TransformersLocal, connect
from evals.records import Decoding, GenerateRequest, Message
from evals.scoring.thought import THINK, ThoughtPlan
from tests.evals.serving.test_server import serving

TURNS = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}Answer:"
SWITCH = (
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}"
)
MARKED = "{{ '[THINK]' if false }}"


@pytest.fixture(scope="module")
def engine(tiny_phi: Path) -> TransformersLocal:
    return connect(tiny_phi, device="cpu")


@pytest.fixture
def client(engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch) -> Iterator[openai.OpenAI]:
    monkeypatch.setenv("THE_KEY", "the-key")
    engine.tokens.tokenizer.chat_template = TURNS
    with serving(engine) as url, openai.OpenAI(base_url=url, api_key="the-key", max_retries=0) as opened:
        yield opened


def write(engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch, text: str) -> int:
    """Makes the model write this text and end there; returns its tokens."""
    made = engine.tokens.encode(text, special=False)
    write_tokens(engine, monkeypatch, made)
    return len(made)


def write_tokens(engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch, made: list[int]) -> None:
    end = engine.tokens.eos
    assert end is not None
    script = [*made, end]

    def draw(logits: Any, texts: Any, tokens: Any) -> list[int]:
        return [(text.forced or script[len(text.written) :])[0] for text in texts]

    for place in ("stream", "plain"):
        monkeypatch.setattr(f"evals.engines.local.{place}.draw", draw)
    monkeypatch.setitem(Slots.__init__.__kwdefaults__, "draw", draw)


def chat(client: openai.OpenAI, **more: Any) -> Any:
    body: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "2+2?"}], "temperature": 0}
    return client.chat.completions.create(**{**body, "max_tokens": 90, **more})


CASES: dict[str, tuple[str, str, str, str]] = {
    "own tags": (TURNS, "<think>a sum\n</think>\n\nIt is <b>4</b>.", "a sum", "It is <b>4</b>."),
    "opened by the template": (TURNS + SWITCH, "a sum</think>4", "a sum", "4"),
    "the template's tags": (TURNS + MARKED, "[THINK]a sum[/THINK]4", "a sum", "4"),
    "no end": (TURNS, "<think>a sum", "a sum", ""),
    "no thought": (TURNS, "\n It is 4 < 5\n", "", "\n It is 4 < 5\n"),
    "in quotes": (TURNS, "Write `<think>` so.", "", "Write `<think>` so."),
}


@pytest.mark.parametrize("case", CASES)
def test_thought_and_answer_come_apart(
    case: str, client: openai.OpenAI, engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, text, thought, answer = CASES[case]
    engine.tokens.tokenizer.chat_template = template
    count = write(engine, monkeypatch, text)
    for more in ({}, {"logprobs": True}):
        whole = chat(client, **more)
        message = whole.choices[0].message.to_dict()
        expected = {"role": "assistant", "content": answer} | ({"reasoning_content": thought} if thought else {})
        assert (message, whole.choices[0].finish_reason) == (expected, "stop")
        assert whole.usage.completion_tokens == count
        details = whole.usage.completion_tokens_details
        assert (details is not None) == bool(thought)
        assert not thought or 0 < details.reasoning_tokens <= count
        *events, last = chat(client, stream=True, stream_options={"include_usage": True}, **more)
        deltas = [event.choices[0].delta.to_dict() for event in events]
        assert "".join(delta.get("reasoning_content", "") for delta in deltas) == thought
        assert "".join(delta.get("content", "") for delta in deltas) == answer
        assert [event.choices[0].finish_reason for event in events if event.choices[0].finish_reason] == ["stop"]
        assert last.usage == whole.usage
        if more:
            parts = [event.choices[0].logprobs.content for event in events if event.choices[0].logprobs]
            assert [token.token for part in parts for token in part] == [
                token.token for token in whole.choices[0].logprobs.content
            ]


def test_special_tokens_that_are_tags_are_read(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = connect(tiny_phi, device="cpu")
    engine.tokens.tokenizer.chat_template = TURNS + MARKED
    plain = engine.tokens.encode("def a", special=False)
    # rows of the embedding that the tokenizer does not use stand for the tags
    names = {10: b"[THINK]", 11: b"[/THINK]"}
    monkeypatch.setattr(engine.tokens, "marks_of", lambda tags: names)
    write_tokens(engine, monkeypatch, [10, *plain, 11, *plain])
    with serving(engine) as url, openai.OpenAI(base_url=url, api_key="the-key", max_retries=0) as client:
        message = chat(client).choices[0].message.to_dict()
        assert message == {"role": "assistant", "content": "def a", "reasoning_content": "def a"}


def test_the_switch_of_thinking_is_taken_where_the_template_has_it(
    client: openai.OpenAI, engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(engine, monkeypatch, "4")
    engine.tokens.tokenizer.chat_template = TURNS + SWITCH
    off = chat(client, extra_body={"chat_template_kwargs": {"enable_thinking": False, "thinking": False}})
    assert off.choices[0].message.to_dict() == {"role": "assistant", "content": "4"}
    for kwargs in ({"enable_thinking": True}, {}, None):
        on = chat(client, extra_body={"chat_template_kwargs": kwargs}).choices[0].message.to_dict()
        assert on == {"role": "assistant", "content": "", "reasoning_content": "4"}
    for wrong in ({"enable_thinking": "no"}, {"bos_token": "x"}, {"messages": []}, [], "on"):
        with pytest.raises(openai.BadRequestError, match="chat_template_kwargs"):
            chat(client, extra_body={"chat_template_kwargs": wrong})
    engine.tokens.tokenizer.chat_template = TURNS
    with pytest.raises(openai.BadRequestError, match="no switch of thinking"):
        chat(client, extra_body={"chat_template_kwargs": {"enable_thinking": False}})


@pytest.mark.parametrize("budget", [0, 4, 9])
def test_a_budget_closes_the_thought_streamed_or_not(
    budget: int, client: openai.OpenAI, engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.tokens.tokenizer.chat_template = TURNS + SWITCH
    write(engine, monkeypatch, "4 + 4 - 4 " * 20)  # never closes its thought
    closing, tag = (len(engine.tokens.encode(text, special=False)) for text in (THINK.closing, THINK.closing.rstrip()))
    body = {"thinking_token_budget": budget}
    whole = chat(client, max_tokens=12, extra_body=body)
    message = whole.choices[0].message.to_dict()
    assert whole.usage.completion_tokens == 12 + closing  # the end tag's tokens stand beside those of max_tokens
    details = whole.usage.completion_tokens_details
    assert (details.reasoning_tokens if details else 0) == (budget + tag if budget else 0)  # none of an empty thought
    assert message["content"]
    assert bool(budget) == ("reasoning_content" in message)
    deltas = [event.choices[0].delta.to_dict() for event in chat(client, max_tokens=12, extra_body=body, stream=True)]
    for part in ("content", "reasoning_content"):
        assert "".join(delta.get(part, "") for delta in deltas) == message.get(part, "")
    assert chat(client, max_tokens=12).choices[0].message.content == ""


@pytest.mark.parametrize("wrong", [-1, 2.5, "5", True, 1 << 30])
def test_a_budget_that_is_no_number_of_tokens_is_refused(wrong: object, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="thinking_token_budget"):
        chat(client, extra_body={"thinking_token_budget": wrong})


@pytest.mark.parametrize("case", CASES)
def test_our_own_client_reads_what_a_local_engine_gives(
    case: str, client: openai.OpenAI, engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, text, thought, answer = CASES[case]
    engine.tokens.tokenizer.chat_template = template
    write(engine, monkeypatch, text)
    request = GenerateRequest(
        sample="s", draw=0, prompt="", decoding=Decoding(max_tokens=90), seed=0, thought=ThoughtPlan((THINK,)),
        messages=(Message(role="user", content="2+2?"),),
    )  # fmt: skip
    (read,) = openai_http(None, url=str(client.base_url), keys=("THE_KEY",)).generate([request])
    assert (read.thought, read.text) == (thought, answer) and (read.thought_tokens > 0) == bool(thought)
