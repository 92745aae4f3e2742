"""Simulates the decisions of `evals.stats`: how often each is wrong where it must not be, and how often it finds.

`bench_statistics.py` prints the table. Each line draws pairs of models (or recipes, or gates of several rules) whose true
difference is known, and counts. "error" is held to at most 5% (coverage: at least 93%), "found" is power.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from evals.stats.averages import PairedTask, average_difference, average_interval
from evals.stats.equivalence import one_sided, two_one_sided, verdict
from evals.stats.gates import RuleTest, decide, gate
from evals.stats.paired import mcnemar, tango
from evals.stats.recipes import recipe_difference
from evals.stats.sequential import look, looks

Generator = np.random.Generator


def decision_table(quick: bool = False) -> list[dict[str, Any]]:
    """One line a claim: what was counted, in percent of the runs."""
    few, many = (40, 200) if quick else (400, 4000)
    return [
        *_equivalence(many), *_averages(few), *_recipes(few), *_gates(many), *_early(few // 2),
    ]  # fmt: skip


def _row(about: str, claim: str, counted: int, runs: int, **more: Any) -> dict[str, Any]:
    return {"decision": about, "claim": claim, "runs": runs, "found": round(100 * counted / runs, 1), **more}


@cache
def _judged(wins: int, losses: int, n: int, margin: float) -> str:
    held = two_one_sided(lambda level: ((wins - losses) / n, *tango(wins, losses, n, level)), margin)
    return verdict(held, wins - losses, mcnemar(wins, losses))


def _equivalence(runs: int) -> list[dict[str, Any]]:
    """Right or wrong answers, one draw: at the margin's edge, at no difference, at a large one."""
    rows, generator = [], np.random.default_rng(0)
    for n, margin, flips in ((500, 0.05, 0.15), (1319, 0.02, 0.10), (1319, 0.02, 0.02)):
        for truth, words, claim in (
            (margin, ("EQUIVALENT",), "EQUIVALENT at the margin: at most 5%"),
            (0.0, ("BETTER", "WORSE"), "BETTER or WORSE at 0: at most 5%"),
            (0.0, ("EQUIVALENT",), "EQUIVALENT at 0: power"),
            (3 * margin, ("BETTER",), "BETTER at 3 margins: power"),
        ):
            share = max(flips, truth)
            chances = [(share + truth) / 2, (share - truth) / 2, 1 - share]
            draws = generator.multinomial(n, chances, runs)
            counted = sum(_judged(int(w), int(losses), n, margin) in words for w, losses, _ in draws)
            rows.append(
                _row(f"equivalence, n={n}, {100 * margin:g} points, {100 * flips:g}% flip", claim, counted, runs)
            )
    return rows


