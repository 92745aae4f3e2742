"""An HTTP proxy before the S3 server that refuses, cuts or swallows requests, as a network or a policy does."""

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
Rule = Callable[[str, str], Any]  # (method, path) -> what to do, None: pass on


class Refuse:
    """Answers with an S3 error."""

    def __init__(self, code: str, status: int = 403) -> None:
        self.code, self.status = code, status


class Cut:
    """Passes on so many bytes of the answer, then closes the connection."""

    def __init__(self, after: int) -> None:
        self.after = after


class Swallow:
    """Accepts and never answers."""


class S3Proxy:
    """A running proxy. `rule` says what to do with a request; `asked` has every request."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.rule: Rule = lambda _method, _path: None
        self.asked: list[tuple[str, str]] = []
        self.ended = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Says nothing."""

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.asked.append((self.command, self.path))
                action = proxy.rule(self.command, self.path)
                if isinstance(action, Refuse):
                    text = ERROR.format(code=action.code, message=action.code).encode()
                    self.answer(action.status, {"Content-Type": "application/xml"}, text)
                elif isinstance(action, Swallow):
                    proxy.ended.wait(300)
                else:
                    self.pass_on(body, action.after if isinstance(action, Cut) else None)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

            def pass_on(self, body: bytes, most: int | None) -> None:
                connection = http.client.HTTPConnection(proxy.target.hostname or "", proxy.target.port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                data = response.read()
                sent = {n: v for n, v in response.getheaders() if n.lower() not in ("transfer-encoding", "connection")}
                self.answer(response.status, sent, data, most)
                connection.close()

            def answer(self, status: int, headers: dict[str, str], data: bytes, most: int | None = None) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "date", "server"):
                        self.send_header(name, value)
                length = headers.get("Content-Length") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data if most is None else data[:most])
                if most is not None and most < len(data):
                    self.wfile.flush()
                    time.sleep(0.05)
                    self.close_connection = True

        return Handler


@contextlib.contextmanager
def running_proxy(target: str) -> Iterator[S3Proxy]:
    """A proxy before an S3 server, stopped at the end."""
    proxy = S3Proxy(target)
    thread = threading.Thread(target=proxy.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        proxy.server.shutdown()
        proxy.server.server_close()
