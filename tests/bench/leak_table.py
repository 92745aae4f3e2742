"""Measures what each method finds of planted problems, and what it falsely takes for one: how thresholds are set.

python tests/bench/leak_table.py [--planted 50] [--innocent 2000] [--embedder words] [--embedder minilm]

HumanEval problems are planted at four grades (`leaks.py`), and functions of this machine's packages are innocent.
A found problem is found as itself. Embeddings have two rows: their threshold, and the calibrated distance within
which 1% of the innocent functions have a problem.
"""

import argparse
import hashlib
import sys
import textwrap
from collections.abc import Iterator, Sequence
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from evals.contamination import syntax_trees
from evals.contamination.embeddings import EmbeddingSearch, make_embed
from evals.contamination.problems import Problem, make_problems
from evals.contamination.search import SearchPlan, embedder_name, open_method
from evals.contamination.thresholds import default_threshold
from evals.datasets.load import rows
from evals.encoders import find_encoder
from evals.stats.intervals import wilson
from evals.tasks import task
from tests.bench.leaks import GRADES, leak

FALSE_POSITIVES = 0.01


class LeakRow(NamedTuple):
    """One method at one threshold: planted problems found by grade, innocent functions that match any problem."""

    method: str
    threshold: float
    found: dict[str, int]
    false: int


class Planted(NamedTuple):
    """The problems of a task, the numbers of the planted ones, and the texts: of each grade, and innocent ones."""

    problems: list[Problem]
    numbers: list[int]
    texts: dict[str, list[str]]


def innocent_functions(most: int) -> list[str]:
    """Functions of this machine's packages, which were not written for HumanEval, spread by the hash of their text."""
    from training.data.gather import rules
    from training.data.gather.gather import python_files

    texts: dict[bytes, str] = {}
    for file in python_files(max(2_000, 3 * most))[0]:
        path = Path(file.path)
        if file.bytes > rules.FILE_BYTES or not path.is_file() or rules.refusal(data := path.read_bytes()):
            continue
        text = rules.plain_text(data)
        for function in syntax_trees.functions(text):
            own = textwrap.dedent(text[function.start : function.end])
            if rules.PIECE_CHARACTERS[0] <= len(own) <= rules.PIECE_CHARACTERS[1]:
                texts[hashlib.sha256(own.encode("utf-8", "surrogatepass")).digest()] = own
    return [texts[key] for key in sorted(texts)[:most]]


