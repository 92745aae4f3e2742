"""A JSON client over HTTP with retries, a deadline and a budget.

Standard library only: a client with a timeout per read waits for ever on an endpoint that sends a byte a
second, so each request here has one deadline. Redirects are not followed, because the key would be sent
along. The caller reads the key from the environment; it is in the request's header and nowhere else, and
is removed from every message, also if an endpoint echoes it.
"""

import email.utils
import http.client
import json
import math
import random
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Iterator
from typing import Any

from evals.engines.http.parameters import refused_parameter
from zoo.address import shown
from zoo.errors import ZooError
from zoo.jsonl import parse_json
from zoo.records import Record

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
BODY_BYTES = 64 << 20  # a longer answer is refused, however much was asked for
# An answer may have so many bytes, and so many a token: a log-probability with its likeliest tokens takes some 200
LEAST_BYTES, TOKEN_BYTES = 1 << 20, 4096
ERROR_BYTES = 64 << 10  # of an error, which may quote the request
LONGEST_WAIT_SECONDS = 60.0  # even if Retry-After asks for more
MOST_COUNTED = 1 << 40  # tokens that one answer may report
TIMEOUTS = 2  # timeouts of one request after which the endpoint counts as hanging


class Spent(Record, frozen=True, kw_only=True):
    """The requests, tokens and money that a command has used."""

    requests: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    money: float = 0.0


class Limits(Record, frozen=True, kw_only=True):
    """Limits of time, tries and money. price: money per million (prompt, written) tokens; None: no limit."""

    timeout_seconds: float = 180.0
    tries: int = 5
    wait_seconds: float = 1.0
    requests: int | None = None
    budget: float | None = None
    price: tuple[float, float] = (0.0, 0.0)


class Refused(Exception):
    """The endpoint refuses this one request (4xx); the text is its reason. Others may succeed.

    parameter  the parameter of the request that it refuses, "" if its error names none
    """

    def __init__(self, text: str, parameter: str = "") -> None:
        super().__init__(text)
        self.parameter = parameter


class EndpointError(ZooError):
    """The endpoint cannot continue; the answers so far are kept."""


