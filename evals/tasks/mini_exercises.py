"""mini_exercises: 320 small functions to complete, held out from the template teacher's exercises.

Ours; Apache-2.0. `training.data` makes them from a separate seed, and they are pinned here. Every
training set of that teacher is checked to contain none of them (same prompt, or same solution up to
names). They measure models of a few million parameters, which score 0 on HumanEval.
The prompts end right after the docstring's quotes, not in a newline: the same trained model solved
0 of 300 with the newline and 202 of 300 without it, since the tokenizer merges it with the indentation.
"""

from collections.abc import Iterator

from evals.datasets.forms import EvalSet, Shipped, humaneval
from evals.datasets.load import rows
from evals.records import Decoding, Sample
from evals.sandbox import Program
from evals.scoring.answer import cut
from evals.task import Task

TITLE = "Mini exercises"
SETS = (
    EvalSet(
        name="mini_exercises", split="test", rows=320, licence="Apache-2.0", folder="mini_exercises/data.jsonl",
        digest="285ef48354ec839634c231106ec89d0aedbf2fdb0ce90b47d719ee2ff425a24a", form=humaneval,
        shipped=Shipped(package="evals", distribution="phi-zoo", path="tasks/mini_exercises.jsonl", form="jsonl"),
    ),
)  # fmt: skip
STOPS = ("\ndef", "\nclass", "\n#", "\nif", "\nprint", "\nassert", "\n\n\n")


def samples() -> Iterator[Sample]:
    for row in rows("mini_exercises"):
        data = {"test": row["test"], "entry_point": row["entry_point"], "solution": row["canonical_solution"]}
        yield Sample(id=row["task_id"], question=row["prompt"], target=row["entry_point"], data=data)


def prompt(sample: Sample) -> str:
    return sample.question


def extract(sample: Sample, text: str) -> str:
    return cut(text, STOPS)


def program(sample: Sample, answer: str) -> Program:
    test, entry = sample.data["test"], sample.data["entry_point"]
    return Program(id=sample.id, prompt=sample.question, completion=answer, test=test, entry_point=entry)


def gold(sample: Sample) -> str:
    return str(sample.data["solution"])


PROTOCOLS = {
    "phizoo": Task(
        name="mini_exercises", version=1, kind="code",
        about="320 small held-out functions of the template teacher, run against their tests", samples=samples,
        prompt=prompt, extract=extract, program=program, gold=gold, metrics=("pass@1",),
        decoding=Decoding(max_tokens=160, stop=STOPS), data="mini_exercises", split="test", licence="Apache-2.0",
        paper="this project", size=320, chance=0.0,
    ),
}  # fmt: skip
