"""Averages the weights of a run's steps, beside the optimizer's moments.

The average of each parameter is a tensor of its optimizer state, so it is saved, resumed and sharded like a moment.
Sources: averages of the last steps (arXiv:2306.03241), exponential averages (arXiv:2411.18704).
"""

from typing import TYPE_CHECKING

from training.recipe import Selection

if TYPE_CHECKING:
    import torch

KEY = "average"
RAMP = 10  # the moving average keeps at most (1 + t) / (RAMP + t) at step t, so that it forgets the first weights


def share_of(rule: Selection, step: int, steps: int) -> float:
    """The share of the weights after `step` steps in the average so far; 0: they do not enter.

    >>> rule = Selection(rule="average", average_steps=3)
    >>> [round(share_of(rule, step, 6), 2) for step in (3, 4, 5, 6)]
    [0.0, 1.0, 0.5, 0.33]
    """
    if rule.rule == "average":
        return 1.0 / max(1, step - (steps - rule.average_steps)) if step > steps - rule.average_steps else 0.0
    if rule.rule == "ema":
        return 1.0 - min(rule.ema_decay, (1 + step) / (RAMP + step))
    return 0.0


def update(optimizers: "list[torch.optim.Optimizer]", share: float) -> None:
    """Moves each average towards its parameter by a share of the distance; a first call begins it."""
    if not share:
        return
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                state = optimizer.state[parameter]
                if KEY in state:
                    state[KEY].mul_(1.0 - share).add_(parameter.detach(), alpha=share)
                else:
                    state[KEY] = parameter.detach().clone()


def take(optimizers: "list[torch.optim.Optimizer]") -> None:
    """Replaces each parameter by its average."""
    import torch

    with torch.no_grad():
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.copy_(optimizer.state[parameter][KEY])