class NoAnswer(EndpointError):
    """The endpoint was not reached, or broke off. reason: the last fault, without advice."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Endpoint:
    """One base URL with its key, limits and tally; used from several threads."""

    def __init__(self, url: str, key: str | None, limits: Limits) -> None:
        self.url, self._key, self.limits = check_url(url), key, limits
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._turn = threading.Condition()
        self._requests, self._prompt_tokens, self._tokens, self._money, self._held = 0, 0, 0, 0.0, 0.0
        self._out = 0  # requests in flight: the sum of their reservations need not return to 0.0 in floats
        self.stopped = threading.Event()

    @property
    def spent(self) -> Spent:
        """Requests sent, tokens and money so far."""
        return Spent(requests=self._requests, prompt_tokens=self._prompt_tokens, tokens=self._tokens, money=self._money)

    def get(self, path: str) -> Any:
        """A GET's JSON, tried as often as a POST. Not counted, since no model is asked."""
        return self._try(lambda: self._once("GET", path, None, min(self.limits.timeout_seconds, 30.0), 4 * LEAST_BYTES))

    def post(self, path: str, body: dict[str, Any], most_tokens: tuple[int, int]) -> dict[str, Any]:
        """The endpoint's JSON object for a request.

        most_tokens  (prompt, written): upper bounds, reserved from the budget until the answer arrives
        Raises       Refused for this request alone; EndpointError if no request can succeed
        """
        price = self.limits.price
        limit = most_bytes(sum(most_tokens))
        hold = (most_tokens[0] * price[0] + most_tokens[1] * price[1]) / 1e6

        def once() -> Any:
            self._take(hold)
            used: tuple[int, int] | None = None
            charged = hold  # an answer that broke off or reports no usage may be billed: count all of it
            try:
                answer = self._once("POST", path, body, self.limits.timeout_seconds, limit)
                used = read_usage(answer)
                return answer
            except urllib.error.URLError:  # never reached, or refused: not billed
                charged = 0.0
                raise
            finally:
                self._settle(hold, used, charged)

        answer = self._try(once, body)
        if not isinstance(answer, dict):
            raise EndpointError(f"{self.url}{path} answered {str(answer)[:60]!r}, expected a JSON object")
        return answer

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The JSON objects of a streamed answer as they come (server-sent events); asked once, outside the budget.

        Raises  Refused, or EndpointError for an answer that breaks off or is no stream
        """
        request = self._request("POST", path, {**body, "stream": True})
        events, received, limit = 0, 0, most_bytes(int(body.get("max_tokens") or LEAST_BYTES))
        try:
            with self._opener.open(request, timeout=self.limits.timeout_seconds) as response:
                for line in iter(lambda: response.readline(LEAST_BYTES), b""):
                    received += len(line)
                    if received > limit:
                        raise ValueError(f"an answer of over {limit:,} bytes, more than was asked for")
                    text = line.strip().removeprefix(b"data:").strip()
                    if not line.startswith(b"data:") or text == b"[DONE]":
                        continue
                    event = parse_json(text, nonfinite=True, repair=True)
                    if not isinstance(event, dict) or "error" in event:
                        raise EndpointError(f"{self.url} failed: {self.clean(text.decode('utf-8', 'replace'))}")
                    events += 1
                    yield event
        except urllib.error.HTTPError as error:
            reason, parameter = self._reason(error, body)
            raise self._final(error.code, f"HTTP {error.code}: {reason}", parameter) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = self._describe(error)
            raise NoAnswer(f"{self.url} broke off ({reason})", reason) from None
        if not events:
            raise EndpointError(f"{self.url}{path} sent no stream of events; does the server support streaming?")

    def _take(self, hold: float) -> None:
        """Counts a request, or raises if the budget cannot cover it; waits for others to settle first."""
        limits = self.limits
        with self._turn:
            while limits.budget is not None and self._money + self._held + hold > limits.budget and self._out:
                self._turn.wait(1.0)
            if limits.requests is not None and self._requests >= limits.requests:
                raise EndpointError(
                    f"the {limits.requests} requests of --requests are used up; what was answered is kept, "
                    "the same command continues with as many again"
                )
            if limits.budget is not None and self._money + hold > limits.budget:
                raise EndpointError(
                    f"--budget {limits.budget:g} is used up ({self._money:.4f} spent, the next request may cost "
                    f"{hold:.4f}); what was answered is kept, the same command continues with a new budget"
                )
            self._requests += 1
            self._out += 1
            self._held += hold

    def _settle(self, hold: float, used: tuple[int, int] | None, charged: float) -> None:
        with self._turn:
            self._out -= 1
            self._held = max(0.0, self._held - hold) if self._out else 0.0
            if used is None:
                self._money += charged
            else:
                price = self.limits.price
                self._prompt_tokens, self._tokens = self._prompt_tokens + used[0], self._tokens + used[1]
                self._money += (used[0] * price[0] + used[1] * price[1]) / 1e6
            self._turn.notify_all()

    def _try(self, once: Callable[[], Any], sent: Collection[str] = ()) -> Any:
        """Repeats `once` until it returns; waits 1, 2, 4, ... seconds between tries, or as Retry-After asks."""
        last, tried, silences = "", 0, 0
        for attempt in range(self.limits.tries):
            tried = attempt + 1
            try:
                return once()
            except urllib.error.HTTPError as error:
                reason, parameter = self._reason(error, sent)
                last = f"HTTP {error.code}: {reason}"
                # some servers refuse a parameter with a 500
                if error.code not in RETRIED or (error.code == 500 and parameter):
                    raise self._final(error.code, last, parameter) from None
                wait = _retry_after(error.headers.get("Retry-After"))
            except (OSError, http.client.HTTPException, ValueError) as error:
                last, wait = self._describe(error), None
                silences += _timed_out(error)
                if silences >= TIMEOUTS:
                    break
            if tried < self.limits.tries:
                backoff = self.limits.wait_seconds * 2.0**attempt * random.uniform(0.75, 1.25)  # noqa: S311
                if self.stopped.wait(min(backoff if wait is None else wait, LONGEST_WAIT_SECONDS)):
                    break
        raise NoAnswer(
            f"{self.url} gave no answer in {tried} {'try' if tried == 1 else 'tries'} ({last}); "
            "what was answered is kept; the same command continues from there",
            last,
        ) from None

    def _final(self, code: int, last: str, parameter: str) -> Exception:
        if code in (401, 403):
            return EndpointError(f"{self.url} refuses the key ({last}); set PHIZOO_API_KEY (for PHIZOO_API_URL)")
        if code in (404, 405) or 300 <= code < 400:
            return EndpointError(f"{self.url} has no such address or model ({last}); it should end in /v1")
        return Refused(last, parameter)

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> urllib.request.Request:
        headers = {"Accept": "application/json", "User-Agent": "phi-zoo"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        # check_url allows http and https only
        return urllib.request.Request(self.url + path, data=data, headers=headers, method=method)  # noqa: S310

    def _once(self, method: str, path: str, body: dict[str, Any] | None, timeout_seconds: float, limit: int) -> Any:
        request = self._request(method, path, body)
        ends = time.monotonic() + timeout_seconds
        with self._opener.open(request, timeout=timeout_seconds) as response:
            text = _read(response, ends, timeout_seconds, limit)
        return parse_json(text, nonfinite=True, repair=True)

    def _reason(self, error: urllib.error.HTTPError, sent: Collection[str]) -> tuple[str, str]:
        """The endpoint's own message, on one line, without the key; and the parameter that it refuses, or ""."""
        try:
            text = error.read(ERROR_BYTES).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            text = ""
        finally:
            error.close()
        body: Any = text
        try:
            body = parse_json(text, repair=True)
            first = body[0] if isinstance(body, list) and body else body
            error_part = first.get("error", first) if isinstance(first, dict) else first
            text = str(error_part.get("message", error_part) if isinstance(error_part, dict) else error_part)
        except ValueError:
            pass
        parameter = refused_parameter(body, sent)
        return self.clean(text), parameter

    def clean(self, text: str) -> str:
        """A text on one line of at most 200 characters, without the key."""
        if self._key:
            text = text.replace(self._key, "[key]")
        return " ".join(text.split())[:200]

    def _describe(self, error: Exception) -> str:
        if isinstance(error, urllib.error.URLError):
            error = error.reason if isinstance(error.reason, Exception) else error
        if isinstance(error, TimeoutError):
            return f"no answer within {self.limits.timeout_seconds:g} s"
        if isinstance(error, ssl.SSLError):
            return self.clean(f"TLS: {error.reason}")
        if isinstance(error, http.client.IncompleteRead):
            return f"the answer broke off after {len(error.partial)} bytes"
        if isinstance(error, json.JSONDecodeError):
            return self.clean(f"not JSON: {error.doc[:60]!r}" if error.doc else "an empty answer")
        return self.clean(str(error) or type(error).__name__)


