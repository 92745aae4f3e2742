"""Decides several rules at once: pass only if every rule is shown to hold, fail only if one is shown to be broken.

A gate passes if each rule's own test rejects "the rule is broken" at 5%. No correction is needed: whatever rules are
broken, all tests of them must err together (intersection-union, Berger 1982), so a gate with a broken rule passes in at
most 5% of cases. A rule fails if the test of "the rule holds" rejects after Holm over all rules, so that where all
rules hold any FAIL comes in at most 5% of cases. Between the two nothing is resolved.

Sources  Berger 1982, Technometrics 24:295; Holm 1979, Scandinavian J. of Statistics 6:65.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from evals.stats.equivalence import SIDE
from evals.stats.paired import holm

Outcome = Literal["PASS", "FAIL", "NOT RESOLVED"]


class RuleTest(NamedTuple):
    """p of "the rule is broken" (small: it holds) and of "the rule holds" (small: it is broken); 0 and 1 for facts."""

    broken: float
    holds: float


def decide(tests: Sequence[RuleTest]) -> tuple[list[Outcome], list[float]]:
    """Each rule's outcome, and its p of "the rule holds" after Holm over all rules.

    >>> decide([RuleTest(0.01, 0.99), RuleTest(0.9, 0.03)])
    (['PASS', 'NOT RESOLVED'], [0.99, 0.06])
    """
    adjusted = holm([test.holds for test in tests])
    outcomes: list[Outcome] = [
        "PASS" if test.broken <= SIDE else "FAIL" if p <= SIDE else "NOT RESOLVED"
        for test, p in zip(tests, adjusted, strict=True)
    ]
    return outcomes, adjusted


def gate(outcomes: Sequence[Outcome]) -> Outcome:
    """PASS if all rules pass, FAIL if one fails, else NOT RESOLVED; also without a rule.

    >>> gate(["PASS", "PASS"]), gate(["PASS", "FAIL", "NOT RESOLVED"]), gate(["PASS", "NOT RESOLVED"]), gate([])
    ('PASS', 'FAIL', 'NOT RESOLVED', 'NOT RESOLVED')
    """
    if "FAIL" in outcomes:
        return "FAIL"
    return "PASS" if outcomes and all(outcome == "PASS" for outcome in outcomes) else "NOT RESOLVED"
