"""Two one-sided tests: the verdicts, their errors by simulation, and the samples that they need."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from evals.stats.equivalence import Equivalence, one_sided, overall, samples_for_equivalence, two_one_sided, verdict
from evals.stats.paired import mcnemar, paired_interval, tango


@cache
def judged(wins: int, losses: int, n: int, margin: float) -> str:
    held = two_one_sided(lambda level: ((wins - losses) / n, *tango(wins, losses, n, level)), margin)
    return verdict(held, wins - losses, mcnemar(wins, losses))


@pytest.mark.parametrize(
    ("wins", "losses", "n", "expected"),
    [
        (5, 5, 5000, "EQUIVALENT"), (400, 200, 5000, "BETTER"), (200, 400, 5000, "WORSE"),
        (20, 13, 164, "NOT RESOLVED"), (0, 0, 164, "NOT RESOLVED"), (0, 0, 268, "EQUIVALENT"),
        (30, 10, 10_000, "EQUIVALENT"),  # not 0, and yet too small to matter
    ],
)  # fmt: skip
def test_the_four_verdicts_at_one_point(wins: int, losses: int, n: int, expected: str) -> None:
    assert judged(wins, losses, n, 0.01) == expected


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(120, 2000), st.floats(0.002, 0.3))
def test_swapping_the_two_swaps_better_and_worse(wins: int, losses: int, n: int, margin: float) -> None:
    other = {"BETTER": "WORSE", "WORSE": "BETTER"}
    first = judged(wins, losses, n, margin)
    assert judged(losses, wins, n, margin) == other.get(first, first)


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.3), st.floats(-0.9, 0.9))
def test_one_sided_p_inverts_the_interval(value: float, error: float, bound: float) -> None:
    def ends(level: float) -> tuple[float, float, float]:
        z = norm.ppf((1 + level) / 2)
        return value, value - z * error, value + z * error

    assert one_sided(ends, bound) == pytest.approx(norm.sf((value - bound) / error), abs=1e-9)


def test_shown_agrees_with_p() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        first, second = (generator.random((2, 300)) < 0.5 + 0.4 * generator.random(300)).astype(float).tolist()
        held = two_one_sided(lambda level, a=first, b=second: paired_interval(a, b, None, level), 0.08)  # type: ignore[misc]
        assert held.shown == (held.p <= 0.05) or held.p == pytest.approx(0.05, abs=1e-6)
        assert held.p_worse <= held.p


def test_errors_are_held() -> None:
    """At a difference of exactly the margin EQUIVALENT comes in about 5%; at 0 BETTER or WORSE in at most 5%."""
    generator, n, margin, runs = np.random.default_rng(0), 200, 0.05, 2000
    edge = sum(
        judged(int(w), int(losses), n, margin) == "EQUIVALENT"
        for w, losses, _ in generator.multinomial(n, [0.05, 0.10, 0.85], runs)
    )
    same = sum(
        judged(int(w), int(losses), n, margin) in ("BETTER", "WORSE")
        for w, losses, _ in generator.multinomial(n, [0.08, 0.08, 0.84], runs)
    )
    assert edge / runs <= 0.06
    assert same / runs <= 0.05


@pytest.mark.parametrize(("discordant", "margin"), [(0.25, 0.05), (0.02, 0.01)])
def test_samples_for_equivalence_find_it_four_times_in_five(discordant: float, margin: float) -> None:
    n = samples_for_equivalence(discordant, margin)
    draws = np.random.default_rng(0).multinomial(n, [discordant / 2, discordant / 2, 1 - discordant], 400)
    found = np.mean([judged(int(w), int(losses), n, margin) == "EQUIVALENT" for w, losses, _ in draws])
    assert 0.72 <= found <= 0.86


def test_no_verdict_without_a_row_and_no_margin_of_zero() -> None:
    assert overall([]) == "NOT RESOLVED"
    assert overall(["BETTER", "BETTER"]) == "BETTER"
    with pytest.raises(ValueError, match="above 0"):
        two_one_sided(lambda level: (0.0, -0.1, 0.1), 0.0)
    assert not Equivalence(margin=0.1, low=-0.1, high=0.0, p=0.05, p_worse=0.05).shown
