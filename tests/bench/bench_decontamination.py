"""Trees of 100,000 exercises against HumanEval's 164, exactly; planted leaks by method; the filter's speed.

No peer ships these, so the numbers are absolute: seconds on the cores given, recall and false positives with
n, documents a second. Exercises: 100,000, or BENCH_EXERCISES; rounds: 3, or BENCH_ROUNDS.
"""

import os
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rows import row

from evals.contamination.match import Match

EXERCISES = int(os.environ.get("BENCH_EXERCISES", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


def drafts(start: int) -> list[str]:
    """A thousand exercises of the template teacher."""
    from training.data.synthesis.templates import make_draft

    found = [make_draft(random.Random(f"bench:{start + n}")) for n in range(1_000)]
    return [one.prompt + one.completion for one in found if one]


def trees(texts: list[str]) -> list[str]:
    """The trees of some exercises."""
    from evals.contamination.syntax_trees import functions

    return [function.symbols for text in texts for function in functions(text)]


def search(texts: list[str]) -> list[Match]:
    """All matches at 0.80 and above of some exercises: parsed, serialised, compared, as the stage does."""
    from evals.contamination.problems import make_problems
    from evals.contamination.search import SearchPlan, open_method
    from evals.tasks import task
    from training.data.decontaminate import CHUNK

    method = open_method(make_problems(task("humaneval")), SearchPlan(method="ast", threshold=0.8))
    chunks = (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
    return [match for chunk in chunks for match in method.matches(chunk)]


def told(values: list[float], unit: str) -> str:
    """Median and range of some seconds or rates."""
    return f"{statistics.median(values):,.1f} {unit} [{min(values):,.1f}-{max(values):,.1f}, n={len(values)}]"


def bench_trees() -> None:
    from concurrent.futures import ProcessPoolExecutor

    from rapidfuzz.distance import Levenshtein

    from evals.contamination.problems import make_problems
    from evals.contamination.syntax_trees import close_pairs
    from evals.contamination.trees import solutions
    from evals.tasks import task
    from training.data.shards import cores

    seconds = []
    with ProcessPoolExecutor(cores()) as pool:
        made = [text for part in pool.map(drafts, range(0, 2 * EXERCISES, 1_000)) for text in part][:EXERCISES]
        parts = [made[start : start + 20_000] for start in range(0, len(made), 20_000)]
        for _ in range(ROUNDS):
            began = time.perf_counter()
            pairs = sum(len(found) for found in pool.map(search, parts))
            seconds.append(time.perf_counter() - began)
    some = trees(random.Random(0).sample(made, min(2_000, len(made))))
    print(f"trees: {len(made):,} exercises x 164 problems in {told(seconds, 's')} on {cores()} cores, parsing included; "
          f"{pairs:,} close pairs; of {len(some):,} trees {len(set(some)):,} are different")  # fmt: skip
    asked = [one.symbols for problem in make_problems(task("humaneval")) for one in solutions(problem)[:1]]
    fast = {(pair.first, pair.second) for pair in close_pairs(asked, some, 0.8)}
    brute = {
        (m, n)
        for m, one in enumerate(asked)
        for n, two in enumerate(some)
        if Levenshtein.distance(one, two) * 10 <= 2 * max(len(one), len(two))
    }
    row(
        f"the pairs found, of {len(asked) * len(some):,}",
        peer="brute force",
        figure="the same" if fast == brute else "NOT the same",
        target="the same",
    )
    print(f"  brute force over {len(asked) * len(some):,} pairs agrees: {fast == brute} ({len(brute):,} close)")
    row(
        f"trees of {len(made):,} exercises against 164 problems",
        figure=f"{told(seconds, 's')}, {cores()} cores",
        target="60 s",
    )
    found = functions(20_000)
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        near = search(found)
        seconds.append(time.perf_counter() - began)
    print(f"  {len(found):,} functions of packages, {len(set(trees(found))):,} different trees, on one core: "
          f"{told(seconds, 's')}; {len(near):,} close pairs")  # fmt: skip


def functions(most: int) -> list[str]:
    """Functions of this machine's packages, no two of the same text."""
    from leak_table import innocent_functions

    return innocent_functions(most)


def bench_leaks() -> None:
    from leak_table import markdown, measure

    table = markdown(measure(50, 2_000, ("words", "minilm")), 50, 2_000)
    print("\n".join(table))
    row("planted leaks by method and grade", figure="; ".join(table[2:]))


def bench_filter() -> None:
    from training.data.gather.gather import python_files
    from training.data.gather.rules import cut_file
    from training.data.quality import classifier, tfidf
    from training.data.quality import rubric as annotate
    from training.data.quality.heads import score_vectors

    files, _ = python_files(3_000)
    pieces: list[Any] = []
    for one in files:
        if one.bytes < 200_000:
            pieces += cut_file(one, Path(one.path).read_bytes()).pieces
    pieces = random.Random(0).sample(pieces, min(5_000, len(pieces)))
    texts, projects = [one.text for one in pieces], [one.project for one in pieces]
    labels = classifier.LabelledSample(texts[:2_000], [annotate.label_by_rubric(text).points for text in texts[:2_000]], projects[:2_000],
                            annotate.EDUCATIONAL)  # fmt: skip
    fitted = classifier.fit_classifier(labels, 0)
    assert isinstance(fitted.embedding, tfidf.Embedding)
    rates, embedding = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = tfidf.vectors(texts, fitted.embedding)
        embedding.append(len(texts) / (time.perf_counter() - began))
        many = np.vstack([found] * (20_000 // len(found) + 1))[:20_000]
        began = time.perf_counter()
        score_vectors(fitted.head, many)
        rates.append(len(many) / (time.perf_counter() - began))
    row("documents filtered after embedding, one core", figure=told(rates, "a second"), target="5,000 a second")
    print(f"filter: {told(rates, 'documents/s')} after embedding ({len(many):,} documents, one core)")
    print(f"  embedding by tf-idf: {told(embedding, 'documents/s')} ({len(texts):,} documents, one core)")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ["trees", "leaks", "filter"]:
        {"trees": bench_trees, "leaks": bench_leaks, "filter": bench_filter}[chosen]()
