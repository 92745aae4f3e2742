"""Facts about benchmarks and published models that the board filters and titles by: no scores.

Family, open weights and chat tuning are read from a model's published name. A name that matches no pattern counts as
family "other", open weights and base.
"""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from evals.tasks import titles as task_titles
from zoo.records import Reported

FACTS = tomllib.loads(Path(__file__).with_name("benchmarks.toml").read_text(encoding="utf-8"))
METRICS, PUBLISHED, FAMILIES = FACTS["metrics"], FACTS["published"], FACTS["families"]


@cache
def titles() -> dict[str, str]:
    """benchmark -> its name as papers print it, in the order of the columns."""
    table: dict[str, str] = {}
    for task, title in task_titles().items():
        table[task] = title
        table |= {name: other for name, (other, before) in PUBLISHED.items() if before == task}
    return table


def title_of(benchmark: str) -> str:
    """The benchmark's name as papers print it."""
    return titles().get(benchmark, benchmark)


def order_of(benchmark: str) -> tuple[int, str]:
    """The sort key of a benchmark's columns: the known benchmarks in their order, then the others by name."""
    names = list(titles())
    return (names.index(benchmark) if benchmark in names else len(names), benchmark)


def main_metric(metrics: Iterable[str]) -> str:
    """The main metric of a task with these metrics.

    >>> main_metric(["acc_norm", "acc"]), main_metric(["pass@10", "pass@1"]), main_metric(["zeal", "brier"])
    ('acc', 'pass@1', 'brier')
    """
    return min(metrics, key=lambda metric: (METRICS.index(metric) if metric in METRICS else len(METRICS), metric))


def family_of(name: str) -> str:
    """The family of a published model, or "other".

    >>> family_of("StarCoder-Prompted"), family_of("phi-1 WR, 12K steps"), family_of("Replit")
    ('StarCoder', 'phi', 'other')
    """
    return next((family for family, pattern in FAMILIES.items() if re.search(pattern, name, re.I)), "other")


def is_open(name: str) -> bool:
    """Whether a model has open weights, judged by its name: the closed families are few and known."""
    return not re.search(FACTS["closed"], name, re.I)


def is_chat(row: Reported) -> bool:
    """Whether a number is of a chat-tuned model, judged by its protocol and name."""
    return "chat prompt" in row.protocol or bool(re.search(FACTS["chat"], row.model, re.I))
