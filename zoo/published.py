"""Reads the published numbers of other models from `published.csv`, each with its source.

A row is one printed number, in the protocol of its source, with the source's address and the day on which it was
read. Two sources that disagree are two rows. Sizes and tokens are counts as the source states them (EvalPlus gives the
active parameters of a mixture of experts). The size of the training data and the tokens seen are two facts: phi-1 saw
51 billion tokens of 7 billion. `n` is given only if the benchmark's size is certain: MBPP has 974, 500, 427,
399 and 378 problems depending on who runs it, so most MBPP rows have no `n`.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from zoo.records import Reported

FILE = Path(__file__).with_name("published.csv")
MONTH = r"20[12]\d-(0[1-9]|1[0-2])"
DATE, DAY = re.compile(MONTH), re.compile(MONTH + r"-([0-2]\d|3[01])")
ADDRESS = re.compile(r"https://[\w.-]+\.[a-z]+/\S+")
COUNTED = re.compile(r"\bn=(\d+)|\((\d+) problems")

# benchmark -> its number of questions: the whole evaluation split with public labels
SIZES = {
    "humaneval": 164, "humaneval_plus": 164, "mbpp_plus": 378, "arc_easy": 2376, "arc_challenge": 1172,
    "boolq": 3270, "piqa": 1838, "siqa": 1954, "winogrande": 1267, "hellaswag": 10042, "openbookqa": 500,
    "mmlu": 14042, "gsm8k": 1319, "commonsenseqa": 1221, "unconventional_50": 50,
}  # fmt: skip

COMPARISON = ("arXiv 2306.11644v2 Table 1", "talk slides, comparison table")
WEIGHT_REUSE = "talk slide image"
# tables that print other papers' numbers beside their own, each under its paper's protocol
COLLECTED = (*COMPARISON, 'Microsoft Research blog "Phi-2" Table 2')
HEADLINE = ("Code Llama 34B", "phi-1", "phi-1 WR+Tile, 36K steps")
LABELS = {"phi-1": "Phi-1", "phi-1 WR+Tile, 36K steps": "Phi-1 (WR + Tile)"}


@cache
def load() -> tuple[Reported, ...]:
    """All published rows in the file's order, read and checked once per process.

    Raises  ValueError naming the line, if `published.csv` contains an impossible value.
    """
    return parse(FILE.read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Reported, ...]:
    """Parses a published table (CSV with a header line) and checks its rows.

    Raises  ValueError with all problems, one per line.
    """
    lines = csv.DictReader(text.splitlines(), strict=True)
    empty_is_none = ("parameters", "unique_tokens", "training_tokens", "shots", "n")
    rows = []
    for number, line in enumerate(lines, start=2):
        fields = {key: None if key in empty_is_none and value == "" else value for key, value in line.items()}
        try:
            rows.append(msgspec.convert(fields, Reported, strict=False))
        except msgspec.ValidationError as error:
            raise ValueError(f"published.csv line {number}: {error}") from error
    if faults := problems(rows):
        raise ValueError("published.csv cannot be used:\n" + "\n".join(faults))
    return tuple(rows)


def problems(rows: Sequence[Reported]) -> list[str]:
    """The faults of published rows, one line each: duplicates and impossible values.

    The same model, benchmark and protocol may have different values if the sources differ.
    """
    faults = [f"twice: {', '.join(map(str, key))}" for key, times in Counter(map(_key, rows)).items() if times > 1]
    for number, row in enumerate(rows, start=2):
        faults += [f"line {number}: {row.model} {row.benchmark}: {fault}" for fault in _faults(row)]
    return faults


@cache
def by_model() -> dict[str, tuple[Reported, ...]]:
    """The published rows of each model, models in the file's order."""
    grouped: dict[str, list[Reported]] = {}
    for row in load():
        grouped.setdefault(row.model, []).append(row)
    return {model: tuple(rows) for model, rows in grouped.items()}


def _key(row: Reported) -> tuple[object, ...]:
    return row.model, row.benchmark, row.subset, row.protocol, row.shots, row.source


def _faults(row: Reported) -> list[str]:
    """The impossible values of one row."""
    counted = COUNTED.search(row.subset)
    size = int(counted[1] or counted[2]) if counted else SIZES.get(row.benchmark)
    dated, unique, seen = DATE.fullmatch(row.date), row.unique_tokens, row.training_tokens
    accessed = DAY.fullmatch(row.accessed)
    checks = {
        "no model, benchmark, protocol or source": not (
            row.model.strip() and row.benchmark.strip() and row.protocol.strip() and row.source.strip()
        ),
        f"a value of {row.value} is not in 0..100": not 0 <= row.value <= 100,
        f"a bound of {row.value} is meaningless": row.op == "<" and not 0 < row.value <= 100,
        f"{row.parameters} parameters": row.parameters is not None and not 1e6 <= row.parameters <= 1e13,
        **{f"{count} tokens": count is not None and not 1e6 <= count <= 1e15 for count in (unique, seen)},
        f"{unique} unique tokens of {seen} seen": unique is not None and seen is not None and 1e6 <= seen < unique,
        f"date {row.date!r} is not YYYY-MM": not dated,
        f"access date {row.accessed!r} is not YYYY-MM-DD": not accessed,
        f"accessed on {row.accessed}, before {row.date}": bool(dated and accessed) and row.accessed < row.date,
        f"address {row.address!r} is not https://…": not ADDRESS.fullmatch(row.address),
        f"{row.shots} shots": row.shots is not None and not 0 <= row.shots <= 64,
        f"n={row.n}, but it has {size}": row.n is not None and (row.n < 1 or (size is not None and row.n != size)),
    }
    return [fault for fault, impossible in checks.items() if impossible]
