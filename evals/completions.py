"""A small OpenAI-compatible server over one loaded model: /health, /v1/models, /v1/completions.

For a CPU without vLLM, a script or the playground. One request is answered at a time (one model, two
cores); text is streamed when asked. It runs nothing that the model writes.
"""

import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from evals.backends import Backend
from evals.records import Decoding, GenerateRequest, Generation
from zoo.errors import ZooError

BODY_BYTES = 1 << 20


class BadRequest(Exception):
    """A request that cannot be answered; the text says why."""


def decoding(body: dict[str, Any]) -> Decoding:
    """The decoding that a completions request asks for, with OpenAI's defaults. Raises BadRequest."""
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    told = (body.get("max_tokens", 16), body.get("temperature", 1.0), body.get("top_p", 1.0))
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in told):
        raise BadRequest("max_tokens, temperature and top_p must be numbers")
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise BadRequest("stop must be a string or a list of strings")
    tokens, temperature, top_p = int(told[0]), float(told[1]), float(told[2])
    if not 1 <= tokens <= 65536 or not 0 <= temperature <= 2 or not 0 < top_p <= 1:
        raise BadRequest("max_tokens must be 1 or more, temperature 0 to 2, top_p over 0 and at most 1")
    return Decoding(max_tokens=tokens, stop=tuple(stops), temperature=temperature, top_p=top_p)


def requests(body: dict[str, Any]) -> list[GenerateRequest]:
    """One request per prompt and choice (`n`). Raises BadRequest."""
    prompts = body.get("prompt", "")
    texts = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequest("prompt must be a string or a list of strings")
    count, seed = body.get("n", 1), body.get("seed")
    if not isinstance(count, int) or not 1 <= count <= 128:
        raise BadRequest("n must be 1 to 128")
    first = seed if isinstance(seed, int) else time.time_ns() & 0xFFFFFFFF
    how = decoding(body)
    return [
        GenerateRequest(sample=str(place), draw=draw, prompt=text, decoding=how, seed=first + 7919 * place + draw)
        for place, text in enumerate(texts)
        for draw in range(count)
    ]


def answer(name: str, made: list[Generation], draws: int) -> dict[str, Any]:
    """The body of a completions answer, choices in the order asked."""
    ordered = sorted(made, key=lambda one: (int(one.sample), one.draw))
    choices = [
        {"index": int(one.sample) * draws + one.draw, "text": one.text, "finish_reason": one.finish, "logprobs": None}
        for one in ordered
    ]
    asked, written = sum(one.prompt_tokens for one in ordered), sum(one.tokens for one in ordered)
    usage = {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}
    return {"object": "text_completion", "model": name, "created": int(time.time()), "choices": choices, "usage": usage}


def server(backend: Backend, name: str, host: str, port: int, key: str | None) -> ThreadingHTTPServer:
    """A server bound to host:port (port 0: any free one), ready to `serve_forever`.

    key   when given, every request must carry `Authorization: Bearer KEY`
    """
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: prompts are the user's."""

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _allowed(self) -> bool:
            given = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if key is None or hmac.compare_digest(given.encode(), key.encode()):
                return True
            self._send(401, {"error": {"message": "wrong or missing API key", "type": "invalid_request_error"}})
            return False

        def do_GET(self) -> None:
            if self.path == "/health":
                self._send(200, {"status": "ok"})
            elif not self._allowed():
                return
            elif self.path == "/v1/models":
                self._send(200, {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "phi-zoo"}]})
            else:
                self._send(404, {"error": {"message": f"no such address: {self.path}", "type": "not_found"}})

        def do_POST(self) -> None:
            if not self._allowed():
                return
            try:
                body = self._body()
                if self.path != "/v1/completions":
                    raise BadRequest(f"no such address: {self.path}; a base model answers /v1/completions")
                asked = requests(body)
                if body.get("stream"):
                    self._stream(asked)
                    return
                with one_at_a_time:
                    made = list(backend.generate(asked))
                self._send(200, answer(name, made, int(body.get("n", 1))))
            except (BadRequest, ZooError) as error:
                self._send(400, {"error": {"message": str(error), "type": "invalid_request_error"}})

        def _body(self) -> dict[str, Any]:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > BODY_BYTES:
                self.close_connection = True
                raise BadRequest(f"the body must have a length of at most {BODY_BYTES} bytes")
            try:
                body = json.loads(self.rfile.read(int(length)))
            except ValueError as error:
                raise BadRequest(f"the body is not JSON: {error}") from None
            if not isinstance(body, dict):
                raise BadRequest("the body must be a JSON object")
            return body

        def _stream(self, asked: list[GenerateRequest]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            with one_at_a_time:
                for event in _events(backend, name, asked):
                    self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
                    self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")

    return ThreadingHTTPServer((host, port), Handler)


def _events(backend: Backend, name: str, asked: list[GenerateRequest]) -> Iterator[dict[str, Any]]:
    """One event per text, as it ends (the engine decodes whole texts in slots)."""
    for made in backend.generate(asked):
        choice = {"index": int(made.sample), "text": made.text, "finish_reason": made.finish, "logprobs": None}
        yield {"object": "text_completion", "model": name, "created": int(time.time()), "choices": [choice]}
