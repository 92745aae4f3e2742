"""Holds a candidate against a policy: one outcome a rule, one for the gate, with simultaneous certainty.

The statistics are `evals.stats.gates`; a rule about a fact (overlap, unscored samples, cost) is held or broken without
chance, and not resolved where the fact is not known. Not here: reading a policy, writing the report.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from evals.decisions.averages import whole_averages
from evals.decisions.contrast import Contrast, average_contrast, score_contrast, task_contrast
from evals.decisions.cost import Measure, comparable, cost_of
from evals.decisions.policy import Policy, Rule
from evals.results.compare import main_readings, scores_by_protocol
from evals.results.nothing_to_compare import nothing_shared, unknown_task
from evals.stats.equivalence import SIDE, one_sided
from evals.stats.gates import Outcome, RuleTest, decide, gate
from evals.stats.paired import SHARE
from zoo.cli.output import NONE
from zoo.errors import ZooError
from zoo.metrics import Metric, metric_of
from zoo.records import Checkpoint, Record, Score
from zoo.registry import Registry

OPEN = RuleTest(broken=1.0, holds=1.0)
CERTAINTY = (
    "If any rule is broken, the gate passes in at most 5% of cases; if all rules hold, any FAIL comes in at most 5%."
)


class RuleOutcome(Record, frozen=True, kw_only=True):
    """One rule's outcome.

    value, low, high  what was measured and its 90% interval (each side is tested at 5%): a difference or a score, in
                      points; a fact has no interval; None if not known
    broken, holds     p of "the rule is broken", and of "the rule holds" after Holm over all rules
    n                 samples behind it
    """

    rule: str
    outcome: Outcome
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    broken: float
    holds: float
    note: str = ""


class GateReport(Record, frozen=True, kw_only=True):
    """A gate's outcome: the policy and its digest, what was held against what, and each rule.

    candidate, base  labels; with the digests of the checkpoints; base "" if no rule has one
    """

    policy: str
    policy_digest: str
    candidate: str
    candidate_digest: str
    base: str
    base_digest: str
    outcome: Outcome
    rules: tuple[RuleOutcome, ...]
    certainty: str = CERTAINTY
    created: str = ""


class Measured(NamedTuple):
    """A rule before the others are looked at."""

    test: RuleTest
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    note: str = ""


def run_gate(registry: Registry, policy: Policy, candidate: Checkpoint, base: Checkpoint | None) -> GateReport:
    """Holds a candidate against a policy.

    Raises  ZooError where a rule needs a base and there is none, or a score is not measured, with the next command
    """
    if base is None and policy.needs_base:
        raise ZooError(f"{policy.name} has rules against a base; name it: --against NAME, such as --against NAME@best")
    measured = [_measure(registry, rule, candidate, base) for rule in policy.rules]
    outcomes, adjusted = decide([each.test for each in measured])
    return GateReport(
        policy=policy.name, policy_digest=policy.digest, candidate=candidate.label, candidate_digest=candidate.digest,
        base=base.label if base else "", base_digest=base.digest if base else "", outcome=gate(outcomes),
        rules=tuple(
            RuleOutcome(
                rule=rule.text, outcome=outcome, value=each.value, low=each.low, high=each.high, n=each.n,
                broken=each.test.broken, holds=holds, note=each.note,
            )
            for rule, each, outcome, holds in zip(policy.rules, measured, outcomes, adjusted, strict=True)
        ),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )  # fmt: skip


def _measure(registry: Registry, rule: Rule, candidate: Checkpoint, base: Checkpoint | None) -> Measured:
    if rule.average:
        assert base is not None  # each condition of averages needs one
        first, second = (whole_averages(registry, side, [rule.average])[rule.average] for side in (candidate, base))
        return _judge(rule, average_contrast(registry, first, second))
    score, other = _scores(registry, rule, candidate, base)
    if rule.condition in FACTS:
        return FACTS[rule.condition](registry, rule, score, other)
    contrast = task_contrast(registry, score, other) if other else score_contrast(score)
    return _judge(rule, contrast, metric_of(score.metric))


def _scores(
    registry: Registry, rule: Rule, candidate: Checkpoint, base: Checkpoint | None
) -> tuple[Score, Score | None]:
    """The candidate's score of the rule's task by its main metric, and the base's where the condition needs it."""
    protocols = registry.protocols()
    own = scores_by_protocol(registry, candidate, protocols, (rule.task,))
    alone = rule.condition in ("at_least", "overlap_at_most", "unscored_at_most")
    theirs = own if alone or base is None else scores_by_protocol(registry, base, protocols, (rule.task,))
    shared = {key: score for key, score in own.items() if key in theirs}
    if not shared and base is not None and not alone:
        raise nothing_shared(registry, (candidate, base), (own, theirs), protocols, (rule.task,))
    if not shared:
        raise unknown_task(registry, (candidate, candidate), (rule.task,)) or ZooError(
            f"{candidate.label} has no score of {rule.task}. Next: phizoo eval run {candidate.label} --task {rule.task}"
        )
    main = main_readings(registry, list(shared.values()), protocols)
    key, score = next((key, score) for key, score in shared.items() if score.protocol in main)
    return score, None if alone else theirs[key]


