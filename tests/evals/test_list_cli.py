"""The listings: every task and protocol, MMLU's groups of a run, one sample to the byte."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evals.list_cli import _groups, _prompt, tasks
from evals.records import Result
from evals.tasks import TASKS, every
from evals.tasks.mmlu import GROUPS
from zoo import cli, settings
from zoo.registry import open_registry


def test_every_protocol_is_listed_once_with_the_default_first() -> None:
    found = json.loads(CliRunner().invoke(tasks, ["--json"], catch_exceptions=False).stdout)
    assert [(one["task"], one["protocol"]) for one in found] == [(one.name, one.protocol) for one in every()]
    assert len({(one["task"], one["protocol"]) for one in found}) == len(found)
    assert list(dict.fromkeys(one["task"] for one in found)) == list(TASKS)
    lines = CliRunner().invoke(tasks, [], catch_exceptions=False).stdout.splitlines()
    assert len(lines) == len(found) + 1
    assert lines[1].startswith("humaneval@openai")


def test_mmlu_has_57_subjects_in_four_groups_each_with_its_mean() -> None:
    subjects = [subject for names in GROUPS.values() for subject in names.split()]
    assert len(subjects) == len(set(subjects)) == 57
    results = [
        Result(sample=f"{subject}/{n}", draw=0, score=float(subject in GROUPS["stem"].split()), cluster=subject,
               metrics={"acc": float(subject in GROUPS["stem"].split())})
        for subject in subjects for n in range(3)
    ]  # fmt: skip
    told = dict(_groups("mmlu", "acc", results))
    assert list(told) == list(GROUPS)
    assert told["stem"].startswith("100.0 [")
    assert told["stem"].endswith("n=57")
    assert told["other"].startswith("0.0 [")
    assert _groups("arc_easy", "acc", results) == []


@pytest.mark.parametrize("protocol", ["openai", "openai t=0.2 p=0.95", "openai>evalplus", "openai-quick"])
def test_a_samples_prompt_is_found_under_each_name_a_run_may_have(protocol: str) -> None:
    quick = "HumanEval/0" if protocol != "openai-quick" else None
    if quick is None:
        from evals.tasks import task

        quick = next(iter(task("humaneval@openai-quick").samples())).id
    assert "def " in _prompt("humaneval", protocol, quick)


def test_no_data_is_read_to_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from evals import datasets

    def refused(*_: object) -> None:
        raise AssertionError("data was read")

    monkeypatch.setattr(datasets, "_find", refused)
    assert CliRunner().invoke(tasks, [], catch_exceptions=False).exit_code == 0


def test_a_sample_is_shown_with_the_tokens_that_were_read(tiny_phi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoTokenizer

    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
    assert (
        cli.run(
            ["eval", "run", "tiny", "--tasks", "arc_easy,mini_exercises", "--limit", "1", "--device", "cpu", "--json"]
        )
        == 0
    )
    rows = json.loads(capsys.readouterr().out)
    tokenizer = AutoTokenizer.from_pretrained(tiny_phi)
    for run in {row["run"] for row in rows}:
        sample = json.loads((settings.runs_dir() / run / "results.jsonl").read_text())["sample"]
        assert cli.run(["eval", "show", run, "--sample", sample, "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)
        assert len(told["read"]) == len(told.get("logprobs") or [0])
        if len(told["read"]) == 1:
            assert tokenizer.decode(told["read"][0]) == told["prompt"][-len(tokenizer.decode(told["read"][0])) :]
            assert len(told["read"][0]) == told["prompt_tokens"]
        assert cli.run(["eval", "show", run, "--sample", sample]) == 0
        assert " ".join(map(str, told["read"][0])) in capsys.readouterr().out
