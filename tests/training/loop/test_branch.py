"""A branch goes on from a kept state as the run itself would have, and changes only what its recipe changes."""

import json
import shutil
from typing import Any

import pytest

from training import run as running
from training.loop.branch import kept_file, sequences_seen
from zoo.cli.root import run as phizoo
from zoo.registry import open_registry

TRUNK = (
    "training.steps=8", "schedule.kind=constant", "schedule.warmup_steps=2", "validation.every_steps=4",
    "states.every_seconds=0.0", "states.keep_finished=true", "states.keep_every_steps=4",
)  # fmt: skip


@pytest.fixture
def trunk(registered_tokens: Any) -> Any:
    """phi-1-small-tiny after 8 steps, with the states of steps 4 and 8 kept."""
    registered_tokens("tiny-tokens")
    return running.run("phi-1-small-tiny", TRUNK, say=lambda _: None)


def branched(step: int, steps: int, name: str, *overrides: str) -> int:
    words = [word for override in overrides for word in ("--set", override)]
    return phizoo(
        ["train", "branch", "phi-1-small-tiny", "--step", str(step), "--steps", str(steps), "--name", name, *words]
    )


def test_more_steps_give_the_weights_of_the_longer_run(trunk: Any) -> None:
    assert branched(4, 12, "longer") == 0
    running.run("phi-1-small-tiny", (*TRUNK, "training.steps=12"), name="whole", say=lambda _: None)
    with open_registry() as registry:
        longer, whole = registry.get("longer"), registry.get("whole")
        weights = [
            next(file.sha256 for file in one.files if file.path == "model.safetensors") for one in (longer, whole)
        ]
        assert weights[0] == weights[1]
        assert [(one.digest, one.relation) for one in longer.parents] == [(trunk.digest, "resume")]
        assert longer.training_tokens == whole.training_tokens == 12 * 4 * 64
        assert longer.training_flops == pytest.approx(whole.training_flops)
        assert [one.tokens for one in longer.datasets] == [8 * 4 * 64]
    assert [line["step"] for line in running.metrics_of("longer")] == list(range(5, 13))


def test_a_cool_down_and_another_mixture_begin_at_the_state(
    trunk: Any, registered_tokens: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    registered_tokens("other-tokens", seed=3)
    mixture = 'data.sources=[{name="tiny-tokens", weight=1.0}, {name="other-tokens", weight=3.0}]'
    cool = ("schedule.kind=wsd", "schedule.decay_steps=4", mixture, "states.keep_finished=true")
    assert branched(8, 12, "cooled", *cool) == 0
    lines = running.metrics_of("cooled")
    rates = [line["learning_rate"] for line in lines]
    assert [line["step"] for line in lines] == [9, 10, 11, 12]
    assert rates == pytest.approx([3e-3, 0.75 * 3e-3, 0.5 * 3e-3, 0.25 * 3e-3])
    with open_registry() as registry:
        cooled = registry.get("cooled")
        assert cooled.training_tokens == 12 * 4 * 64
        assert sum(one.tokens for one in cooled.datasets) == 4 * 4 * 64
        seen = sequences_seen(registry, cooled, 12)
    assert sum(seen.values()) == 12 * 4
    out = capsys.readouterr().out
    assert "branched from phi-1-small-tiny:1 after step 8" in out
    assert "tiny-tokens: " in out and "other-tokens: " in out  # the validation by source
    assert {"validation_loss/tiny-tokens", "validation_bits_per_byte/other-tokens"} <= lines[-1].keys()


def test_what_cannot_be_branched_is_refused(trunk: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert branched(5, 12, "wrong") == 2
    assert "has no state of step 5; kept are: 4, 8" in capsys.readouterr().err
    assert branched(4, 4, "wrong") == 2
    assert "branch.step 4 leaves nothing to train" in capsys.readouterr().err
    assert branched(4, 12, "wrong", "optimizer.kind=muon") == 2
    assert "--set optimizer.kind=adamw" in capsys.readouterr().err
    noted = json.loads(kept_file(trunk.digest).read_text())
    shutil.rmtree(noted["folder"])
    assert branched(4, 12, "wrong") == 2
    assert "kept are: none" in capsys.readouterr().err
    kept_file(trunk.digest).unlink()
    assert branched(4, 12, "wrong") == 2
    assert "no states of phi-1-small-tiny:1 are kept on this machine" in capsys.readouterr().err
