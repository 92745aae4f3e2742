"""Trees of 100,000 exercises against HumanEval's 164, exactly; planted leaks by method; the filter's speed.

No peer ships these, so the numbers are absolute: seconds on the cores given, recall and false positives with
n, documents a second. Exercises: 100,000, or BENCH_EXERCISES.
"""

import importlib.util
import os
import random
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rows import row

EXERCISES = int(os.environ.get("BENCH_EXERCISES", "100000"))
PLANTED, INNOCENT = 50, 1_000


def drafts(start: int) -> list[str]:
    """A thousand exercises of the template teacher."""
    from training.data.families import draft

    found = [draft(random.Random(f"bench:{start + n}")) for n in range(1_000)]
    return [one.prompt + one.completion for one in found if one]


def trees(texts: list[str]) -> list[str]:
    """The trees of some exercises."""
    from training.data.tree_text import functions

    return [one.symbols for text in texts for one in functions(text)]


def search(texts: list[str]) -> list[tuple[int, int, float]]:
    """All pairs at 0.80 and above of some exercises: parsed, serialised, compared."""
    from training.data.problems import problems, solutions
    from training.data.tree_text import close_pairs

    asked = [one.symbols for problem in problems("humaneval") for one in solutions(problem)[:1]]
    found = trees(texts)
    unique = {symbols: number for number, symbols in enumerate(dict.fromkeys(found))}
    return [(pair.first, pair.second, pair.rate) for pair in close_pairs(asked, list(unique), 0.8)]


def bench_trees() -> None:
    from concurrent.futures import ProcessPoolExecutor

    from rapidfuzz.distance import Levenshtein

    from training.data.problems import problems, solutions
    from training.data.shards import cores
    from training.data.tree_text import close_pairs

    with ProcessPoolExecutor(cores()) as pool:
        made = [text for part in pool.map(drafts, range(0, 2 * EXERCISES, 1_000)) for text in part][:EXERCISES]
        parts = [made[start : start + 20_000] for start in range(0, len(made), 20_000)]
        began = time.perf_counter()
        pairs = sum(len(found) for found in pool.map(search, parts))
        seconds = time.perf_counter() - began
    print(f"trees: {len(made):,} exercises x 164 problems in {seconds:.1f} s on {cores()} cores; {pairs:,} close pairs")
    row(f"trees of {len(made):,} exercises against 164 problems", figure=f"{seconds:.1f} s on {cores()} cores")
    asked = [one.symbols for problem in problems("humaneval") for one in solutions(problem)[:1]]
    some = trees(random.Random(0).sample(made, min(2_000, len(made))))
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


def leaks_module() -> ModuleType:
    path = Path(__file__).parents[1] / "training" / "data" / "leaks.py"
    spec = importlib.util.spec_from_file_location("leaks", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["leaks"] = module
    spec.loader.exec_module(module)
    return module


def innocents() -> list[str]:
    """Functions of this machine's packages, which were not written for HumanEval."""
    from training.data.gather import python_files
    from training.data.rules import cut

    files, _ = python_files(2_500)
    found = []
    for one in files:
        if one.bytes < 200_000:
            found += [piece.text for piece in cut(one, Path(one.path).read_bytes()).pieces if piece.kind == "function"]
    return random.Random(0).sample(found, min(INNOCENT, len(found)))


def bench_leaks() -> None:
    from evals.datasets import rows
    from training.data.decontaminate import Index, Search
    from training.data.encoders import find_encoder
    from training.data.problems import problems

    leaks, encoder = leaks_module(), find_encoder("minilm")
    index = Index(problems("humaneval"), encoder)
    planted = list(rows("humaneval"))[::3][:PLANTED]
    names = [f"humaneval/{row['task_id'].rsplit('/', 1)[1]}" for row in planted]
    texts = {grade: [leaks.leak(row, grade) for row in planted] for grade in leaks.GRADES}
    texts["innocent"] = innocents()
    whole = Search(
        tasks=("humaneval",), methods=("ngram", "tree", "embedding"), rate=0.8, distance=0.9, encoder=encoder
    )
    matches = {grade: index.matches(part, whole) for grade, part in texts.items()}
    wanted: list[tuple[str, float]] = [("ngram", 0), *(("tree", rate) for rate in (0.95, 0.9, 0.85, 0.8))]
    wanted += [("embedding", distance) for distance in (0.5, 0.6, 0.7, 0.8)]
    print(
        f"planted leaks: recall of {len(planted)} problems by grade; false positives of {len(texts['innocent'])} functions"
    )
    print(f"| method | {' | '.join(leaks.GRADES)} | false positives |\n| --- | {'---: | ' * 4}---: |")
    for method, threshold in wanted:
        asked = Search(
            tasks=("humaneval",),
            methods=(method,),
            rate=threshold,
            distance=threshold,  # type: ignore[arg-type]
        )
        cells = []
        for grade in leaks.GRADES:
            told = [{m.problem for m in found if m.method == method and asked.holds(m)} for found in matches[grade]]
            cells.append(f"{sum(name in one for name, one in zip(names, told, strict=True))}/{len(names)}")
        false = sum(any(m.method == method and asked.holds(m) for m in found) for found in matches["innocent"])
        row(
            f"planted leaks found by {method} {threshold or 13:g}: {', '.join(leaks.GRADES)}",
            figure=f"{', '.join(cells)}; false {false}/{len(texts['innocent'])}",
        )
        print(f"| {method} {threshold or 13:g} | {' | '.join(cells)} | {false}/{len(texts['innocent'])} |")


def bench_filter() -> None:
    from training.data import annotate, embed, quality
    from training.data.gather import python_files
    from training.data.rules import cut

    files, _ = python_files(3_000)
    pieces: list[Any] = []
    for one in files:
        if one.bytes < 200_000:
            pieces += cut(one, Path(one.path).read_bytes()).pieces
    pieces = random.Random(0).sample(pieces, min(5_000, len(pieces)))
    texts, projects = [one.text for one in pieces], [one.project for one in pieces]
    labels = quality.Labels(texts[:2_000], [annotate.rubric(text).points for text in texts[:2_000]], projects[:2_000],
                            annotate.EDUCATIONAL)  # fmt: skip
    fitted = quality.fit(labels, 0)
    assert isinstance(fitted.embedding, embed.Embedding)
    began = time.perf_counter()
    found = embed.vectors(texts, fitted.embedding)
    middle = time.perf_counter()
    many = np.vstack([found] * (20_000 // len(found) + 1))[:20_000]
    begin = time.perf_counter()
    fitted.head.predict_proba(many)
    seconds = time.perf_counter() - begin
    row("documents filtered after embedding, one core", figure=f"{len(many) / seconds:,.0f} a second")
    row("documents embedded by tf-idf, one core", figure=f"{len(texts) / (middle - began):,.0f} a second")
    print(f"filter: {len(many) / seconds:,.0f} documents/s after embedding (n={len(many):,}, one core)")
    print(f"  embedding by tf-idf: {len(texts) / (middle - began):,.0f} documents/s (n={len(texts):,})")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ["trees", "leaks", "filter"]:
        {"trees": bench_trees, "leaks": bench_leaks, "filter": bench_filter}[chosen]()
