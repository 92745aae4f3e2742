"""Every metric's facts: how values are shown, and which of two is better."""

from math import inf

import pytest

from evals.tasks import every
from zoo.metrics import METRICS, metric_of


def test_an_unknown_metric_is_a_share_of_which_more_is_better() -> None:
    metric = metric_of("pass@1")
    assert (metric.shown(0.5), metric.text(0.51219), metric.text(-0.02, "+"), metric.highest) == (50, "51.2", "-2.0", 1)
    assert metric.is_better(0.6, 0.5)
    assert metric.axis == "score, percent"
    assert metric.mark == ""


@pytest.mark.parametrize("name", METRICS)
def test_bits_and_perplexities_are_shown_as_they_are_and_less_is_better(name: str) -> None:
    metric = metric_of(name)
    assert metric.name == name
    assert metric.shown(1.25) == 1.25
    assert metric.text(1.25).startswith("1.25")
    assert metric.is_better(0.9, 1.0)
    assert not metric.is_better(1.0, 1.0)
    assert metric.merit(1.0) > metric.merit(2.0)
    assert metric.highest == inf
    assert metric.axis == f"{metric.title}, lower is better"
    assert metric.mark == " ↓"


def test_the_tasks_of_kind_likelihood_have_metrics_that_are_no_shares_and_no_other_has() -> None:
    for one in every():
        assert {metric_of(name).is_share for name in one.metrics} == {one.kind != "likelihood"}, one.name
