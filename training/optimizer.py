"""Learning-rate schedules and the optimizers of a recipe: torch's AdamW (fused) and Muon."""

import math
from typing import TYPE_CHECKING

from training.recipe import Optimizer, Schedule

if TYPE_CHECKING:
    import torch


def learning_rate(schedule: Schedule, step: int, steps: int) -> float:
    """The learning rate of one step, 0 <= step < steps; a pure function, so resuming needs no state.

    steps   the step at which the decay ends, unless `schedule.steps` is set (phi-1-base stops at 24K of 36K)
    Source  P1 section 2.3: linear warm-up, then linear decay; P15: constant. wsd: constant, then
            linear over the last `decay_steps`.

    >>> linear = Schedule(kind="linear", peak_learning_rate=1.0, warmup_steps=2)
    >>> [learning_rate(linear, step, 6) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    horizon = schedule.steps or steps
    peak, last = schedule.peak_learning_rate, schedule.final_learning_rate
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(1, horizon - schedule.warmup_steps)
    if schedule.kind == "linear":
        return peak + (last - peak) * min(1.0, done)
    if schedule.kind == "cosine":
        return last + (peak - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    if schedule.kind == "wsd":
        left = max(0, horizon - step)
        return peak if left >= schedule.decay_steps else last + (peak - last) * left / schedule.decay_steps
    return peak


def build(model: "torch.nn.Module", settings: Optimizer, peak: float) -> "list[torch.optim.Optimizer]":
    """Creates the recipe's optimizers; each parameter of the model is in exactly one.

    Only matrices are decayed, not norms and biases, unless `decay = "all"`; the papers do not say which. A
    group's `scale` is its rate relative to the schedule.
    """
    import torch

    named = list(model.named_parameters())
    inner = [p for name, p in named if settings.kind == "muon" and p.dim() == 2 and ".layers." in name]
    chosen = {id(parameter) for parameter in inner}
    copies = settings.tiled_copies
    # matrices with a tiled input: all but the embedding, whose rows are looked up
    tiled = [p for name, p in named if copies > 1 and p.dim() == 2 and "embed" not in name and id(p) not in chosen]
    # a growth divides the final norm by n if n copies of the embedding are the head: it moves n times as far too
    shared = [p for name, p in named if copies > 1 and name == "model.norm.weight" and is_tied(model)]
    chosen |= {id(parameter) for parameter in [*tiled, *shared]}
    rest = [p for _, p in named if id(p) not in chosen]
    decayed = [p for p in rest if p.dim() >= 2 or settings.decay == "all"]
    kept = [p for p in rest if p.dim() < 2 and settings.decay != "all"]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay, "scale": 1.0},
        {"params": kept, "weight_decay": 0.0, "scale": 1.0},
        {"params": tiled, "weight_decay": settings.weight_decay * copies, "scale": 1.0 / copies},
        {"params": shared, "weight_decay": settings.weight_decay if settings.decay == "all" else 0.0,
         "scale": 1.0 / copies},
    ]  # fmt: skip
    adamw = torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=peak, betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon, fused=True,
    )  # fmt: skip
    if not inner:
        return [adamw]
    from training.muon import CpuMuon

    muon = (CpuMuon if inner[0].device.type == "cpu" else torch.optim.Muon)(
        [{"params": inner, "scale": settings.muon_learning_rate / peak}],
        lr=settings.muon_learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.muon_momentum,
    )
    return [adamw, muon]


def is_tied(model: "torch.nn.Module") -> bool:
    """Whether the head's matrix is the embedding."""
    return not any(name.startswith("lm_head") for name, _ in model.named_parameters())


def norm_scales(model: "torch.nn.Module", settings: Optimizer) -> dict[str, float]:
    """The weight of each parameter's squared gradient in the norm that is clipped; {} without tiled copies.

    n copies that are each read with weight 1/n have g/n as gradient, so a vector or the embedding adds 1/n of the
    small model's square; a tiled matrix (n x n blocks) adds the same, and the head (n blocks, each g) n times as much.
    With these weights the grown model is clipped exactly when the small one is.
    """
    copies = settings.tiled_copies
    if copies == 1:
        return {}
    scales = {}
    for name, parameter in model.named_parameters():
        if name == "model.norm.weight" and is_tied(model):
            scales[name] = 1.0 / copies
        elif name.startswith("lm_head"):
            scales[name] = 1.0 / copies if parameter.dim() == 2 else 1.0
        else:
            scales[name] = 1.0 if parameter.dim() == 2 and "embed" not in name else float(copies)
    return scales


def set_rate(optimizers: "list[torch.optim.Optimizer]", rate: float) -> None:
    """Sets this step's learning rate in every group, multiplied by the group's scale."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
