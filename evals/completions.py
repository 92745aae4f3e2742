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

from evals.backends.decode import encoded
from evals.backends.transformers_local import TransformersLocal
from evals.records import Decoding, GenerateRequest, Generation
from evals.tokens import Prompt
from zoo.checkpoint import Record
from zoo.errors import ZooError

BODY_BYTES = 1 << 22  # a question with 25 shots and 10 choices as token ids


class BadRequest(Exception):
    """A request that cannot be answered; the text says why."""


class Asked(Record, frozen=True, kw_only=True):
    """A completions request: prompts as token ids, what to write, and what to tell of the prompt."""

    requests: tuple[GenerateRequest, ...]
    prompts: tuple[Prompt, ...]
    texts: tuple[str, ...]
    draws: int
    echo: bool
    logprobs: bool


def decoding(body: dict[str, Any]) -> Decoding:
    """The decoding that a completions request asks for, with OpenAI's defaults. Raises BadRequest."""
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    told = (body.get("max_tokens", 16), body.get("temperature", 1.0), body.get("top_p", 1.0))
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in told):
        raise BadRequest("max_tokens, temperature and top_p must be numbers")
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise BadRequest("stop must be a string or a list of strings")
    boundary = body.get("boundary", "raw")
    if boundary not in ("raw", "stripped", "healed"):
        raise BadRequest("boundary must be raw, stripped or healed")
    tokens, temperature, top_p = int(told[0]), float(told[1]), float(told[2])
    least = 0 if body.get("echo") else 1
    if not least <= tokens <= 65536 or not 0 <= temperature <= 2 or not 0 < top_p <= 1:
        raise BadRequest("max_tokens must be 1 or more, temperature 0 to 2, top_p over 0 and at most 1")
    return Decoding(max_tokens=tokens, stop=tuple(stops), temperature=temperature, top_p=top_p, boundary=boundary)


def asked(body: dict[str, Any], backend: TransformersLocal) -> Asked:
    """One request per prompt and choice (`n`); prompts as text or token ids. Raises BadRequest."""
    given = body.get("prompt", "")
    prompts = [given] if isinstance(given, str) or (isinstance(given, list) and _ids(given, backend)) else given
    if not isinstance(prompts, list) or not prompts or not all(isinstance(p, str) or _ids(p, backend) for p in prompts):
        raise BadRequest("prompt must be a string, a list of strings, or token ids of this model")
    count, seed = body.get("n", 1), body.get("seed")
    if not isinstance(count, int) or not 1 <= count <= 128:
        raise BadRequest("n must be 1 to 128")
    first = seed if isinstance(seed, int) else time.time_ns() & 0xFFFFFFFF
    how, context = decoding(body), backend.facts.context_tokens
    logprobs = body.get("logprobs") is not None and body.get("logprobs") is not False
    if logprobs and (not body.get("echo") or how.max_tokens > 1 or how.temperature or count > 1):
        raise BadRequest("log-probabilities are those of the prompt: echo=true, max_tokens 0 or 1, temperature 0, n 1")
    requests, encoded_ = [], []
    for place, prompt in enumerate(prompts):
        text = prompt if isinstance(prompt, str) else backend.tokens.text(prompt)
        ids = Prompt(tokens=tuple(prompt)) if not isinstance(prompt, str) else None
        for draw in range(count):
            seeded = (first + 7919 * place + draw) & 0x7FFFFFFFFFFFFFFF
            one = GenerateRequest(sample=str(place), draw=draw, prompt=text, decoding=how, seed=seeded)
            requests.append(one)
            if logprobs and ids is None:
                ids = Prompt(tokens=tuple(backend.tokens.encode(text)) or (backend.tokens.eos or 0,))
            encoded_.append(ids or encoded(one, backend.tokens, context))
            if len(encoded_[-1].tokens) > context - (0 if logprobs else 1):
                raise BadRequest(f"the prompt has {len(encoded_[-1].tokens)} tokens, the context {context}")
    return Asked(
        requests=tuple(requests),
        prompts=tuple(encoded_),
        texts=tuple(request.prompt for request in requests),
        draws=count,
        echo=bool(body.get("echo")),
        logprobs=logprobs,
    )


