"""Summarises the lines of a run as a leaderboard cell: value, 95% interval, n, clusters, unscored, by subset.

A sample that a fault left without a score (in any draw) counts as unscored and in no value; it is
never a 0. Not here: storing the cell (`evals.results.publish`).
"""

import re
from collections.abc import Hashable, Sequence
from typing import Literal

from msgspec.structs import replace

from evals.records import Groups, Result
from evals.stats.intervals import Interval, effective_n, mean_interval, wilson
from evals.stats.pass_at_k import pass_at_k
from evals.stats.real import real_mean
from zoo.errors import ZooError, nearest
from zoo.metrics import metric_of
from zoo.records import Record, Reported, Score

PASS_AT = re.compile(r"pass@([1-9]\d*)")
# the protocols that get a derived interval
PROPORTIONS = ("pass@1", "accuracy", "lighteval score", "exact match", "PAL accuracy")


class Summary(Record, frozen=True):
    """A score's facts, named as in `zoo.records.Score`.

    n         samples with a score (not draws); their trials, where a sample has several (its instructions)
    clusters  the independent groups among them; n when all are alone, or grouped in strata
    origin    "derived": a published number, its interval made from its n
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    unscored: int
    origin: Literal["measured", "derived"] = "measured"

    @property
    def effective(self) -> float:
        """The number of independent samples that would give an interval as wide."""
        return effective_n(self.value, self.low, self.high, self.n)


class SampleScore(Record, frozen=True):
    """One sample's values under a metric: one a draw, or the single pass@k that the draws give.

    sample   its id; of one trial of a sample "id#2", the sample being its cluster
    cluster  what it shares with dependent samples; "" if it is alone
    stratum  the part of the task that it belongs to; "" if the task has none
    """

    sample: str
    cluster: str
    values: tuple[float, ...]
    stratum: str = ""

    @property
    def unit(self) -> tuple[str, str]:
        """The independent unit that it belongs to. A cluster never has the name of a sample alone."""
        return ("cluster", self.cluster) if self.cluster else ("sample", self.sample)

    @property
    def value(self) -> float:
        """Their mean, the sample's part in the score."""
        return self.values[0] if len(self.values) == 1 else sum(self.values) / len(self.values)


def summarise(results: Sequence[Result], metric: str, groups: Groups) -> Summary:
    """The score of a run under one metric, with the interval that fits its structure.

    results  the lines of one run; the last line of a sample and draw counts
    metric   a name in the results' `metrics`, or pass@k (from `score`, needs k draws a sample)
    groups   the kind of group that the lines' `cluster` names: `Task.groups` (`evals.tasks.groups_of`)
    Returns  Wilson's interval for single right or wrong answers; clustered by problem for several
             draws, by `cluster` where samples share one; with the variance inside strata where they are strata;
             Student's for a metric that is no share (`real`).
    Raises   ZooError when nothing is scored, the metric is unknown, or the draws are too few.
    """
    scored, unscored = by_sample(results, metric, groups)
    return _summary(scored, unscored, metric)


def restated(score: Score, groups: Groups) -> Score:
    """A stored score with the interval of today's rule.

    Strata used to be taken for clusters, and the score then counts fewer clusters than samples. Its lines may be
    gone, so it gets Wilson's interval, which is slightly wider than the one from the variance inside strata.
    """
    if groups == "clusters" or score.clusters == score.n or not metric_of(score.metric).is_share:
        return score
    interval = wilson(score.value * score.n, score.n)
    return replace(score, low=interval.low, high=interval.high, clusters=score.n)


def by_sample(results: Sequence[Result], metric: str, groups: Groups) -> tuple[list[SampleScore], int]:
    """Each scored sample's value under a metric in order of first appearance, and how many are unscored."""
    missing = unscored_samples(results)
    lines: dict[str, dict[int, Result]] = {}
    for result in results:
        if result.sample not in missing and _applies(result, metric):
            lines.setdefault(result.sample, {})[result.draw] = result
    _check(metric, results)
    scored: list[SampleScore] = []
    for sample, draws in lines.items():
        scored += _of_sample(sample, [draw for _, draw in sorted(draws.items())], metric, groups)
    return scored, len(missing)


def _of_sample(sample: str, draws: Sequence[Result], metric: str, groups: Groups) -> list[SampleScore]:
    """A sample's score under a metric; of its trials one each, which depend on each other as draws of one text do."""
    group = draws[0].cluster
    cluster, stratum = (group, "") if groups == "clusters" else ("", group)
    trials = [draw.trials.get(metric, ()) for draw in draws]
    if not any(trials):
        values = _over_draws([_value(draw, metric) for draw in draws], metric)
        return [SampleScore(sample=sample, cluster=cluster, values=values, stratum=stratum)]
    return [
        SampleScore(sample=f"{sample}#{number}", cluster=cluster or sample, values=values, stratum=stratum)
        for number, values in enumerate(zip(*trials, strict=True), start=1)
    ]


