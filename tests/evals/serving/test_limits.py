"""The server against clients that are malformed, foreign, slow, greedy or gone: refused in OpenAI's form, others served."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evals.engines.transformers_local import TransformersLocal, connect
from evals.serving import connection, guard, server, turns
from evals.serving.answer import _offsets
from evals.serving.server import make_server

JSON = {"Content-Type": "application/json"}
SMALL = {"prompt": "def add(a, b):", "max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="module")
def engine(tiny_phi: Path) -> TransformersLocal:
    engine = connect(tiny_phi, device="cpu")
    engine.tokens.tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}Answer:"
    return engine


@contextmanager
def serving(engine: Any, **options: Any) -> Iterator[int]:
    """The port of a running server."""
    running = make_server(engine, "tiny", options.pop("host", "127.0.0.1"), 0, options.pop("key", None), **options)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield running.server_address[1]
    finally:
        running.shutdown()
        running.server_close()
        thread.join(20)


@pytest.fixture(scope="module")
def port(engine: TransformersLocal) -> Iterator[int]:
    with serving(engine) as number:
        yield number


def ask(port: int, body: Any, path: str = "/v1/completions", headers: Any = JSON, method: str = "POST") -> Any:
    """(status, the answer's JSON) of one request. body: bytes, or what is sent as JSON."""
    print("tried 1")  # for tests/hostile/count.py
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        client.request(method, path, data, dict(headers))
        answer = client.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        client.close()


def send(port: int, raw: bytes, seconds: float = 10.0) -> bytes:
    """All that the server sends for raw bytes until it closes."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        client.sendall(raw)
        parts = []
        while part := client.recv(65536):
            parts.append(part)
        return b"".join(parts)


def check_error(answer: Any, status: int, words: str = "") -> None:
    """An error in OpenAI's form with this status."""
    assert answer[0] == status, answer
    error = answer[1]["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert words in error["message"] and "\n" not in error["message"]


DEEP = [None]
for _ in range(90):
    DEEP = [DEEP]
# parameter -> values that no request may have
WRONG: dict[str, list[Any]] = {
    "prompt": [None, 5, True, {}, [], [[]], [None], ["a", 1], [1.5], [-1], [10**6], [10**400], [True], [[1, "a"]], DEEP],
    "max_tokens": ["5", -1, 0, 10**400, 1.5, True, [], {}, [5], 65537, DEEP],
    "max_completion_tokens": ["5", -1, 0],
    "temperature": ["0", -0.1, 2.1, [], True, {}, 10**400, [1]],
    "top_p": ["1", 0, -1, 1.1, [], True],
    "n": ["1", 0, -1, 129, 0.5, [], True, 10**30],
    "seed": ["a", 1.5, [], {}, True, 1 << 64],
    "stop": [5, {}, [5], [None], ["a"] * 65, ["x" * 1001], DEEP],
    "logprobs": ["1", -1, 21, 0.5, [], True, {}],
    "echo": ["true", 1, [], {}],
    "stream": ["yes", 1, [], {}],
    "stream_options": ["x", 1, [], True, {"include_usage": "x"}],
    "boundary": [None, 5, [], "RAW", {}],
    "model": [5, [], {}, True],
    "frequency_penalty": [0.5, "0", []], "best_of": [2, "1"], "tools": [[{}], "x"], "ignore_eos": [True],
}  # fmt: skip
WRONG_CHATS: list[Any] = [
    None, [], "hi", {}, [None], ["hi"], [{}], [{"role": "user"}], [{"content": "a"}], [{"role": "user", "content": None}],
    [{"role": "user", "content": 5}], [{"role": "user", "content": {}}], [{"role": "god", "content": "a"}],
    [{"role": 5, "content": "a"}], [{"role": ["user"], "content": "a"}], [{"role": None, "content": "a"}],
    [{"role": "tool", "content": "a"}], [{"role": "user", "content": [5]}],
    [{"role": "user", "content": [{"type": "image_url"}]}], [{"role": "user", "content": [{"type": "text"}]}],
    [{"role": "user", "content": [{"type": "text", "text": 5}]}], [{"role": "user", "content": "a", "tool_calls": [{}]}],
    [{"role": "user", "content": "a"}] * 2001, DEEP,
]  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_a_400_that_names_its_parameter(port: int, name: str) -> None:
    for value in WRONG[name]:
        answer = ask(port, {**SMALL, name: value})
        check_error(answer, 400, name)
        assert answer[1]["error"]["param"] == name, value
    assert ask(port, SMALL)[0] == 200


def test_wrong_chats_are_400s(port: int) -> None:
    for messages in WRONG_CHATS:
        check_error(ask(port, {"messages": messages}, "/v1/chat/completions"), 400, "")
    plain = [{"role": "user", "content": "a", "type": "text", "name": None}]
    assert ask(port, {"messages": plain, "max_tokens": 2}, "/v1/chat/completions")[0] == 200
    check_error(ask(port, {"messages": plain, "top_logprobs": 2}, "/v1/chat/completions"), 400, "needs logprobs")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"prompt": NaN}', b'{"max_tokens": Infinity}', b'{"temperature": 1e999}', b"[" * 9000, b'{"n": ' + b"9" * 5000 + b"}"]
)  # fmt: skip
def test_what_is_no_json_is_a_400(port: int, body: bytes) -> None:
    check_error(ask(port, body), 400, "JSON")


def test_the_kind_of_the_body_is_checked(port: int) -> None:
    for kind in (None, "", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        headers = {} if kind is None else {"Content-Type": kind}
        check_error(ask(port, SMALL, headers=headers), 415, "application/json")
    check_error(ask(port, SMALL, headers={**JSON, "Content-Encoding": "gzip"}), 415)
    assert ask(port, SMALL, headers={"Content-Type": "application/json; charset=UTF-8"})[0] == 200


HOSTS = {
    "evil.example": 421, "evil.example:80": 421, "192.168.1.2": 421, "localhost.evil.example": 421, "": 421,
    "localhost@evil.example": 421, "127.0.0.1.evil.example": 421, "2130706433": 421, "localhost:x": 421, "[::1": 421,
    "LOCALHOST": 200, "localhost:9": 200, "127.0.0.1": 200, "[::1]:80": 200, "127.1.2.3": 200, "named.example": 200,
}  # fmt: skip


def test_a_foreign_host_is_a_421(engine: TransformersLocal) -> None:
    with serving(engine, hosts=("Named.example",)) as port:
        for host, status in HOSTS.items():
            answer = ask(port, SMALL, headers={**JSON, "Host": host})
            assert answer[0] == status, host
            if status != 200:
                check_error(answer, status, "--allow-host")
    with serving(engine, host="0.0.0.0", key="k") as port:
        key = {**JSON, "Authorization": "Bearer k"}
        assert ask(port, SMALL, headers={**key, "Host": "192.168.1.2:80"})[0] == 200
        check_error(ask(port, SMALL, headers={**key, "Host": "evil.example"}), 421)


def test_web_pages_are_refused(port: int) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        check_error(ask(port, SMALL, headers={**JSON, **headers}), 403, "web pages")
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert ask(port, None, headers=headers, method="OPTIONS")[0] == 403
    own = {"Origin": f"http://127.0.0.1:{port}", "Host": f"127.0.0.1:{port}"}
    assert ask(port, SMALL, headers={**JSON, **own})[0] == 200


def test_other_addresses_and_methods(port: int) -> None:
    check_error(ask(port, SMALL, "/v1/complete"), 404, "/v1/complete")
    check_error(ask(port, SMALL, "/v1/completions/"), 404)
    check_error(ask(port, None, "/v1/models/other", method="GET"), 404)
    check_error(ask(port, None, method="DELETE"), 405)
    check_error(ask(port, None, method="GET"), 405)
    check_error(ask(port, {**SMALL, "model": "gpt"}), 404, "'gpt' is not served here")


RAW = {
    "two lengths": (b"Content-Length: 2\r\nContent-Length: 3\r\n", b" 400 "),
    "a length and chunks": (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b" 400 "),
    "a length that is none": (b"Content-Length: +2\r\n", b" 400 "),
    "another transfer": (b"Transfer-Encoding: gzip\r\n", b" 400 "),
    "two hosts": (b"Host: localhost\r\nContent-Length: 2\r\n", b" 400 "),
    "a huge length": (b"Content-Length: 99999999999\r\n", b" 413 "),
    "no colon": (b"oops\r\n", b" 400 "),
    "a space before the colon": (b"Content-Length : 2\r\n", b" 400 "),
    "a long head": (b"X: " + b"a" * 70_000 + b"\r\n", b" 400 "),
}


@pytest.mark.parametrize("name", RAW)
def test_malformed_http_is_refused_in_the_same_form(port: int, name: str) -> None:
    headers, status = RAW[name]
    head = (
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    )
    answer = send(port, head + headers + b"\r\n{}")
    assert status in answer.split(b"\r\n", 1)[0], answer
    assert set(json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]) == {"message", "type", "param", "code"}
    assert answer.count(b"HTTP/1.1") == 1


def test_what_is_not_http_is_refused(port: int) -> None:
    for raw in (
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        assert b" 400 " in send(port, raw).split(b"\r\n", 1)[0]


def test_work_is_limited_per_request(port: int) -> None:
    check_error(ask(port, {"prompt": ["a"] * 3000, "n": 128, "max_tokens": 1}), 400, "are more than 256 texts")
    check_error(ask(port, {"prompt": [[1]] * 200, "n": 2}), 400, "are more than 256 texts")
    check_error(ask(port, b'{"prompt": "' + b"a" * guard.BODY_BYTES + b'"}'), 413, "limit")


def test_a_prompt_over_the_context_is_refused_whole(port: int) -> None:
    for prompt in ("def add " * 200, [1] * 128, "x" * 3_000_000):
        answer = ask(port, {**SMALL, "prompt": prompt})
        check_error(answer, 400, "maximum context length is 128 tokens")
        assert answer[1]["error"]["code"] == "context_length_exceeded"
    chat = {"messages": [{"role": "user", "content": "def add " * 200}]}
    check_error(ask(port, chat, "/v1/chat/completions"), 400, "maximum context length is 128 tokens")
    status, answer = ask(port, {"prompt": [1] * 120, "max_tokens": 100, "ignore_eos": False})
    assert status == 200 and answer["usage"]["prompt_tokens"] == 120  # uncut, and it ends with the context
    assert ask(port, {"prompt": [1] * 128, "echo": True, "max_tokens": 0})[0] == 200


def test_echo_without_tokens_writes_none(port: int) -> None:
    for more in ({}, {"logprobs": 1}):
        status, answer = ask(port, {**SMALL, "echo": True, "max_tokens": 0, **more})
        assert status == 200 and answer["choices"][0]["text"] == SMALL["prompt"]
        assert answer["usage"]["completion_tokens"] == 0 and answer["choices"][0]["finish_reason"] == "length"
    assert None in answer["choices"][0]["logprobs"]["token_logprobs"]


class Slow:
    """An engine whose every step takes a while, so that requests meet; it counts the steps made."""

    def __init__(self, engine: TransformersLocal, seconds: float) -> None:
        self.engine, self.seconds, self.steps, self.closed = engine, seconds, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def step_texts(self, texts: Any, slots: int) -> Iterator[Any]:
        return self._slow(self.engine.step_texts(texts, slots))

    def write_steps(self, text: Any, likeliest: int) -> Iterator[Any]:
        return self._slow(self.engine.write_steps(text, likeliest))

    def _slow(self, steps: Iterator[Any]) -> Iterator[Any]:
        try:
            for step in steps:
                self.steps += 1
                time.sleep(self.seconds)
                yield step
        finally:
            self.closed += 1


def test_requests_take_turns(engine: TransformersLocal) -> None:
    slow = Slow(engine, 0.02)
    with serving(slow) as port:
        done = {}

        def run(name: str, tokens: int) -> None:
            ask(port, {"prompt": [1, 2], "max_tokens": tokens, "temperature": 1, "seed": 1, "logprobs": 1})
            done[name] = time.monotonic()

        threads = [threading.Thread(target=run, args=("long", 110)), threading.Thread(target=run, args=("short", 4))]
        threads[0].start()
        while slow.steps < 3:
            time.sleep(0.01)
        threads[1].start()
        for thread in threads:
            thread.join()
        assert done["short"] < done["long"] - 0.5


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"logprobs": 1}])
def test_a_client_that_left_frees_its_work(engine: TransformersLocal, more: dict[str, Any]) -> None:
    slow = Slow(engine, 0.02)
    with serving(slow) as port:
        body = json.dumps({"prompt": [1, 2], "n": 16, "max_tokens": 100, "seed": 1, **more}).encode()
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            while slow.steps < 3:
                time.sleep(0.01)
        ends = time.monotonic() + 3
        while not slow.closed and time.monotonic() < ends:
            time.sleep(0.01)
        steps = slow.steps
        time.sleep(0.3)
        assert slow.closed and slow.steps == steps


