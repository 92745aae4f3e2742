"""docs/gpu.md as far as a machine without a GPU can follow it: its dry runs, its import, its numbers."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evals.checks import estimate
from evals.engines import gpus
from evals.run import RunOptions
from evals.suites import find_tasks
from tests.test_docs import resolve
from zoo.cli import root
from zoo.errors import ZooError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PHIZOO = [shlex.split(line)[1:] for line in LINES if line.startswith("phizoo ")]
DRY = [words for words in PHIZOO if "--dry-run" in words]
COMMIT = "ef382358ec9e382308935a992d908de099b64c23"


@pytest.fixture
def tiny(server: Any) -> Any:
    """The hub of these tests, with the commit that the page pins."""
    server.commit = COMMIT
    return server


SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "gpu"


def run_script(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHON": sys.executable, **environment}
    return subprocess.run([str(SCRIPT), *words], capture_output=True, text=True, check=False, env=env, timeout=300)


def test_the_scripts_steps_are_on_the_page_and_its_commands_exist() -> None:
    done = run_script("--check", MODEL="one")
    steps = dict(line.split(": ", 1) for line in done.stdout.splitlines() if not line.startswith("missing here: "))
    page = {name for row in re.findall(r"^\| ([a-z, ]+) \|", PAGE, re.MULTILINE) for name in row.split(", ")}
    assert steps.keys() - {"model"} <= page
    phizoo = [shlex.split(command)[1:] for command in steps.values() if command.startswith("phizoo ")]
    assert len(phizoo) == 4
    for words in phizoo:
        resolve(words)
    for command in steps.values():
        for path in re.findall(r"tests/[\w/]+\.py", command):
            assert (SCRIPT.parents[1] / path).is_file()
    for spec in (
        word for words in phizoo for word, option in zip(words[1:], words, strict=False) if option == "--task"
    ):
        assert find_tasks(spec)


@pytest.mark.skipif(gpus.count() > 0, reason="there is a GPU here")
def test_the_script_runs_nothing_without_a_gpu(tmp_path: Path) -> None:
    done = run_script("contract", GPU_OUT=str(tmp_path / "out"))
    assert done.returncode == 1 and "missing here: a GPU that torch sees" in done.stdout
    assert not (tmp_path / "out").exists()
    unknown = run_script("contrakt")
    assert unknown.returncode == 2 and "no step contrakt; one of model contract" in unknown.stderr


def test_the_page_has_a_dry_run_for_each_step_that_needs_the_network_or_the_gpu() -> None:
    assert [words[:2] for words in DRY] == [["models", "add"], ["serve", "phi-2"], ["eval", "run"]]
    assert all([word for word in words if word != "--dry-run"] in PHIZOO for words in DRY)


@pytest.mark.parametrize("words", DRY, ids=" ".join)
def test_a_dry_run_resolves_everything_and_lists_missing_requirements(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    assert root.run(words) == 1
    output = capsys.readouterr()
    assert "2,779,683,840 parameters" in output.out
    assert "missing here: " in output.out
    assert "missing (listed above); nothing was" in output.err
    assert not (tmp_path / "home").exists()


def test_the_import_fetches_and_records_the_pinned_commit(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    dry, real = [words for words in PHIZOO if words[:2] == ["models", "add"]]
    assert root.run(dry) == 0
    assert f"commit {COMMIT}, licence mit: 3 files" in capsys.readouterr().out
    assert not [path for path, _, _ in tiny.asked if "/resolve/" in path]
    assert root.run(real) == 0
    assert root.run(["models", "show", "phi-2"]) == 0
    assert f"hf://microsoft/phi-2@{COMMIT}" in capsys.readouterr().out
    assert root.run(["serve", "phi-2", "--engine", "transformers", "--dry-run"]) == 0
    assert "phi-2:1" in capsys.readouterr().out


def test_the_numbers_of_the_page_are_those_of_the_estimate(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIZOO_DATA", str(shared / "data" / "evals"))
    phi = estimate.find_model("microsoft/phi-2")
    assert f"{phi.weight_bytes('bfloat16') / 2**30:.2f} GiB of weights" in PAGE
    assert f"{phi.cache_bytes('bfloat16', 1) // 1024} KiB of cache" in PAGE
    works = [estimate.measure_work(task, RunOptions()) for task in find_tasks("suite:phi-2")]
    assert f"{len(works)} tasks, {sum(work.requests for work in works):,} requests" in PAGE
    minutes = {
        name: sum(estimate.estimate_seconds(phi, "bfloat16", work, gpu) for work in works) / 60
        for name, gpu in estimate.GPUS.items()
    }
    assert f"at most {round(minutes['A100'] + 0.5)} minutes on an A100 and {round(minutes['H100'] + 0.5)} on an" in PAGE


def test_the_arithmetic_of_time_grows_with_the_work_and_knows_what_does_not_fit() -> None:
    phi, gpu = estimate.find_model("phi-2"), estimate.GPUS["A100"]
    work = estimate.Work(requests=100, read=50_000, fresh=50_000, written=51_200, longest=1_000)
    once = estimate.estimate_seconds(phi, "bfloat16", work, gpu)
    reading = 2 * phi.parameters * 50_000 / (312e12 * 0.4)
    steps = 512 * (phi.weight_bytes("bfloat16") + 100 * phi.cache_bytes("bfloat16", 1_000)) / (2.04e12 * 0.5)
    assert once == pytest.approx(reading + steps)
    more = estimate.Work(requests=1_000, read=500_000, fresh=500_000, written=512_000, longest=1_000)
    assert once < estimate.estimate_seconds(phi, "bfloat16", more, gpu) < 10 * once
    assert estimate.estimate_seconds(phi, "bfloat16", work, estimate.Gpu(312e12, 2e12, 6e9)) == float("inf")


def test_no_time_is_told_for_tasks_whose_prompts_are_not_at_hand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    one, other = find_tasks("mini_exercises,lambada")  # no installed package ships the second
    asked = estimate.plan_runs(["phi-2"], [other], RunOptions(engine="vllm"), "auto")
    assert "at most" not in asked.lines[-1]
    assert any("lambada" in lack for lack in asked.missing)
    assert (
        "for 1 of 2 tasks" in estimate.plan_runs(["phi-2"], [one, other], RunOptions(engine="vllm"), "auto").lines[-1]
    )


def test_an_unknown_name_or_dtype_is_refused() -> None:
    with pytest.raises(ZooError, match="phi-9"):
        estimate.find_model("phi-9")
    with pytest.raises(ZooError, match="nearest"):
        estimate.resolve_dtype("bfloat61")
