"""Planted leaks are dropped with their problem and span; code that shares nothing is kept."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.contamination.problems import Problem
from evals.contamination.search import open_method
from evals.contamination.trees import TreeSearch
from training.data import decontaminate as module
from training.data.build import Built, Counts, MadeDataset, folder_of, make, write_result
from training.data.decontaminate import DEFAULT_METHODS, VERSION, decontaminate_dataset, make_plans
from training.data.document import make_document, read_documents
from training.data.synthesis.nameless import strip_names
from zoo.cli import root
from zoo.errors import ZooError

QUESTION = "Given a list of temperature readings taken every hour, give back the list of highest values seen so far."
PROMPT = f'''def running_peaks(readings):
    """{QUESTION}

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
TEST = "def check(candidate):\n    assert candidate(sorted(range(9), reverse=True)) == [8] * 9\n"
ROW = {
    "task_id": "HumanEval/7",
    "prompt": PROMPT,
    "canonical_solution": SOLUTION,
    "test": TEST,
    "entry_point": "running_peaks",
}
RENAMED = "def f(a):\n    b = []\n    for c in a:\n        if not b or c > b[-1]:\n            b.append(c)\n        else:\n            b.append(b[-1])\n    return b\n"
INNOCENT = "def total(values):\n    '''Adds the values up one after another.'''\n    return sum(values)\n"


@pytest.fixture
def leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeDataset]:
    monkeypatch.setattr("evals.tasks.humaneval.rows", lambda name: (ROW,))
    monkeypatch.setattr("training.data.shards.cores", lambda: 1)
    module.load_problems.cache_clear()
    module.open_methods.cache_clear()
    yield dataset_of(
        "leaks", copied=PROMPT + SOLUTION, renamed=RENAMED, docstring=f"# {QUESTION}\n", capitals=f"# {QUESTION.upper()}\n",
        tests=TEST, innocent=INNOCENT,
    )  # fmt: skip
    module.load_problems.cache_clear()
    module.open_methods.cache_clear()


def dataset_of(name: str, **texts: str) -> MadeDataset:
    """A dataset of these documents, by source."""

    def build(work: Path) -> Built:
        kept = [make_document(text, source, "p", "MIT", "function") for source, text in texts.items()]
        number, tokens = write_result(work / "out", kept)
        counts = Counts("all")
        counts.keep(number)
        return Built(kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),))

    return make(name, {"stage": name}, None, build)


def sources(made: MadeDataset, stem: str = "documents") -> dict[str, list[dict[str, object]]]:
    """The matches of each document by its source."""
    return {one.source: one.facts.get("matches", []) for one in read_documents(folder_of(made.dataset), stem)}


def test_planted_leaks_are_dropped_with_problem_and_span(leaks: MadeDataset) -> None:
    made = decontaminate_dataset("leaks", "clean", ["humaneval"])
    assert list(sources(made)) == ["innocent"]
    lost = sources(made, "dropped")
    assert {name: [match["method"] for match in matches] for name, matches in lost.items()} == {
        "copied": ["ngram", "code-ngram", "ast"], "renamed": ["ast"], "docstring": ["ngram"], "capitals": ["ngram"],
        "tests": ["code-ngram"],
    }  # fmt: skip
    assert {match["problem"] for matches in lost.values() for match in matches} == {"HumanEval/7"}
    (match,) = lost["docstring"]
    assert (match["start"], match["text"]) == (2, QUESTION.removesuffix("."))
    (stage,) = made.dataset.stages
    assert (stage.entered, stage.kept) == (6, 1)
    assert stage.dropped == {
        "holds humaneval (ngram)": 3, "holds humaneval (ast)": 1, "holds humaneval (code-ngram)": 1,
    }  # fmt: skip
    assert made.dataset.recipe is not None
    assert (made.dataset.recipe["similar"], made.dataset.recipe["of"]) == (1, 1)
    assert made.dataset.recipe["version"] == VERSION


def test_documents_of_several_chunks_are_dropped_at_their_places(
    leaks: MadeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = decontaminate_dataset("leaks", "whole", ["humaneval"], ["ast", "ngram"])
    monkeypatch.setattr(module, "CHUNK", 2)
    monkeypatch.setattr(module, "VERSION", VERSION + 1)
    parts = decontaminate_dataset("leaks", "parts", ["humaneval"], ["ngram", "tree"])
    assert parts.fresh
    assert sources(parts, "dropped") == sources(whole, "dropped")


def test_a_question_in_capitals_is_found_by_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    question = "WRITE A FUNCTION TO SORT A GIVEN MATRIX IN ASCENDING ORDER ACCORDING TO THE SUM OF ITS ROWS."  # mbpp/12
    dataset_of("code", question=f"# {question}\nrows = 0\n", other=INNOCENT)
    assert root.run(["eval", "contamination", "mbpp", "--dataset", "code", "--method", "ngram", "--json"]) == 0
    (flags,) = json.loads(capsys.readouterr().out)
    (flag,) = flags["flagged"]
    assert (flag["sample"], flag["matches"][0]["document"].split()[1]) == ("mbpp/12", "question")
    made = decontaminate_dataset("code", "clean", ["mbpp"])
    assert list(sources(made)) == ["other"]
    assert [match["problem"] for match in sources(made, "dropped")["question"]] == ["mbpp/12"]


@pytest.mark.parametrize(
    "text", ["x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]\n", "def f(x, y):\n    return x + y\n", "", "def f(:"]
)
def test_code_that_occurs_everywhere_is_no_leak(text: str) -> None:
    problem = Problem(
        sample="demo/1", question="Add 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 up",
        whole="Add 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 up", program="def add(a, b):\n    return a + b\n",
        tests="assert add([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])\n",
    )  # fmt: skip
    assert [
        match for plan in make_plans(DEFAULT_METHODS, {}) for match in open_method([problem], plan).matches([text])
    ] == []


def test_an_unknown_method_is_refused_and_an_old_word_understood() -> None:
    with pytest.raises(ZooError, match="ngram, code-ngram, ast, embedding"):
        make_plans(["trees"], {})
    assert make_plans(["tree"], {"ast": 0.9}) == make_plans(["ast"], {"ast": 0.9})


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
    assert strip_names(other) == strip_names(RENAMED)
    for leak, program in ((other, RENAMED), (RENAMED, other)):
        search = TreeSearch([Problem(sample="demo/7", question="", whole="", program=program)], 0.95)
        assert [match.similarity for match in search.matches([leak])] == [1.0]


def test_a_changed_constant_is_another_tree() -> None:
    assert strip_names(RENAMED) != strip_names(RENAMED.replace("-1", "-2"))


def test_an_encoder_without_a_calibrated_distance_asks_for_one() -> None:
    with pytest.raises(ZooError, match=r"no distance is calibrated for phi-1-mini: give --distance"):
        make_plans(["embedding"], {}, "phi-1-mini")
    with pytest.raises(ZooError, match=r"expected a distance in 0\.\.2"):
        make_plans(["embedding"], {"embedding": 5.0})