def check_url(url: str) -> str:
    """A base URL without its last slash. Raises ZooError unless http or https, or when it carries a secret."""
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError:  # its text quotes the address
        raise ZooError(f'"{shown(url)[:80]}" is not the address of a server (--url)') from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ZooError(
            f'"{shown(url)[:80]}" is not the address of a server (--url); expected one like http://127.0.0.1:8000/v1'
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ZooError(
            "the address (--url) must carry no user, key or query: put the key into PHIZOO_API_KEY or OPENAI_API_KEY"
        )
    return url.rstrip("/")


def most_bytes(tokens: int) -> int:
    """The bytes that an answer with so many tokens, read or written, may have.

    >>> most_bytes(16), most_bytes(1 << 40) == BODY_BYTES
    (1114112, True)
    """
    return min(BODY_BYTES, LEAST_BYTES + TOKEN_BYTES * tokens)


def _read(response: Any, ends: float, timeout_seconds: float, limit: int) -> bytes:
    """The whole body before the deadline; a body shorter than announced raises IncompleteRead."""
    parts, size = [], 0
    while part := response.read1(65536):
        parts.append(part)
        size += len(part)
        if time.monotonic() > ends:
            raise TimeoutError(timeout_seconds)
        if size > limit:
            raise ValueError(f"an answer of over {limit:,} bytes, more than was asked for")
    if response.length:  # read1 ends silently where a connection broke off
        raise http.client.IncompleteRead(b"".join(parts), response.length)
    return b"".join(parts)


def read_usage(answer: Any) -> tuple[int, int] | None:
    """The (prompt, written) tokens that an answer reports; None if it reports no such counts.

    >>> read_usage({"usage": {"prompt_tokens": 7, "completion_tokens": None}})
    (7, 0)
    """
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return None
    prompt, written = (usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens"))
    counted = all(type(count) is int and 0 <= count <= MOST_COUNTED for count in (prompt, written))
    return (prompt, written) if counted else None


def _timed_out(error: Exception) -> bool:
    """Whether a request ended at its deadline without an answer."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, TimeoutError)


def _retry_after(header: str | None) -> float | None:
    """The seconds of a Retry-After header, which may be a date; None if it is neither.

    >>> _retry_after("2"), _retry_after("soon"), _retry_after("nan"), _retry_after(None)
    (2.0, None, None, None)
    >>> _retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    0.0
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)
