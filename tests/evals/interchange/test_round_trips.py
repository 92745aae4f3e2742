"""Cells written in each tool's format and read again: the same scores, and the same lines to the field."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.chat import ChatShape, chat_task
from evals.interchange.cells import select_cells
from evals.interchange.write import write_cells
from evals.protocol import protocol, sampled_task
from evals.records import Facts, Result, Run
from evals.results.import_formats import read
from evals.results.imported import import_results
from evals.results.publish import publish
from evals.run import FinishedRun
from evals.run_folder import read_results
from evals.stats.pass_at_k import pass_metrics
from evals.task import Task
from evals.tasks import task as find_task
from zoo.cli import root
from zoo.digest import digest, whole_file
from zoo.errors import ZooError
from zoo.registry import open_registry

FORMS = ("every-eval-ever", "lm-eval", "inspect", "inspect-json")
NOW = 1_796_000_000


def made_run(folder: Path, task: Task, checkpoint: str, draws: int = 1, seed: int = 0) -> FinishedRun:
    """A run of a task with made results of every kind: right, wrong, not scored, thought about, disputed."""
    results = []
    for number, sample in enumerate(task.samples()):
        for draw in range(draws):
            right = float((number + draw + seed) % 3 > 0)
            fields: dict[str, Any] = {"sample": sample.id, "draw": draw, "cluster": sample.cluster, "seconds": 0.25}
            fields |= {"prompt_tokens": 7 + number, "tokens": 3, "detail": f"line\n{number}"}
            if task.pairs is not None:
                count = len(task.pairs(sample))
                fields |= {"logprobs": tuple(-1.5 - place / 8 for place in range(count))}
                fields |= {"metrics": {name: right if name == task.metrics[0] else 1.0 for name in task.metrics}}
            else:
                fields |= {"text": f"text {number} \u2028é\n", "answer": f"answer {number}" if right else None}
                fields |= {"finish": "length", "disputed": number == 4, "metrics": {}}
                fields |= {"thought": "so", "thought_tokens": 2} if task.shape is not None else {}
            if number == 7 and task.shape is None:
                results.append(Result(**{**fields, "score": None, "metrics": {}, "logprobs": (), "answer": None,
                                         "verdict": "unscored", "text": "", "finish": "", "disputed": False}))  # fmt: skip
                continue
            results.append(Result(**fields, score=right, verdict="passed" if right else "timeout"))
    samples = list(task.samples())
    metrics = pass_metrics(task.metrics, draws)
    records = tuple(protocol(task, samples, metric) for metric in metrics)
    facts = Facts(engine="transformers", version="5", dtype="float32", device="cpu", context_tokens=128)
    header = Run(
        id=digest([checkpoint, records[0].fingerprint, seed, draws]), checkpoint=checkpoint, checkpoint_label="tiny:1",
        task=task.name, protocol=msgspec.to_builtins(records[0]), fingerprint=records[0].fingerprint, backend=facts,
        seed=seed, draws=draws, limit=None, samples=len(samples), hardware={}, versions={"phi-zoo": "0.1.0"},
        commit="", started="2026-11-30T10:00:00Z", command="phizoo eval run tiny",
    )  # fmt: skip
    path = folder / header.id / "results.jsonl"
    with whole_file(path) as file:
        from evals.records import encode_line

        file.write(b"".join(map(encode_line, results)))
    return FinishedRun(header=header, protocols=records, results=tuple(results), path=path)


@pytest.fixture
def tasks() -> dict[str, tuple[Task, int]]:
    mini = find_task("mini_exercises")
    return {
        "choices": (find_task("copa"), 1),
        "code": (mini, 1),
        "draws": (sampled_task(mini, 0.2, 0.95), 3),
        "chat": (chat_task(mini, ChatShape(system="Be brief.")), 1),
        "quick": (find_task("mini_exercises@phizoo-quick2"), 1),
    }


@pytest.mark.parametrize("kind", ["choices", "code", "draws", "chat", "quick"])
def test_a_cell_comes_back_equal(
    kind: str, tasks: dict[str, tuple[Task, int]], tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, draws = tasks[kind]
    with open_registry() as registry:
        record = registry.add(tiny_phi, "tiny")
        done = made_run(tmp_path / "runs", task, record.digest, draws)
        before = {score.metric: score for score in publish(registry, done, max_unscored=100) if score.subset == "all"}
        cells = select_cells(registry, ["tiny"])
        for form in FORMS:
            write_cells(cells, tmp_path / form, form, NOW)
    for form in FORMS:
        monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "homes" / form))
        results = read(tmp_path / form)
        with open_registry() as registry:
            (taken,) = import_results(registry, results, None, tmp_path / "again" / form)  # type: ignore[arg-type]
            lines = read_results(registry.results(taken.run))
        assert (taken.same, taken.published) == (task.size or len(list(task.samples())), True), form
        assert taken.column.startswith(f"{task.name} [{task.protocol} elsewhere"), form
        after = {score.metric: score for score in taken.scores if score.subset == "all"}
        assert after.keys() == before.keys(), form
        for metric, score in after.items():
            names = ("value", "low", "high", "n", "clusters", "unscored", "unfinished", "disputed", "draws")
            was = {name: getattr(before[metric], name) for name in names}
            assert {name: getattr(score, name) for name in names} == was, (form, metric)
        now = {(line.sample, line.draw): line for line in lines}
        for line in done.results:
            assert now[line.sample, line.draw] == line, form
        assert len(now) == len(done.results)


def test_selection_by_names_stars_and_runs(tiny_phi: Path, tmp_path: Path) -> None:
    with open_registry() as registry:
        record = registry.add(tiny_phi, "tiny")
        for name in ("copa", "mini_exercises"):
            publish(registry, made_run(tmp_path, find_task(name), record.digest), max_unscored=100)
        names = {
            word: sorted(cell.protocol.task for cell in select_cells(registry, [word]))
            for word in (
                "tiny",
                "ti*",
                "*",
                "tiny/copa",
                "tiny/*",
                "*/c?pa",
                "tiny:1",
                "tiny/copa@lm-eval",
                "*/*@phizoo",
            )
        }
        (run,) = [str(header["id"]) for header in registry.runs() if header["task"] == "copa"]
        assert [cell.run.id for cell in select_cells(registry, [run[:12]])] == [run]
        assert len(select_cells(registry, ["tiny", "tiny/copa", run[:12]])) == 2  # each once
        for word in ("other", "tiny/arc_easy", "tiny/copa@phizoo", "x*", "ffff0000"):
            with pytest.raises(ZooError):
                select_cells(registry, [word])
    both, copa = ["copa", "mini_exercises"], ["copa"]
    assert names == {
        "tiny": both, "ti*": both, "*": both, "tiny/copa": copa, "tiny/*": both, "*/c?pa": copa, "tiny:1": both,
        "tiny/copa@lm-eval": copa, "*/*@phizoo": ["mini_exercises"],
    }  # fmt: skip


def test_the_command_writes_every_format(tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_registry() as registry:
        record = registry.add(tiny_phi, "tiny")
        for name in ("copa", "arc_easy"):
            publish(registry, made_run(tmp_path / "runs", find_task(name), record.digest), max_unscored=100)
    for form in (*FORMS, "jsonl", "parquet", "huggingface"):
        out = tmp_path / "out" / form
        assert root.run(["eval", "export", "tiny", "--out", str(out), "--format", form, "--json"]) == 0
        files = json.loads(capsys.readouterr().out)
        assert files and all(Path(path).is_file() for path in files), form
        assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(map(Path, files))
    assert root.run(["eval", "export", "tiny/nothing", "--out", str(tmp_path / "x"), "--format", "inspect"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()