def _ids(prompt: object, backend: TransformersLocal) -> bool:
    rows = backend.model.config.vocab_size
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(isinstance(token, int) and not isinstance(token, bool) and 0 <= token < rows for token in prompt)
    )


def completed(backend: TransformersLocal, told: Asked) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The choices of an answer in the order asked, and its usage."""
    if told.logprobs:
        return _echoed(backend, told)
    made = sorted(backend.continue_tokens(told.requests, told.prompts), key=lambda one: (int(one.sample), one.draw))
    choices = [_choice(told, one) for one in made]
    return choices, _usage(sum(one.prompt_tokens for one in made), sum(one.tokens for one in made))


def _choice(told: Asked, made: Generation) -> dict[str, Any]:
    index = int(made.sample) * told.draws + made.draw
    text = (told.texts[index] if told.echo else "") + made.text
    return {"index": index, "text": text, "finish_reason": made.finish, "logprobs": None}


def _usage(asked_: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": asked_, "completion_tokens": written, "total_tokens": asked_ + written}


def _echoed(backend: TransformersLocal, told: Asked) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Prompts with the log-probability of each token, as vLLM's completions give them (the first has none)."""
    choices, extra = [], told.requests[0].decoding.max_tokens
    for index, reads in enumerate(backend.prompt_logprobs([prompt.tokens for prompt in told.prompts])):
        kept = reads if extra else reads[:-1]
        ids = [told.prompts[index].tokens[0], *(read.token for read in kept)]
        pieces = [backend.tokens.bytes_of[token] if token < backend.tokens.size else b"" for token in ids]
        ends = [len(b"".join(pieces[:place]).decode("utf-8", "replace")) for place in range(len(ids) + 1)]
        texts = [piece.decode("utf-8", "replace") for piece in pieces]
        top: list[dict[str, float] | None] = [None]
        for read, text in zip(kept, texts[1:], strict=True):
            likeliest = backend.tokens.text([read.best])
            # the likeliest may spell like the token itself (both broken UTF-8): its number then tells them apart
            likeliest = f"token_id:{read.best}" if likeliest == text and read.best != read.token else likeliest
            top.append({text: read.logprob, likeliest: read.best_logprob})
        logprobs = {
            "tokens": texts,
            "token_logprobs": [None, *(read.logprob for read in kept)],
            "top_logprobs": top,
            "text_offset": ends[:-1],
        }
        text = b"".join(pieces).decode("utf-8", "replace")
        choices.append({"index": index, "text": text, "finish_reason": "length", "logprobs": logprobs})
    return choices, _usage(sum(len(prompt.tokens) for prompt in told.prompts), extra * len(choices))


def server(backend: TransformersLocal, name: str, host: str, port: int, key: str | None) -> ThreadingHTTPServer:
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
                told = {"id": name, "object": "model", "owned_by": "phi-zoo"}
                listed = {**told, "max_model_len": backend.facts.context_tokens}
                self._send(200, {"object": "list", "data": [listed]})
            else:
                self._send(404, {"error": {"message": f"no such address: {self.path}", "type": "not_found"}})

        def do_POST(self) -> None:
            if not self._allowed():
                return
            try:
                body = self._body()
                if self.path != "/v1/completions":
                    raise BadRequest(f"no such address: {self.path}; a base model answers /v1/completions")
                told = asked(body, backend)
                if body.get("stream"):
                    self._stream(told)
                    return
                with one_at_a_time:
                    choices, usage = completed(backend, told)
                created = int(time.time())
                head = {"object": "text_completion", "model": name, "created": created}
                self._send(200, {**head, "choices": choices, "usage": usage})
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

        def _stream(self, told: Asked) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            with one_at_a_time:
                for event in _events(backend, name, told):
                    self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
                    self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")

    return ThreadingHTTPServer((host, port), Handler)


def _events(backend: TransformersLocal, name: str, told: Asked) -> Iterator[dict[str, Any]]:
    """One event per text, as it ends (the engine decodes whole texts in slots)."""
    if told.logprobs:
        ended: Iterator[dict[str, Any]] = iter(completed(backend, told)[0])
    else:
        ended = (_choice(told, made) for made in backend.continue_tokens(told.requests, told.prompts))
    for choice in ended:
        yield {"object": "text_completion", "model": name, "created": int(time.time()), "choices": [choice]}
