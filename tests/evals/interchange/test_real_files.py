"""Files that the tools themselves wrote are read: every form, with the numbers that the tool printed."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from evals.interchange.tool_results import TaskResults
from evals.results.import_formats import read
from evals.tasks import task as find_task
from zoo.cli import root
from zoo.errors import ZooError

DATA = Path(__file__).with_name("data")


def read_all(path: Path) -> dict[str, TaskResults]:
    results = read(path)
    assert all(isinstance(each, TaskResults) for each in results)
    return {each.task: each for each in results}  # type: ignore[union-attr, misc]


def mean(results: TaskResults, metric: str) -> float:
    return sum(line.metrics[metric] for line in results.lines) / len(results.lines)


@pytest.mark.parametrize("version", ["0.4.0", "0.4.9", "0.4.1", "0.4.2", "0.4.3", "0.4.5", "0.4.7", "0.4.13"])
def test_every_form_of_the_harness(version: str) -> None:
    folder = DATA / f"lm-eval-{version}"
    sums = read_all(folder)["sums"]
    (printed,) = [json.loads(path.read_text())["results"]["sums"] for path in folder.glob("results*.json")]
    for metric in ("acc", "acc_norm"):
        assert mean(sums, metric) == printed[f"{metric},none"]
    asked = 12 if version in ("0.4.0", "0.4.9") else 8
    assert (sums.tool, sums.model, len(sums.lines)) == ("lm-eval", "tiny", asked)
    first = sums.lines[0]
    assert (first.sample, first.asked[1]) == ("sums/0", ("Question: What is 0 plus 1?\nAnswer:", " 2"))
    assert len(first.logprobs) == 3


def test_prompts_of_the_harness_that_are_ours_are_paired() -> None:
    mini = read_all(DATA / "lm-eval-0.4.13")["mini_exercises"]
    task = find_task("mini_exercises")
    ours = [task.prompt(sample) for sample in list(task.samples())[:8]] if task.prompt else []
    assert [line.asked for line in mini.lines] == [((prompt, ""),) for prompt in ours]
    assert mini.decoding == {"stop": list(task.decoding.stop), "max_tokens": 160, "temperature": 0.0}


def test_the_same_log_as_archive_and_as_json() -> None:
    archive, log = read(DATA / "inspect" / "sums.eval")[0], read(DATA / "inspect" / "sums.json")[0]
    assert isinstance(archive, TaskResults) and isinstance(log, TaskResults)
    assert archive.lines == log.lines
    assert mean(archive, "match") == 0.5
    line = archive.lines[1]
    assert (line.sample, line.messages) == ("sums/q1", (("user", "Question: what is 1+1?\nAnswer:"),))
    assert (line.text, line.answer, line.more["tokens"]) == ("2", "2", 1)
    assert archive.decoding == {"max_tokens": 16, "temperature": 0.0, "stop": ["\n"]}
    assert (archive.tool, archive.release) == ("inspect_ai", "0.3.285")


def test_epochs_are_draws() -> None:
    (log,) = read(DATA / "inspect" / "mc.eval")
    assert isinstance(log, TaskResults)
    assert sorted((line.sample, line.draw) for line in log.lines) == [(f"mc/{n}", d) for n in range(4) for d in (0, 1)]
    assert mean(log, "choice") == 0.5  # "ANSWER: A" is right for the samples 0 and 3


def test_details_of_lighteval() -> None:
    results = read_all(DATA / "lighteval")
    sums = results["sums"]
    assert (sums.tool, sums.model, mean(sums, "acc")) == ("lighteval", "tiny", 0.375)
    line = next(line for line in sums.lines if line.sample == "sums/4")
    assert line.asked[0] == ("Question: What is 4 plus 5?\nAnswer:", " 9")
    assert results["mini_exercises"].lines[0].text == "random baseline"


def test_evalplus_before_and_since_0_2_1_give_the_same() -> None:
    before, since = (
        read_all(DATA / "evalplus" / "before_eval_results.json"),
        read_all(DATA / "evalplus" / "since_eval_results.json"),
    )
    assert before.keys() == since.keys() == {"humaneval", "humaneval_plus"}
    for task, value in (("humaneval", 1 / 2), ("humaneval_plus", 1 / 3)):
        told = {(line.sample, line.draw): line.metrics["pass@1"] for line in before[task].lines}
        assert told == {(line.sample, line.draw): line.metrics["pass@1"] for line in since[task].lines}
        assert mean(before[task], "pass@1") == pytest.approx(value)


def write_olmo(folder: Path) -> Path:
    """Predictions and requests as olmo-eval 1.0 builds them (runners/io/builders.py), of three of our prompts."""
    task = find_task("mini_exercises")
    predictions, requests = folder / "predictions" / "tiny", folder / "requests" / "tiny"
    predictions.mkdir(parents=True)
    requests.mkdir(parents=True)
    lines, asked = [], []
    for number, sample in enumerate(list(task.samples())[:3]):
        lines.append({
            "doc_id": number, "native_id": f"doc_{number}", "label": None, "final_output": "x",
            "model_output": [{"text": f"text {number}", "extracted_answer": "x", "num_chars": 6}],
            "instance_metrics": {"pass_at_1": {"code": float(number > 0)}},
        })  # fmt: skip
        request = {"context": task.prompt(sample) if task.prompt else "", "stop_sequences": ["\ndef"],
                   "generation_kwargs": {"max_gen_toks": 160, "temperature": 0.0}}  # fmt: skip
        asked.append({"request_type": "generate_until", "request": request, "idx": 0, "doc_id": number,
                      "task_name": "mini_exercises", "native_id": f"doc_{number}"})  # fmt: skip
    path = predictions / "mini_exercises_0a1b2c-predictions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (requests / "mini_exercises_0a1b2c-requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in asked))
    config = {"model_name": "org/tiny", "config": {"provider": {"model": "org/tiny", "dtype": "bfloat16"}}, "tasks": []}
    (folder / "metrics.json").write_text(json.dumps(config))
    return path


def test_predictions_of_olmo_eval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_olmo(tmp_path)
    (results,) = read_all(path).values()
    assert (results.tool, results.model, results.dtype, results.metrics) == (
        "olmo-eval",
        "tiny",
        "bfloat16",
        ("pass_at_1",),
    )
    assert results.decoding == {"stop": ["\ndef"], "max_tokens": 160, "temperature": 0.0}
    assert [line.text for line in results.lines] == ["text 0", "text 1", "text 2"]
    assert (
        root.run(["eval", "import", str(path)]) == 0
    )  # the prompts are ours, and their verdict stands under our metric
    told = capsys.readouterr().out
    assert "mini_exercises [phizoo elsewhere] pass@1" in told
    assert "3 of 3 prompts are ours" in told
    assert "a part of the task" in told


def olmes_row(number: int, right: bool, bits: float) -> dict[str, Any]:
    """A line with every field of OLMES's own (those of allenai/DataDecide-eval-instances), on a question of two."""
    picked, correct = number % 2, number % 2 if right else 1 - number % 2
    places = {f"predicted_index_{kind}": picked for kind in ("raw", "per_token", "per_char", "uncond")}
    accuracies = {f"acc_{kind}": int(right) for kind in ("raw", "per_token", "per_char", "uncond")}
    outputs = [
        {"sum_logits": -8.0 - place, "num_tokens": 2, "num_tokens_all": 180, "is_greedy": False,
         "sum_logits_uncond": -12.0, "logits_per_token": -4.0, "logits_per_char": -0.8, "logits_per_byte": 1.2,
         "num_chars": 10}
        for place in range(2)
    ]  # fmt: skip
    return {
        "doc_id": number, "native_id": f"q{number}", "label": correct, "model_output": outputs,
        "metrics": {**places, "correct_choice": correct, **accuracies, "logits_per_byte_corr": 0.5,
                    "bits_per_byte": bits},
        "task_hash": "c90b1e74fd08b92cb197198ea6975132", "model_hash": "32890bd27f744d39a1855746ba84775f",
    }  # fmt: skip


