"""The outcome of a comparison in words: better, worse or undecided, a row at a time and over all rows.

The terminal and the page say the same sentence from here. The rule of both: a difference is the first model's score
minus the second's, so the second is the baseline.
"""

from collections.abc import Sequence
from typing import Literal

from evals.stats.paired import Difference
from evals.stats.power import samples_needed
from zoo.metrics import metric_of

Outcome = Literal["better", "worse", "undecided", "untested"]
LEVEL = 0.05
SMALLEST = 0.002  # below a fifth of a point the number of problems is no help: it exceeds every benchmark


def outcome_of(difference: Difference | None, p: float | None, metric: str = "") -> Outcome:
    """Whether the first is better. p: adjusted; None: outside the family, so that nothing is claimed."""
    if difference is None or p is None:
        return "untested"
    if p >= LEVEL:
        return "undecided"
    return "better" if metric_of(metric).merit(difference.value) > 0 else "worse"


def overall_text(first: str, outcomes: Sequence[Outcome]) -> str:
    """The verdict over all tested rows.

    >>> overall_text("mini", ["better", "undecided", "undecided", "untested"])
    'mini is better on 1 of 3 benchmarks, worse on none, undecided on 2.'
    >>> overall_text("mini", [])
    'mini has no benchmark on which the two can be tested.'
    """
    tested = [outcome for outcome in outcomes if outcome != "untested"]
    if not tested:
        return f"{first} has no benchmark on which the two can be tested."
    better, worse, undecided = (tested.count(kind) or "none" for kind in ("better", "worse", "undecided"))
    noun = "benchmark" if len(tested) == 1 else "benchmarks"
    return f"{first} is better on {better} of {len(tested)} {noun}, worse on {worse}, undecided on {undecided}."


def needed(difference: Difference | None) -> int | None:
    """About how many problems would decide a difference of this size; None where that cannot be said.

    By 80% power, if the models go on to differ on the same share of problems. Not for clusters or unpaired scores.

    >>> from evals.stats.paired import paired_difference
    >>> needed(paired_difference([1.0, 1.0, 0.0, 1.0] * 10, [1.0, 0.0, 1.0, 0.0] * 10))
    99
    """
    if difference is None or difference.method != "mcnemar" or abs(difference.value) < SMALLEST:
        return None
    discordant = (difference.wins + difference.losses) / difference.n
    if discordant < abs(difference.value):
        return None
    return samples_needed(abs(difference.value), discordant=discordant)
