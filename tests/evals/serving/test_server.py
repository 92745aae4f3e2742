"""The transformers server as OpenAI's own client and ours see it: texts, chat, log-probabilities, streams, refusals."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import requests

from evals.engines.http.openai import connect as openai_http
from evals.engines.local.generate import Text, draw
from evals.engines.local.stream import Pieces, write_steps
from evals.engines.tokens import Prompt
from evals.engines.transformers_local import TransformersLocal, connect
from evals.records import Decoding, GenerateRequest
from evals.scoring.finite import NO_LOGITS
from evals.serving.server import make_server

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}Answer:"
PROMPT = "def add(a, b):\n"
HEAD = {"Authorization": "Bearer the-key", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def backend(tiny_phi: Path) -> TransformersLocal:
    found = connect(tiny_phi, device="cpu")
    found.tokens.tokenizer.chat_template = TEMPLATE
    return found


@contextmanager
def serving(engine: TransformersLocal) -> Iterator[str]:
    """The address of a running server of an engine."""
    running = make_server(engine, "tiny", "127.0.0.1", 0, "the-key", "d" * 64)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}/v1"
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture(scope="module")
def url(backend: TransformersLocal) -> Iterator[str]:
    with serving(backend) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="the-key", max_retries=0) as found:
        yield found


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.completions.create(**{"model": "tiny", "prompt": PROMPT, "max_tokens": 12, "temperature": 0, **more})


def chat(client: openai.OpenAI, **more: Any) -> Any:
    messages = [{"role": "system", "content": "def"}, {"role": "user", "content": "add the first"}]
    asked = {"model": "tiny", "messages": messages, "max_tokens": 12, "temperature": 0, **more}
    return client.chat.completions.create(**asked)


def test_the_model_is_listed_with_whose_weights_it_is(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.owned_by, model.to_dict()["root"]) == ("tiny", "phi-zoo", "d" * 64)
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


@pytest.mark.parametrize(
    "more",
    [{}, {"logprobs": 1}, {"echo": True, "logprobs": 1, "max_tokens": 1}, {"stream": True}, {"temperature": 0.7}],
)
def test_logits_that_are_not_finite_are_refused_and_unscored_at_the_client(
    overflowing_phi: Path, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "the-key")
    engine = connect(overflowing_phi, device="cpu")
    with serving(engine) as url, openai.OpenAI(base_url=url, api_key="the-key", max_retries=0) as client:
        with pytest.raises(openai.APIError, match="not finite"):
            list(ask(client, **more))
        request = GenerateRequest(sample="s", draw=0, prompt=PROMPT, decoding=Decoding(max_tokens=2), seed=0)
        (text,) = openai_http(None, url=url, keys=("THE_KEY",)).generate([request])
        assert text.finish == "fault" and "not finite" in text.fault


def test_texts_draws_and_seeds(client: openai.OpenAI) -> None:
    greedy = ask(client)
    assert (greedy.object, greedy.model, greedy.choices[0].finish_reason) == ("text_completion", "tiny", "length")
    assert (greedy.usage.prompt_tokens > 0, greedy.usage.completion_tokens) == (True, 12)
    assert ask(client, echo=True).choices[0].text == PROMPT + greedy.choices[0].text
    both = ask(client, prompt=[PROMPT, "Question:"], n=3, temperature=1.0, seed=7)
    assert [one.index for one in both.choices] == list(range(6))
    assert len({one.text for one in both.choices[:3]}) == 3
    again = ask(client, prompt=[PROMPT, "Question:"], n=3, temperature=1.0, seed=7)
    assert [one.text for one in again.choices] == [one.text for one in both.choices]
    stop = greedy.choices[0].text[4:6]
    cut = ask(client, stop=[stop]).choices[0]
    assert (cut.text, cut.finish_reason) == (greedy.choices[0].text.partition(stop)[0], "stop")


def test_log_probabilities_of_what_is_written_are_those_of_reading_it(
    client: openai.OpenAI, backend: TransformersLocal
) -> None:
    ids = backend.tokens.encode(PROMPT)
    told = ask(client, prompt=ids, logprobs=3).choices[0]
    assert told.text == ask(client).choices[0].text  # told token by token or written in slots: the same text
    read = told.logprobs
    request = GenerateRequest(sample="", draw=0, prompt="", decoding=Decoding(max_tokens=12), seed=0)
    text = Text(request, Prompt(tokens=tuple(ids)), backend.tokens, 128)
    assert [
        step.logprob for step in write_steps(backend.model, backend.tokens, backend.paths, text, 0)
    ] == read.token_logprobs
    (((_, again),),) = backend.step_prompts([[*ids, *text.written]])
    assert read.token_logprobs == pytest.approx([one.logprob for one in again[len(ids) - 1 : -1]], abs=1e-4)
    assert read.text_offset[0] == 0 and len(read.tokens) == len(read.text_offset) == 12
    for piece, value, top in zip(read.tokens, read.token_logprobs, read.top_logprobs, strict=True):
        assert len(top) == 3 and top[piece] == value == max(top.values())  # greedy: the likeliest
    echoed = ask(client, prompt=ids, logprobs=1, echo=True, max_tokens=5).choices[0].logprobs
    assert echoed.token_logprobs[0] is None and len(echoed.tokens) == len(ids) + 5
    assert echoed.token_logprobs[1:] == pytest.approx([one.logprob for one in again[: len(ids) + 4]], abs=1e-4)


@pytest.mark.parametrize("stop", [None, ["e"], ["ff", "the"]])
def test_a_stream_is_the_same_text_in_pieces(client: openai.OpenAI, stop: Any) -> None:
    how: dict[str, Any] = {"max_tokens": 40, "temperature": 0.9, "seed": 3, "stop": stop}
    whole = ask(client, **how).choices[0]
    events = list(ask(client, stream=True, stream_options={"include_usage": True}, logprobs=0, **how))
    pieces = [event.choices[0] for event in events[:-1]]
    assert "".join(one.text for one in pieces) == whole.text
    assert [one.finish_reason for one in pieces if one.finish_reason] == [whole.finish_reason]
    assert len(pieces) > 2 or len(whole.text) < 6
    assert events[-1].usage.completion_tokens == sum(len(one.logprobs.tokens) for one in pieces)


def test_a_fault_within_a_stream_is_an_event_that_the_client_raises(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(logits: Any, texts: Any, tokens: Any) -> list[int]:
        if len(texts[0].written) == 3:
            texts[0].fail(NO_LOGITS)
        return draw(logits, texts, tokens)

    monkeypatch.setattr("evals.engines.local.stream.draw", overflow)
    events = ask(client, stream=True)
    with pytest.raises(openai.APIError, match="not finite"):
        list(events)


def test_chat_goes_through_the_models_own_template(client: openai.OpenAI) -> None:
    answer = chat(client)
    plain = ask(client, prompt="system: def\nuser: add the first\nAnswer:").choices[0]
    assert (answer.object, answer.choices[0].message.role) == ("chat.completion", "assistant")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (plain.text, plain.finish_reason)
    parts = [{"role": "user", "content": [{"type": "text", "text": "add"}, {"type": "text", "text": " b"}]}]
    assert chat(client, messages=parts).choices[0].message.content
    told = chat(client, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert bytes(byte for one in told for byte in one.bytes).decode("utf-8", "replace") == plain.text
    assert all(len(one.top_logprobs) == 2 and one.logprob == one.top_logprobs[0].logprob for one in told)
    streamed = [event.choices[0].delta for event in chat(client, stream=True)]
    assert streamed[0].role == "assistant"
    assert "".join(delta.content or "" for delta in streamed) == plain.text


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"model": "gpt"}, "'gpt' is not served here"),
    "penalty": ({"frequency_penalty": 0.5}, "frequency_penalty is not supported"),
    "many": ({"logprobs": 21}, "logprobs must be 0 to 20"),
    "echo": ({"logprobs": 2, "echo": True}, "with echo"),
    "stream": ({"stream": True, "echo": True}, "echo cannot be streamed"),
    "long": ({"prompt": "def add " * 200, "logprobs": 0, "echo": True}, "maximum context length is 128 tokens"),
    "ids": ({"prompt": [1, 2, 5000]}, "token ids of this model"),
    "tokens": ({"max_tokens": 0}, "max_tokens must be 1 or more"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_is_refused_with_the_reason(client: openai.OpenAI, what: str) -> None:
    more, told = REFUSED[what]
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, **more)
    assert caught.value.status_code == (404 if what == "model" else 400)
    assert told in str(caught.value)


def test_a_base_model_has_no_chat(client: openai.OpenAI, backend: TransformersLocal) -> None:
    backend.tokens.tokenizer.chat_template = None
    try:
        with pytest.raises(openai.BadRequestError, match="no chat template"):
            chat(client)
    finally:
        backend.tokens.tokenizer.chat_template = TEMPLATE


def test_without_the_key_nothing_is_told_but_health(url: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert requests.get(f"{url}/models", headers=headers).status_code == 401
        assert requests.post(f"{url}/completions", headers=headers, json={"prompt": "a"}).status_code == 401
    assert requests.get(url.removesuffix("/v1") + "/health").json() == {"status": "ok"}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"[" * 100_000, b'{"prompt": "a", "prompt": "b"}'])
def test_what_is_no_request_is_a_400(url: str, body: bytes) -> None:
    answer = requests.post(f"{url}/completions", headers=HEAD, data=body)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]["message"]


def test_half_a_surrogate_pair_in_a_prompt_is_replaced(url: str) -> None:
    head = HEAD
    body = rb'{"prompt": "a\ud835", "max_tokens": 1, "echo": true}'
    answer = requests.post(f"{url}/completions", headers=head, data=body)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["text"].startswith("a\ufffd")


def test_pieces_hold_back_half_characters_and_begun_stops(backend: TransformersLocal) -> None:
    request = GenerateRequest(sample="", draw=0, prompt="", decoding=Decoding(stop=("stop",)), seed=0)
    text = Text(request, Prompt(tokens=(0,)), backend.tokens, 128)
    pieces, shown = Pieces(text), []
    for byte in "é st sto€x".encode():
        text.bytes += bytes([byte])
        shown.append(pieces.new())
    assert "".join(shown) == "é st sto€x"
    assert "�" not in "".join(shown)
    assert "st" not in shown  # begun, it may yet be cut away
    text.bytes += b" sto"
    assert pieces.new() == " "
    text.finish = "length"
    assert pieces.new() == "sto"