def derive_summary(row: Reported) -> Summary | None:
    """A published number's Wilson interval from its n, marked as derived; None where n or the share is unknown.

    The printed value stays; it is not moved to the nearest whole count, since some are means of draws.
    """
    if row.n is None or row.op != "=" or not row.protocol.startswith(PROPORTIONS):
        return None
    interval = wilson(row.value / 100 * row.n, row.n)
    return Summary(
        value=interval.value, low=interval.low, high=interval.high, n=row.n, clusters=row.n, unscored=0,
        origin="derived",
    )  # fmt: skip


def not_comparable(subset: str, theirs: int | None, ours: int | None) -> str:
    """Why a published number cannot be compared with a measured one of its benchmark; empty if it roughly can.

    subset        the part of the benchmark that was published
    theirs, ours  shots; None if unknown

    >>> not_comparable("", 3, 0), not_comparable("", None, 0)
    ('3-shot there, 0-shot here', '')
    """
    if subset:
        return f"only part of the benchmark ({subset})"
    return "" if theirs is None or ours is None or theirs == ours else f"{theirs}-shot there, {ours}-shot here"


def unscored_samples(results: Sequence[Result]) -> set[str]:
    """The samples that have a draw without a score; the last line of a draw counts."""
    last = {(result.sample, result.draw): result.score for result in results}
    return {sample for (sample, _), score in last.items() if score is None}


def count_unfinished(results: Sequence[Result]) -> int:
    """How many answers have a thought without an end; the last line of a draw counts."""
    return sum({(result.sample, result.draw): result.unfinished for result in results}.values())


def count_disputed(results: Sequence[Result]) -> int:
    """How many verdicts rest on one view of the sandbox alone; the last line of a draw counts."""
    return sum({(result.sample, result.draw): result.disputed for result in results}.values())


def _check(metric: str, results: Sequence[Result]) -> None:
    """Refuses a metric that no line of the run has. A run whose lines name none has one: its score."""
    known = sorted({name for result in results for name in result.metrics})
    if known and metric not in known and not PASS_AT.fullmatch(metric):
        raise ZooError(f'no metric "{metric}"{nearest(metric, known)} in this run, which has {", ".join(known)}.')


def _applies(result: Result, metric: str) -> bool:
    """Whether a line counts under a metric: some metrics cover only a part of the samples."""
    return not result.metrics or metric in result.metrics or PASS_AT.fullmatch(metric) is not None


def _value(result: Result, metric: str) -> float:
    """The metric of a scored line; a line that names no metrics (nothing to judge) has its score for each."""
    return result.metrics.get(metric, result.score if result.score is not None else 0.0)


def _over_draws(values: Sequence[float], metric: str) -> tuple[float, ...]:
    """A sample's values: its draws, or the one pass@k that they give for k above 1."""
    match = PASS_AT.fullmatch(metric)
    if not match or match[1] == "1":
        return tuple(values)
    try:
        passed = sum(value == 1.0 for value in values)
        return tuple(pass_at_k([passed], len(values), int(match[1])))
    except ValueError as error:
        raise ZooError(f"{error} Next: phizoo eval run NAME --draws {match[1]} --temperature 0.2") from error


def _summary(scored: Sequence[SampleScore], unscored: int, metric: str) -> Summary:
    if not scored:
        raise ZooError(
            f"nothing is scored under {metric}: {unscored} samples are without a score. "
            "See why: phizoo eval show RUN; score what is missing: run the same command again"
        )
    interval = _interval(scored, metric)
    return Summary(
        value=interval.value, low=interval.low, high=interval.high, n=len(scored),
        clusters=len({sample.unit for sample in scored}), unscored=unscored,
    )  # fmt: skip


def _interval(scored: Sequence[SampleScore], metric: str) -> Interval:
    """Each draw in its problem's cluster; the samples' means if their numbers of draws differ."""
    alike = len({len(sample.values) for sample in scored}) == 1
    values: list[float] = []
    units: list[Hashable] = []
    strata: list[Hashable] = []
    for sample in scored:
        own = sample.values if alike else (sample.value,)
        values += own
        units += [sample.unit] * len(own)
        strata += [sample.stratum] * len(own)
    mean = mean_interval if metric_of(metric).is_share else real_mean
    return mean(values, units, strata)
