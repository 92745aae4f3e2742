"""Muon on a CPU steps as torch's does, and its updates are orthogonal."""

import copy

import pytest
import torch
from torch.optim import _muon

from training.muon import CpuMuon, orthogonalised


@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16)])
def test_a_step_is_torchs_up_to_the_rounding_of_bfloat16(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    first = torch.nn.Parameter(torch.randn(shape))
    second = copy.deepcopy(first)
    settings = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9}
    ours, theirs = CpuMuon([first], **settings), torch.optim.Muon([second], **settings)
    begun = first.detach().clone()
    for _ in range(4):
        first.grad = torch.randn(shape)
        second.grad = first.grad.clone()
        ours.step()
        theirs.step()
    moved = (first - begun).norm()
    assert moved > 0.1
    assert (first - second).norm() < 0.02 * moved
    assert ours.state_dict()["state"][0].keys() == theirs.state_dict()["state"][0].keys()


def test_the_iteration_is_torchs_in_another_type() -> None:
    matrix = torch.randn(12, 30, generator=torch.Generator().manual_seed(1))
    settings = (3.4445, -4.775, 2.0315), 5, 1e-7
    values = torch.linalg.svdvals(orthogonalised(matrix, *settings))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.5
    theirs = _muon._zeropower_via_newtonschulz(matrix, *settings).float()
    assert (orthogonalised(matrix, *settings) - theirs).norm() < 0.03 * theirs.norm()
