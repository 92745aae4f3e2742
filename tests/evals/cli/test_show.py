"""The listings: every task and protocol, MMLU's groups of a run, one sample to the byte."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from evals.cli.show import _groups, _show_run, show
from evals.cli.tasks import tasks
from evals.records import Result
from evals.tasks import TASKS, every
from evals.tasks.mmlu import GROUPS


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


def test_no_data_is_read_to_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from evals.datasets import load

    def refused(*_: object) -> None:
        raise AssertionError("data was read")

    monkeypatch.setattr(load, "_find", refused)
    assert CliRunner().invoke(tasks, [], catch_exceptions=False).exit_code == 0


def test_a_sample_is_shown_to_the_byte(tiny_phi: Path, tmp_path: Path) -> None:
    from evals.engines import transformers_local
    from evals.run import RunOptions, evaluate
    from evals.tasks import task
    from zoo import settings
    from zoo.registry import open_registry

    with open_registry() as registry:
        checkpoint = registry.add(tiny_phi, name="tiny")
        path = registry.path(checkpoint)
    engine = transformers_local.connect(path, device="cpu")
    found = task("mini_exercises")
    short = msgspec.structs.replace(found, decoding=msgspec.structs.replace(found.decoding, max_tokens=4))
    first = next(iter(found.samples()))
    done = evaluate(engine, short, (checkpoint.digest, "tiny"), settings.runs_dir(), RunOptions(samples=(first.id,)))
    told = CliRunner().invoke(show, [done.header.id[:12], "--sample", first.id], catch_exceptions=False).stdout
    assert found.prompt is not None
    assert repr(found.prompt(first)) in told
    ids = engine.tokens.prompt(found.prompt(first), short.decoding, 124).tokens
    assert f"tokens fed ({len(ids)}): {' '.join(map(str, ids))}" in told
    assert repr(done.results[0].text) in told
    assert f"score {done.results[0].score}" in told


def test_cut_prompts_are_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    path = "choices: tree, texts: slots; beyond 512 tokens: plain"
    facts = {"engine": "transformers", "version": "1", "dtype": "float32", "device": "cpu", "path": path}
    names = ("id", "checkpoint_label", "checkpoint", "fingerprint", "seed", "draws", "samples", "sandbox", "command")
    header = {
        **dict.fromkeys(names, ""),
        "task": "arc_easy",
        "protocol": {"name": "lm-eval", "metric": "acc"},
        "backend": facts,
    }
    _show_run(header, [Result(sample=f"s/{n}", draw=0, score=1.0, truncated=n % 2) for n in range(14)], False)
    shown = capsys.readouterr().out
    assert "7 prompts cut from the left to the context: s/1, s/3, s/5, s/7, s/9, …" in shown
    assert f"path              {path}" in shown
    _show_run(header, [Result(sample="s/0", draw=0, score=1.0)], False)
    assert "cut" not in capsys.readouterr().out


def test_disputed_verdicts_are_listed_and_of_older_runs_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"engine": "transformers", "version": "1", "dtype": "float32", "device": "cpu"}
    names = ("id", "checkpoint_label", "checkpoint", "fingerprint", "seed", "draws", "samples", "command")
    header = {
        **dict.fromkeys(names, ""), "task": "humaneval", "protocol": {"name": "openai", "metric": "pass@1"},
        "backend": facts, "sandbox": "namespaces", "views": 2,
    }  # fmt: skip
    results = [Result(sample=f"s/{n}", draw=0, score=0.0, disputed=n in (3, 8)) for n in range(9)]
    _show_run(header, results, False)
    assert "disputed          2 verdicts rest on one view of the sandbox alone: s/3, s/8" in capsys.readouterr().out
    _show_run(header, results, True)
    assert json.loads(capsys.readouterr().out)["disputed"] == ["s/3", "s/8"]
    _show_run(header, results[:2], False)
    assert "disputed" not in capsys.readouterr().out
    _show_run({**header, "views": 0}, results[:2], False)
    assert "disputed          not known: scored by a sandbox of one view" in capsys.readouterr().out
