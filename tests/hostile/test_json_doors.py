"""Deep nesting and halves of surrogate pairs at each door that reads JSON: one clear line, and no half goes further."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evals.cli.sandbox import _program
from evals.contamination import documents, flags
from evals.datasets import load
from evals.engines import replay
from evals.results import import_formats
from evals.results.judge import parse_grade
from tests.hostile.texts import DEEP
from training.data.quality.labeller import QUESTIONS, read_answer
from zoo.cli.models_add import read_recipe
from zoo.errors import ZooError

FILES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "completions": ("x.jsonl", lambda path: list(replay.read_texts(path))),
    "harness samples": ("samples_gsm8k_2026-01-01T10-00-00.000000.jsonl", import_formats.read),
    "EvalPlus results": ("x_eval_results.json", import_formats.read),
    "flags": ("x.jsonl", flags.read),
    "documents": ("x.jsonl", lambda path: list(documents._lines(path))),
    "recipe": ("x.json", read_recipe),
    "evaluation set": ("data.jsonl", lambda path: list(load._lines(path))),
    "programs": ("x.jsonl", lambda path: _program(1, path.read_bytes())),
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
@pytest.mark.parametrize("door", FILES)
def test_deep_nesting_is_one_line(door: str, text: bytes, tmp_path: Path) -> None:
    name, read = FILES[door]
    (tmp_path / name).write_bytes(text + b"\n")
    with pytest.raises(ZooError, match="deeply") as raised:
        read(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_deep_answers_of_models_count_as_unreadable(text: bytes) -> None:
    answer = {"choices": [{"message": {"content": text.decode()}}]}
    for question in QUESTIONS.values():
        assert read_answer(answer, question) is None
    assert parse_grade(text.decode()) is None


def test_half_a_pair_in_a_file_does_not_go_further(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"task_id": "a", "completion": "x \ud835", "more": {"\udc00": 1}}) + "\n")
    assert [text.text for text in replay.read_texts(path)] == ["x \ufffd"]
    assert [row["completion"] for row in documents._lines(path)] == ["x \ufffd"]
    texts = dict.fromkeys(("prompt", "completion", "test", "entry_point"), "�")
    assert _program(1, json.dumps({"id": "a", **texts}).encode()).completion == "\ufffd"


def test_half_a_pair_in_an_evaluation_set_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"question": "\ud835"}) + "\n")
    with pytest.raises(ZooError, match=r"line 1 is not JSON .*surrogate"):
        list(load._lines(path))


def test_half_a_pair_in_an_answer_does_not_go_further() -> None:
    content = json.dumps({"reason": "a \ud835 b", "points": 3})
    assert read_answer({"choices": [{"message": {"content": content}}]}, QUESTIONS["additive"]) == (3, "a \ufffd b", "")
    assert parse_grade(json.dumps({"evaluation": "\ud835", "grade": 9})) == (9, "\ufffd")
