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
    BadRequest,
    CompletionRequest,
    answer,
    count_usage,
    form_chat_logprobs,
    form_text_logprobs,
    read_chat,
    read_completion,
    stream_texts,
)
from zoo.errors import ZooError
from zoo.jsonl import parse_json

BODY_BYTES = 1 << 22  # a question with 25 shots and 10 choices as token ids
IDLE_SECONDS = 60.0  # a connection that sends nothing for so long is closed


def make_server(
    engine: TransformersLocal, name: str, host: str, port: int, key: str | None, digest: str = ""
) -> ThreadingHTTPServer:
    """A server bound to host:port (port 0: any free one), ready to `serve_forever`.

    key     when given, every request must carry `Authorization: Bearer KEY`
    digest  the checkpoint's, given as the model's root, so that a client can see which weights answer
    """
    about = {"engine": engine, "name": name, "key": key, "digest": digest, "one_at_a_time": threading.Lock()}
    handler = type("Answering", (Handler,), about)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = type("Listening", (ThreadingHTTPServer,), {"address_family": family})
    made: ThreadingHTTPServer = listening((host, port), handler)
    return made


class Handler(BaseHTTPRequestHandler):
    """Routes, errors and streams; `make_server` gives it its model."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    engine: TransformersLocal
    name: str
    key: str | None
    digest: str
    one_at_a_time: threading.Lock

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: prompts are the user's."""

    def do_GET(self) -> None:
        model: dict[str, Any] = {
            "id": self.name, "object": "model", "created": 0, "owned_by": "phi-zoo", "root": self.digest,
        }  # fmt: skip
        model["max_model_len"] = self.engine.facts.context_tokens
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif not self._allowed():
            return
        elif self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [model]})
        elif self.path == f"/v1/models/{self.name}":
            self._send(200, model)
        else:
            self._fault(404, f"no such address: {self.path}")

    def do_POST(self) -> None:
        if not self._allowed():
            return
        try:
            body = self._body()
            read = {"/v1/completions": read_completion, "/v1/chat/completions": read_chat}.get(self.path)
            if read is None:
                raise BadRequest(f"no such address: {self.path}", 404)
            if body.get("model", self.name) != self.name:
                raise BadRequest(f"the model {body['model']!r} is not served here; {self.name!r} is", 404)
            request = read(body, self.engine)
            name = f"{'chatcmpl' if request.chat else 'cmpl'}-{uuid.uuid4().hex}"
            head = {"id": name, "model": self.name, "created": int(time.time())}
            if body.get("stream"):
                self._stream(request, head, bool((body.get("stream_options") or {}).get("include_usage")))
                return
            with self.one_at_a_time:
                choices, used = answer(self.engine, request)
            kind = "chat.completion" if request.chat else "text_completion"
            self._send(200, {**head, "object": kind, "choices": choices, "usage": used})
        except BadRequest as error:
            self._fault(error.status, str(error))
        except ZooError as error:
            self._fault(400, str(error))
        except OSError:
            self.close_connection = True  # the client has gone
        except Exception:  # a fault of ours: printed here, and answered, so that the client does not wait
            traceback.print_exc()
            self._fault(500, "the server failed; its own output says how")

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES:
            self.close_connection = True
            raise BadRequest(f"the body must have a length of at most {BODY_BYTES} bytes")
        try:
            body = parse_json(self.rfile.read(int(length)), repair=True)
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
        self._send(status, _form_error(status, message))

    def _stream(self, request: CompletionRequest, head: dict[str, Any], with_usage: bool) -> None:
        """Server-sent events, one a piece of text; a fault after the first is an event too."""
        head = {**head, "object": "chat.completion.chunk" if request.chat else "text_completion"}
        written, begins = 0, [0] * len(request.requests)
        with self.one_at_a_time:
            pieces = stream_texts(self.engine, request)
            first = next(pieces)  # an unsupported request is an ordinary error, before the stream begins
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            if request.chat:
                for number in range(len(request.requests)):
                    delta = {"role": "assistant", "content": ""}
                    self._event({**head, "choices": [{"index": number, "delta": delta, "finish_reason": None}]})
            try:
                for number, piece, behind, finish in chain([first], pieces):
                    choice: dict[str, Any] = {"index": number, "finish_reason": finish, "logprobs": None}
                    choice |= {"delta": {"content": piece} if piece else {}} if request.chat else {"text": piece}
                    if request.likeliest is not None and request.chat:
                        choice["logprobs"] = form_chat_logprobs(self.engine, behind)
                    elif request.likeliest is not None:
                        choice["logprobs"] = form_text_logprobs(self.engine, None, behind, begins[number])
                    written, begins[number] = written + len(behind), begins[number] + len(piece)
                    self._event({**head, "choices": [choice]})
            except BadRequest as error:
                self._event(_form_error(error.status, str(error)))
                return
            if with_usage:
                self._event({**head, "choices": [], "usage": count_usage(request, written)})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, body: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")
        self.wfile.flush()


def _form_error(status: int, message: str) -> dict[str, Any]:
    """A fault in OpenAI's form."""
    kinds = {401: "authentication_error", 404: "not_found_error", 500: "server_error"}
    kind = kinds.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
