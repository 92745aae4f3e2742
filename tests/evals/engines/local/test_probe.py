"""When the probe takes two readings of log-probabilities for the same: by dtype, and by what they are of."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from evals.engines.local.probe import _is_close

VOCABULARY = 49152


def make_logprobs() -> Any:
    """Four distributions as wide as a small model's, shape (4, V)."""
    torch.manual_seed(0)
    return torch.log_softmax(2.5 * torch.randn(4, VOCABULARY), dim=-1)


def add_noise(reference: Any, roundings: float) -> Any:
    """The same with differences of so many roundings of bfloat16 of the spread, in root mean square."""
    spread = reference.std(-1, keepdim=True)
    return reference + roundings * torch.finfo(torch.bfloat16).eps * spread * torch.randn_like(reference)


@pytest.mark.parametrize(("roundings", "agrees"), [(0.0, True), (5.0, True), (8.0, True), (20.0, False)])
def test_a_distribution_in_bfloat16_is_judged_as_a_whole(roundings: float, agrees: bool) -> None:
    reference = make_logprobs()
    model = SimpleNamespace(dtype=torch.bfloat16)
    assert _is_close(model, add_noise(reference, roundings), reference) is agrees


def test_one_wrong_distribution_among_several_is_seen() -> None:
    reference = make_logprobs()
    fast = reference.clone()
    fast[2] = fast[2].roll(1)
    assert not _is_close(SimpleNamespace(dtype=torch.bfloat16), fast, reference)


def test_in_fp32_every_number_counts() -> None:
    reference = make_logprobs()
    fast = reference.clone()
    fast[1, 7] += 0.01
    assert _is_close(SimpleNamespace(dtype=torch.float32), reference, reference)
    assert not _is_close(SimpleNamespace(dtype=torch.float32), fast, reference)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_numbers_that_are_not_finite_agree_with_nothing(dtype: Any, bad: float) -> None:
    reference = make_logprobs()
    broken = reference.clone()
    broken[0, 0] = bad
    model = SimpleNamespace(dtype=dtype)
    assert not _is_close(model, broken, broken)
    assert not _is_close(model, broken, reference)


@pytest.mark.parametrize(("apart", "agrees"), [(1.0, True), (2.0, False)])
def test_a_choice_in_bfloat16_may_be_a_few_roundings_off(apart: float, agrees: bool) -> None:
    reference = torch.tensor([-50.0, -40.0])
    assert _is_close(SimpleNamespace(dtype=torch.bfloat16), reference - torch.tensor([0.0, apart]), reference) is agrees
