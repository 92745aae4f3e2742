"""The playground's streams: a server's pieces as they come, faults told on their own side."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dashboard.data.playground import EXAMPLES, Wanted, checked_url, load, local, served, side_by_side
from zoo.errors import ZooError

pytest.importorskip("openai", reason="the [eval] extra is not installed")


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
    assert list(served(url, "", Wanted(prompt="one two three"))) == ["one", "two", "three"]


def test_two_sides_come_together_and_a_fault_ends_only_its_own(url: str) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise RuntimeError("no memory")

    pieces = list(side_by_side([served(url, "echo", Wanted(prompt="x y")), broken()]))
    assert [piece for at, piece in pieces if at == 0] == ["x", "y"]
    assert [str(piece) for at, piece in pieces if at == 1] == ["a", "the engine failed: RuntimeError: no memory"]


def test_a_server_that_is_not_there_is_one_line(url: str) -> None:
    with pytest.raises(ZooError, match="is the server up"):
        list(served("http://127.0.0.1:9/v1", "m", Wanted(prompt="x")))


@pytest.mark.parametrize("wrong", ["", "file:///etc/passwd", "127.0.0.1:8000", "http://user:word@host/v1"])
def test_only_a_servers_address_is_asked(wrong: str) -> None:
    with pytest.raises(ZooError, match="no server's address"):
        checked_url(wrong)


def test_examples_are_the_talks_six() -> None:
    assert len(EXAMPLES) == 6
    assert "skier" in EXAMPLES["Skier"]


def test_a_checkpoint_streams_what_it_generates_whole(tiny_phi: Path) -> None:
    import torch

    model, tokenizer = load(tiny_phi)
    ids = tokenizer("def add(a, b):", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        whole = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12,
            pad_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
    expected = tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)
    assert "".join(local(model, tokenizer, Wanted(prompt="def add(a, b):", max_tokens=12))) == expected
