"""The loop: equal to a plain one, resumed bit for bit, and stopped before a loss that cannot be trusted."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from training import metrics, model, optimizer, trainer
from training.data.tokens.loader import Loader
from training.parallel import World
from zoo.errors import ZooError

ALONE = World(0, 1, "cpu")
HARD = {  # every source of state at once: dropout, two sources, several epochs, accumulation, best-of
    "data": {
        "sources": [{"name": "a", "weight": 3.0}, {"name": "b", "weight": 1.0}],
        "sequence_tokens": 16,
        "packing": "shifted",
    },
    "training": {"steps": 24, "batch_sequences": 4, "dropout": 0.1},
    "validation": {"every_steps": 4, "sequences": 4},
    "selection": {"rule": "best-validation"},
    "execution": {"microbatch_sequences": 2},
}


def curve(job: Any) -> bytes:
    return metrics.curves(metrics.read(job.folder / "metrics.jsonl"))


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_fifty_steps_equal_a_plain_loop(small_job: Any) -> None:
    job = small_job(training={"steps": 50}, optimizer={"weight_decay": 0.1}, schedule={"warmup_steps": 5})
    ours = trainer.train(job, ALONE)
    losses, weights = plain_loop(job)
    told = [line["loss"] for line in metrics.read(job.folder / "metrics.jsonl")]
    assert told == pytest.approx(losses, abs=2e-5)
    apart = sum(float((ours.weights[name] - value).square().sum()) for name, value in weights.items())
    assert apart < 1e-6 * sum(float(value.square().sum()) for value in weights.values())


def plain_loop(job: Any) -> tuple[list[float], dict[str, torch.Tensor]]:
    """What the trainer does, written the usual way: plain cross-entropy, plain AdamW, no chunks."""
    recipe = job.recipe
    phi = model.build(job.settings, recipe.training.seed)
    loader = Loader(recipe.data, job.sources, recipe.training.batch_sequences, recipe.training.seed)
    matrices = [p for p in phi.parameters() if p.dim() >= 2]
    vectors = [p for p in phi.parameters() if p.dim() < 2]
    adamw = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.999)
    )
    losses = []
    for step in range(recipe.training.steps):
        for group in adamw.param_groups:
            group["lr"] = optimizer.learning_rate(recipe.schedule, step, recipe.training.steps)
        batch = loader.batch_at(step)
        logits = phi(input_ids=torch.from_numpy(batch.inputs_BT), use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets_BT).flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(phi.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad()
        losses.append(loss.item())
    return losses, {name: p.detach() for name, p in phi.named_parameters()}


def test_one_batch_is_learned_by_heart(small_job: Any, token_folder: Any) -> None:
    job = small_job(
        data={"sources": [{"name": "one"}], "sequence_tokens": 16},
        training={"steps": 150, "batch_sequences": 4},
        schedule={"kind": "constant", "peak_learning_rate": 5e-3, "warmup_steps": 10},
        optimizer={"weight_decay": 0.0},
        states={"every_steps": 1000},
    )
    job.sources[0].train.shards[0] = job.sources[0].train.shards[0][:65]  # four sequences in all
    job.sources[0].train.ends[0] = 65
    trainer.train(job, ALONE)
    assert metrics.read(job.folder / "metrics.jsonl")[-1]["loss"] < 0.01


@pytest.mark.parametrize(
    ("stop", "kind"), [(1, "adamw"), (3, "adamw"), (4, "adamw"), (11, "adamw"), (23, "adamw"), (11, "muon")]
)
def test_stop_and_resume_is_bit_exact(small_job: Any, stop: int, kind: str) -> None:
    tables = {**HARD, "optimizer": {"kind": kind}}
    whole = trainer.train(small_job("whole", **tables), ALONE)
    first = trainer.train(small_job("cut", stop_after=stop, **tables), ALONE)
    assert (first.status, first.step) == ("stopped", stop)
    job = small_job("cut", **tables)
    second = trainer.train(job, ALONE)
    assert f"resumed after step {stop}" in second.notes
    assert same(whole.weights, second.weights)
    assert whole.chosen_step == second.chosen_step
    assert curve(small_job("whole", **tables)) == curve(job)


PHI_3 = {"kind": "phi3", "key_heads": 1, "tied": True}


@pytest.mark.parametrize(
    "tables",
    [{"model": PHI_3}, {"selection": {"rule": "ema", "ema_decay": 0.9}},
     {"selection": {"rule": "average", "average_steps": 5}}, {"training": {"z_loss": 1e-3}}],
    ids=["phi3", "ema", "average", "z-loss"],
)  # fmt: skip
def test_what_came_later_resumes_bit_for_bit_too(small_job: Any, tables: dict[str, Any]) -> None:
    hard = {key: {**HARD.get(key, {}), **tables.get(key, {})} for key in {**HARD, **tables}}  # type: ignore[dict-item]
    if "model" in tables:
        hard["optimizer"] = {"kind": "muon"}
    whole = trainer.train(small_job("whole", **hard), ALONE)
    trainer.train(small_job("cut", stop_after=21, **hard), ALONE)
    second = trainer.train(small_job("cut", **hard), ALONE)
    assert "resumed after step 21" in second.notes
    assert same(whole.weights, second.weights)
    plain = trainer.train(small_job("plain", **HARD), ALONE)
    assert not same(plain.weights, second.weights)


def test_averages_are_those_of_the_steps(small_job: Any) -> None:
    """The mean of the weights after each of the last three steps, and the recursion of the moving average."""
    seen: list[dict[str, torch.Tensor]] = []
    whole = trainer.averages.update

    def spy(optimizers: Any, share: float) -> None:
        names = {id(p): p for o in optimizers for g in o.param_groups for p in g["params"]}
        seen.append({key: p.detach().clone() for key, p in names.items()})
        whole(optimizers, share)

    monkey = pytest.MonkeyPatch()
    monkey.setattr(trainer.averages, "update", spy)
    try:
        mean = trainer.train(small_job("mean", selection={"rule": "average", "average_steps": 3}), ALONE)
        last = list(seen)
        seen.clear()
        moving = trainer.train(small_job("moving", selection={"rule": "ema", "ema_decay": 0.5}), ALONE)
    finally:
        monkey.undo()
    total = sum(float(value.double().sum()) for value in mean.weights.values())
    expected = sum(float(value.double().sum()) for step in last[-3:] for value in step.values()) / 3
    assert total == pytest.approx(expected, abs=1e-3)
    average = {key: value.clone() for key, value in seen[0].items()}
    for number, step in enumerate(seen[1:], 2):
        share = 1 - min(0.5, (1 + number) / (10 + number))
        average = {key: (1 - share) * average[key] + share * step[key] for key in average}
    got = sum(float(value.double().sum()) for value in moving.weights.values())
    assert got == pytest.approx(sum(float(value.double().sum()) for value in average.values()), abs=1e-3)
    assert any("the average of the last 3 steps" in note for note in mean.notes)


def test_metrics_ahead_of_the_state_are_cut_back(small_job: Any) -> None:
    trainer.train(small_job("cut", stop_after=9, **HARD), ALONE)
    job = small_job("cut", **HARD)
    with (job.folder / "metrics.jsonl").open("a") as file:  # a kill between a state and the next
        file.write(json.dumps({"step": 10, "loss": 99.0}) + '\n{"step": 11, "lo')
    trainer.train(job, ALONE)
    trainer.train(small_job("whole", **HARD), ALONE)
    assert curve(job) == curve(small_job("whole", **HARD))


def test_accumulated_gradients_are_those_of_the_whole_batch(small_job: Any) -> None:
    whole = trainer.train(small_job("whole"), ALONE)
    split = trainer.train(small_job("split", execution={"microbatch_sequences": 1, "loss_chunk_tokens": 3}), ALONE)
    for name, value in whole.weights.items():
        torch.testing.assert_close(split.weights[name], value, atol=1e-4, rtol=1e-3)


def test_activation_checkpointing_changes_nothing(small_job: Any) -> None:
    kept = trainer.train(small_job("kept", training={"dropout": 0.1}), ALONE)
    again = trainer.train(
        small_job("again", training={"dropout": 0.1}, execution={"activation_checkpointing": True}), ALONE
    )
    for name, value in kept.weights.items():
        torch.testing.assert_close(again.weights[name], value, atol=1e-5, rtol=1e-4)


def test_the_best_by_validation_is_chosen(small_job: Any) -> None:
    job = small_job(**HARD)
    done = trainer.train(job, ALONE)
    seen = {
        line["step"]: line["validation_loss"]
        for line in metrics.read(job.folder / "metrics.jsonl")
        if "validation_loss" in line
    }
    assert sorted(seen) == [4, 8, 12, 16, 20, 24]
    assert done.chosen_step == min(seen, key=lambda step: seen[step])
    assert any(f"step {done.chosen_step} chosen of 24 by validation loss" in note for note in done.notes)
    last = small_job("last", **{**HARD, "selection": {"rule": "last"}})
    assert trainer.train(last, ALONE).chosen_step == 24


def test_a_loss_that_is_not_finite_stops_before_the_weights(small_job: Any) -> None:
    job = small_job(schedule={"kind": "constant", "peak_learning_rate": 1e30, "warmup_steps": 0})
    job = dataclasses.replace(job, command="phizoo train run x --set a=1")
    with pytest.raises(
        ZooError, match=r"stopped before it touched the weights, batch in .*Repeat it: phizoo train run x --set a=1;"
    ) as told:
        trainer.train(job, ALONE)
    step = int(str(told.value).partition("at step ")[2].partition(";")[0])
    batch = np.load(job.folder / f"batch-{step - 1:08d}-0.npz")
    assert batch["inputs"].shape == (4, 16)
    with pytest.raises(ZooError, match=f"at step {step};"):  # the same command shows the same step again
        trainer.train(job, ALONE)


def test_a_spike_stops(small_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = small_job(training={"steps": 70, "spike_nats": 0.5})
    whole = Loader.batch_at

    def strange(self: Loader, step: int, rank: int = 0, world: int = 1) -> Any:
        batch = whole(self, step, rank, world)
        if step == 60:
            batch.targets_BT[:] = 49  # a token that is rare in the data
        return batch

    monkeypatch.setattr(Loader, "batch_at", strange)
    with pytest.raises(ZooError, match=r"the loss spiked from .* at step 61"):
        trainer.train(job, ALONE)


def test_bf16_trains_on_a_cpu_too(small_job: Any) -> None:
    job = small_job(execution={"precision": "bf16"}, training={"steps": 12})
    trainer.train(job, ALONE)
    losses = [line["loss"] for line in metrics.read(job.folder / "metrics.jsonl")]
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]
