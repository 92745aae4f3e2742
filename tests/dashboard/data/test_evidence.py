"""The evidence of a cell says what searches of the training data say of its run, and which samples they flagged."""

from pathlib import Path

from dashboard.board.cells import Cell
from dashboard.data.evidence import flagged_samples, run_facts
from evals.results.renew import renew
from tests.dashboard.conftest import fill
from zoo.records import Search, SearchedBy, SearchedSet
from zoo.registry import open_registry


def test_the_facts_of_a_run_name_its_search() -> None:
    cell = Cell(origin="measured", value=50.0, low=40.0, high=60.0, n=164, run="r")
    assert dict(run_facts({}, cell))["training data"] == "not searched for in training data"
    searched = Cell(
        origin="measured", value=50.0, low=40.0, high=60.0, n=164, run="r", samples=164, overlaps=3, unsearchable=0,
        searched="in part", unsearched="no training data is recorded for base:1",
    )  # fmt: skip
    assert dict(run_facts({}, searched))["training data"] == (
        "3 of 164 in training data; not searched in full: no training data is recorded for base:1"
    )


def test_the_samples_page_marks_what_any_search_flagged(tmp_path: Path) -> None:
    fill(tmp_path)
    with open_registry(f"sqlite:///{tmp_path / 'zoo.db'}", str(tmp_path / "store")) as registry:
        run = next(run for run in registry.runs() if run["task"] == "mini_exercises")
        assert flagged_samples(registry, run) is None
        ids = tuple(f"mini_exercises/{number:03d}" for number in range(320))
        for method, flagged in (("ast", ids[:2]), ("ngram", ids[1:3])):
            registry.add_search(
                Search(
                    checkpoint=run["checkpoint"],
                    task="mini_exercises",
                    samples=ids,
                    flagged=flagged,
                    datasets=(SearchedSet(digest="ab" * 32, documents=900),),
                    methods=(SearchedBy(method=method, threshold=1.0),),
                )
            )
        assert flagged_samples(registry, run) == frozenset(ids[:3])
        assert renew(registry).splits == 1
        (split,) = registry.splits().values()
        assert (split.run, split.overlapping, split.unsearched) == (run["id"], 3, "")
