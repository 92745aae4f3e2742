"""One rule for which score stands for a cell: in memory, in the database, after push and pull, and in `find`."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.choice import CURRENT, PASSED_OVER, STANDS, choose, standing
from zoo.exchange.zoo_remote import pull, push
from zoo.records import Score
from zoo.registry import Registry, open_registry

CELL = "c" * 64


def header(run: str, checkpoint: str, **facts: Any) -> dict[str, Any]:
    backend = {"engine": facts.pop("engine", "transformers"), "dtype": facts.pop("dtype", "float32")}
    return {"id": run, "checkpoint": checkpoint, "backend": backend, "seed": 0, "draws": 1, **facts}


ORDERS = {
    "whole before part": ({"n": 90}, {"n": 160, "whole": False}),
    "more scored before fewer": ({"n": 164, "created": "2026-01-01"}, {"n": 163, "unscored": 1, "created": "2026-02-01"}),
    "more draws before fewer": ({"draws": 20, "created": "2026-01-01"}, {"draws": 1, "created": "2026-02-01"}),
    "more scored before more draws": ({"n": 164}, {"n": 100, "draws": 20}),
    "the newest": ({"created": "2026-02-01"}, {"created": "2026-01-01"}),
}  # fmt: skip


@pytest.mark.parametrize("rule", ORDERS)
@pytest.mark.parametrize("turned", [False, True])
def test_one_run_stands(rule: str, turned: bool, made: SimpleNamespace) -> None:
    winner, loser = (made.score(CELL, run, **facts) for run, facts in zip(("w", "l"), ORDERS[rule], strict=True))
    scores = [loser, winner] if turned else [winner, loser]
    assert standing(scores, {made.protocol().fingerprint: made.protocol()}) == [winner]


def test_every_cell_has_its_own(made: SimpleNamespace) -> None:
    other = made.protocol(metric="pass@10")
    scores = [made.score(CELL, "a"), made.score("d" * 64, "b"), made.score(CELL, "a", of=other)]
    assert standing(scores, {}) == scores


def test_another_version_of_the_task_is_another_cell_and_the_newest_is_current(made: SimpleNamespace) -> None:
    old, new, part = made.protocol(), made.protocol(task_version=2), made.protocol(task_version=2, partial="9 of 164")
    scores = [
        made.score(CELL, "new", of=new),
        made.score(CELL, "old", 0.75, of=old, n=2, created="2027"),
        made.score(CELL, "part", of=part, created="2028"),
    ]
    assert choose(scores, {one.fingerprint: one for one in (old, new, part)}) == [CURRENT, STANDS, STANDS]


def test_the_clean_part_is_of_the_run_that_stands(made: SimpleNamespace) -> None:
    scores = [
        made.score(CELL, "twenty", draws=20),
        made.score(CELL, "twenty", draws=20, subset="clean", n=20),
        made.score(CELL, "one"),
        made.score(CELL, "one", subset="clean", n=150),
        made.score(CELL, "one", subset="overlapping", n=14),
    ]
    assert choose(scores, {}) == [CURRENT, CURRENT, PASSED_OVER, PASSED_OVER, PASSED_OVER]


def test_a_combined_score_stands_while_its_runs_are_here(made: SimpleNamespace) -> None:
    runs = [made.score(CELL, f"seed-{seed}", seed=seed) for seed in range(3)]
    two = made.score(CELL, "seed-1", seeds=2, runs=("seed-0", "seed-1"))
    three = made.score(CELL, "seed-2", seeds=3, runs=("seed-0", "seed-1", "seed-2"))
    assert standing([*runs, two, three], {}) == [three]
    assert standing([three], {}) == [three]  # chosen before
    assert standing([*runs, two], {}) == [two]
    assert standing([*runs[:2], three], {}) == [runs[1]]
    more = made.score(CELL, "many", draws=9)
    assert standing([*runs, three, more], {}) == [more]


def test_an_imported_part_stands_nowhere(made: SimpleNamespace) -> None:
    part, whole = (made.protocol(name="lm-eval elsewhere", partial=text) for text in ("40 of 164 samples", ""))
    scores = [made.score(CELL, "part", of=part), made.score(CELL, "whole", of=whole)]
    assert standing(scores, {one.fingerprint: one for one in (part, whole)}) == scores[1:]


def add(registry: Registry, made: SimpleNamespace, *scores: Score, **facts: Any) -> None:
    first = scores[0]
    registry.add_scores(header(first.run, first.checkpoint, **facts), made.protocol(), scores)


def test_the_registry_keeps_the_choice(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry(db) as registry:
        digest = registry.add(made.phi(tmp_path / "a", 1), "one").digest
        add(registry, made, made.score(digest, "first", 0.5), draws=2, dtype="bfloat16")
        add(registry, made, made.score(digest, "second", 0.9, n=100), samples=100)
        (score,) = registry.scores("one", chosen=True)
        assert (score.run, score.draws, score.engine, score.dtype) == ("first", 2, "transformers", "bfloat16")
        assert [(one.run, one.whole) for one in registry.scores("one")] == [("first", True), ("second", False)]
        assert [one.label for one in registry.find("humaneval.value > 0.8")] == []
        assert [one.label for one in registry.find("humaneval.value = 0.5")] == ["one:1"]
        add(registry, made, made.score(digest, "first", 0.9, n=90, unscored=74), draws=2)
        add(registry, made, made.score(digest, "third", 0.7))
        assert [one.run for one in registry.scores("one", chosen=True)] == ["third"]
        registry.remove("one", with_scores=True)
        assert registry.scores(chosen=True) == []


def test_an_older_version_of_a_task_is_not_searched(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        digest = registry.add(made.phi(tmp_path / "a", 1), "one").digest
        for version, value in ((2, 0.5), (1, 0.75)):
            protocol = made.protocol(task_version=version)
            registry.add_scores(header(str(version), digest), protocol, [made.score(digest, str(version), value, of=protocol)])  # fmt: skip
        assert registry.find("humaneval.value > 0.7") == []
        assert len(registry.scores(chosen=True)) == 2


def test_combined_scores_and_every_protocol_travel(tmp_path: Path, made: SimpleNamespace) -> None:
    theirs = str(tmp_path / "theirs")
    other = f"sqlite:///{tmp_path / 'other.db'}", str(tmp_path / "store")
    with open_registry() as registry:
        digest = registry.add(made.phi(tmp_path / "a", 1), "one").digest
        add(registry, made, made.score(digest, "s0"), seed=0)
        combined = made.score(digest, "s1", seeds=2, runs=("s0", "s1"))
        add(registry, made, made.score(digest, "s1"), combined, seed=1)
        ten = made.protocol(metric="pass@10")
        registry.add_scores(header("s1", digest, seed=1), ten, [made.score(digest, "s1", of=ten)])
        before = registry.scores("one", chosen=True)
        assert [score.seeds for score in before] == [2, 1]
        push(registry, "one", theirs)
    with open_registry(*other) as registry:
        registry.add(made.phi(tmp_path / "b", 1), "one")
        add(registry, made, made.score(digest, "s1"), seed=1)  # measured here too
        pull(registry, "one", theirs)
        every = {(score.metric, score.seeds, score.runs) for score in registry.scores("one")}
        assert every >= {(score.metric, score.seeds, score.runs) for score in before}
        chosen = {score.metric: score for score in registry.scores("one", chosen=True)}
        assert chosen["pass@1"].measured_at == ""  # our own stands before theirs of two seeds
        assert chosen["pass@10"].measured_at == theirs
        assert len(registry.protocols()) == 2