def _task(generator: Generator, n: int, gap: float, size: int) -> PairedTask:
    hard = np.repeat(generator.uniform(0.2, 0.8, n // size), size)
    shared = generator.random(len(hard)) < 0.5  # the two agree on half of the samples
    one = generator.random(len(hard))
    other = np.where(shared, one, generator.random(len(hard)))
    scores = ((one < hard + gap / 2).astype(float).tolist(), (other < hard - gap / 2).astype(float).tolist())
    return PairedTask(*scores, np.repeat(np.arange(len(hard) // size), size).tolist())


def _averages(runs: int) -> list[dict[str, Any]]:
    rows = []
    for about, gaps, size in (
        ("averages, 3 tasks, equal", (0.0, 0.0, 0.0), 1), ("averages, 3 tasks that cancel", (0.1, -0.1, 0.0), 1),
        ("averages, 3 tasks, 5 points", (0.05, 0.05, 0.05), 1), ("averages, passages of 4, equal", (0.0, 0.0, 0.0), 4),
    ):  # fmt: skip
        generator, covered, rejected = np.random.default_rng(1), 0, 0
        truth = sum(gaps) / len(gaps)
        for _ in range(runs):
            tasks = [_task(generator, n, gap, size) for n, gap in zip((100, 200, 400), gaps, strict=True)]
            _, low, high = average_interval(tasks)
            covered += low <= truth <= high
            rejected += average_difference(tasks).p <= 0.05
        rows.append(_row(about, "interval covers", covered, runs))
        rows.append(_row(about, "rejects" + (": at most 5%" if truth == 0 else ": power"), rejected, runs))
    return rows


def _recipes(runs: int) -> list[dict[str, Any]]:
    rows = []
    for seeds, spread, gap, paired in (
        (2, 0.03, 0.0, False), (3, 0.0, 0.0, False), (3, 0.03, 0.0, False), (3, 0.03, 0.0, True), (5, 0.05, 0.0, False),
        (3, 0.01, 0.1, False), (5, 0.03, 0.1, False),
    ):  # fmt: skip
        generator, covered, rejected, n = np.random.default_rng(2), 0, 0, 200
        for _ in range(runs):
            hard = generator.uniform(0.25, 0.75, n)
            tables = [
                (generator.random((seeds, n)) < hard + shift + generator.normal(0, spread, (seeds, 1)))
                .astype(float)
                .tolist()
                for shift in (gap / 2, -gap / 2)
            ]
            d = recipe_difference(*tables, paired=paired).difference
            covered += d.low <= gap <= d.high
            rejected += d.p <= 0.05
        about = f"recipes, {seeds} seeds{' paired' if paired else ''}, a seed moves {100 * spread:g} points"
        rows.append(_row(about, "interval covers", covered, runs))
        rows.append(_row(about, "rejects" + (": power" if gap else ": at most 5%"), rejected, runs))
    return rows


@cache
def _rule(wins: int, losses: int, n: int, margin: float) -> RuleTest:
    p = one_sided(lambda level: ((wins - losses) / n, *tango(wins, losses, n, level)), -margin)
    return RuleTest(broken=p, holds=1 - p)


def _gates(runs: int) -> list[dict[str, Any]]:
    """Five rules "less than 3 points worse", n=800, 10% flip: true losses of each rule."""
    rows, n, margin, flips = [], 800, 0.03, 0.1
    for about, losses, outcome, claim in (
        ("all rules at the edge", (margin,) * 5, "PASS", "PASS: at most 5%"),
        ("one rule at the edge, four equal", (margin, 0, 0, 0, 0), "PASS", "PASS: at most 5%"),
        ("all rules at the edge", (margin,) * 5, "FAIL", "FAIL: at most 5%"),
        ("all equal", (0,) * 5, "FAIL", "FAIL: at most 5%"),
        ("all equal", (0,) * 5, "PASS", "PASS: power"),
        ("one rule 8 points worse", (0.08, 0, 0, 0, 0), "FAIL", "FAIL: power"),
    ):
        generator, counted = np.random.default_rng(3), 0
        draws = [generator.multinomial(n, [(flips - d) / 2, (flips + d) / 2, 1 - flips], runs) for d in losses]
        for turn in range(runs):
            tests = [_rule(int(each[turn][0]), int(each[turn][1]), n, margin) for each in draws]
            counted += gate(decide(tests)[0]) == outcome
        rows.append(_row(f"gate of 5 rules, {about}", claim, counted, runs))
    return rows


def _early(runs: int) -> list[dict[str, Any]]:
    """Up to 2,000 samples, margin 2 points: wrong at any look, and the samples asked."""
    rows, n, margin = [], 2000, 0.02
    cases: tuple[tuple[float, float, Callable[[str], bool], str], ...] = (
        (0.0, 0.1, lambda word: word in ("BETTER", "WORSE"), "told apart at 0: at most 5%"),
        (margin, 0.1, lambda word: word == "EQUIVALENT", "EQUIVALENT at the margin: at most 5%"),
        (0.0, 0.02, lambda word: word == "EQUIVALENT", "EQUIVALENT at 0: power"),
        (0.1, 0.3, lambda word: word == "BETTER", "told apart at 10 points: power"),
    )
    for truth, flips, counts, claim in cases:
        generator, counted, asked = np.random.default_rng(4), 0, []
        for _ in range(runs):
            draws = generator.choice([1.0, -1.0, 0.0], n, p=[(flips + truth) / 2, (flips - truth) / 2, 1 - flips])
            last = None
            for count in looks(n):
                last = look(draws[:count].tolist(), 1, 1, margin)
                if last.verdict != "NOT RESOLVED":
                    break
            assert last is not None
            counted += counts(last.verdict)
            asked.append(last.units)
        about = f"until resolved, {100 * truth:g} points, {100 * flips:g}% flip"
        rows.append(_row(about, claim, counted, runs, asked=round(float(np.mean(asked)))))
    return rows
