"""Results of another tool with numbers or names that cannot be right: one line, and no run is made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.cli import root
from zoo.settings import runs_dir

DATE = "2026-11-25T23-43-44.184510"
Change = Callable[[dict[str, Any], dict[str, Any]], object]

FAULTS: dict[str, Change] = {
    "date that is no number": lambda header, line: header.update(date=float("nan")),
    "date beyond the calendar": lambda header, line: header.update(date=1e18),
    "infinite version": lambda header, line: header.update(versions={"mine": float("inf")}),
    "version that is no number": lambda header, line: header.update(versions={"mine": float("nan")}),
    "negative shots": lambda header, line: header.update({"n-shot": {"mine": -3}}),
    "infinite context": lambda header, line: header.update(max_length=float("inf")),
    "huge seed": lambda header, line: header.update(config={"random_seed": 10**30}),
    "temperature that is no number": lambda header, line: line["arguments"]["gen_args_0"]["arg_1"].update(
        do_sample=True, temperature=float("nan")
    ),
    "infinite max_tokens": lambda header, line: line["arguments"]["gen_args_0"]["arg_1"].update(
        max_gen_toks=float("inf")
    ),
    "escape in the model's name": lambda header, line: header.update(model_name="a\x1b[2J"),
    "direction mark in the model's name": lambda header, line: header.update(model_name="a\u202eb"),
    "line break in a metric": lambda header, line: line.update({"metrics": ["a\nb"], "a\nb": 1.0}),
    "arguments of another form": lambda header, line: line.update(arguments={}),
}


def samples_file(folder: Path, change: Change) -> Path:
    header: dict[str, Any] = {"lm_eval_version": "0.4.13", "model_name": "other", "date": 1795650165.0}
    line: dict[str, Any] = {
        "doc_id": 0, "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"until": ["\n"]}}}, "resps": [["x"]],
        "filtered_resps": ["x"], "filter": "none", "metrics": ["exact_match"], "exact_match": 1.0,
    }  # fmt: skip
    change(header, line)
    folder.mkdir()
    path = folder / f"samples_mine_{DATE}.jsonl"
    path.write_text("".join(json.dumps({**line, "doc_id": number}) + "\n" for number in range(3)))
    (folder / f"results_{DATE}.json").write_text(json.dumps(header))
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_results_that_cannot_be_right_are_refused(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = samples_file(tmp_path / "x", FAULTS[fault])
    assert root.run(["eval", "import", str(path)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "\x1b" not in message and "\u202e" not in message
    assert not list(runs_dir().glob("*"))


def test_such_a_file_without_a_fault_enters_and_a_damaged_run_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = samples_file(tmp_path / "x", lambda header, line: None)
    assert root.run(["eval", "import", str(path)]) == 0
    (run,) = runs_dir().iterdir()
    for name, line in (("0" * 64, '{"sample":"a","draw":0,"score":1.0,"logprobs":[null]}\n'), ("1" * 64, "{}\n")):
        (runs_dir() / name).mkdir()
        (runs_dir() / name / "header.json").write_bytes((run / "header.json").read_bytes())
        (runs_dir() / name / "results.jsonl").write_text(line)
    capsys.readouterr()
    assert root.run(["eval", "runs", "--json"]) == 0
    shown = capsys.readouterr()
    assert [row["run"] for row in json.loads(shown.out)] == [run.name]
    assert shown.err.count("a run is left out") == 2
