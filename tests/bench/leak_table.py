"""What each method of a search finds of problems planted at graded distances, and what it takes for one that is none.

The distance of embeddings has no published value, so it is calibrated: one in a hundred innocent functions has a
problem within it. How many have is counted crosswise, each half at the distance of the other half.
"""

import hashlib
import textwrap
from collections.abc import Sequence
from typing import Any

import msgspec

from evals import encoders
from evals.contamination import syntax_trees
from training.data.decontaminate import Index, Match, Method, Search
from training.data.leaks import GRADES, leak
from training.data.problems import problems
from zoo.errors import ZooError
from zoo.records import Record

TASK = "humaneval"
FALSE_POSITIVES = 0.01
PARTS = (0.5, 0.7, 0.8, 0.9)  # of the calibrated distance, which are told beside it


class Row(Record, frozen=True):
    """One method at one threshold: planted problems found by grade, and innocent functions taken for leaks."""

    method: Method
    threshold: float
    found: dict[str, int]
    false: int


class LeakTable(Record, frozen=True):
    """The table.

    planted     problems planted at each grade
    innocent    functions in which the false positives are counted
    calibrated  distance of embeddings at FALSE_POSITIVES of them; in its row, the false positives of each half
                are counted at the distance of the other half, so none was counted where it was calibrated
    """

    rows: tuple[Row, ...]
    planted: int
    innocent: int
    calibrated: float
    encoder: str


def innocents(most: int) -> list[str]:
    """Functions of this machine's packages, which were not written for HumanEval, spread by the hash of their text."""
    from pathlib import Path

    from training.data.gather import rules
    from training.data.gather.gather import python_files

    texts: dict[bytes, str] = {}
    for one in python_files(max(2_000, 3 * most))[0]:
        path = Path(one.path)
        if one.bytes > rules.FILE_BYTES or not path.is_file() or rules.refused(data := path.read_bytes()):
            continue
        text = rules.plain(data)
        for function in syntax_trees.functions(text):
            own = textwrap.dedent(text[function.start : function.end])
            if rules.PIECE_CHARACTERS[0] <= len(own) <= rules.PIECE_CHARACTERS[1]:
                texts[hashlib.sha256(own.encode("utf-8", "surrogatepass")).digest()] = own
    return [texts[key] for key in sorted(texts)[:most]]


def measure(embedding: str = encoders.MINILM, planted: int = 50, innocent: int = 2_000) -> LeakTable:
    """Recall by grade and false positives of all methods, the distance of the embedding calibrated beforehand."""
    from evals.datasets.load import rows

    encoder = encoders.find_encoder(embedding)
    index = Index(problems(TASK), encoder)
    every = list(rows(TASK))
    chosen = every[:: max(1, len(every) // planted)][:planted]
    names = [f"{TASK}/{row['task_id'].rsplit('/', 1)[1]}" for row in chosen]
    others = innocents(innocent)
    if len(others) < innocent:
        raise ZooError(f"this machine's packages hold {len(others):,} functions; give --innocent {len(others)}")
    texts = {grade: [leak(row, grade) for row in chosen] for grade in GRADES} | {"innocent": others}
    widest = Search(tasks=(TASK,), methods=("ngram", "tree"), rate=min(syntax_trees.PRESETS))
    matches = {grade: index.matches(part, widest) for grade, part in texts.items()}
    asked: list[tuple[Method, float]] = [("ngram", 0.0), *(("tree", rate) for rate in syntax_trees.PRESETS)]
    table = [_row(method, threshold, matches, names) for method, threshold in asked]
    apart = {grade: _apart(part, index) for grade, part in texts.items()}
    nearest = apart["innocent"].min(axis=1)
    calibrated = distance_at(FALSE_POSITIVES, nearest)
    own = [[one.id for one in index.problems].index(name) for name in names]
    for distance in (*(round(part * calibrated, 2) for part in PARTS), calibrated):
        found = {grade: int((apart[grade][range(len(own)), own] <= distance).sum()) for grade in GRADES}
        table.append(Row(method="embedding", threshold=distance, found=found, false=int((nearest <= distance).sum())))
    halves = nearest[0::2], nearest[1::2]
    false = sum(
        int((one <= distance_at(FALSE_POSITIVES, other)).sum()) for one, other in (halves, halves[::-1])
    )  # fmt: skip
    table[-1] = msgspec.structs.replace(table[-1], false=false)
    return LeakTable(
        rows=tuple(table), planted=len(names), innocent=innocent, calibrated=calibrated, encoder=encoder.name
    )  # fmt: skip


def _apart(texts: Sequence[str], index: Index) -> Any:
    """The distance of each text to each problem, shape (texts, problems)."""
    from scipy.spatial.distance import cdist

    assert index.encoder is not None
    return cdist(encoders.encoded(texts, index.encoder), index.vectors)


def distance_at(share: float, nearest: Any) -> float:
    """The largest distance (to 2 places) within which at most this share of texts has its nearest problem.

    >>> distance_at(0.25, [0.9, 0.706, 0.8, 1.0, 1.2, 1.1, 0.95, 0.99])
    0.89
    """
    from math import floor

    ordered = sorted(float(one) for one in nearest)
    return floor(100 * ordered[int(share * len(ordered))] - 1e-9) / 100


def _row(method: Method, threshold: float, matches: dict[str, list[list[Match]]], names: Sequence[str]) -> Row:
    search = Search(tasks=(TASK,), methods=(method,), rate=threshold)
    told = {
        grade: [{one.problem for one in found if one.method == method and search.holds(one)} for found in every]
        for grade, every in matches.items()
    }
    found = {grade: sum(name in one for name, one in zip(names, told[grade], strict=True)) for grade in GRADES}
    return Row(method=method, threshold=threshold, found=found, false=sum(map(bool, told["innocent"])))


def lines(table: LeakTable) -> list[str]:
    """The table as Markdown, each share with its 95% interval (Wilson)."""
    from evals.stats.intervals import wilson

    def told(number: int, of: int) -> str:
        interval: Any = wilson(number, of)
        return f"{number}/{of} [{interval.low:.3f}-{interval.high:.3f}]"

    head = ["method", "threshold", *GRADES, "false positives"]
    out = ["| " + " | ".join(head) + " |", "| --- " * 2 + "| ---: " * (len(head) - 2) + "|"]
    for row in table.rows:
        mark = " (calibrated)" if (row.method, row.threshold) == ("embedding", table.calibrated) else ""
        limit = {"ngram": "13 / 10 words", "tree": f"{row.threshold:.2f}"}.get(row.method, f"{row.threshold:.2f}{mark}")
        cells = [told(row.found[grade], table.planted) for grade in GRADES]
        out.append("| " + " | ".join([row.method, limit, *cells, told(row.false, table.innocent)]) + " |")
    return out
