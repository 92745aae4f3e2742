"""From a recipe to the registry: once, resumable after any kill, loadable by everyone."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest

from training import run as running
from zoo import settings
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError
from zoo.registry import open_registry

DRIVER = Path(__file__).with_name("kill_driver.py")
QUICK = ("training.steps=12", "validation.every_steps=6", "states.every_seconds=0.0", "states.every_steps=3")


@pytest.fixture
def tiny(registered_tokens: Any) -> Any:
    """The registered data of the tiny recipes."""
    return registered_tokens("tiny-tokens")


def spawn(*args: str) -> "subprocess.Popen[str]":
    """`phizoo train run` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "zoo.cli", "train", "run", *args],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def set_all(overrides: tuple[str, ...]) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def test_thirty_kills_change_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, DRIVER, str(tmp_path), "30", "7"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    told = json.loads(done.stdout)
    assert told["killed"] >= 30
    assert set(told["results"]) == {told["undisturbed"]}


def test_a_recipe_becomes_a_checkpoint_that_loads_without_a_warning(
    tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert phizoo(["train", "run", "phi-1-small-tiny", *set_all(QUICK)]) == 0
    assert "phi-1-small-tiny:1 registered" in capsys.readouterr().out
    with open_registry() as registry:
        made = registry.get("phi-1-small-tiny")
        folder = registry.path(made)
        assert made.recipe_digest is not None
        recipe = registry.recipe(made.recipe_digest)
    assert recipe["overrides"] == list(QUICK)
    assert recipe["training"]["steps"] == 12
    assert [(one.digest, one.tokens) for one in made.datasets] == [(tiny.digest, 12 * 4 * 64)]
    assert (made.training_tokens, made.family, made.parents) == (12 * 4 * 64, "phi-tiny", ())
    assert made.training_flops == pytest.approx(12 * 4 * 64 * (6 * (99_968 + 300 * 64) + 6 * 2 * 64 * 64), rel=0.01)
    curves = [json.loads(line) for line in (folder / "training_curves.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curves] == list(range(1, 13))
    assert {"loss", "learning_rate", "gradient_norm", "tokens"} <= curves[0].keys()
    assert [line["step"] for line in curves if "validation_loss" in line] == [6, 12]
    assert not list(settings.training_dir().glob("*/states"))
    assert_loads(folder, made)


def assert_loads(folder: Path, made: Any) -> None:
    """Loads the folder as a stranger would; any warning fails."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # transformers leaves its own file open
        phi, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        asked = tokenizer("def add(item):", return_tensors="pt")
        generated = phi.generate(**asked, max_new_tokens=4, do_sample=False)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(phi).__name__ == "PhiForCausalLM"
    assert sum(p.numel() for p in phi.parameters()) == made.parameters
    assert phi.config.eos_token_id == tokenizer.eos_token_id == phi.generation_config.eos_token_id
    assert json.loads((folder / "config.json").read_text())["partial_rotary_factor"] == 0.5
    assert generated.shape[1] > asked["input_ids"].shape[1]


def test_asked_again_it_answers_at_once_without_torch(tiny: Any) -> None:
    running.run("phi-1-small-tiny", QUICK, say=lambda _: None)
    script = (
        "import sys; from zoo.cli.root import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'numpy'} & sys.modules.keys(); sys.exit(code or bool(heavy) * 9)"
    )
    again = subprocess.run(
        [sys.executable, "-c", script, "train", "run", "phi-1-small-tiny", *set_all(QUICK)],
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0
    assert "is in the zoo already, from this recipe and this data" in again.stdout
    with open_registry() as registry:
        assert len(registry.list("phi-1-small-tiny", all_versions=True)) == 1


def test_other_settings_or_data_make_another_version(tiny: Any, registered_tokens: Any) -> None:
    said: list[str] = []
    running.run("phi-1-small-tiny", QUICK, say=said.append)
    running.run("phi-1-small-tiny", (*QUICK, "training.seed=5"), say=said.append)
    registered_tokens("tiny-tokens", seed=9)
    running.run("phi-1-small-tiny", QUICK, say=said.append)
    with open_registry() as registry:
        found = registry.list("phi-1-small-tiny", all_versions=True)
    assert [one.version for one in found] == [1, 2, 3]
    assert len({one.digest for one in found}) == 3
    assert found[0].datasets[0].digest == tiny.digest != found[2].datasets[0].digest


def test_the_same_training_gives_the_same_checkpoint(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = running.run("phi-1-small-tiny", QUICK, name="first", say=lambda _: None)
    second = running.run("phi-1-small-tiny", QUICK, name="second", say=lambda _: None)
    assert first is not None
    assert second is not None
    assert first.digest == second.digest


def test_a_finetune_starts_from_its_parent_and_says_so(tiny: Any, tmp_path: Path) -> None:
    base = running.run("phi-1-small-tiny", QUICK, say=lambda _: None)
    assert base is not None
    file = tmp_path / "finetune.toml"
    file.write_text(
        'name = "tuned"\n[parent]\ncheckpoint = "phi-1-small-tiny"\n[data]\nsequence_tokens = 64\n'
        'sources = [{ name = "tiny-tokens" }]\n[training]\nsteps = 4\nbatch_sequences = 4\n'
        '[schedule]\nkind = "constant"\npeak_learning_rate = 1e-4\n'
    )
    tuned = running.run(str(file), say=lambda _: None)
    assert tuned is not None
    assert [(one.digest, one.relation) for one in tuned.parents] == [(base.digest, "finetune")]
    assert tuned.training_tokens == (12 + 4) * 4 * 64
    with open_registry() as registry:
        curves = [(registry.path(one) / "training_curves.jsonl").read_text().splitlines() for one in (base, tuned)]
    before, after = json.loads(curves[0][-1])["loss"], json.loads(curves[1][0])["loss"]
    assert after < before + 0.3  # it goes on where the base stopped; a fresh init starts at ln 300 = 5.7


def test_sigkill_and_the_same_command_give_the_same_weights(tiny: Any) -> None:
    steps = ("training.steps=120", "states.every_seconds=0.0", "states.every_steps=5", "validation.every_steps=50")
    process = spawn("phi-1-small-tiny", *set_all(steps))
    wait_for_states(process, 3)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    resumed = spawn("phi-1-small-tiny", *set_all(steps))
    out, error = resumed.communicate()
    assert resumed.returncode == 0, error
    assert "resumed after step" in out
    running.run("phi-1-small-tiny", steps, name="whole", say=lambda _: None)
    with open_registry() as registry:
        assert registry.get("phi-1-small-tiny").digest == registry.get("whole").digest


def wait_for_states(process: "subprocess.Popen[str]", count: int) -> None:
    """Until the run has saved that often; fails if it ends before."""
    highest = 0
    while highest < count * 5:
        assert process.poll() is None, process.communicate()[1]
        highest = max([int(path.name) for path in settings.training_dir().glob("*/states/0*")], default=0)
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["term", "int"])
def test_a_signal_saves_and_ends_well(tiny: Any, number: signal.Signals, code: int) -> None:
    steps = ("training.steps=100000", "states.every_seconds=0.0", "states.every_steps=5", "validation.every_steps=0")
    process = spawn("phi-1-small-tiny", *set_all(steps))
    wait_for_states(process, 1)
    process.send_signal(number)
    out, error = process.communicate()
    assert process.returncode == code, error
    assert "state saved; the same command resumes it" in out
    step = int(out.partition("stopped after step ")[2].partition(" ")[0])
    assert f"{step:08d}" in {path.name for path in settings.training_dir().glob("*/states/*")}


def test_a_foreign_folder_is_refused_with_what_differs(tiny: Any, tmp_path: Path) -> None:
    running.run("phi-1-small-tiny", QUICK, folder=tmp_path / "mine", stop_after=4, say=lambda _: None)
    with pytest.raises(ZooError, match=r"recipe.training.seed: 0 -> 1"):
        running.run("phi-1-small-tiny", (*QUICK, "training.seed=1"), folder=tmp_path / "mine", say=lambda _: None)
    assert running.run("phi-1-small-tiny", QUICK, folder=tmp_path / "mine", say=lambda _: None) is not None


def test_two_commands_do_not_train_one_run(tiny: Any, tmp_path: Path) -> None:
    from training.parallel import World

    with (
        running._lock_folder(tmp_path / "mine", World(0, 1, "cpu")),
        pytest.raises(ZooError, match="another command trains in"),
    ):
        running.run("phi-1-small-tiny", QUICK, folder=tmp_path / "mine", say=lambda _: None)


def test_what_is_missing_is_named(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["train", "run", "phi-1-small-mini"]) == 2
    assert 'no dataset "exercises-tokens"' in capsys.readouterr().err
    with open_registry() as registry:
        registry.add_dataset(msgspec.structs.replace(tiny, name="texts", digest="1" * 64, kind="documents"))
    assert phizoo(["train", "run", "phi-1-small-tiny", "--set", 'data.sources=[{name="texts"}]']) == 2
    assert "texts holds documents, training reads tokens" in capsys.readouterr().err


def test_a_vocabulary_too_small_is_told(tiny: Any) -> None:
    with pytest.raises(ZooError, match="the model only 100 rows"):
        running.run("phi-1-small-tiny", (*QUICK, "model.vocabulary=100"), say=lambda _: None)
