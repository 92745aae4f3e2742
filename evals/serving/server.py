"""Serves one engine over HTTP, as OpenAI's API: /v1/models, /v1/completions, /v1/chat/completions, /health.

uvicorn and Starlette carry the requests, with the limits of `connection` and `guard`; `request` reads them, `answer`
forms the answers, and `turns` lets requests take turns at the model. It holds one model in one process; for load there
is vLLM. Nothing that the model writes is run.
"""

import asyncio
import json
import socket
import threading
import time
import traceback
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from evals.engines.stepping import SteppingEngine
from evals.serving.answer import step_answer, step_stream
from evals.serving.connection import IDLE_SECONDS, WRITE_SECONDS, LimitedConnection, form_error
from evals.serving.guard import Guard, read_body, refusal
from evals.serving.request import BadRequest, CompletionRequest, read_chat, read_completion
from evals.serving.turns import Turns
from zoo.errors import ZooError

REQUEST_SECONDS = 3600.0  # with the time in line
STOP_SECONDS = 1  # for answers under way when the server stops

Value = TypeVar("Value")


class ClientGone(Exception):
    """The client closed its connection; nobody waits for an answer."""


class Server:
    """A bound server. `serve_forever` runs it in this thread until `shutdown` is called from another one."""

    def __init__(self, app: Starlette, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app, http=LimitedConnection, ws="none", lifespan="on", loop="asyncio", log_config=None,
            log_level="critical", access_log=False, server_header=False, timeout_keep_alive=int(IDLE_SECONDS),
            timeout_graceful_shutdown=STOP_SECONDS, proxy_headers=False,
        )  # fmt: skip
        self._server, self._listening = uvicorn.Server(config), listening
        self.server_address: tuple[str, int] = listening.getsockname()[:2]
        self._ended = threading.Event()

    def serve_forever(self) -> None:
        """Answers requests until `shutdown`."""
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._ended.set()

    def shutdown(self) -> None:
        """Ends `serve_forever` and waits for its end."""
        self._server.should_exit = True
        self._ended.wait(10 * STOP_SECONDS)

    def server_close(self) -> None:
        """Frees the port."""
        self._listening.close()


