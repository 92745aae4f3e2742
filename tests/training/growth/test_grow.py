"""Growth through the command: proved, recorded, told by diff, refused where it is not what it is called."""

import json
from pathlib import Path
from typing import Any

import pytest

from training import run as running
from training.growth.grow import moments_file
from zoo.cli.root import run as phizoo
from zoo.records import About
from zoo.registry import open_registry

QUICK = ("training.steps=6", "schedule.warmup_steps=2", "validation.every_steps=0", "states.every_seconds=0.0")
WIDER = ("model.layers=3", "model.width=256", "model.heads=4", "model.mlp=1024", "model.context_tokens=256")


@pytest.fixture
def parent(registered_tokens: Any) -> Any:
    """A trained phi-1-small-tiny with its optimizer state kept."""
    registered_tokens("tiny-tokens")
    return running.run("phi-1-small-tiny", (*QUICK, "states.keep_optimizer=true"), say=lambda _: None)


def grow(name: str, *more: str) -> int:
    wide = [word for one in WIDER for word in ("--set", one)]
    return phizoo(["train", "grow", "phi-1-small-tiny", "--to", "phi-1-tiny", "--name", name, *wide, *more])


def test_an_exact_growth_is_proved_recorded_and_told(parent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert (parent.architecture["hidden_size"], parent.architecture["num_hidden_layers"]) == (64, 2)
    exact = ["--method", "tile-exact", "--noise", "0.01"]
    four = ["--set", "model.width=128", "--set", "model.heads=2", "--set", "model.mlp=512"]
    assert grow("grown", *exact, *four, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["proof"]["preserves"] is True
    assert told["proof"]["largest"] < 1e-5 < told["proof"]["spread"]
    with open_registry() as registry:
        made = registry.get("grown")
        assert [(one.digest, one.relation) for one in made.parents] == [(parent.digest, "grow")]
        assert made.recipe_digest is not None
        kept = registry.recipe(made.recipe_digest)["grow"]
    assert (kept["method"], kept["noise"], kept["seed"], kept["layers"]) == ("tile-exact", 0.01, 0, [0, 1, 1])
    assert kept["proof"] == told["proof"]
    assert phizoo(["models", "diff", "phi-1-small-tiny", "grown"]) == 0
    shown = capsys.readouterr().out
    assert "grown by tile-exact, depth zero, noise 0.01, seed 0" in shown
    assert "layers: 0 1 1" in shown
    assert "the parent's function is kept: logits differ by at most" in shown
    assert grow("grown", *exact, *four, "--json") == 0  # asked again: the same one
    assert json.loads(capsys.readouterr().out)["digest"] == told["digest"]
    with open_registry() as registry:
        assert len(registry.list("grown", all_versions=True)) == 1


def test_a_method_that_keeps_nothing_says_so(parent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert grow("tiled", "--method", "tile") == 0
    out = capsys.readouterr().out
    assert "tile, depth zero: does not preserve the function" in out
    assert "--set optimizer.tiled_copies=4" in out


def test_what_is_called_exact_and_is_not_is_refused(
    parent: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from training.growth import rules

    plain = rules.share_out
    monkeypatch.setattr(rules, "share_out", lambda *args: plain(*args) * 1.01)
    assert grow("wrong", "--method", "tile-exact") == 2
    assert "nothing was registered" in capsys.readouterr().err
    with open_registry() as registry:
        assert [one.name for one in registry.list()] == ["phi-1-small-tiny"]
        assert not list(Path(registry.store.url).glob("incoming/*"))


def test_another_vocabulary_is_refused(parent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert grow("wrong", "--method", "tile", "--set", "model.vocabulary=512") == 2
    assert "the vocabularies differ" in capsys.readouterr().err


def test_optimizer_state_goes_along_and_training_goes_on(parent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert moments_file(parent.digest).is_file()
    assert grow("grown", "--method", "tile-exact", "--optimizer-state") == 0
    assert "--set parent.optimizer_state=true" in capsys.readouterr().out
    with open_registry() as registry:
        grown = registry.get("grown")
    more = (*QUICK, *WIDER, "parent.checkpoint=grown", "optimizer.tiled_copies=4")
    on = running.run("phi-1-tiny", (*more, "parent.optimizer_state=true"), name="on", say=lambda _: None)
    without = running.run("phi-1-tiny", more, name="without", say=lambda _: None)
    assert on is not None
    assert without is not None
    assert on.digest != without.digest
    assert [(one.digest, one.relation) for one in on.parents] == [(grown.digest, "finetune")]
    first = [running.metrics_of(name)[0]["loss"] for name in ("on", "without")]
    last = running.metrics_of("phi-1-small-tiny")[-1]["loss"]
    assert first[0] == first[1] == pytest.approx(last, abs=0.5)  # no jump: the parent's function on the first batch


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--method", "tile", "--optimizer-state"], "tile changes the function"),
        (["--method", "pad-exact", "--optimizer-state"], "no optimizer state of bare:1 was kept"),
    ],
)
def test_moments_that_cannot_be_grown_are_told(
    parent: Any, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        registry.add(registry.path(parent), "bare", About(family="phi-tiny"))
    moments_file(parent.digest).unlink()
    wide = [word for one in WIDER for word in ("--set", one)]
    assert phizoo(["train", "grow", "bare", "--to", "phi-1-tiny", *wide, *words]) == 2
    assert says in capsys.readouterr().err


def test_a_recipe_of_another_shape_than_its_parent_says_grow(parent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["train", "run", "phi-1-tiny", "--set", "parent.checkpoint=phi-1-small-tiny"]) == 2
    assert "grow it first: phizoo train grow phi-1-small-tiny:1 --to phi-1-tiny" in capsys.readouterr().err
