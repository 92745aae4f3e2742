"""Which losses end a run: those that are not finite, and jumps far outside the usual scatter."""

import math

import pytest

from training.loop.spikes import RECENT, fault_of

QUIET, MIXED = [2.0, 2.1] * 25, [1.0, 3.0] * 25


def test_scattered_losses_are_no_spike() -> None:
    """Batches of sources that differ by nats from step to step: one of the harder source does not stop a run."""
    assert fault_of(5.0, 1.0, MIXED, 1.0) == ""
    assert fault_of(3.0, 1.0, QUIET, 1.0) == ""
    assert fault_of(3.2, 1.0, QUIET, 1.0) == "spiked from 2.050 to 3.200"
    assert fault_of(99.0, 1.0, QUIET, 0.0) == ""  # never, if the recipe says so


def test_too_few_losses_show_no_spike() -> None:
    assert fault_of(99.0, 1.0, QUIET[: RECENT - 1], 1.0) == ""
    assert fault_of(99.0, 1.0, [*[50.0] * 100, *QUIET], 1.0)  # only the recent ones count


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (2.0, math.nan), (2.0, math.inf)])
def test_what_is_not_finite_is_a_fault_from_the_first_step(loss: float, norm: float) -> None:
    assert fault_of(loss, norm, [], 0.0).startswith("is ")
