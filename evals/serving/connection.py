"""One connection of the server: uvicorn's HTTP/1.1 over h11, with limits on the connections and on their time.

uvicorn has no limit on the time of a request's head, and answers malformed requests as plain text. Here a head must
come within HEAD_SECONDS, a client must take an answer within WRITE_SECONDS, and every refusal is an OpenAI error.
"""

import asyncio
import json
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

HEAD_SECONDS = 10.0
WRITE_SECONDS = 30.0  # a client that reads nothing for so long is cut off
IDLE_SECONDS = 60.0  # a connection between two requests
CONNECTIONS = 512
BUFFER_BYTES = 1 << 16  # of an answer that its client has not read yet


def form_error(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """A fault in OpenAI's form."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def most_connections() -> int:
    """CONNECTIONS, or fewer where this process may open few files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if soft == resource.RLIM_INFINITY else min(CONNECTIONS, max(8, soft // 2))


class LimitedConnection(H11Protocol):
    """uvicorn's protocol with the limits above; `scope["abort"]` cuts a connection whose client does not read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inner, self.app = self.app, self._answer
        self._head: asyncio.TimerHandle | None = None

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        scope["abort"] = self.transport.abort
        await self._inner(scope, receive, send)

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Makes room by closing an idle connection when there are too many; refuses when none is idle."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=BUFFER_BYTES)
        if len(self.connections) > most_connections():
            others = (other for other in self.connections if isinstance(other, LimitedConnection))
            idle = next((other for other in others if other is not self and not other._is_busy), None)
            if idle is None:
                self._refuse(503, "too many connections; ask again later")
                return
            idle.transport.abort()
            self.connections.discard(idle)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Reads, and watches the time of the next head."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the timer."""
        self._stop_head()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Also cuts off a client that leaves its answer unread."""
        self._stop_head()
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(WRITE_SECONDS, self._cut_unread)

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP."""
        self._refuse(400, msg)

    def _cut_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _watch_head(self) -> None:
        if self._is_busy or self.transport.is_closing():
            self._stop_head()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._refuse_slow)

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _refuse_slow(self) -> None:
        self._head = None
        if not self._is_busy:
            self._refuse(408, f"no whole request came within {HEAD_SECONDS:g} s")

    def _refuse(self, status: int, message: str) -> None:
        """Answers with an error and closes; a connection whose answer has begun is cut."""
        body = json.dumps(form_error(status, message)).encode()
        headers = [
            (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"connection", b"close"),
        ]  # fmt: skip
        try:
            answer = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()
        except h11.LocalProtocolError:
            self.transport.abort()