def test_predictions_of_olmes(tmp_path: Path) -> None:
    """The place of the choice is no metric, though of two choices it is 0 or 1; bits per byte are no share and stay."""
    rows = [olmes_row(number, number != 1, bits) for number, bits in enumerate((0.8, 1.2, 2.5))]
    path = tmp_path / "task-000-boolq-predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (results,) = read_all(path).values()
    assert (results.tool, results.task) == ("olmes", "boolq")
    assert results.metrics == ("acc", "acc_per_token", "acc_norm", "acc_uncond", "bits_per_byte")
    assert [line.metrics["acc"] for line in results.lines] == [1.0, 0.0, 1.0]
    assert [line.metrics["bits_per_byte"] for line in results.lines] == [0.8, 1.2, 2.5]
    assert [line.sample for line in results.lines] == ["boolq/q0", "boolq/q1", "boolq/q2"]


@pytest.mark.parametrize(
    ("source", "old", "new", "told"),
    [
        ("lm-eval-0.4.13", '"lm_eval_version": "0.4.13"', '"lm_eval_version": "0.5.0"', "read are 0.4.0 to 0.4.13"),
        ("inspect/sums.json", '"version": 2', '"version": 3', "version 3; read is 2"),
        ("inspect/sums.json", '"status": "success"', '"status": "error"', "inspect eval-retry"),
        (
            "evalplus/since_eval_results.json",
            '"base_status": "pass"',
            '"base_status": "ok"',
            "known: pass, fail, timeout",
        ),
    ],
)
def test_a_version_that_is_not_known_is_named_in_one_line(
    source: str, old: str, new: str, told: str, tmp_path: Path
) -> None:
    place = tmp_path / Path(source).name
    (shutil.copytree if (DATA / source).is_dir() else shutil.copy)(DATA / source, place)  # type: ignore[operator]
    files = [path for path in ([place] if place.is_file() else place.iterdir()) if old in path.read_text()]
    for path in files:
        path.write_text(path.read_text().replace(old, new, 1))
    assert files
    with pytest.raises(ZooError, match=told) as raised:
        read(place)
    assert "\n" not in str(raised.value)


def test_an_archive_without_its_header_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.eval", "w") as archive:
        archive.writestr("_journal/start.json", "{}")
    with pytest.raises(ZooError, match="did not end"):
        read(tmp_path / "x.eval")
