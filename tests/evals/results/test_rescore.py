"""A run scored again under another extraction: nothing generated, its own run, its own column."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from evals.cli.rescore import rescore as command
from evals.datasets.load import rows
from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from evals.results.rescore import rescore
from evals.run import RunOptions, evaluate
from evals.run_folder import read_header, read_results
from evals.tasks import task
from zoo.errors import ZooError

CHECKPOINT = ("c" * 64, "tiny:1")
TAIL = "\n@cache\ndef more(x):\n    return x\nThat was all."  # `openai` keeps it, EvalPlus' sanitising does not


class Engine:
    """Writes the reference and a tail that is no Python."""

    def __init__(self) -> None:
        self.facts = Facts(engine="script", version="1", dtype="none", device="none", context_tokens=99)
        self.solutions = {row["task_id"]: row["canonical_solution"].rstrip() for row in rows("humaneval")}

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        for asked in requests:
            text = self.solutions[asked.sample] + TAIL
            yield Generation(
                sample=asked.sample, draw=asked.draw, text=text, prompt_tokens=1, tokens=1, finish="stop",
            )  # fmt: skip

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        return iter(())

    def close(self) -> None:
        pass


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path))
    done = evaluate(Engine(), task("humaneval"), CHECKPOINT, tmp_path / "runs", RunOptions(limit=5))
    assert [result.score for result in done.results] == [0.0] * 5
    return done.path.parent


def test_the_same_texts_under_evalplus_sanitising(run: Path) -> None:
    done = rescore(run, "evalplus", run.parent, RunOptions())
    assert [result.score for result in done.results] == [1.0] * 5
    assert done.header.protocol["name"] == "openai>evalplus"
    was = read_header(run)
    assert done.header.protocol["prompts_sha256"] == was.protocol["prompts_sha256"]
    assert done.header.fingerprint != was.fingerprint
    assert done.header.id != was.id
    assert [result.score for result in read_results(run / "results.jsonl")] == [0.0] * 5
    assert [result.text for result in done.results] == [result.text for result in read_results(run / "results.jsonl")]
    again = rescore(run, "evalplus", run.parent, RunOptions())
    assert again.header.id == done.header.id


def test_by_command(run: Path) -> None:
    said = CliRunner().invoke(command, [run.name[:12], "--protocol", "evalplus"], catch_exceptions=False).stdout
    assert "humaneval [openai>evalplus] pass@1  100.0" in said
    assert "not published" in said
    told = CliRunner().invoke(command, [run.name, "--protocol", "lm-eval", "--json"], catch_exceptions=False).stdout
    assert [one["value"] for one in json.loads(told)] == [0.0]


def test_what_cannot_be_crossed_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="has protocol openai already"):
        rescore(run, "openai", run.parent, RunOptions())
    with pytest.raises(ZooError, match='no protocol "evalplos"'):
        rescore(run, "evalplos", run.parent, RunOptions())
    crossed = rescore(run, "evalplus", run.parent, RunOptions())
    with pytest.raises(ZooError, match="is itself rescored"):
        rescore(crossed.path.parent, "bigcode", run.parent, RunOptions())
    (run / "generations.jsonl").unlink()
    with pytest.raises(ZooError, match="has no generations"):
        rescore(run, "evalplus", run.parent, RunOptions())
