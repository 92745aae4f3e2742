"""Planted leaks are found at their problem and span; code that shares nothing is left alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import decontaminate as module
from training.data.build import Built, Counts, Made, folder_of, make, write_result
from training.data.decontaminate import Index, Search, decontaminate_dataset
from training.data.document import document, read_documents
from training.data.problems import Problem
from training.data.synthesis.nameless import nameless

PROMPT = '''def running_peaks(readings):
    """Given a list of temperature readings taken every hour, give back the list of highest values seen so far.

    >>> running_peaks([3, 1, 4])
    [3, 3, 4]
    """'''
SOLUTION = """
    peaks = []
    for reading in readings:
        if not peaks or reading > peaks[-1]:
            peaks.append(reading)
        else:
            peaks.append(peaks[-1])
    return peaks
"""
TEST = "def check(candidate):\n    assert candidate([3, 1, 4]) == [3, 3, 4]\n"
ROW = {
    "task_id": "demo/7",
    "prompt": PROMPT,
    "canonical_solution": SOLUTION,
    "test": TEST,
    "entry_point": "running_peaks",
}
RENAMED = "def f(a):\n    b = []\n    for c in a:\n        if not b or c > b[-1]:\n            b.append(c)\n        else:\n            b.append(b[-1])\n    return b\n"
SEARCH = Search(tasks=("demo",), methods=("ngram", "tree"))
INNOCENT = "def total(values):\n    '''Adds the values up one after another.'''\n    return sum(values)\n"


@pytest.fixture
def leaks(monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setattr("evals.datasets.load.rows", lambda name, split="test": (ROW,))
    monkeypatch.setattr("training.data.shards.cores", lambda: 1)
    module.index.cache_clear()
    texts = {
        "copied": PROMPT + SOLUTION,
        "renamed": RENAMED,
        "docstring": f"# {PROMPT.splitlines()[1].strip()}\n",
        "innocent": INNOCENT,
    }

    def build(work: Path) -> Built:
        kept = [document(text, name, "p", "MIT", "function") for name, text in texts.items()]
        number, tokens = write_result(work / "out", kept)
        counts = Counts("all")
        counts.keep(number)
        return Built(kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),))

    return make("leaks", {"stage": "leaks"}, None, build)


def test_planted_leaks_are_dropped_with_problem_and_span(leaks: Made) -> None:
    made = decontaminate_dataset("leaks", "clean", ["demo"])
    kept = [one.source for one in read_documents(folder_of(made.dataset))]
    lost = {one.source: one for one in read_documents(folder_of(made.dataset), "dropped")}
    assert kept == ["innocent"]
    assert {name: [m["method"] for m in one.facts["matches"]] for name, one in lost.items()} == {
        "copied": ["ngram", "tree"], "renamed": ["tree"], "docstring": ["ngram"],
    }  # fmt: skip
    for one in lost.values():
        assert {match["problem"] for match in one.facts["matches"]} == {"demo/7"}
    (match,) = lost["docstring"].facts["matches"]
    assert match["text"].startswith("Given a list of temperature readings")
    (stage,) = made.dataset.stages
    assert (stage.entered, stage.kept, sum(stage.dropped.values())) == (4, 1, 3)
    assert made.dataset.recipe is not None
    assert made.dataset.recipe["similar"] == 1


@pytest.mark.parametrize(
    "text", ["x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]\n", "def f(x, y):\n    return x + y\n", "", "def f(:"]
)
def test_what_is_everybodys_is_no_leak(text: str) -> None:
    known = Index(
        [
            Problem(
                id="demo/1",
                prompt="Add 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 up",
                code="def add(a, b):\n    return a + b\n\nassert add([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])\n",
            )
        ]
    )
    assert known.matches([text], SEARCH) == [[]]


def renamed(text: str, names: dict[str, str]) -> str:
    import re

    return re.sub(r"\b(f|a|b|c)\b", lambda match: names[match.group()], text)


@given(
    st.lists(
        st.sampled_from(["alpha", "beta", "gamma", "delta", "f", "a", "b", "c"]), min_size=4, max_size=4, unique=True
    )
)
def test_decontamination_is_symmetric_under_renaming(chosen: list[str]) -> None:
    other = renamed(RENAMED, dict(zip("fabc", chosen, strict=True)))
    assert nameless(other) == nameless(RENAMED)
    for leak, problem in ((other, RENAMED), (RENAMED, other)):
        (found,) = Index([Problem(id="demo/7", prompt="", code=problem)]).matches([leak], SEARCH)
        assert [(one.problem, one.value) for one in found if one.method == "tree"] == [("demo/7", 1.0)]


def test_a_changed_constant_is_another_tree() -> None:
    assert nameless(RENAMED) != nameless(RENAMED.replace("-1", "-2"))
