"""`find --where`: a small language of conditions on checkpoints and their scores, made into SQL.

    parameters < 3e9 and (humaneval.low > 0.4 or tag = 'keep')
    mbpp.pass@10.value >= 0.5        a metric that is not the task's first
    humaneval.clean.low > 0.3        on the samples without overlap with training data

A score condition holds when any protocol of that task gave such a score. `low`, `value` and `high`
are in 0..1. Values never become SQL text: they are bound.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from zoo.errors import ZooError, nearest

TOKEN = re.compile(
    r"\s*(?:(?P<number>-?(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?[KMBT]?)(?![\w@.])"
    r"|'(?P<quoted>[^']*)'|\"(?P<doubled>[^\"]*)\""
    r"|(?P<op><=|>=|!=|==|=|<|>|~)|(?P<paren>[()])|(?P<word>[A-Za-z0-9_][\w@.:/+\-]*))"
)
UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
NUMBERS = ("version", "parameters", "context_tokens", "training_tokens", "training_flops", "bytes")
TEXTS = ("name", "family", "licence", "prompt_style", "source", "created", "digest")
LINKED = ("tag", "parent", "dataset")
BOUNDS = ("low", "value", "high", "n", "unscored")
SUBSETS = ("all", "clean", "overlapping")
FIELDS = (*NUMBERS, *TEXTS, *LINKED)
DEPTH = 50
EXAMPLE = "expected such as 'humaneval.low > 0.4 and parameters < 3e9'. All: phizoo models find --help"


class Resolve(NamedTuple):
    """How names inside a condition become digests, and which tasks have scores."""

    checkpoint: Callable[[str], str]
    datasets: Callable[[str], Sequence[str]]
    tasks: Callable[[], Sequence[str]]


class Condition(NamedTuple):
    """SQL over `checkpoints c`, with its bound values."""

    sql: str
    values: dict[str, Any]


def condition(text: str, resolve: Resolve, start: int = 0) -> Condition:
    """The SQL of one condition.

    start   number of the first bound value, so that several conditions can stand in one query
    Raises  ZooError at what cannot be read, with the nearest known field or task
    """
    reader = _Reader(text, resolve, start)
    sql = reader.either()
    if reader.at < len(reader.tokens):
        raise reader.fault(f"{reader.tokens[reader.at][1]!r} stands where the condition should end")
    return Condition(sql, reader.values)


class _Reader:
    """Reads one condition from left to right."""

    def __init__(self, text: str, resolve: Resolve, start: int) -> None:
        self.text, self.resolve, self.start = text, resolve, start
        self.values: dict[str, Any] = {}
        self.at = self.depth = 0
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = TOKEN.match(text, at)
            if found is None:
                raise self.fault(f"{text[at:].strip()[:20]!r} cannot be read")
            kind = str(found.lastgroup)
            self.tokens.append((kind, found.group(kind)))
            at = found.end()

    def fault(self, what: str) -> ZooError:
        return ZooError(f"--where {self.text[:200]!r}: {what}; {EXAMPLE}")

    def take(self, kind: str, *wanted: str) -> str | None:
        """The next token's text if it is of this kind (and one of these); None and stay otherwise."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == kind:
            text = self.tokens[self.at][1]
            if not wanted or (text.lower() in wanted):
                self.at += 1
                return text
        return None

    def either(self) -> str:
        parts = [self.both()]
        while self.take("word", "or"):
            parts.append(self.both())
        return f"({' OR '.join(parts)})" if len(parts) > 1 else parts[0]

    def both(self) -> str:
        parts = [self.one()]
        while self.take("word", "and"):
            parts.append(self.one())
        return " AND ".join(parts)

    def one(self) -> str:
        self.depth += 1
        if self.depth > DEPTH:
            raise self.fault(f"more than {DEPTH} conditions inside each other")
        try:
            if self.take("word", "not"):
                return f"NOT ({self.one()})"
            if self.take("paren", "("):
                inner = self.either()
                if not self.take("paren", ")"):
                    raise self.fault("a ( is not closed")
                return f"({inner})"
            return self.comparison()
        finally:
            self.depth -= 1

    def comparison(self) -> str:
        field = self.take("word")
        if field is None:
            raise self.fault("a field is missing")
        op = self.take("op")
        if op is None:
            raise self.fault(f"after {field!r} one of < <= > >= = != ~ is missing")
        return self.told(field, "=" if op == "==" else op, self.literal(field))

    def literal(self, field: str) -> float | str:
        number = self.take("number")
        if number is not None:
            unit = UNITS.get(number[-1], 1.0)
            return float(number.rstrip("KMBT").replace("_", "")) * unit
        for kind in ("quoted", "doubled", "word"):
            text = self.take(kind)
            if text is not None:
                return text
        raise self.fault(f"the value for {field!r} is missing")

    def bound(self, value: Any) -> str:
        key = f"w{self.start + len(self.values)}"
        self.values[key] = value
        return f":{key}"

    def number(self, field: str, value: float | str) -> float | int:
        if isinstance(value, str):
            raise self.fault(f"{field} is a number, {value!r} is not")
        return int(value) if value == int(value) and abs(value) < 2**63 else value

    def told(self, field: str, op: str, value: float | str) -> str:
        if field in NUMBERS:
            if op == "~":
                raise self.fault(f"~ compares text, {field} is a number")
            return f"c.{field} {op} {self.bound(self.number(field, value))}"
        if field in TEXTS:
            return self.text_comparison(f"c.{field}", op, _plain(value))
        if field in LINKED:
            return self.linked(field, op, _plain(value))
        if "." in field:
            return self.score(field, op, value)
        tasks = [f"{task}.low" for task in self.resolve.tasks()]
        raise self.fault(f"no field {field!r}{nearest(field, [*FIELDS, *tasks])}")

    def text_comparison(self, column: str, op: str, value: str) -> str:
        if op == "~":
            escaped = value.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            return f"lower({column}) LIKE {self.bound(f'%{escaped.lower()}%')} ESCAPE '!'"
        return f"{column} {op} {self.bound(value)}"

    def linked(self, field: str, op: str, value: str) -> str:
        if op not in ("=", "!=", "~") or (op == "~" and field != "tag"):
            raise self.fault(f"{field} is compared by = or !=")
        if field == "tag":
            inner = (
                f"SELECT checkpoint_id FROM tags WHERE {self.text_comparison('tag', '=' if op == '!=' else op, value)}"
            )
        elif field == "parent":
            inner = f"SELECT checkpoint_id FROM parents WHERE digest = {self.bound(self.resolve.checkpoint(value))}"
        else:
            digests = ", ".join(self.bound(digest) for digest in self.resolve.datasets(value))
            inner = f"SELECT checkpoint_id FROM trained_on WHERE digest IN ({digests})"
        return f"c.id {'NOT IN' if op == '!=' else 'IN'} ({inner})"

    def score(self, field: str, op: str, value: float | str) -> str:
        task, *middle, bound = field.split(".")
        tasks = self.resolve.tasks()
        if bound not in BOUNDS:
            raise self.fault(f"no score field {bound!r} of {task}{nearest(bound, BOUNDS)}, one of {', '.join(BOUNDS)}")
        if task not in tasks:
            raise self.fault(f"no scores of a task {task!r}{nearest(task, tasks)}")
        if op == "~":
            raise self.fault(f"~ compares text, {field} is a number")
        subset = next((part for part in middle if part in SUBSETS), "all")
        metrics = [part for part in middle if part not in SUBSETS]
        wanted = [f"task = {self.bound(task)}", f"subset = {self.bound(subset)}"]
        wanted.append(f"metric = {self.bound('.'.join(metrics))}" if metrics else "headline = 1")
        wanted.append(f"{bound} {op} {self.bound(self.number(field, value))}")
        return f"c.digest IN (SELECT checkpoint FROM scores WHERE {' AND '.join(wanted)})"


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
