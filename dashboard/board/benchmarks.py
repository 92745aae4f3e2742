"""Facts about benchmarks and published models that the board filters and titles by: no scores.

A model's family is read from its published name; a name that matches no pattern counts as family "other".
"""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from evals.tasks import titles as task_titles

FACTS = tomllib.loads(Path(__file__).with_name("benchmarks.toml").read_text(encoding="utf-8"))
METRICS, PUBLISHED, FAMILIES = FACTS["metrics"], FACTS["published"], FACTS["families"]
PROTOCOLS: dict[str, str] = FACTS["protocols"]  # name of a protocol -> how a column's head says it


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


def says_chat(name: str) -> bool:
    """Whether a model's name says that it is tuned for chat; most base models' names say nothing.

    >>> says_chat("Llama-3.2-1B-Instruct"), says_chat("gemma-2b-it"), says_chat("phi-2")
    (True, True, False)
    """
    return bool(re.search(FACTS["chat"], name, re.I))