def plant(planted: int, innocent: int) -> Planted:
    """Every HumanEval problem of a regular choice at each grade, and innocent functions."""
    problems = make_problems(task("humaneval"))
    numbers = list(range(0, len(problems), max(1, len(problems) // planted)))[:planted]
    by_id = {row["task_id"]: row for row in rows("humaneval")}
    chosen = [by_id[problems[number].sample] for number in numbers]
    others = innocent_functions(innocent)
    if len(others) < innocent:
        sys.exit(f"this machine's packages hold {len(others):,} functions; give --innocent {len(others)}")
    return Planted(problems, numbers, {grade: [leak(row, grade) for row in chosen] for grade in GRADES} | {"": others})


def found_problems(planted: Planted, plan: SearchPlan) -> dict[str, list[dict[int, float]]]:
    """The problems that each text holds, with their similarities, by grade."""
    method = open_method(planted.problems, plan)
    result: dict[str, list[dict[int, float]]] = {}
    for grade, texts in planted.texts.items():
        result[grade] = [{} for _ in texts]
        for match in method.matches(texts):
            result[grade][match.document][match.problem] = match.similarity
    return result


def word_and_tree_rows(planted: Planted) -> Iterator[LeakRow]:
    """The rows of both n-gram methods and of trees at each published match rate."""
    rates = [("ast", rate) for rate in syntax_trees.PRESETS]
    for method, threshold in [
        ("ngram", default_threshold("ngram")),
        ("code-ngram", default_threshold("code-ngram")),
        *rates,
    ]:
        matches = found_problems(planted, SearchPlan(method=method, threshold=threshold))
        found = {
            grade: sum(number in held for number, held in zip(planted.numbers, matches[grade], strict=True))
            for grade in GRADES
        }
        yield LeakRow(method, threshold, found, sum(map(bool, matches[""])))


def embedding_rows(planted: Planted, embedder: str) -> Iterator[LeakRow]:
    """The rows of an embedder: at its threshold, and at the distance calibrated on the innocent functions.

    The false positives of the second row are counted crosswise, each half at the distance of the other half.
    """
    import numpy as np

    encoder = None if embedder == "words" else find_encoder(embedder)
    threshold = default_threshold("embedding", embedder)
    method = EmbeddingSearch(planted.problems, threshold, make_embed(planted.problems, encoder))
    distances = {grade: np.array([closest(method, text) for text in texts]) for grade, texts in planted.texts.items()}
    nearest = distances[""].min(axis=1)
    calibrated = distance_at(FALSE_POSITIVES, nearest)
    halves = nearest[0::2], nearest[1::2]
    crosswise = sum(
        int((half <= distance_at(FALSE_POSITIVES, other)).sum()) for half, other in (halves, halves[::-1])
    )  # fmt: skip
    for limit, false in ((threshold, int((nearest <= threshold).sum())), (calibrated, crosswise)):
        own = {grade: distances[grade][range(len(planted.numbers)), planted.numbers] for grade in GRADES}
        found = {grade: int((own[grade] <= limit).sum()) for grade in GRADES}
        yield LeakRow(f"embedding, {embedder_name(encoder)[:12]}", limit, found, false)


def closest(method: EmbeddingSearch, text: str) -> Any:
    """The distance of a text's closest function to each problem, shape (problems,)."""
    spans = [(function.start, function.end) for function in syntax_trees.functions(text, nested=True)] or [(0, None)]
    return method.distances([text[start:end] for start, end in spans]).min(axis=0)


def distance_at(share: float, nearest: Any) -> float:
    """The largest distance (to 2 places) within which at most this share of texts has its nearest problem.

    >>> distance_at(0.25, [0.9, 0.706, 0.8, 1.0, 1.2, 1.1, 0.95, 0.99])
    0.89
    """
    ordered = sorted(float(distance) for distance in nearest)
    return floor(100 * ordered[int(share * len(ordered))] - 1e-9) / 100


def measure(planted: int = 50, innocent: int = 2_000, embedders: Sequence[str] = ("words",)) -> list[LeakRow]:
    """The rows of all methods."""
    texts = plant(planted, innocent)
    return [*word_and_tree_rows(texts), *(row for name in embedders for row in embedding_rows(texts, name))]


def markdown(table: Sequence[LeakRow], planted: int, innocent: int) -> list[str]:
    """The table as Markdown, each share with its 95% interval (Wilson)."""

    def cell(number: int, of: int) -> str:
        interval = wilson(number, of)
        return f"{number}/{of} [{interval.low:.3f}–{interval.high:.3f}]"

    columns = ["method", "threshold", *GRADES, "false positives"]
    lines = ["| " + " | ".join(columns) + " |", "| --- " * 2 + "| ---: " * (len(columns) - 2) + "|"]
    for row in table:
        cells = [cell(row.found[grade], planted) for grade in GRADES]
        lines.append("| " + " | ".join([row.method, f"{row.threshold:g}", *cells, cell(row.false, innocent)]) + " |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--planted", type=int, default=50)
    parser.add_argument("--innocent", type=int, default=2_000)
    parser.add_argument("--embedder", action="append", help="words, minilm, a checkpoint's name or a folder")
    options = parser.parse_args()
    table = measure(options.planted, options.innocent, options.embedder or ("words",))
    print("\n".join(markdown(table, options.planted, options.innocent)))
