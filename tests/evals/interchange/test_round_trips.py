"""Cells written in each tool's format and read again: the same scores, and the same lines to the field."""

import itertools
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.chat import ChatShape, chat_task
from evals.interchange.cells import ExportedCell, questions_of, select_cells
from evals.interchange.write import HUB, write_cells
from evals.protocol import protocol, sampled_task
from evals.records import Facts, Result, Run
from evals.results.import_formats import read
from evals.results.imported import import_results
from evals.results.publish import publish
from evals.results.publish import scores as run_scores
from evals.run import FinishedRun
from evals.run_folder import read_results
from evals.stats.pass_at_k import pass_metrics
from evals.task import Task
from evals.tasks import task as find_task
from zoo.cli import root
from zoo.digest import digest, whole_file
from zoo.errors import ZooError
from zoo.registry import Registry, open_registry

FORMS = ("every-eval-ever", "lm-eval", "inspect", "inspect-json")
NOW = 1_796_000_000


def made_run(folder: Path, task: Task, checkpoint: str, draws: int = 1, seed: int = 0) -> FinishedRun:
    """A run of a task with made results of every kind: right, wrong, read, not scored, thought about, disputed."""
    results = []
    for number, sample in enumerate(task.samples()):
        for draw in range(draws):
            right = float((number + draw + seed) % 3 > 0)
            fields: dict[str, Any] = {"sample": sample.id, "draw": draw, "cluster": sample.cluster, "seconds": 0.25}
            fields |= {"prompt_tokens": 7 + number, "tokens": 3, "detail": f"line\n{number}"}
            if task.kind == "likelihood":  # bits per byte: no share, and less is better
                nats = 3.5 + number / 7 + seed
                fields |= {"logprobs": (-nats,), "tokens": 2, "verdict": "read", "score": nats / 5}
                fields |= {"metrics": {task.metrics[0]: nats / 5}}
            elif task.pairs is not None:
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
            results.append(Result(**{"score": right, "verdict": "passed" if right else "timeout", **fields}))
    return finished(folder, task, checkpoint, results, draws, seed)


def finished(
    folder: Path, task: Task, checkpoint: str, results: Sequence[Result], draws: int = 1, seed: int = 0
) -> FinishedRun:
    """A run with its header and its file of lines."""
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
        "likelihood": (find_task("humaneval_bpb"), 1),
    }


@pytest.mark.parametrize("kind", ["choices", "code", "draws", "chat", "quick", "likelihood"])
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


@pytest.mark.parametrize("form", FORMS)
def test_a_cell_of_several_seeds_comes_back_as_their_runs(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task, label = sampled_task(find_task("mini_exercises"), 0.2, 0.95), "tiny:1"
    with open_registry() as registry:
        done = [made_run(tmp_path / "runs", task, "ab" * 32, 2, seed) for seed in (0, 1, 5)]
        for run in done:
            publish(registry, run, max_unscored=100)
        before = combined(registry)
        (cell,) = select_cells(registry, [label])
        assert sorted(header.seed for header in cell.headers) == [0, 1, 5]
        write_cells([cell], tmp_path / form, form, NOW)
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "another"))
    results = read(tmp_path / form)
    with open_registry() as registry:
        taken = import_results(registry, results, None, tmp_path / "again")  # type: ignore[arg-type]
        assert combined(registry) == before
        lines = [read_results(registry.results(each.run)) for each in taken]
    assert len(taken) == 3 and all(each.published for each in taken)
    assert root.run(["eval", "import", str(tmp_path / form)]) == 0
    assert capsys.readouterr().out.count("3 seeds together (320 of 320 prompts are ours)") >= 2
    assert sorted(map(by_draw, lines), key=str) == sorted((by_draw(run.results) for run in done), key=str)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNTS = st.integers(0, 1 << 40)


