"""The rules for a published number: a possible value, a source that can be opened, and no number twice."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from zoo.published.models import ADDRESS, MONTH, count_faults
from zoo.records import Reported

DAY = re.compile(MONTH.pattern + r"-([0-2]\d|3[01])")
COUNTED = re.compile(r"\bn=(\d+)|\((\d+) problems")

# benchmark -> its number of questions: the whole evaluation split with public labels. MBPP has 974, 500, 427, 399 and
# 378 problems depending on who runs it, so most MBPP rows have no n
SIZES = {
    "humaneval": 164, "humaneval_plus": 164, "mbpp_plus": 378, "arc_easy": 2376, "arc_challenge": 1172,
    "boolq": 3270, "piqa": 1838, "siqa": 1954, "winogrande": 1267, "hellaswag": 10042, "openbookqa": 500,
    "mmlu": 14042, "gsm8k": 1319, "commonsenseqa": 1221, "unconventional_50": 50,
}  # fmt: skip


def problems(rows: Sequence[Reported]) -> list[str]:
    """The faults of published rows, one line each: duplicates and impossible values.

    The same model, benchmark and protocol may have different values if the sources or the variants differ.
    """
    faults = [f"twice: {', '.join(map(str, key))}" for key, times in Counter(map(_key, rows)).items() if times > 1]
    for number, row in enumerate(rows, start=2):
        faults += [f"line {number}: {row.model} {row.benchmark}: {fault}" for fault in _faults(row)]
    return faults


def _key(row: Reported) -> tuple[object, ...]:
    variant = (row.variant,) if row.variant else ()
    return row.model, row.benchmark, row.subset, row.protocol, row.shots, row.source, *variant


def _faults(row: Reported) -> list[str]:
    """The impossible values of one row."""
    size = _size(row.benchmark, row.subset)
    counts = count_faults(row.parameters, row.unique_tokens, row.training_tokens)
    checks = [
        (
            not (row.model.strip() and row.benchmark.strip() and row.protocol.strip() and row.source.strip()),
            "no model, benchmark, protocol or source",
        ),
        (not 0 <= row.value <= 100, f"a value of {row.value} is not in 0..100"),
        (row.op == "<" and not 0 < row.value <= 100, f"a bound of {row.value} is meaningless"),
        (row.shots is not None and not 0 <= row.shots <= 64, f"{row.shots} shots"),
        (row.n is not None and (row.n < 1 or size not in (None, row.n)), f"n={row.n}, but it has {size}"),
    ]
    faults = [text for wrong, text in checks if wrong]
    faults += [text for text, wrong in counts.items() if wrong]
    return faults + _source_faults(row.date, row.accessed, row.address, row.licence)


@cache
def _size(benchmark: str, subset: str) -> int | None:
    counted = COUNTED.search(subset)
    return int(counted[1] or counted[2]) if counted else SIZES.get(benchmark)


@cache  # the rows of a source share these
def _source_faults(date: str, accessed: str, address: str, licence: str) -> list[str]:
    dated, day = not date or MONTH.fullmatch(date), DAY.fullmatch(accessed)
    checks = {
        f"date {date!r} is not YYYY-MM": not dated,
        f"access date {accessed!r} is not YYYY-MM-DD": not day,
        f"accessed on {accessed}, before {date}": bool(date and dated and day) and accessed < date,
        f"address {address!r} is not https://…": not ADDRESS.fullmatch(address),
        f"licence {licence!r} of the source is no name": licence != licence.strip(),
    }
    return [text for text, wrong in checks.items() if wrong]
