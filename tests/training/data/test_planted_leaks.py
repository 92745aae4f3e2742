"""HumanEval problems planted at graded distances: what each method finds, and what it takes for one that is none."""

import inspect
import statistics
import textwrap

import pytest

from evals.contamination.syntax_trees import SHORTEST
from evals.datasets.load import rows
from evals.sandbox import Program, open_sandbox
from training.data.decontaminate import Index, Search
from training.data.leaks import leak
from training.data.problems import problems, solutions

EVERY = tuple(rows("humaneval"))
PLANTED = EVERY[::3][:50]


@pytest.fixture(scope="module")
def index() -> Index:
    return Index(problems("humaneval"))


def found(index: Index, texts: list[str], search: Search) -> list[set[str]]:
    return [{one.problem for one in matches if search.holds(one)} for matches in index.matches(texts, search)]


def search(method: str, rate: float = 0.95) -> Search:
    return Search(tasks=("humaneval",), methods=(method,), rate=rate)  # type: ignore[arg-type]


def recall(index: Index, grade: str, asked: Search, least: int = 0) -> float:
    """Share of the planted problems that are found as themselves, of those whose tree has `least` symbols."""
    sizes = {one.id: max(len(f.symbols) for f in solutions(one)) for one in index.problems}
    names = [f"humaneval/{row['task_id'].rsplit('/', 1)[1]}" for row in PLANTED]
    told = found(index, [leak(row, grade) for row in PLANTED], asked)
    return statistics.fmean(name in one for name, one in zip(names, told, strict=True) if sizes[name] >= least)


def test_a_leak_still_solves_its_problem() -> None:
    chosen = PLANTED[:12]
    programs = []
    for row in chosen:
        text = leak(row, "restructured")
        names = [line.split("(")[0][4:] for line in text.splitlines() if line.startswith("def ")]
        solved = f"{text}\n{row['entry_point']} = {names[-1]}\n"
        programs.append(
            Program(id=row["task_id"], prompt="", completion=solved, test=row["test"], entry_point=row["entry_point"])
        )
    with open_sandbox() as sandbox:
        assert {one.id for one in sandbox.run(iter(programs)) if one.verdict != "passed"} == set()


def test_copies_are_found_by_words_and_by_trees(index: Index) -> None:
    assert recall(index, "copied", search("ngram")) >= 0.98
    assert recall(index, "copied", search("tree"), SHORTEST) == 1.0


def test_trees_do_not_see_names_or_docstrings(index: Index) -> None:
    assert recall(index, "renamed", search("tree"), SHORTEST) == 1.0
    assert recall(index, "rewritten", search("tree"), SHORTEST) == 1.0
    assert recall(index, "rewritten", search("ngram")) < 0.5


def test_a_lower_rate_finds_more_of_what_was_rebuilt(index: Index) -> None:
    by_rate = [recall(index, "restructured", search("tree", rate), SHORTEST) for rate in (0.95, 0.9, 0.85, 0.8)]
    assert by_rate == sorted(by_rate)
    assert by_rate[-1] > by_rate[0] + 0.2


def test_the_standard_librarys_functions_are_no_leaks(index: Index) -> None:
    import heapq
    import statistics as statistics_
    import textwrap as textwrap_

    modules = (heapq, statistics_, textwrap_)
    texts = [
        textwrap.dedent(inspect.getsource(one))
        for module in modules
        for one in vars(module).values()
        if inspect.isfunction(one) and one.__module__ == module.__name__
    ]
    assert len(texts) >= 40
    assert not any(found(index, texts, search("ngram")))
    assert sum(map(bool, found(index, texts, search("tree")))) <= len(texts) // 20
