"""The tools' own verdicts on the files that we write: `.ci/interchange` installs them and runs this folder."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evals.chat import ChatShape, chat_task
from evals.interchange.cells import select_cells
from evals.interchange.write import write_cells
from evals.protocol import sampled_task
from evals.results.publish import publish
from evals.tasks import task as find_task
from tests.evals.interchange.test_round_trips import NOW, made_run
from zoo.registry import open_registry

pytestmark = pytest.mark.interchange
JUDGE = Path(__file__).with_name("judge.py")


def judge(form: str, folder: Path) -> dict[str, Any]:
    """The verdict of a tool's own reader, in its own environment."""
    python = os.environ.get("PHIZOO_INTERCHANGE")
    assert python, "run .ci/interchange: it installs the tools and sets PHIZOO_INTERCHANGE"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder.parent / "cache")}
    done = subprocess.run([python, str(JUDGE), form, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, tiny_phi: Path) -> Path:
    """Files of every format, of a choice task, code, several draws and a chat, with samples that are not scored."""
    folder = tmp_path_factory.mktemp("written")
    os.environ["PHIZOO_HOME"] = str(folder / "home")
    mini = find_task("mini_exercises")
    runs = {
        "copa": (find_task("copa"), 1), "code": (mini, 1), "draws": (sampled_task(mini, 0.2, 0.95), 3),
        "chat": (chat_task(mini, ChatShape(system="Be brief.")), 1),
    }  # fmt: skip
    with open_registry() as registry:
        record = registry.add(tiny_phi, "tiny")
        for task, draws in runs.values():
            publish(registry, made_run(folder / "runs", task, record.digest, draws), max_unscored=100)
        cells = select_cells(registry, ["tiny"])
        assert len(cells) == 4
        for form in ("every-eval-ever", "lm-eval", "inspect", "inspect-json"):
            write_cells(cells, folder / form, form, NOW)
    return folder


def test_every_eval_ever_finds_no_fault(written: Path) -> None:
    reports = judge("every-eval-ever", written / "every-eval-ever")
    assert len(reports) == 8
    for name, report in reports.items():
        assert report["valid"] and not report["errors"] and not report["warnings"], (name, report)
    assert sum(report["lines"] for report in reports.values()) == 99 + 319 + 3 * 319 + 320


def test_every_eval_ever_sees_a_fault(written: Path, tmp_path: Path) -> None:
    record = next((written / "every-eval-ever").rglob("*.json"))
    broken = json.loads(record.read_text())
    broken["evaluation_results"][0]["score_details"]["score"] = 7.0
    place = tmp_path / record.relative_to(written / "every-eval-ever")
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(broken))
    (report,) = judge("every-eval-ever", tmp_path).values()
    assert not report["valid"]


@pytest.mark.parametrize("form", ["inspect", "inspect-json"])
def test_inspect_reads_the_logs(form: str, written: Path) -> None:
    logs = judge("inspect", written / form)
    assert len(logs) == 4
    for name, log in logs.items():
        assert log["status"] == "success" and log["samples"] == log["streamed"] == log["summaries"], name
        if log["task"] == "copa":
            assert log["samples"] == 100 and len(log["unscored"]) == 1
            (scores,) = log["scores"].values()
            assert scores["low95"] < scores["mean"] < scores["high95"]
            assert scores["mean"] == pytest.approx(sum(log["values"]) / 99)
        else:
            assert "text 1 \u2028é\n" in log["texts"]


def test_the_harness_reads_its_files(written: Path) -> None:
    told = judge("lm-eval", written / "lm-eval")
    assert (told["results"], told["samples"]) == (4, 4)
    assert told["rows"]["copa"][0] == 100 and "acc" in told["rows"]["copa"][2]
    assert any("copa" in table and "acc" in table and "±" in table for table in told["tables"])
    assert ["copa"] in told["loaded"]
