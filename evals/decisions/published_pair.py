"""Compares two published models, such as the bars of a talk: unpaired, one run each, and said so."""

from collections.abc import Mapping

from evals.results.compare import PUBLISHED, Comparison, ComparisonRow, score_ends
from evals.stats.equivalence import two_one_sided
from evals.stats.paired import unpaired_difference, unpaired_interval
from evals.stats.power import samples_needed
from evals.stats.summary import derive_summary
from zoo import published
from zoo.errors import ZooError, unknown
from zoo.records import Reported

Key = tuple[str, str, str, int | None]


def compare_published(first: str, second: str, margin: float | None = None) -> Comparison:
    """The benchmarks that two published models have under one protocol and one number of shots.

    first, second  `published:NAME`
    Raises         ZooError for an unknown name, or if the two share no row with a known n
    """
    sides = [_rows(name.removeprefix(PUBLISHED)) for name in (first, second)]
    rows = [_row(sides[0][key], sides[1][key], margin) for key in sides[0] if key in sides[1]]
    if not rows:
        raise ZooError(
            f"{first} and {second} share no published row with a known number of samples. All: phizoo leaderboard"
        )
    return Comparison(first=first.removeprefix(PUBLISHED), second=second.removeprefix(PUBLISHED), rows=tuple(rows))


def _rows(name: str) -> Mapping[Key, Reported]:
    models = published.by_model()
    if name not in models:
        raise unknown("published model", name, models, "phizoo leaderboard")
    return {
        (row.benchmark, row.subset, row.protocol, row.shots): row
        for row in models[name]
        if derive_summary(row) is not None
    }


def _row(first: Reported, second: Reported, margin: float | None) -> ComparisonRow:
    one, two = derive_summary(first), derive_summary(second)
    assert one is not None and two is not None  # `_rows` keeps only those
    left, right = score_ends(one), score_ends(two)
    difference = unpaired_difference(left, right, min(one.n, two.n))
    held = None if margin is None else two_one_sided(lambda level: unpaired_interval(left, right, level), margin)
    gap = abs(difference.value)
    more = samples_needed(gap, min(one.value, two.value) + gap / 2) if gap else None
    decides = f"; a true difference as large takes {more:,} problems unpaired, if no seed moved a score" if more else ""
    return ComparisonRow(
        task=first.benchmark, column=f"{first.benchmark} [{first.protocol}]", metric=first.protocol, kind="reported",
        first=one.value, second=two.value, difference=difference, p_holm=None, runs=(),
        note=f"reported, one run each: this is a difference of two checkpoints, not of two recipes{decides}",
        shots=(first.shots, second.shots), equivalence=held,
    )  # fmt: skip