def make_server(
    engine: SteppingEngine, name: str, host: str, port: int, key: str | None, digest: str = "",
    hosts: Sequence[str] = (),
) -> Server:  # fmt: skip
    """A server bound to host:port (port 0: any free one), ready to `serve_forever`.

    key     when given, every request must carry `Authorization: Bearer KEY`
    digest  the checkpoint's, given as the model's root, so that a client can see which weights answer
    hosts   names that it may be asked by, beside loopback's and `host`
    Raises  OSError if the port is taken
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=256)
    return Server(_make_app(engine, name, digest, Middleware(Guard, host=host, hosts=hosts, key=key)), listening)


def _make_app(engine: SteppingEngine, name: str, digest: str, guard: Middleware) -> Starlette:
    api = Api(engine, name, digest)
    routes = [
        Route("/health", api.show_health),
        Route("/v1/models", api.list_models),
        Route("/v1/models/{model:path}", api.show_model),
        Route("/v1/completions", api.complete, methods=["POST"]),
        Route("/v1/chat/completions", api.complete, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {
        BadRequest: lambda _, fault: refusal(fault),
        ZooError: lambda _, fault: refusal(BadRequest(str(fault))),
        ClientGone: lambda _, fault: Response(status_code=499),
        HTTPException: _answer_http,
        Exception: _answer_fault,
    }
    app = Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=api.run)
    app.router.redirect_slashes = False
    return app


async def _answer_http(request: Request, fault: Exception) -> Response:
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    text = f"no such address: {request.url.path[:80]}" if status == 404 else f"{request.method} is not for this address"
    answer = refusal(BadRequest(text, status))
    answer.headers.update(getattr(fault, "headers", None) or {})
    return answer


async def _answer_fault(_: Request, fault: Exception) -> Response:
    """A fault of ours: printed here, and answered, so that the client does not wait."""
    traceback.print_exception(fault)
    return refusal(BadRequest("the server failed; its own output says how", 500))


class Api:
    """The addresses of the API for one engine."""

    def __init__(self, engine: SteppingEngine, name: str, digest: str) -> None:
        self.engine, self.name, self.digest = engine, name, digest
        self.turns: Turns

    @asynccontextmanager
    async def run(self, _: Starlette) -> AsyncIterator[None]:
        """Holds the threads while the server runs."""
        self.turns = Turns()
        yield
        self.turns.close()

    async def show_health(self, _: Request) -> Response:
        """That the server answers."""
        return _json({"status": "ok"})

    async def list_models(self, _: Request) -> Response:
        """The one model."""
        return _json({"object": "list", "data": [self._model()]})

    async def show_model(self, request: Request) -> Response:
        """The model of this name."""
        if request.path_params["model"] != self.name:
            raise BadRequest(f"the model {request.path_params['model'][:80]!r} is not served here", 404)
        return _json(self._model())

    def _model(self) -> dict[str, Any]:
        return {
            "id": self.name, "object": "model", "created": 0, "owned_by": "phi-zoo", "root": self.digest,
            "max_model_len": self.engine.facts.context_tokens,
        }  # fmt: skip

    async def complete(self, request: Request) -> Response:
        """Completions and chat: one answer, or a stream of events."""
        body = await read_body(request)
        model = body.get("model", self.name)
        if not isinstance(model, str):
            raise BadRequest("model must be a string", param="model")
        if model != self.name:
            fault = f"the model {model[:80]!r} is not served here; {self.name!r} is"
            raise BadRequest(fault, 404, param="model", code="model_not_found")
        read = read_chat if request.url.path.startswith("/v1/chat") else read_completion
        try:
            return await unless_gone(request.receive, self._complete(read, body))
        except asyncio.CancelledError:
            raise BadRequest("the server stops", 503) from None

    async def _complete(self, read: Any, body: dict[str, Any]) -> Response:
        request: CompletionRequest = await self.turns.read(lambda: read(body, self.engine))
        name = f"{'chatcmpl' if request.chat else 'cmpl'}-{uuid.uuid4().hex}"
        head = {"id": name, "model": self.name, "created": int(time.time())}
        if request.stream:
            events = self._stream(request, head)
            return EventStream(await anext(events), events)  # a refusal is an ordinary error, before the stream begins
        async with self.turns.seat():
            choices, used = await self.turns.finish(step_answer(self.engine, request))
        kind = "chat.completion" if request.chat else "text_completion"
        return _json({**head, "object": kind, "choices": choices, "usage": used})

    async def _stream(self, request: CompletionRequest, head: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        async with self.turns.seat(), aclosing(self.turns.items(step_stream(self.engine, request, head))) as events:
            async for event in events:
                yield event


class EventStream(Response):
    """Server-sent events, one a piece of text; a fault after the first is an event too."""

    media_type = "text/event-stream"

    def __init__(self, first: dict[str, Any], events: AsyncGenerator[dict[str, Any], None]) -> None:
        super().__init__(headers={"connection": "close", "cache-control": "no-store"})
        del self.headers["content-length"]
        self.first, self.events = first, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events; a client that left or does not read ends them, and frees the model."""
        try:
            await unless_gone(receive, self._send_all(send))
        except ClientGone:
            pass
        except (TimeoutError, BadRequest):  # it does not read, or the whole took too long
            scope["abort"]()
        finally:
            await self.events.aclose()

    async def _send_all(self, send: Send) -> None:
        async def write(data: bytes, more: bool = True) -> None:
            async with asyncio.timeout(WRITE_SECONDS):
                await send({"type": "http.response.body", "body": data, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await write(_form_event(self.first))
        try:
            async for event in self.events:
                await write(_form_event(event))
        except BadRequest as fault:
            await write(_form_event(form_error(fault.status, str(fault), fault.param, fault.code)), more=False)
        else:
            await write(b"data: [DONE]\n\n", more=False)


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Value]) -> Value:
    """The result of work, which is cancelled if its client leaves. Raises ClientGone, or BadRequest after too long."""

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(leave())]
    try:
        await asyncio.wait(tasks, timeout=REQUEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()  # type: ignore[return-value]
        if tasks[1].done():
            raise ClientGone
        raise BadRequest(f"the answer took over {REQUEST_SECONDS:g} s", 503)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value), media_type="application/json")


def _form_event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
