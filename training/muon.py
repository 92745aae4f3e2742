"""Muon for training on a CPU: torch's own, with its iteration in float32.

torch orthogonalises in bfloat16, whatever the device. A CPU without instructions for that type multiplies such matrices
one element at a time: most of a small model's training time went there.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from torch import Tensor


def orthogonalised(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """A float32 matrix of the same shape, whose singular values are near 1: Newton-Schulz with a quintic polynomial.

    Source  Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks
    """
    linear, cubic, quintic = coefficients
    wide = matrix.float() if matrix.size(0) <= matrix.size(1) else matrix.float().T
    wide = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        square = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(square, square, square, beta=cubic, alpha=quintic), wide, beta=linear)
    return wide if matrix.size(0) <= matrix.size(1) else wide.T


class CpuMuon(torch.optim.Muon):
    """torch's Muon with the same settings and state; a step differs by the rounding of bfloat16 alone."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every matrix that has a gradient; returns the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group)
        return loss

    def _update(self, matrix: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[matrix], matrix.grad
        assert gradient is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        moving = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(moving, group["momentum"])  # Nesterov's
        update = orthogonalised(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = matrix.shape
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(update, alpha=-group["lr"] * sqrt(max(1.0, rows / columns)))
