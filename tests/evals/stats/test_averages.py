"""Averages compared: the interval covers, the test holds its level, and pairing within tasks counts."""

import numpy as np
import pytest

from evals.stats.averages import PairedTask, average_difference, average_interval, mover
from evals.stats.paired import mcnemar, paired_difference


def drawn(generator: np.random.Generator, n: int, gap: float, size: int = 1) -> PairedTask:
    """Two models on samples of like difficulty; the first is better by `gap`; so many samples share a passage."""
    hard = np.repeat(generator.uniform(0.2, 0.8, n // size), size)
    first, second = ((generator.random(len(hard)) < hard + shift).astype(float) for shift in (gap / 2, -gap / 2))
    return PairedTask(first.tolist(), second.tolist(), np.repeat(np.arange(n // size), size).tolist())


def test_one_task_is_its_own_average() -> None:
    task = drawn(np.random.default_rng(0), 200, 0.1)
    own, average = paired_difference(*task), average_difference([task])
    assert (average.value, average.n, average.wins, average.losses) == (own.value, own.n, own.wins, own.losses)
    assert (average.low, average.high) == pytest.approx((own.low, own.high))
    assert average.p == pytest.approx(mcnemar(own.wins, own.losses))


def test_each_task_has_the_same_weight() -> None:
    few, many = [1.0] * 10, [0.0] * 1000
    average = average_difference([PairedTask(few, [0.0] * 10, range(10)), PairedTask(many, many, range(1000))])
    assert average.value == 0.5


@pytest.mark.parametrize(("gaps", "size"), [((0.0, 0.0, 0.0), 1), ((0.1, -0.1, 0.06), 1), ((0.05, 0.05, 0.05), 4)])
def test_the_interval_covers_and_the_test_holds_its_level(gaps: tuple[float, ...], size: int) -> None:
    generator, hits, false = np.random.default_rng(1), 0, 0
    truth, runs = sum(gaps) / len(gaps), 200
    for _ in range(runs):
        tasks = [drawn(generator, n, gap, size) for n, gap in zip((100, 200, 400), gaps, strict=True)]
        _, low, high = average_interval(tasks)
        hits += low <= truth <= high
        if not any(gaps) and size == 1:
            false += average_difference(tasks).p <= 0.05
    assert 0.91 <= hits / runs <= 0.99
    assert false / runs <= 0.09


def test_an_interval_needs_a_task() -> None:
    with pytest.raises(ValueError, match="no task"):
        mover([])