def test_a_server_that_stops_says_so_to_a_client_that_waits(engine: TransformersLocal) -> None:
    slow = Slow(engine, 0.02)
    with ThreadPoolExecutor(1) as pool:
        with serving(slow) as port:
            waiting = pool.submit(ask, port, {"prompt": [1, 2], "n": 64, "max_tokens": 100, "seed": 1})
            while slow.steps < 3:
                time.sleep(0.01)
        check_error(waiting.result(), 503, "the server stops")


def test_a_client_that_does_not_read_stops_nobody(engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WRITE_SECONDS", 0.5)
    monkeypatch.setattr(connection, "BUFFER_BYTES", 1024)
    slow = Slow(engine, 0.0)
    with serving(slow) as port:
        body = json.dumps({"prompt": [1, 2], "n": 128, "max_tokens": 100, "logprobs": 20, "stream": True}).encode()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        with client:
            client.connect(("127.0.0.1", port))
            head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            while not slow.steps:
                time.sleep(0.01)
            assert ask(port, SMALL)[0] == 200  # meanwhile
            ends = time.monotonic() + 20
            while slow.closed < 2 and time.monotonic() < ends:
                time.sleep(0.05)
            assert slow.closed >= 2 and slow.steps < 128 * 99  # cut off long before its end


def test_slow_connections_are_closed_and_hold_nobody(
    engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(guard, "BODY_SECONDS", 1.0)
    with serving(engine) as port:
        before = threading.active_count()
        slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(200)]
        for number, client in enumerate(slow):
            client.sendall(b"POST /v1/comp" if number % 2 else b"")
        assert threading.active_count() <= before
        assert ask(port, SMALL)[0] == 200
        assert b" 408 " in slow[0].recv(4096)
        body = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        assert b" 408 " in send(port, body)
        for client in slow:
            client.close()


def test_too_many_connections_and_requests(engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS", 8)
    with serving(engine) as port:
        idle = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(20)]
        assert ask(port, SMALL)[0] == 200  # idle ones give way
        for client in idle:
            client.close()
    monkeypatch.setattr(connection, "CONNECTIONS", 512)
    monkeypatch.setattr(server, "Turns", lambda: turns.Turns(seats=1, waiting=1))
    slow = Slow(engine, 0.02)
    with serving(slow) as port:
        body = {"prompt": [1, 2], "max_tokens": 100, "seed": 1}
        answers: list[Any] = []
        threads = [threading.Thread(target=lambda: answers.append(ask(port, body))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer[0] for answer in answers) == [200, 200, 429, 429]
        check_error(next(answer for answer in answers if answer[0] == 429), 429, "ask again later")


def test_a_fault_of_ours_is_printed_and_answered(
    engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(server, "read_completion", fail)
    with serving(engine) as port:
        check_error(ask(port, SMALL), 500, "its own output says how")
    assert "RuntimeError: ours" in capfd.readouterr().err


def test_offsets_count_as_decoding_the_whole_would() -> None:
    pieces = ["a€".encode()[:2], "€".encode()[1:2], b"\x82\xac", b"\xf0\x9f", b"x", b"\xff", b"", b"y"]
    slow = [len(b"".join(pieces[:place]).decode("utf-8", "replace")) for place in range(len(pieces))]
    assert list(_offsets(pieces)) == slow
