"""Item analysis: correlations as NumPy's, a reversed sample is found, and few models show nothing."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from evals.stats.items import benjamini_hochberg, item_stats


def abilities(models: int, n: int, reversed_item: int | None = None) -> list[list[float]]:
    generator = np.random.default_rng(0)
    strength = np.linspace(0.1, 0.9, models)
    scores = (generator.random((models, n)) < strength[:, None]).astype(float)
    if reversed_item is not None:
        scores[:, reversed_item] = np.arange(models) < models // 2
    return scores.tolist()


def test_discrimination_is_the_corrected_correlation() -> None:
    scores = np.array(abilities(10, 30))
    stats = item_stats(scores.tolist())
    for index in (0, 7, 29):
        rest = scores.sum(axis=1) - scores[:, index]
        assert stats[index].discrimination == pytest.approx(np.corrcoef(scores[:, index], rest)[0, 1])
        assert stats[index].passed == scores[:, index].mean()


def test_a_sample_with_a_wrong_key_is_found_among_good_ones() -> None:
    stats = item_stats(abilities(20, 60, reversed_item=5))
    assert [index for index, stat in enumerate(stats) if stat.is_reversed] == [5]


def test_three_models_show_no_correlation() -> None:
    assert all(stat.discrimination is None for stat in item_stats(abilities(3, 10)))
    with pytest.raises(ValueError, match="same samples"):
        item_stats([[1.0], [1.0, 0.0]])


def test_the_adjustment_is_that_of_scipy() -> None:
    p_values = np.random.default_rng(1).random(40) ** 2
    assert benjamini_hochberg(p_values.tolist()) == pytest.approx(false_discovery_control(p_values))
    assert benjamini_hochberg([]) == []
