"""Two recipes over seeds and samples: paired as `combined_difference`, shares that add up, what would decide."""

import numpy as np
import pytest

from evals.stats.recipes import recipe_difference
from evals.stats.seeds import combined_difference


def table(seed: int, seeds: int, chance: float, spread: float = 0.0, n: int = 120) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    hard = np.random.default_rng(9).uniform(-0.3, 0.3, n)
    shift = generator.normal(0, spread, (seeds, 1)) if spread else 0.0
    return (generator.random((seeds, n)) < chance + hard + shift).astype(float).tolist()


def test_the_same_seeds_are_paired_as_two_models_are() -> None:
    first, second = table(1, 3, 0.6), table(2, 3, 0.5)
    own, other = recipe_difference(first, second, paired=True), combined_difference(first, second)
    assert (own.difference.value, own.difference.p) == pytest.approx((other.value, other.p))
    assert (own.difference.low, own.difference.high) == pytest.approx((other.low, other.high))


def test_seeds_that_move_a_score_take_their_share_and_widen_the_interval() -> None:
    still, moved = (recipe_difference(table(3, 4, 0.6, s), table(4, 4, 0.5, s)) for s in (0.0, 0.1))
    assert moved.seed_share > 0.5 > still.seed_share
    assert moved.difference.high - moved.difference.low > still.difference.high - still.difference.low
    for stat in (still, moved):
        assert stat.seed_share + stat.sample_share + stat.rest_share == pytest.approx(1)
        assert min(stat.seed_share, stat.sample_share, stat.rest_share) >= -1e-9


def test_more_seeds_or_samples_decide_a_smaller_difference_only_if_they_can() -> None:
    large, small = (
        recipe_difference(table(5, 3, 0.7), table(6, 3, 0.4)),
        recipe_difference(table(5, 3, 0.52), table(6, 3, 0.5)),
    )
    assert large.seeds_needed is not None
    assert large.difference.p < 0.05
    assert small.seeds_needed is None or small.seeds_needed > large.seeds_needed
    noisy = recipe_difference(
        *([table(seed, 1, chance + gap)[0] for seed, chance in enumerate((0.35, 0.55, 0.75))] for gap in (0.03, 0.0))
    )
    assert noisy.samples_needed is None  # samples cannot make up for seeds that differ


def test_one_seed_is_refused_and_so_are_unlike_tables() -> None:
    for first, second, paired in (([[1.0, 0.0]], [[1.0, 0.0]] * 2, False), (table(1, 3, 0.5), table(1, 2, 0.5), True)):
        with pytest.raises(ValueError, match="give"):
            recipe_difference(first, second, paired=paired)
