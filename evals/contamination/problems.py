"""Makes problems of a task's samples: the question, the question with its answer, the program and its tests.

A problem is made by the task's own functions, so a new task needs nothing here. Nothing here searches.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5 (docstrings of code problems); Brown et al. 2020,
        arXiv:2005.14165, appendix C (13-grams; a shorter sample counts whole). As noted there, the passage of a
        reading task often stands in the training data without its question, so there the question is searched for.
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
    """One sample in the forms in which it may stand in a document.

    question  the question; of a code problem its docstring
    whole     the question and the right answer, for questions too short to be distinctive alone
    program   the right program, "" if the task asks for none
    entry     the function of it that the sample asks for, "" if it is not named
    shown     the sample as a person reads it, beside a document that matches
    tests     the code that tests a program
    """

    sample: str
    question: str
    whole: str
    program: str = ""
    entry: str = ""
    shown: str = ""
    tests: str = ""
    task: str = ""


def make_problems(task: Task, samples: Sequence[Sample] | None = None) -> list[Problem]:
    """The samples of a task as problems, in their order; all samples if none are given."""
    make = _code_problem if task.kind == "code" else _text_problem
    return [make(task, sample) for sample in (task.samples() if samples is None else samples)]


def _code_problem(task: Task, sample: Sample) -> Problem:
    prompt = str(sample.data.get("docstring", sample.question))
    docstrings = "\n".join(double or single for double, single in DOCSTRING.findall(prompt))
    question = TEST_LINE.sub("", docstrings or prompt)
    gold = (task.gold(sample) if task.gold else None) or ""
    code, entry, tests = gold, "", ""
    if task.program is not None and task.extract is not None:
        program = task.program(sample, task.extract(sample, gold) or "")
        code, entry, tests = program.prompt + program.completion, program.entry_point, program.test
    return Problem(
        sample=sample.id, question=question, whole=f"{question}\n{gold}", program=code, entry=entry, shown=code,
        tests=tests, task=task.name,
    )  # fmt: skip


def _text_problem(task: Task, sample: Sample) -> Problem:
    question = QUESTION.split(sample.question)[-1]
    listed = ""
    letters = sample.choices and all(len(choice) == 1 for choice in sample.choices)
    if letters and (first := FIRST_CHOICE.search(question)):
        question, listed = question[: first.start()], question[first.start() :]
    question = question.strip().removesuffix("Answer:").strip()
    answer = _answer(task, sample, listed)
    if "_" in question and "_" not in answer and task.kind == "choices" and not listed:  # a blank to be filled in
        question = whole = question.replace("_", answer, 1)
    else:
        whole = f"{question} {answer}"
    return Problem(
        sample=sample.id, question=question, whole=whole, shown=f"{sample.question.strip()}\n-> {answer}",
        task=task.name,
    )  # fmt: skip


def _answer(task: Task, sample: Sample, listed: str) -> str:
    """The right answer in words: of a letter, the text of its choice."""
    if not task.by_logprob:
        return ((task.gold(sample) if task.gold else None) or "").strip()
    answer = sample.choices[sample.target].strip()
    choice = re.search(rf"\n{re.escape(answer)}[.)] (.*)", listed) if listed else None
    return choice[1].strip() if choice else answer
