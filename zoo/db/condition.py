"""Parses `find --where`, a small language of conditions on checkpoints and their scores, into SQL.

    parameters < 3e9 and (humaneval.low > 0.4 or tag = 'keep')
    mbpp.pass@10.value >= 0.5        a metric other than the task's headline
    humaneval.clean.low > 0.3        on the samples that do not overlap with training data
    chat = yes                       with a chat template

A score condition holds if any protocol of that task gave such a score, in its newest version and in the run that
stands for it (`zoo.choice`). `low`, `value` and `high` are in 0..1, or in the metric's unit. Values are bound and never
become SQL text.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from zoo.choice import CURRENT
from zoo.errors import ZooError, nearest
from zoo.quantity import UNITS

TOKEN = re.compile(
    r"\s*(?:(?P<number>-?(?:[0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[KMBT]?)(?![\w@.]|-[0-9])"
    r"|'(?P<quoted>[^']*)'|\"(?P<doubled>[^\"]*)\""
    r"|(?P<op><=|>=|!=|==|=|<|>|~)|(?P<paren>[()])|(?P<word>[A-Za-z0-9_][\w@.:/+\-]*))"
)
EITHER_CASE = ("licence",)  # a licence is written Apache-2.0 and apache-2.0
BOUNDS = ("low", "value", "high", "n", "unscored")
SUBSETS = ("all", "clean", "overlapping")
DEPTH = 50
EXAMPLE = "expected such as 'humaneval.low > 0.4 and parameters < 3e9'. All: phizoo models find --help"


class Fields(NamedTuple):
    """The fields that a condition may name; `flags` are compared with yes or no, each by its SQL."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    flags: dict[str, str]
    linked: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every field."""
        return (*self.numbers, *self.texts, *self.flags, *self.linked)


CHECKPOINTS = Fields(
    numbers=("version", "parameters", "context_tokens", "training_tokens", "training_flops", "bytes"),
    texts=("name", "family", "licence", "prompt_style", "source", "created", "digest", "quantisation"),
    flags={"chat": "c.chat_template != ''", "quantised": "c.quantisation != ''"},
    linked=("tag", "parent", "dataset"),
)


class Resolve(NamedTuple):
    """Resolves the names in a condition to digests, and lists the tasks with scores."""

    checkpoint: Callable[[str], str]
    datasets: Callable[[str], Sequence[str]]
    tasks: Callable[[], Sequence[str]]


class Condition(NamedTuple):
    """SQL over `checkpoints c`, with its bound values."""

    sql: str
    values: dict[str, Any]


def parse_condition(text: str, resolve: Resolve, start: int = 0, fields: Fields = CHECKPOINTS) -> Condition:
    """Parses one condition into SQL.

    start   number of the first bound value, so that several conditions can be joined in one query
    fields  those of the rows of `c`; the leaderboard has others (`dashboard.board.where`)
    Raises  ZooError for a syntax error or an unknown name, with the nearest known field or task
    """
    parser = _ConditionParser(text, resolve, start, fields)
    sql = parser.parse_or()
    if parser.position < len(parser.tokens):
        raise parser.error(f"{parser.tokens[parser.position][1]!r} is where the condition should end")
    return Condition(sql, parser.values)


def parse_order(text: str, resolve: Resolve) -> Condition:
    """SQL that gives (digest, metric, value) of each score of a field such as `humaneval.low`.

    Raises  ZooError for a field that is no score, with the nearest
    """
    parser = _ConditionParser(text, resolve, 0, CHECKPOINTS)
    clauses, bound = parser.score_field(text)
    sql = f"SELECT checkpoint, metric, {bound} FROM scores WHERE {' AND '.join(clauses)}"
    return Condition(sql, parser.values)


class _ConditionParser:
    """A recursive-descent parser of one condition."""

    def __init__(self, text: str, resolve: Resolve, start: int, fields: Fields) -> None:
        self.text, self.resolve, self.start, self.fields = text, resolve, start, fields
        self.values: dict[str, Any] = {}
        self.position = self.depth = 0
        self.tokens: list[tuple[str, str]] = []
        start = 0
        while text[start:].strip():
            match = TOKEN.match(text, start)
            if match is None:
                raise self.error(f"{text[start:].strip()[:20]!r} cannot be parsed")
            kind = str(match.lastgroup)
            self.tokens.append((kind, match.group(kind)))
            start = match.end()

    def error(self, reason: str) -> ZooError:
        return ZooError(f"--where {self.text[:200]!r}: {reason}; {EXAMPLE}")

    def take(self, kind: str, *choices: str) -> str | None:
        """Consumes the next token if it is of this kind (and one of the choices) and returns its text, else None."""
        if self.position < len(self.tokens) and self.tokens[self.position][0] == kind:
            text = self.tokens[self.position][1]
            if not choices or (text.lower() in choices):
                self.position += 1
                return text
        return None

    def parse_or(self) -> str:
        parts = [self.parse_and()]
        while self.take("word", "or"):
            parts.append(self.parse_and())
        return f"({' OR '.join(parts)})" if len(parts) > 1 else parts[0]

    def parse_and(self) -> str:
        parts = [self.parse_not()]
        while self.take("word", "and"):
            parts.append(self.parse_not())
        return " AND ".join(parts)

    def parse_not(self) -> str:
        self.depth += 1
        if self.depth > DEPTH:
            raise self.error(f"conditions are nested more than {DEPTH} deep")
        try:
            if self.take("word", "not"):
                return f"NOT ({self.parse_not()})"
            if self.take("paren", "("):
                inner = self.parse_or()
                if not self.take("paren", ")"):
                    raise self.error("a ( is not closed")
                return f"({inner})"
            return self.parse_comparison()
        finally:
            self.depth -= 1

    def parse_comparison(self) -> str:
        field = self.take("word")
        if field is None:
            raise self.error("a field is missing")
        op = self.take("op")
        if op is None:
            raise self.error(f"{field!r} must be followed by one of < <= > >= = != ~")
        return self.compare(field, "=" if op == "==" else op, self.parse_value(field))

    def parse_value(self, field: str) -> float | str:
        number = self.take("number")
        if number is not None:
            unit = UNITS.get(number[-1], 1.0)
            value = float(number.rstrip("KMBT").replace("_", "")) * unit
            if not math.isfinite(value):
                raise self.error(f"{number[:40]} is beyond every number here")
            return value
        for kind in ("quoted", "doubled", "word"):
            text = self.take(kind)
            if text is not None:
                return text
        raise self.error(f"the value for {field!r} is missing")

    def bind(self, value: Any) -> str:
        key = f"w{self.start + len(self.values)}"
        self.values[key] = value
        return f":{key}"

    def as_number(self, field: str, value: float | str) -> float | int:
        if isinstance(value, str):
            raise self.error(f"{field} is a number, {value!r} is not")
        return int(value) if value == int(value) and abs(value) < 2**63 else value

    def compare(self, field: str, op: str, value: float | str) -> str:
        if field in self.fields.numbers:
            if op == "~":
                raise self.error(f"~ compares text, {field} is a number")
            return f"c.{field} {op} {self.bind(self.as_number(field, value))}"
        if field in self.fields.texts:
            return self.compare_text(f"c.{field}", op, _plain(value), field in EITHER_CASE)
        if field in self.fields.flags:
            if op not in ("=", "!=") or value not in ("yes", "no"):
                raise self.error(f"{field} is yes or no: {field} = yes")
            flag = self.fields.flags[field]
            return flag if (op == "=") == (value == "yes") else f"NOT ({flag})"
        if field in self.fields.linked:
            return self.compare_linked(field, op, _plain(value))
        if "." in field:
            return self.compare_score(field, op, value)
        tasks = [f"{task}.low" for task in self.resolve.tasks()]
        raise self.error(f"no field {field!r}{nearest(field, [*self.fields.names, *tasks])}")

    def compare_text(self, column: str, op: str, value: str, either_case: bool = False) -> str:
        if either_case:
            column, value = f"lower({column})", value.lower()
        if op == "~":
            escaped = value.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            return f"lower({column}) LIKE {self.bind(f'%{escaped.lower()}%')} ESCAPE '!'"
        return f"{column} {op} {self.bind(value)}"

    def compare_linked(self, field: str, op: str, value: str) -> str:
        if op not in ("=", "!=", "~") or (op == "~" and field != "tag"):
            raise self.error(f"{field} can only be compared with = or !=")
        if field == "tag":
            inner = f"SELECT checkpoint_id FROM tags WHERE {self.compare_text('tag', '=' if op == '!=' else op, value)}"
        elif field == "parent":
            inner = f"SELECT checkpoint_id FROM parents WHERE digest = {self.bind(self.resolve.checkpoint(value))}"
        else:
            digests = ", ".join(self.bind(digest) for digest in self.resolve.datasets(value))
            inner = f"SELECT checkpoint_id FROM trained_on WHERE digest IN ({digests})"
        return f"c.id {'NOT IN' if op == '!=' else 'IN'} ({inner})"

    def compare_score(self, field: str, op: str, value: float | str) -> str:
        if op == "~":
            raise self.error(f"~ compares text, {field} is a number")
        clauses, bound = self.score_field(field)
        clauses.append(f"{bound} {op} {self.bind(self.as_number(field, value))}")
        return f"c.digest IN (SELECT checkpoint FROM scores WHERE {' AND '.join(clauses)})"

    def score_field(self, field: str) -> tuple[list[str], str]:
        """The clauses that pick the scores of a field such as humaneval.clean.low, and the column it names."""
        task, *middle, bound = field.split(".")
        tasks = self.resolve.tasks()
        if bound not in BOUNDS:
            raise self.error(f"no score field {bound!r} of {task}{nearest(bound, BOUNDS)}, one of {', '.join(BOUNDS)}")
        if task not in tasks:
            raise self.error(f"no scores of task {task!r}{nearest(task, tasks)}")
        subset = next((part for part in middle if part in SUBSETS), "all")
        metrics = [part for part in middle if part not in SUBSETS]
        clauses = [f"task = {self.bind(task)}", f"subset = {self.bind(subset)}"]
        clauses.append(f"chosen = {CURRENT}")
        clauses.append(f"metric = {self.bind('.'.join(metrics))}" if metrics else "headline = 1")
        return clauses, bound


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
