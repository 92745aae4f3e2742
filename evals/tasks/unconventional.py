"""unconventional: 25 problems that no textbook has, in HumanEval's form with unit tests.

Ours; Apache-2.0. After phi-1 (arXiv:2306.11644, section 4): problems that are unlikely to be in any
training set, since each combines rules that are not usually combined. The paper's 50 problems and its
grader's prompt are not published; it had no tests, only a grade. Here `phizoo eval run` runs the tests, and
`phizoo eval judge` asks a judge model for a grade from 0 to 10 and reports how well the two agree.
25 problems separate models only coarsely: the interval of a score is about 40 points wide.
"""

from collections.abc import Iterator

from evals.datasets.forms import EvalSet, Shipped, humaneval
from evals.datasets.load import rows
from evals.records import Decoding, Sample
from evals.sandbox import Program
from evals.scoring.answer import cut
from evals.task import Task

TITLE = "Unconventional 25"
SETS = (
    EvalSet(
        name="unconventional", split="test", rows=25, licence="Apache-2.0", folder="unconventional/data.jsonl",
        digest="d1f53123a97d2bc61b68f8ef8843a834b0cef868288a332886c2a4fcf4d0b6db", form=humaneval,
        shipped=Shipped(package="evals", distribution="phi-zoo", path="tasks/unconventional.jsonl", form="jsonl"),
    ),
)  # fmt: skip
STOPS = ("\ndef", "\nclass", "\n#", "\nif", "\nprint", "\nassert")


def samples() -> Iterator[Sample]:
    for row in rows("unconventional"):
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
        name="unconventional", version=1, kind="code",
        about="25 problems unlike any textbook's, run against their tests; also graded by a model", samples=samples,
        prompt=prompt, extract=extract, program=program, gold=gold, metrics=("pass@1",),
        decoding=Decoding(max_tokens=384, stop=STOPS), data="unconventional", split="test", licence="Apache-2.0",
        paper="this project", size=25, chance=0.0,
    ),
}  # fmt: skip
