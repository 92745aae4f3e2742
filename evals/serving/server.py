"""A small OpenAI-compatible server over one loaded model: models, completions, chat completions, health.

For a CPU without vLLM, a script or the playground. One request is answered at a time (one model, two
cores); text is streamed token by token when asked. Requests and answers are `evals.serving.openai_api`.
"""

import hmac
import json
import socket
import threading
import time
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any

from evals.engines.transformers_local import TransformersLocal
from evals.serving.openai_api import (
    Asked,
    BadRequest,
    answer,
    asked,
    asked_chat,
    chat_logprobs,
    streamed,
    text_logprobs,
    usage,
)
from zoo.errors import ZooError

BODY_BYTES = 1 << 22  # a question with 25 shots and 10 choices as token ids
IDLE_SECONDS = 60.0  # a connection that sends nothing for so long is closed


def server(
    backend: TransformersLocal, name: str, host: str, port: int, key: str | None, digest: str = ""
) -> ThreadingHTTPServer:
    """A server bound to host:port (port 0: any free one), ready to `serve_forever`.

    key     when given, every request must carry `Authorization: Bearer KEY`
    digest  the checkpoint's, told as the model's root, so that who asks can see whose answers these are
    """
    about = {"backend": backend, "name": name, "key": key, "digest": digest, "one_at_a_time": threading.Lock()}
    handler = type("Answering", (Handler,), about)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = type("Listening", (ThreadingHTTPServer,), {"address_family": family})
    found: ThreadingHTTPServer = listening((host, port), handler)
    return found


class Handler(BaseHTTPRequestHandler):
    """Routes, errors and streams; `server` gives it its model."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    backend: TransformersLocal
    name: str
    key: str | None
    digest: str
    one_at_a_time: threading.Lock

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: prompts are the user's."""

    def do_GET(self) -> None:
        told: dict[str, Any] = {
            "id": self.name,
            "object": "model",
            "created": 0,
            "owned_by": "phi-zoo",
            "root": self.digest,
        }
        told["max_model_len"] = self.backend.facts.context_tokens
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif not self._allowed():
            return
        elif self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [told]})
        elif self.path == f"/v1/models/{self.name}":
            self._send(200, told)
        else:
            self._fault(404, f"no such address: {self.path}")

    def do_POST(self) -> None:
        if not self._allowed():
            return
        try:
            body = self._body()
            reading = {"/v1/completions": asked, "/v1/chat/completions": asked_chat}.get(self.path)
            if reading is None:
                raise BadRequest(f"no such address: {self.path}", 404)
            if body.get("model", self.name) != self.name:
                raise BadRequest(f"the model {body['model']!r} is not served here; {self.name!r} is", 404)
            told = reading(body, self.backend)
            name = f"{'chatcmpl' if told.chat else 'cmpl'}-{uuid.uuid4().hex}"
            head = {"id": name, "model": self.name, "created": int(time.time())}
            if body.get("stream"):
                self._stream(told, head, bool((body.get("stream_options") or {}).get("include_usage")))
                return
            with self.one_at_a_time:
                choices, used = answer(self.backend, told)
            kind = "chat.completion" if told.chat else "text_completion"
            self._send(200, {**head, "object": kind, "choices": choices, "usage": used})
        except BadRequest as error:
            self._fault(error.status, str(error))
        except ZooError as error:
            self._fault(400, str(error))
        except OSError:
            self.close_connection = True  # who asked has gone
        except Exception:  # a fault of ours: seen here, and answered, so that nobody waits for it
            traceback.print_exc()
            self._fault(500, "the server failed; its own output says how")

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

    def _allowed(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.key is None or hmac.compare_digest(given.encode(), self.key.encode()):
            return True
        self.close_connection = True  # its body was not read
        self._fault(401, "wrong or missing API key")
        return False

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _fault(self, status: int, message: str) -> None:
        kind = {401: "authentication_error", 404: "not_found_error", 500: "server_error"}
        told: dict[str, Any] = {
            "message": message,
            "type": kind.get(status, "invalid_request_error"),
            "param": None,
            "code": None,
        }
        self._send(status, {"error": told})

    def _stream(self, told: Asked, head: dict[str, Any], with_usage: bool) -> None:
        """Server-sent events, one a piece of text; a fault after the first is an event too."""
        head = {**head, "object": "chat.completion.chunk" if told.chat else "text_completion"}
        written, at = 0, [0] * len(told.requests)
        with self.one_at_a_time:
            pieces = streamed(self.backend, told)
            first = next(pieces)  # what cannot be done is an ordinary error, before the stream begins
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            if told.chat:
                for number in range(len(told.requests)):
                    delta = {"role": "assistant", "content": ""}
                    self._event({**head, "choices": [{"index": number, "delta": delta, "finish_reason": None}]})
            for number, piece, behind, finish in chain([first], pieces):
                choice: dict[str, Any] = {"index": number, "finish_reason": finish, "logprobs": None}
                choice |= {"delta": {"content": piece} if piece else {}} if told.chat else {"text": piece}
                if told.likeliest is not None and told.chat:
                    choice["logprobs"] = chat_logprobs(self.backend, behind)
                elif told.likeliest is not None:
                    choice["logprobs"] = text_logprobs(self.backend, None, behind, at[number])
                written, at[number] = written + len(behind), at[number] + len(piece)
                self._event({**head, "choices": [choice]})
            if with_usage:
                self._event({**head, "choices": [], "usage": usage(told, written)})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, body: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")
        self.wfile.flush()
