"""What of a sample is looked for in training text: its question, its question with the answer, its program.

Made from a task's own functions, so that a new task needs nothing here. Not here: the looking.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5 (docstrings of code problems); Brown et al. 2020,
        arXiv:2005.14165, appendix C (13-grams; a shorter sample counts whole). As noted there, the passage of a
        reading task often stands in the training data without its question, so there the question is looked for.
"""

import re
from collections.abc import Sequence

from evals.records import Sample
from evals.task import Task
from zoo.records import Record

DOCSTRING = re.compile(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'', re.S)
TEST_LINE = re.compile(r"^\s*assert\b.*$", re.M)
QUESTION = re.compile(r"(?:^|\n)Question: ")
FIRST_CHOICE = re.compile(r"\nA[.)] ")


class Problem(Record, frozen=True):
    """One sample as it may stand in a document.

    question  what is asked: of a code problem its docstring
    whole     the question and the right answer, for questions too short to be telling alone
    program   the right program, "" where the task asks for none
    entry     the function of it that is asked for, "" if it is not named
    shown     the sample as a person reads it, beside a document that matches
    """

    sample: str
    question: str
    whole: str
    program: str = ""
    entry: str = ""
    shown: str = ""


def problems(task: Task, samples: Sequence[Sample]) -> list[Problem]:
    """The samples of a task as problems, in their order."""
    made = _code if task.kind == "code" else _text
    return [made(task, sample) for sample in samples]


def _code(task: Task, sample: Sample) -> Problem:
    prompt = str(sample.data.get("docstring", sample.question))
    found = "\n".join(one or other for one, other in DOCSTRING.findall(prompt))
    question = TEST_LINE.sub("", found or prompt)
    gold = (task.gold(sample) if task.gold else None) or ""
    code, entry = gold, ""
    if task.program is not None and task.extract is not None:
        program = task.program(sample, task.extract(sample, gold) or "")
        code, entry = program.prompt + program.completion, program.entry_point
    return Problem(
        sample=sample.id, question=question, whole=f"{question}\n{gold}", program=code, entry=entry, shown=code
    )


def _text(task: Task, sample: Sample) -> Problem:
    asked = QUESTION.split(sample.question)[-1]
    listed = ""
    if sample.choices and all(len(choice) == 1 for choice in sample.choices) and (at := FIRST_CHOICE.search(asked)):
        asked, listed = asked[: at.start()], asked[at.start() :]
    asked = asked.strip().removesuffix("Answer:").strip()
    answer = _answer(task, sample, listed)
    if "_" in asked and "_" not in answer and task.kind == "choices" and not listed:  # a blank to be filled in
        asked = whole = asked.replace("_", answer, 1)
    else:
        whole = f"{asked} {answer}"
    return Problem(sample=sample.id, question=asked, whole=whole, shown=f"{sample.question.strip()}\n-> {answer}")


def _answer(task: Task, sample: Sample, listed: str) -> str:
    """The right answer in words; of a letter, what it stands for."""
    if task.kind != "choices":
        return ((task.gold(sample) if task.gold else None) or "").strip()
    answer = sample.choices[sample.target].strip()
    told = re.search(rf"\n{re.escape(answer)}[.)] (.*)", listed) if listed else None
    return told[1].strip() if told else answer
