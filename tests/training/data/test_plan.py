"""Each recipe for a laptop can be made from its page: its data by `data recipe`, then the training, at smoke scale."""

import re
import shutil
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

from training.data.build import find
from training.data.gather import gather
from training.data.plan import TABLE, is_real, plan
from training.data.quality.labels import prose_labels
from training.recipe import RECIPES, load
from zoo.cli.root import run

PAGE = Path(__file__).resolve().parents[3] / "docs" / "training-data.md"
SMALL = tuple(name for name in RECIPES if not is_real(name))
SETTINGS = (
    "training.steps=1",
    "schedule.warmup_steps=0",
    "schedule.decay_steps=0",
    "training.batch_sequences=1",
    "data.sequence_tokens=64",
    "validation.every_steps=0",
)
SHAPE = ("model.layers=1",)
STDLIB = ("heapq", "bisect", "statistics", "textwrap", "fractions", "string", "colorsys", "calendar", "csv", "queue",
          "shlex", "tokenize", "difflib", "dis", "ast", "random", "json/encoder", "json/decoder", "html/parser")  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with some modules of the standard library, and our passages as its prose."""
    root, real = tmp_path / "site", Path(sysconfig.get_paths()["stdlib"])
    for name in STDLIB:
        path = root / name.partition("/")[0].removesuffix(".py") / f"{name.rpartition('/')[2]}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real / f"{name}.py", path)
    for number, label in enumerate(prose_labels()):
        path = root / f"pack{number % 20}" / f"README{number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(label.text)
    paths = {"stdlib": str(tmp_path / "no"), "purelib": str(root), "platlib": str(root)}
    monkeypatch.setattr(gather, "sysconfig", SimpleNamespace(get_paths=lambda: paths))
    # the searches for leaks have tests of their own, and need data sets that not each machine has
    monkeypatch.setattr("training.data.decontaminate.load_problems", lambda _tasks: [])


def sets(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


@pytest.mark.timeout(1800)  # all data and all trainings of the small recipes
def test_each_small_recipe_runs_from_its_page_at_smoke_scale(machine: None) -> None:
    text = PAGE.read_text()
    for name in SMALL:
        assert f"phizoo data recipe {name}" in text or f"`{name}`" in text, f"{name} is on no page"
    for name in SMALL:
        assert run(["data", "recipe", name, "--smoke"]) == 0, name
        for source in load(name).data.sources:
            assert find(source.name).tokens > 0
    for name in SMALL:
        recipe = load(name)
        if recipe.parent and recipe.parent.checkpoint.endswith("-start"):
            method = "tile" if "tile" in name else "corner"
            grow = ["train", "grow", "phi-1-small-mini-base", "--to", "phi-1-mini-base", "--method", method]
            assert run([*grow, *sets(*SHAPE), "--depth", "copy", "--name", recipe.parent.checkpoint]) == 0
        shape = SHAPE if recipe.model else ()
        assert run(["train", "run", name, *sets(*SETTINGS, *shape)]) == 0, name


def test_every_dataset_of_every_recipe_has_commands_that_exist() -> None:
    from training.cli.data import COMMANDS

    for name in RECIPES:
        for source in load(name).data.sources:
            assert source.name in TABLE.datasets, source.name
        lines = plan(name)
        assert all(line.split()[:1] == ["data"] and line.split()[1] in COMMANDS for line in lines)
        assert not any(re.search(r"[{}]", line) for line in lines)
    assert len(SMALL) >= 16
    assert not {"phi-1", "phi-1.5-web", "phi-2", "phi-3-mini", "phi-1-base-wr"} & set(SMALL)


def test_a_real_models_data_is_printed_with_its_sources_and_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "recipe", "phi-1.5-web"]) == 0
    told = capsys.readouterr().out
    for source in ("hf:tiiuae/falcon-refinedweb", "hf:bigcode/the-stack-dedup", "synthesise knowledge", "Not run"):
        assert source in told
    assert run(["data", "recipe", "web-token"]) == 2
    assert 'nearest: "web-tokens"' in capsys.readouterr().err
