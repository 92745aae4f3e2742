"""Schedules by their shape, and optimizers that hold each parameter exactly once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training import model, optimizer
from training.recipe import Model, Optimizer, Schedule

SHAPE = Model(layers=2, width=64, heads=2, mlp=128, rotary_dim=16, context_tokens=64)


def rates(kind: str, steps: int = 100, **more: object) -> list[float]:
    schedule = Schedule(kind=kind, peak_learning_rate=1.0, warmup_steps=10, **more)  # type: ignore[arg-type]
    return [optimizer.learning_rate(schedule, step, steps) for step in range(steps)]


@pytest.mark.parametrize("kind", ["linear", "constant", "cosine", "wsd"])
def test_every_schedule_warms_up_to_its_peak(kind: str) -> None:
    found = rates(kind, decay_steps=20)
    assert found[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert max(found) == 1.0 == found[10]


def test_where_the_schedules_end() -> None:
    assert rates("linear")[-1] == pytest.approx(1 / 90)
    assert rates("constant")[10:] == [1.0] * 90
    assert rates("cosine", final_learning_rate=0.1)[-1] == pytest.approx(0.1, abs=1e-3)
    wsd = rates("wsd", decay_steps=20)
    assert wsd[10:80] == [1.0] * 70
    assert wsd[80:] == pytest.approx([(20 - i) / 20 for i in range(20)])


def test_a_longer_schedule_is_left_before_its_end() -> None:
    early = Schedule(kind="linear", peak_learning_rate=1e-3, warmup_steps=750, steps=36_000)
    assert optimizer.learning_rate(early, 23_999, 24_000) == pytest.approx(1e-3 * (36_000 - 23_999) / 35_250)


@given(st.sampled_from(["linear", "constant", "cosine", "wsd"]), st.integers(0, 99))
def test_no_rate_leaves_its_bounds(kind: str, step: int) -> None:
    rate = rates(kind, decay_steps=30, final_learning_rate=0.01)[step]
    assert 0 < rate <= 1.0


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("decay", ["matrices", "all"])
def test_each_parameter_is_in_exactly_one_group(kind: str, decay: str) -> None:
    built = model.build(model.config(SHAPE, 50, 0, 0), 0)
    made = optimizer.build(built, Optimizer(kind=kind, decay=decay), 1e-3)  # type: ignore[arg-type]
    held = [id(p) for one in made for group in one.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in built.parameters())
    plain = [p for one in made for group in one.param_groups if not group["weight_decay"] for p in group["params"]]
    assert all(p.dim() < 2 for p in plain)
    assert bool(plain) == (decay == "matrices")
    if kind == "muon":
        assert isinstance(made[1], torch.optim.Muon)
        assert sum(len(group["params"]) for group in made[1].param_groups) == 2 * 6


def test_the_rate_of_muon_keeps_its_own_height() -> None:
    built = model.build(model.config(SHAPE, 50, 0, 0), 0)
    made = optimizer.build(built, Optimizer(kind="muon", muon_learning_rate=0.02), 1e-3)
    optimizer.set_rate(made, 5e-4)
    assert made[0].param_groups[0]["lr"] == 5e-4
    assert made[1].param_groups[0]["lr"] == pytest.approx(0.01)
