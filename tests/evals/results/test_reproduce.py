"""A published number made again: the same comes out the same, a changed sample is named."""

from pathlib import Path

import msgspec
import pytest

from evals.records import Result
from evals.results import reproduce as evidence
from evals.results import task_of_run
from evals.results.publish import publish
from evals.results.reproduce import differences
from evals.run import RunOptions, evaluate
from evals.tasks import task
from zoo import settings
from zoo.cli import root
from zoo.errors import ZooError
from zoo.registry import open_registry


@pytest.fixture
def published(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A zoo with one tiny checkpoint scored on five ARC questions. Gives the run's id."""
    from evals.engines.transformers_local import connect

    whole = task("arc_easy")
    few = msgspec.structs.replace(whole, samples=lambda: list(whole.samples())[:5], size=5)
    monkeypatch.setattr(task_of_run, "find_task", lambda spec: few)
    with open_registry() as registry:
        checkpoint = registry.add(tiny_phi, "tiny")
        backend = connect(registry.path(checkpoint), device="cpu")
        done = evaluate(backend, few, (checkpoint.digest, checkpoint.label), settings.runs_dir(), RunOptions())
        publish(registry, done)
    return done.header.id


def test_the_same_run_comes_out_the_same(published: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["eval", "reproduce", "tiny/arc_easy"]) == 0
    told = capsys.readouterr().out
    assert "identical: all 5 samples" in told
    assert "--task arc_easy@lm-eval" in told


def test_a_number_that_does_not_come_out_is_named(
    published: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from evals.engines import transformers_local

    load = transformers_local.load

    def other(path: Path, dtype: str, device: str) -> object:
        model, tokens = load(path, dtype, device)
        model.get_output_embeddings().bias.data += 0.5 * (model.get_output_embeddings().bias.data + 1).cumsum(0)
        return model, tokens

    monkeypatch.setattr(transformers_local, "load", other)
    assert root.run(["eval", "reproduce", published[:12]]) == 1
    assert "5 of 5 samples differ" in capsys.readouterr().err


def test_a_changed_protocol_is_said_not_compared(
    published: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = task_of_run.find_task("")
    monkeypatch.setattr(task_of_run, "find_task", lambda spec: msgspec.structs.replace(few, version=2))
    assert root.run(["eval", "reproduce", published[:12]]) == 2
    assert "has changed since run" in capsys.readouterr().err


def test_an_unknown_cell_gets_the_nearest(published: str) -> None:
    with open_registry() as registry, pytest.raises(ZooError, match="no published run"):
        evidence.cell_run(registry, "ffffffffff")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_exported_samples_are_the_evidence(published: str, tmp_path: Path, form: str) -> None:
    assert root.run(["eval", "export", "tiny/arc_easy", "--out", str(tmp_path), "--format", form]) == 0
    if form == "jsonl":
        count = len((tmp_path / "samples.jsonl").read_bytes().splitlines())
    else:
        from pyarrow import parquet

        count = parquet.read_table(tmp_path / "samples.parquet").num_rows
    assert count == 5
    card = (tmp_path / "README.md").read_text()
    assert published in card
    assert "n=5" in card


def test_differences_see_score_text_logprob_and_missing() -> None:
    same = [Result(sample=str(i), draw=0, score=1.0, text="a", logprobs=(-1.0,)) for i in range(5)]
    changed = [
        same[0],
        msgspec.structs.replace(same[1], score=0.0),
        msgspec.structs.replace(same[2], text="b"),
        msgspec.structs.replace(same[3], logprobs=(-1.01,)),
    ]
    assert [one.sample for one in differences(same, changed)] == ["1", "2", "3", "4"]
    assert differences(same, same) == []
    near = [msgspec.structs.replace(one, logprobs=(-1.00001,)) for one in same]
    assert differences(same, near) == []


def test_a_likelihood_may_differ_by_rounding_and_not_by_more() -> None:
    def line(logprob: float) -> Result:
        return Result(sample="s", draw=0, score=-logprob / 7, logprobs=(logprob,), verdict="read")

    assert differences([line(-900.0)], [line(-900.004)]) == []
    assert len(differences([line(-900.0)], [line(-901.0)])) == 1
