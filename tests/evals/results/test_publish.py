"""Publishing: every metric of a run stays, evidence beside it, subsets told apart."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts, Sample, Scored, encode_line
from evals.results.publish import publish
from evals.run import FinishedRun, RunOptions, evaluate
from evals.task import Task
from zoo.cli.output import score_notes
from zoo.errors import ZooError
from zoo.records import About, Dataset, Search, SearchedBy, SearchedSet, TrainedOn
from zoo.registry import Registry, open_registry

DATA = "d" * 64


class Engine:
    """Likes the first choice best."""

    facts = Facts(engine="first", version="1", dtype="none", device="none", context_tokens=9)

    def choose(self, requests: list[ChoiceRequest]) -> Iterator[ChoiceScores]:
        for request in requests:
            read = tuple(Choice(logprob=-float(place), tokens=1, greedy=False) for place in range(len(request.pairs)))
            yield ChoiceScores(sample=request.sample, choices=read)


def judge(sample: Sample, read: tuple[Choice, ...]) -> Scored:
    return Scored(metrics={"acc": float(sample.target == 0), "acc_norm": 1.0})


def picked(engine: Engine, tiny_phi: Path, tmp_path: Path) -> FinishedRun:
    """A task of eight questions, run."""
    with open_registry() as registry:
        checkpoint = registry.add(tiny_phi, "tiny", About(datasets=(TrainedOn(digest=DATA, tokens=9),)))
    task = Task(
        name="pick",
        version=1,
        kind="choices",
        about="",
        samples=lambda: [Sample(id=f"s/{n}", question="q", target=n % 2, choices=("a", "b")) for n in range(8)],
        pairs=lambda sample: (("q", " a"), ("q", " b")),
        judge=judge,
        metrics=("acc", "acc_norm"),
        size=8,
    )
    return evaluate(engine, task, (checkpoint.digest, checkpoint.label), tmp_path / "runs", RunOptions())  # type: ignore[arg-type]


def add_search(registry: Registry, done: FinishedRun, flagged: tuple[str, ...]) -> None:
    """Keeps a search of all the training data that the checkpoint has."""
    registry.add_dataset(Dataset(name="text", digest=DATA, kind="documents", documents=4, tokens=9))
    registry.add_search(
        Search(
            checkpoint=done.header.checkpoint,
            task="pick",
            datasets=(SearchedSet(digest=DATA, name="text", documents=4),),
            methods=(SearchedBy(method="ngram", threshold=13),),
            samples=tuple(result.sample for result in done.results),
            flagged=flagged,
        )
    )


@pytest.fixture
def done(tiny_phi: Path, tmp_path: Path) -> FinishedRun:
    return picked(Engine(), tiny_phi, tmp_path)


def test_every_metric_stays_and_again_changes_nothing(done: FinishedRun) -> None:
    with open_registry() as registry:
        for _ in range(2):
            publish(registry, done)
            found = {score.metric: score.value for score in registry.scores("tiny")}
            assert found == {"acc": 0.5, "acc_norm": 1.0}
            assert len(registry.scores("tiny")) == 2
        assert len(registry.protocols()) == 2
        assert registry.results(done.header.id).read_bytes() == done.path.read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_run_with_a_number_that_is_not_finite_is_never_published(
    tiny_phi: Path, tmp_path: Path, value: float
) -> None:
    class Overflowing(Engine):
        def choose(self, requests: list[ChoiceRequest]) -> Iterator[ChoiceScores]:
            for scores in super().choose(requests):
                if scores.sample == "s/3":
                    first = msgspec.structs.replace(scores.choices[0], logprob=value)
                    scores = msgspec.structs.replace(scores, choices=(first, *scores.choices[1:]))
                yield scores

    run = picked(Overflowing(), tiny_phi, tmp_path)
    assert [result.sample for result in run.results if result.score is None] == ["s/3"]
    assert "log-probability 1 of 2 is" in run.results[3].detail
    with open_registry() as registry:
        for allow in (False, True):
            with pytest.raises(
                ZooError, match=r"1 of 8 samples of pick have numbers that are not finite .*s/3.* never"
            ):
                publish(registry, run, allow_unscored=allow)
        assert not registry.scores("tiny")


def test_the_first_metric_is_the_one_that_find_asks(done: FinishedRun) -> None:
    with open_registry() as registry:
        publish(registry, done)
        assert [found.name for found in registry.find(["pick.value < 0.6"])] == ["tiny"]
        assert registry.find(["pick.value > 0.9"]) == []


def test_subsets_split_every_metric(done: FinishedRun) -> None:
    with open_registry() as registry:
        add_search(registry, done, ("s/0", "s/1", "s/2"))
        made = publish(registry, done)
    counted = {(score.metric, score.subset): (score.n, round(score.value, 3)) for score in made}
    assert counted["acc", "all"] == (8, 0.5)
    assert counted["acc", "overlapping"] == (3, 0.667)
    assert counted["acc", "clean"] == (5, 0.4)
    assert counted["acc_norm", "clean"] == (5, 1.0)


def test_disputed_verdicts_are_counted_in_each_score_and_part(done: FinishedRun) -> None:
    results = [msgspec.structs.replace(one, disputed=one.sample in ("s/1", "s/3", "s/4")) for one in done.results]
    done.path.write_bytes(b"".join(map(encode_line, results)))
    disputed = msgspec.structs.replace(done, results=results)
    with open_registry() as registry:
        add_search(registry, disputed, flagged=("s/3", "s/5"))
        publish(registry, disputed)
        counts = {score.subset: score.disputed for score in registry.scores("tiny") if score.metric == "acc"}
        notes = [score_notes(score) for score in registry.scores("tiny") if score.subset == "all"]
    assert counts == {"all": 3, "clean": 2, "overlapping": 1}
    assert all("3 disputed" in note for note in notes)
