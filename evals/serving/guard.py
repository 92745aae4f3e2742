"""Checks who asks, before anything is read: the Host, a web page's Origin, the key, the kind and size of the body.

A server on this machine's loopback can be reached by every page that a browser here shows. A page's own request
carries an Origin, and one under a name that its owner points at 127.0.0.1 carries that name as Host: both are refused.
"""

import asyncio
import hmac
import ipaddress
import json
import re
import socket
from collections.abc import Sequence
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from evals.serving.connection import form_error
from evals.serving.request import BadRequest
from zoo.jsonl import parse_json

BODY_BYTES = 1 << 22  # a question with 25 shots and 10 choices as token ids
BODY_SECONDS = 30.0
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
NOT_ONE = "ambiguous_request"
ANY = ("0.0.0.0", "::")  # noqa: S104 - bound to by the user's own --host


class Guard:
    """An ASGI application that passes on only requests that may be answered.

    host   the address that the server is bound to
    hosts  other names that it may be asked by
    key    when given, every request but /health must carry `Authorization: Bearer KEY`
    """

    def __init__(self, app: ASGIApp, host: str, hosts: Sequence[str], key: str | None) -> None:
        self.app, self.key, self.is_any = app, key, host in ANY
        own = [socket.gethostname()] if self.is_any else []
        self.hosts = {name.lower().strip("[]") for name in ("localhost", host, *hosts, *own)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that is refused, or passes it on."""
        if scope["type"] == "http" and (fault := self._fault(scope)):
            await refusal(fault)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _fault(self, scope: Scope) -> BadRequest | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"content-length" in headers and b"transfer-encoding" in headers:
            return BadRequest("a request has a Content-Length or a Transfer-Encoding, not both", code=NOT_ONE)
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._knows(host):
            return BadRequest(f"this server is not {host[:80]!r}; serve with --allow-host if it should be", 421)
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin and origin.partition("://")[2] != host:
            return BadRequest("requests of web pages are refused", 403)
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return BadRequest("requests of web pages are refused", 403)
        if scope["path"] != "/health" and not self._has_key(headers.get(b"authorization", b"")):
            return BadRequest("wrong or missing API key", 401, code="invalid_api_key")
        return None

    def _knows(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        if not match:
            return False
        name = match[1].strip("[]")
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.hosts
        return self.is_any or address.is_loopback or name in self.hosts

    def _has_key(self, header: bytes) -> bool:
        scheme, _, given = header.partition(b" ")
        if self.key is None:
            return True
        return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self.key.encode())


def refusal(fault: BadRequest) -> Response:
    """The answer to a request that is refused."""
    headers = {"retry-after": "1"} if fault.status in (429, 503) else {}
    if fault.status == 408 or fault.code == NOT_ONE:
        headers["connection"] = "close"  # what follows may be no request
    error = form_error(fault.status, str(fault), fault.param, fault.code)
    return Response(json.dumps(error), fault.status, headers, "application/json")


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises BadRequest for another kind, size or content, and for one that is slow."""
    kind, _, settings = request.headers.get("content-type", "").lower().partition(";")
    charset = settings.strip().removeprefix("charset=").strip('" ')
    if kind.strip() != "application/json" or charset not in ("", "utf-8"):
        raise BadRequest("the Content-Type must be application/json (curl: -H 'Content-Type: application/json')", 415)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise BadRequest("the body must not be compressed", 415)
    parts, size = [], int(request.headers.get("content-length", "0"))
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if size <= BODY_BYTES:
                size = 0
                async for part in request.stream():
                    parts.append(part)
                    size += len(part)
                    if size > BODY_BYTES:
                        break
    except TimeoutError:
        raise BadRequest(f"the body did not come within {BODY_SECONDS:g} s", 408) from None
    except ClientDisconnect:
        raise BadRequest("the body broke off") from None
    if size > BODY_BYTES:
        raise BadRequest(f"the body has over {BODY_BYTES} bytes, which is the limit", 413)
    try:
        body = parse_json(b"".join(parts), repair=True)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body
