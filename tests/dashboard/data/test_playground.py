"""The playground's streams: a server's pieces as they come, faults told on their own side."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from msgspec.structs import replace

from dashboard.data.playground import (
    EXAMPLES,
    Written,
    ending_text,
    explain,
    make_chat,
    make_request,
    open_checkpoint,
    render_chat,
    side_by_side,
    split_answer,
    stream_from_server,
)
from evals.records import Decoding, StreamEnd, TextStream
from evals.scoring.thought import THINK
from zoo.errors import ZooError


class Server(BaseHTTPRequestHandler):
    """A small OpenAI-compatible server that writes its prompt back, word by word."""

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer(json.dumps({"object": "list", "data": [{"id": "echo", "object": "model"}]}), "application/json")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["model"] == "echo"
        pieces = [{"id": "1", "object": "text_completion", "created": 1, "model": "echo",
                   "choices": [{"index": 0, "text": word, "finish_reason": None, "logprobs": None}]}
                  for word in asked["prompt"].split(" ")]  # fmt: skip
        self._answer(
            "".join(f"data: {json.dumps(one)}\n\n" for one in pieces) + "data: [DONE]\n\n", "text/event-stream"
        )

    def _answer(self, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_server_streams_its_pieces(url: str) -> None:
    assert list(stream_from_server(url, "", make_request("one two three"))) == ["one", "two", "three"]


def test_two_sides_come_together_and_a_fault_ends_only_its_own(url: str) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise RuntimeError("no luck")

    pieces = list(side_by_side([stream_from_server(url, "echo", make_request("x y")), broken()]))
    assert [piece for number, piece in pieces if number == 0] == ["x", "y", StreamEnd()]
    assert [str(piece) for number, piece in pieces if number == 1] == ["a", "the engine failed: RuntimeError: no luck"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:9/v1", "is the server up"),
        ("", "not the address of a server"),
        ("file:///etc/passwd", "not the address of a server"),
        ("127.0.0.1:8000", "not the address of a server"),
        ("http://user:word@host/v1", "must carry no user"),
    ],
)
def test_a_server_that_is_not_there_and_an_address_that_is_none_are_one_line(address: str, words: str) -> None:
    with pytest.raises(ZooError, match=words) as error:
        list(stream_from_server(address, "m", make_request("x")))
    assert "\n" not in str(error.value)


def test_a_server_without_the_model_or_without_a_stream_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZooError, match='does not serve "other"; it serves: echo'):
        list(stream_from_server(url, "other", make_request("x")))
    monkeypatch.setattr(Server, "do_POST", Server.do_GET)
    with pytest.raises(ZooError, match="sent no stream"):
        list(stream_from_server(url, "", make_request("x")))


def test_the_page_sends_its_own_key_alone_and_only_to_the_server_that_it_is_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str | None] = []
    get = Server.do_GET
    monkeypatch.setattr(Server, "do_GET", lambda self: (keys.append(self.headers["Authorization"]), get(self)))
    monkeypatch.setenv("OPENAI_API_KEY", "another's")
    list(stream_from_server(url, "", make_request("x")))
    monkeypatch.setenv("PHIZOO_API_KEY", "own")
    list(stream_from_server(url, "", make_request("x")))
    monkeypatch.setenv("PHIZOO_API_URL", "https://api.example/v1")
    list(stream_from_server(url, "", make_request("x")))
    monkeypatch.setenv("PHIZOO_API_URL", url)
    list(stream_from_server(url, "", make_request("x")))
    assert keys == [None, None, None, "Bearer own"]


def test_faults_are_explained() -> None:
    assert "take fewer tokens" in str(explain(MemoryError()))
    assert "take fewer tokens" in str(explain(RuntimeError("CUDA out of memory. Tried to allocate")))
    missing = ModuleNotFoundError("No module named 'torch'", name="torch")
    assert str(explain(missing)) == "torch is not installed: pip install 'phi-zoo[eval]'"


def test_examples_are_the_talks_six() -> None:
    assert len(EXAMPLES) == 6
    assert "skier" in EXAMPLES["Skier"]


def test_a_checkpoint_streams_the_evaluated_text(tiny_phi: Path) -> None:
    engine = open_checkpoint(tiny_phi)
    request = make_request("def add(a, b):", max_tokens=12)
    (generation,) = engine.generate([request])
    pieces = list(engine.stream(request))
    assert "".join(pieces) == generation.text != ""
    assert len(pieces) > 1
    warm = make_request("", max_tokens=12, temperature=0.8, seed=3)  # an empty prompt is the end-of-text token
    (generation,) = engine.generate([warm])
    assert "".join(engine.stream(warm)) == generation.text


def test_memory_that_runs_out_while_a_checkpoint_writes_is_said(
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_checkpoint(tiny_phi)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(engine.model, "forward", fail)
    ((number, error),) = side_by_side([engine.stream(make_request("x"))])
    assert number == 0
    assert "out of memory" in str(error)


def test_closing_the_pieces_ends_the_writing_and_a_slow_text_lets_the_page_look() -> None:
    ended, going = threading.Event(), threading.Event()

    def endless() -> TextStream:
        try:
            while True:
                yield "x"
                going.wait(60)
        finally:
            ended.set()

    pieces = side_by_side([endless()])
    assert [next(pieces), next(pieces)] == [(0, "x"), (0, "")]  # nothing more came for a while
    pieces.close()
    going.set()
    assert ended.wait(60)


def test_a_text_says_why_it_ended_in_tokens_and_seconds(
    tiny_phi: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(stream: TextStream) -> Written:
        written = Written()
        for _, piece in side_by_side([stream]):
            written = written.add(piece, 0.0)
        return replace(written, seconds=2.0)

    engine = open_checkpoint(tiny_phi)
    full = write(engine.stream(make_request("def add(a, b):", max_tokens=12)))
    assert ending_text(full, 12) == "Ended by the limit of 12 tokens · 12 tokens in 2.0 s, 6.0 a second, after loading"
    assert ending_text(full, 99).startswith("Ended before 99 tokens, where the context or")
    assert ending_text(write(stream_from_server(url, "", make_request("one two"))), 9) == (
        "Ended; the server does not say why · 6 characters in 2.0 s, after loading"
    )
    event = {"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}
    events = [event, {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}]
    monkeypatch.setattr(
        Server, "do_POST",
        lambda self: self._answer("".join(f"data: {json.dumps(one)}\n\n" for one in events), "text/event-stream"),
    )  # fmt: skip
    ended = write(stream_from_server(url, "", make_request("x")))
    assert ending_text(ended, 9) == "Ended by the model · 1 token in 2.0 s, 0.5 a second, after loading"
    event["choices"][0]["finish_reason"] = "content_filter"  # type: ignore[index]
    assert ending_text(write(stream_from_server(url, "", make_request("x"))), 9).startswith(
        "Ended by the server: content_filter · 1 token"
    )


def test_a_folder_that_an_evaluation_refuses_is_refused(tiny_phi: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_phi / "config.json").read_text())
    config |= {"hidden_size": 80, "num_attention_heads": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ZooError, match=r"expected 0\.4"):
        open_checkpoint(tmp_path)


THINKING = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|><think>{{ '\\n' }}"


def test_a_chat_is_rendered_by_the_checkpoints_template_and_its_thought_is_apart(
    tiny_phi: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_phi, folder)
    chat = make_chat("Be brief.", [("add", "the last")], "the first", Decoding(max_tokens=6))
    assert [message.role for message in chat.messages] == ["system", "user", "assistant", "user"]
    with pytest.raises(ZooError, match="no chat template"):
        render_chat(folder, chat)
    (folder / "chat_template.jinja").write_text(THINKING)
    asked = render_chat(folder, chat)
    assert asked.prompt == (
        "<|system|>Be brief.<|user|>add<|assistant|>the last<|user|>the first<|assistant|><think>\n"
    )
    assert asked.thought is not None and asked.thought.opened == THINK
    text = "".join(open_checkpoint(folder).stream(asked))
    assert text and split_answer(text, asked).unfinished
    assert split_answer(text + "</think>Yes", asked).answer == "Yes"
    assert split_answer("<think>a</think>b", make_request("x")).answer == "<think>a</think>b"


def test_a_server_is_sent_a_chat_and_its_thought_comes_apart(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = []

    def answer(self: Server) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bodies.append((self.path, body))
        if "temperature" in body:
            self.send_response(400)
            text = json.dumps({"error": {"message": "Unsupported parameter", "param": "temperature"}}).encode()
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        deltas = [{"role": "assistant", "content": ""}, {"reasoning_content": "2 and"}, {"reasoning_content": " 2"},
                  {"content": "It"}, {"content": " is 4."}]  # fmt: skip
        events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        self._answer("".join(f"data: {json.dumps(event)}\n\n" for event in events), "text/event-stream")

    monkeypatch.setattr(Server, "do_POST", answer)
    chat = make_chat("", [], "2+2?", Decoding(max_tokens=6))
    split = split_answer("".join(stream_from_server(url, "", chat)), chat)
    assert (split.thought, split.answer) == ("2 and 2", "It is 4.")
    path, body = bodies[-1]
    assert path.endswith("/chat/completions") and body["messages"] == [{"role": "user", "content": "2+2?"}]
