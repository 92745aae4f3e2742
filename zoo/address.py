"""Addresses as messages may show them: without passwords, keys and tokens, also where the address is mistyped.

An address that cannot be parsed is when it is printed, so nothing here parses one: what could be a secret is hidden.
Not here: control characters and other text from outside.
"""

import re
import urllib.parse
from collections.abc import Iterator

from zoo.errors import ZooError

HIDDEN = "***"
DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "cockroachdb")  # users are no secrets
FILES = ("sqlite", "file", "hf", "memory")  # an "@" or ":" there belongs to a path or a revision
SCHEME = re.compile(r"([A-Za-z][\w.+-]*):/{1,3}")
USER = re.compile(r"[\w.-]+")
PORT = re.compile(r"\d{0,5}")
# parameters of an address that are no secrets; the value of every other one is hidden
OPEN_PARAMETERS = frozenset(
    ("application_name", "blobs", "cache", "charset", "client_encoding", "connect_timeout", "dbname", "host", "mode",
     "nolock", "immutable", "port", "revision", "sslmode", "target_session_attrs", "timeout", "uri", "user")
)  # fmt: skip
PARAMETER = re.compile(r"([^=&;]*)(=?)([^&;]*)")
ASSIGNED = re.compile(r"(?i)(?:pass\w*|pwd|\w*secret\w*|\w*token\w*|\w*key\w*)\s*=\s*('[^']*'|\"[^\"]*\"|[^\s&;,]+)")
SHORTEST_PIECE = 4  # of a secret, in a driver's message; a shorter one would hide ordinary words


def shown(address: str) -> str:
    """The address with each password, key, token and unknown parameter replaced by `***`.

    >>> shown("postgresql://ann:se/c#r@t@host/zoo?password=x&sslmode=require")
    'postgresql://ann:***@host/zoo?password=***&sslmode=require'
    >>> shown("s3://KEY:SECRET@bucket/zoo"), shown("s3://bucket/zoo"), shown("/srv/a@b:c?d#e")
    ('s3://***@bucket/zoo', 's3://bucket/zoo', '/srv/a@b:c?d#e')
    """
    end, text = 0, ""
    for start, stop in _spans(address):
        text += address[end:start] + HIDDEN
        end = stop
    return text + address[end:]


def without_secrets(message: str, address: str) -> str:
    """A message of a library, without the address's secrets or pieces of them (a parser may have cut one in two)."""
    secrets = {address[start:stop] for start, stop in _spans(address)}
    pieces = {piece for secret in secrets for piece in re.split(r"[@/#?:&=;]", secret) if len(piece) >= SHORTEST_PIECE}
    every = secrets | pieces
    for text in sorted(every | {urllib.parse.unquote(text) for text in every}, key=len, reverse=True):
        message = message.replace(text, HIDDEN)
    return message


def refuse_secrets(address: str, remedy: str) -> None:
    """Raises ZooError with the remedy if an address carries a password, a key or a token."""
    if shown(address) != address:
        raise ZooError(f"{shown(address)}: the address must carry no password or key; {remedy}")


def same_server(address: str, other: str) -> bool:
    """Whether two http addresses have the same scheme, host and port; False for what is no address.

    >>> same_server("https://api.example/v1", "https://API.example:443"), same_server("http://a", "https://a")
    (True, False)
    """
    try:
        parts = [urllib.parse.urlsplit(text.strip()) for text in (address, other)]
        servers = [(p.scheme, p.hostname, p.port or {"http": 80, "https": 443}.get(p.scheme)) for p in parts]
    except ValueError:
        return False
    return servers[0] == servers[1] and bool(servers[0][1])


def _spans(address: str) -> list[tuple[int, int]]:
    """Where an address holds secrets: (start, end), in order and apart."""
    if address.startswith(("/", "./", "../", "~")):
        return []  # a path of the local disk
    scheme = SCHEME.match(address)
    kind = scheme[1].lower().partition("+")[0] if scheme else address.partition(":")[0].lower()
    begin = scheme.end() if scheme else 0
    spans = [] if kind in FILES else list(_user_spans(address, begin, kind))
    after = max([stop for _, stop in spans], default=begin)
    rest, fragment = address[after:].partition("#")[0], address.find("#", after)
    if fragment >= 0 and scheme and kind not in FILES:
        spans.append((fragment + 1, len(address)))
    if (query := rest.find("?")) >= 0:
        spans += _parameter_spans(address, after + query + 1, after + len(rest))
    spans += [match.span(1) for match in ASSIGNED.finditer(address)]
    return _merge([span for span in spans if span[0] < span[1]])


def _user_spans(address: str, begin: int, kind: str) -> Iterator[tuple[int, int]]:
    """The secret before the last "@", or in the place of the port where the "@" is missing."""
    at = address.rfind("@")
    before = address[begin:at] if at >= begin else ""
    if ":" in before or (begin and before and not set(before) & set("/?#")):
        user, colon, _ = before.partition(":")
        is_open = kind in DATABASES and USER.fullmatch(user)
        start = begin + len(user) + len(colon) if is_open else begin
        yield start, at
    elif begin:
        server = re.split(r"[/?#]", address[begin:], maxsplit=1)[0]
        port = server.rpartition("]")[2].rpartition(":")
        if port[1] and not PORT.fullmatch(port[2]) and not server.startswith("arn:"):
            yield begin + len(server) - len(port[2]), begin + len(server)


def _parameter_spans(address: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    for match in PARAMETER.finditer(address, begin, end):
        if match[2] and match[1].lower() not in OPEN_PARAMETERS:
            yield match.span(3)
        elif not match[2]:
            yield match.span(1)


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged
