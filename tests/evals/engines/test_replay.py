"""Saved generations: both forms are read, draws are told apart, what is missing is unscored."""

from pathlib import Path

import pytest

from evals.engines.replay import connect
from evals.records import Decoding, GenerateRequest
from zoo.errors import ZooError


def asked(sample: str, draw: int = 0) -> GenerateRequest:
    return GenerateRequest(sample=sample, draw=draw, prompt="p", decoding=Decoding(), seed=0)


def test_lines_of_humaneval_are_draws_in_order(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text('{"task_id": "HumanEval/0", "completion": "a"}\n{"task_id": "HumanEval/0", "completion": "b"}\n')
    found = list(connect(generations=str(file)).generate([asked("HumanEval/0", 1), asked("HumanEval/0"), asked("x")]))
    assert [one.text for one in found] == ["b", "a", ""]
    assert [one.finish for one in found] == ["stop", "stop", "fault"]
    assert not connect(generations=str(file)).facts.can_score_choices


def test_another_file_is_another_engine(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "y")):
        (tmp_path / name).write_text(f'{{"task_id": "t", "completion": "{text}"}}\n')
    one, other = (connect(generations=str(tmp_path / name)).facts.identity for name in "ab")
    assert one != other


@pytest.mark.parametrize("text", ["no json\n", '{"task_id": "t"}\n', '{"task_id": "t", "completion": 3}\n', "[]\n"])
def test_a_line_that_is_neither_form_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text('{"task_id": "t", "completion": ""}\n' + text)
    with pytest.raises(ZooError, match=r"f\.jsonl:2 is (not JSON|no saved generation) \("):
        connect(generations=str(file))


def test_no_file_is_one_line(tmp_path: Path) -> None:
    for given in ("", str(tmp_path / "none")):
        with pytest.raises(ZooError, match="--generations"):
            connect(generations=given)
