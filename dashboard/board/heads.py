"""A column's protocol in plain words: whose prompt, and how many of the problems. Exports have its exact name."""

from functools import cache

import msgspec

from dashboard.board.benchmarks import PROTOCOLS
from dashboard.board.cells import Column
from evals.protocol_name import ProtocolName
from evals.tasks import task
from zoo.errors import ZooError
from zoo.metrics import metric_of


def protocol_words(column: Column) -> str:
    """A column's protocol as a reader says it; of a reported column its source.

    >>> column = Column(key="k", benchmark="b", title="", protocol="", origin="measured", metric="acc")
    >>> for title in ("lm-eval-quick3 v2", "olmes-rc v1", "openai-quick2>evalplus t=0.2 p=0.95 v1"):
    ...     print(protocol_words(msgspec.structs.replace(column, title=title)))
    EleutherAI's prompt
    Ai2's prompt, answers as text
    OpenAI's prompt, read as EvalPlus's t=0.2 p=0.95
    """
    return _words(column.task, column.title)[0] if column.origin == "measured" else column.title


def problems_text(column: Column) -> str:
    """How many problems its scores rest on, and of how many, where they are a fixed part; empty if it is not known.

    >>> column = Column(key="k", benchmark="b", title="lm-eval-quick3 v2", protocol="", origin="measured", metric="acc")
    >>> problems_text(msgspec.structs.replace(column, task="arc_easy", n=600))
    '600 of 2,376'
    """
    if not column.n:
        return ""
    whole = _words(column.task, column.title)[1] if column.origin == "measured" else 0
    return f"{column.n:,} of {whole:,}" if whole > column.n else f"{column.n:,}"


def tells(column: Column) -> str:
    """What a column's problems can tell apart; empty if it is not known."""
    if not column.n:
        return ""
    metric = metric_of(column.metric)
    smallest = f" tell {column.resolves:.{metric.digits}f} {metric.unit}" if column.resolves else ""
    return f"{problems_text(column)} problems{smallest}"


def metric_words(column: Column) -> str:
    """The metric's name, and that less of it is better where that is so."""
    metric = metric_of(column.metric)
    return metric.title + (", less is better" if metric.lower_is_better else "")


@cache
def _words(name: str, title: str) -> tuple[str, int]:
    """The words for a title such as "lm-eval-quick3, chat v2", and how many problems the whole task has; 0: unknown."""
    protocol, _, version = title.rpartition(" v")
    parts = ProtocolName.parse(protocol or title)
    rest = msgspec.structs.replace(parts, base="", subset="", rescored_as="").render()
    words = PROTOCOLS.get(parts.base, parts.base)
    if read := parts.rescored_as:
        words += f", read as {PROTOCOLS.get(read, read).partition(' prompt')[0]}"
    words += rest.replace(", chat", ", by chat").replace(" elsewhere", ", by another tool")
    try:
        whole = task(f"{name}@{parts.base}")
    except (ZooError, ValueError):  # of another tool, or of a protocol that is gone
        return words, 0
    return (
        words if version == str(whole.version) else f"{words}, version {version}"
    ), whole.size if parts.subset else 0
