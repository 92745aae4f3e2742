"""What cannot run is refused before the first step: shapes, batches, names, and a choice without data."""

from typing import Any

import msgspec
import pytest

from training import run as running
from training import trainer
from training.loop.job import microbatch
from training.loop.request import check_shape, look_up
from training.model import config
from training.parallel import World
from training.recipe import load
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError
from zoo.records import Checkpoint
from zoo.registry import open_registry

FINETUNE = ("parent.checkpoint=phi-1-small-tiny", "training.steps=2", "schedule.warmup_steps=0")


@pytest.fixture
def parent(registered_tokens: Any) -> Checkpoint:
    """A phi-1-small-tiny of two steps, in the zoo."""
    registered_tokens("tiny-tokens")
    made = running.run("phi-1-small-tiny", ("training.steps=2", "schedule.warmup_steps=0"), say=lambda _: None)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.rotary_dim=16", "has rotary_dim 32, the recipe has 16"),
        ("model.rotary_theta=5000.0", "has rotary_theta 10000, the recipe has 5000"),
        ("model.layer_norm_epsilon=1e-6", "has layer_norm_epsilon 1e-05, the recipe has 1e-06"),
        ("model.context_tokens=512", "has context_tokens 256, the recipe has 512"),
        ("model.vocabulary=999", "has vocabulary 300, the recipe has 999"),
        ("model.eos=7", "has eos 0, the recipe has 7"),
        ("model.kind=phi3", "has kind phi, the recipe has phi3"),
        ("model.mlp=128", "has mlp 256, the recipe has 128"),
    ],
)
def test_a_shape_that_is_not_the_parents_is_refused(
    parent: Checkpoint, override: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for one in (*FINETUNE, override) for word in ("--set", one)]
    assert phizoo(["train", "run", "phi-1-small-tiny", "--name", "tuned", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1


def test_the_recorded_epsilon_is_the_parents() -> None:
    """pad-exact growth changes it, and a recipe that does not state one takes it on."""
    recipe = load("phi-1-small-tiny")
    assert recipe.model is not None
    grown = config(msgspec.structs.replace(recipe.model, layer_norm_epsilon=8e-6), 300, 0, 0).to_dict()
    parent: Any = type("Parent", (), {"architecture": grown, "label": "grown:1"})
    kept = check_shape(recipe, parent).model
    assert kept is not None
    assert kept.layer_norm_epsilon == 8e-6
    with pytest.raises(ZooError, match=r"layer_norm_epsilon 8e-06, the recipe has 1e-05"):
        check_shape(load("phi-1-small-tiny", ["model.layer_norm_epsilon=1e-5"]), parent)


@pytest.mark.parametrize(
    ("batch", "micro", "processes", "says"),
    [
        (4, None, 3, "training.batch_sequences 4 is no multiple of the 3 processes"),
        (12, 4, 2, "execution.microbatch_sequences 4 does not divide the 6 sequences of each of the 2 processes"),
    ],
)
def test_a_batch_that_is_not_divided_is_refused(batch: int, micro: int | None, processes: int, says: str) -> None:
    recipe = load("phi-1-small-tiny", [f"training.batch_sequences={batch}"])
    recipe = msgspec.structs.replace(
        recipe, execution=msgspec.structs.replace(recipe.execution, microbatch_sequences=micro)
    )
    with pytest.raises(ZooError, match=says):
        microbatch(recipe, World(0, processes, "cpu"))
    assert microbatch(recipe, World(0, 1, "cpu")) == (micro or batch)


def test_a_choice_by_validation_needs_validation_data(small_job: Any) -> None:
    job = small_job(validation={"every_steps": 4}, selection={"rule": "best-validation"})
    job.sources[0].validation.ends[:] = []
    with pytest.raises(
        ZooError, match=r"selection.rule best-validation has nothing to choose by: tiny has no validati"
    ):
        trainer.train(job, World(0, 1, "cpu"))
    assert not (job.folder / "metrics.jsonl").exists()


@pytest.mark.parametrize("name", ["Bad Name", "abcdef0123456789", "-x", ""])
def test_a_name_that_no_checkpoint_may_get_is_refused_before_the_first_step(
    registered_tokens: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registered_tokens("tiny-tokens")
    with open_registry() as registry:
        if name:
            with pytest.raises(ZooError, match="name"):
                look_up(registry, load("phi-1-small-tiny"), name)
        with pytest.raises(ZooError, match="no task"):
            look_up(registry, load("phi-1-small-tiny", ["evaluation.every_steps=1", 'evaluation.tasks=["gsm9k"]']))