def _judge(rule: Rule, contrast: Contrast, metric: Metric = SHARE) -> Measured:
    """The tests of a rule about a difference or a score, in merit: more is better, also where less of the metric is."""
    bound = rule.number / metric.scale
    value, low, high = contrast.ends(1 - 2 * SIDE)

    def merit(level: float) -> tuple[float, float, float]:
        middle, *outer = map(metric.merit, contrast.ends(level))
        return middle, min(outer), max(outer)

    if rule.condition == "equivalent_within":
        above, below = one_sided(merit, -bound), 1 - one_sided(merit, bound)
        test = RuleTest(broken=max(above, below), holds=min(1.0, 2 * min(1 - above, 1 - below)))
    else:
        least = {"not_worse_by": -bound, "better_by": bound, "at_least": metric.merit(bound)}[rule.condition]
        p = one_sided(merit, least)
        test = RuleTest(broken=p, holds=1 - p)
    value, low, high = (metric.shown(end) for end in (value, low, high))
    return Measured(test, value, low, high, contrast.n, contrast.note)


def _fact(rule: Rule, value: float | None, n: int | None, note: str) -> Measured:
    """A rule about a number without chance; not resolved where it is not known."""
    if value is None:
        return Measured(OPEN, note=note)
    test = RuleTest(0.0, 1.0) if value <= rule.number else RuleTest(1.0, 0.0)
    return Measured(test, value, n=n, note=note)


def _overlap(registry: Registry, rule: Rule, score: Score, _: Score | None) -> Measured:
    split = registry.splits(score.checkpoint, score.task).get(score.run)
    if split is None or split.overlapping is None:
        return _fact(rule, None, None, f"not searched. Next: phizoo eval contamination {score.task}")
    share = 100 * split.overlapping / split.samples
    if split.unsearched and share <= rule.number:  # what was not searched may hold more
        return _fact(rule, None, None, f"{share:.1f}% so far; not searched in full: {split.unsearched}")
    return _fact(rule, share, split.samples, "")


def _unscored(_registry: Registry, rule: Rule, score: Score, _: Score | None) -> Measured:
    n = score.n + score.unscored
    return _fact(rule, 100 * score.unscored / n, n, "")


def _cost(registry: Registry, rule: Rule, score: Score, other: Score | None) -> Measured:
    assert other is not None  # each rule of cost needs a base
    measure: Measure = MEASURES[rule.condition]
    costs = [cost_of(registry, each) for each in (score, other)]
    own, theirs = (cost.per_answer(measure) for cost in costs)
    if not own or not theirs:
        return _fact(rule, None, None, f"{measure} of a run are not known; run it again with this version")
    if not comparable(costs, measure):
        machines = " and ".join(cost.machine or NONE for cost in costs)
        return _fact(rule, None, None, f"measured on two machines: {machines}")
    return _fact(rule, own / theirs, costs[0].answers, f"{own:.4g} against {theirs:.4g}")


MEASURES: dict[str, Measure] = {"seconds_at_most": "seconds", "tokens_at_most": "tokens", "memory_at_most": "memory"}
FACTS: dict[str, Callable[[Registry, Rule, Score, Score | None], Measured]] = {
    "overlap_at_most": _overlap, "unscored_at_most": _unscored, **dict.fromkeys(MEASURES, _cost),
}  # fmt: skip