@st.composite
def made_cells(draw: st.DrawFn) -> tuple[Task, int, dict[int, list[Result]]]:
    """A task, the draws of a sample, and the lines of each seed's run, of which some are not scored."""
    kind = draw(st.sampled_from(["code", "choices", "likelihood"]))
    task = {"code": sampled_task(find_task("mini_exercises"), 0.2, 0.95), "choices": find_task("copa"),
            "likelihood": find_task("humaneval_bpb")}[kind]  # fmt: skip
    draws, seeds = draw(st.integers(1, 2)) if kind == "code" else 1, st.lists(st.integers(0, 99), unique=True)
    samples = list(itertools.islice(task.samples(), 3))
    values = st.floats(0, 50) if kind == "likelihood" else st.sampled_from([0.0, 1.0])
    runs: dict[int, list[Result]] = {}
    for seed in draw(seeds.filter(bool) if kind == "code" else st.just([0])):
        runs[seed] = []
        for sample, number in itertools.product(samples, range(draws)):
            unscored = sample is not samples[0] and draw(st.integers(0, 3)) == 0
            metrics = {name: draw(values) for name in task.metrics}
            verdicts = (
                ["unscored"] if unscored else ["read"] if kind == "likelihood" else ["passed", "timeout", "error"]
            )
            fields: dict[str, Any] = {"sample": sample.id, "draw": number, "cluster": sample.cluster}
            fields |= {"verdict": draw(st.sampled_from(verdicts)), "seconds": draw(st.floats(0, 1e6))}
            fields |= {"detail": "not run" if unscored else draw(TEXTS), "tokens": draw(COUNTS)}
            fields |= {
                "prompt_tokens": draw(COUNTS),
                "truncated": draw(COUNTS),
                "finish": draw(st.sampled_from(["", "stop"])),
            }
            if kind == "code":
                fields |= {"text": draw(TEXTS), "answer": draw(st.none() | TEXTS), "thought": draw(TEXTS)}
                fields |= {"disputed": draw(st.booleans()), "unfinished": draw(st.booleans())}
            elif not unscored:
                fields["logprobs"] = tuple(draw(st.floats(-1e9, 0)) for _ in task.pairs(sample) if task.pairs)
            bare = kind == "code" and draw(st.booleans())
            given = {} if unscored else {"score": metrics[task.metrics[0]], "metrics": {} if bare else metrics}
            runs[seed].append(Result(**{"score": None, **fields, **given}))
    return task, draws, runs


@settings(max_examples=25)
@given(made_cells())
def test_any_lines_come_back_equal(made: tuple[Task, int, dict[int, list[Result]]]) -> None:
    task, draws, runs = made
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = [finished(folder / "runs", task, "ab" * 32, lines, draws, seed) for seed, lines in runs.items()]
        questions, why, place = questions_of(done[0].header)
        assert not why
        cell = ExportedCell(
            label="tiny:1", checkpoint=None, scores=tuple(run_scores(done[0])), columns={},
            protocol=done[0].protocols[0], headers=tuple(run.header for run in done),
            results=tuple(tuple(run.results) for run in done), questions=questions, **place,
        )  # fmt: skip
        for form in FORMS:
            write_cells([cell], folder / form, form, NOW)
            with open_registry() as registry:
                taken = import_results(registry, read(folder / form), None, folder / "again" / form)  # type: ignore[arg-type]
            lines = [read_results(folder / "again" / form / each.run / "results.jsonl") for each in taken]
            assert sorted(map(by_draw, lines), key=str) == sorted((by_draw(run.results) for run in done), key=str), form


def by_draw(lines: Iterable[Result]) -> dict[tuple[str, int], Result]:
    """The lines of one run by sample and draw."""
    return {(line.sample, line.draw): line for line in lines}


def combined(registry: Registry) -> dict[str, dict[str, object]]:
    """The scores of the one cell with three seeds, by metric, without the fields that name its runs."""
    scores = {score.metric: score for score in registry.scores() if score.seeds == 3}
    names = ("value", "low", "high", "n", "clusters", "unscored", "draws", "seeds")
    assert scores.keys() == {"pass@1", "pass@2"}
    return {metric: {name: getattr(score, name) for name in names} for metric, score in scores.items()}


def test_the_hub_reads_its_files(tiny_phi: Path, tmp_path: Path) -> None:
    """huggingface_hub's own parser: the numbers, what they are of, and no field that it does not know."""
    yaml = pytest.importorskip("yaml")
    with open_registry() as registry:
        record = registry.add(tiny_phi, "tiny")
        for name in ("arc_easy", "humaneval_bpb", "mini_exercises"):
            publish(registry, made_run(tmp_path / "runs", find_task(name), record.digest), max_unscored=100)
        scores = {(score.task, score.metric): score for score in registry.scores()}
        files = write_cells(select_cells(registry, ["tiny"]), tmp_path, HUB)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [".eval_results/arc_easy.yaml"]
    written = yaml.safe_load(files[0].read_text(encoding="utf-8"))
    entries = parse_eval_result_entries(written)
    assert eval_result_entries_to_yaml(entries) == written
    assert [entry.task_id for entry in entries] == ["arc_easy/acc", "arc_easy/acc_norm"]
    for entry in entries:
        score = scores["arc_easy", entry.task_id.partition("/")[2]]
        assert entry.dataset_id == "allenai/ai2_arc" and len(entry.dataset_revision or "") == 40
        assert entry.value == round(100 * score.value, 4)
        assert f"95% interval {100 * score.low:.4g} to {100 * score.high:.4g}, n={score.n}" in (entry.notes or "")
        assert entry.date == "2026-11-30T10:00:00Z" and entry.source_url


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
