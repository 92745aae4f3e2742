"""The lint warns of tests of code that one view of the sandbox cannot see, and of no others."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from evals.checks.task_lint import LintFinding, lint
from evals.records import Sample
from evals.sandbox import Sandbox, open_sandbox
from evals.task import Task
from evals.tasks.humaneval import OPENAI
from zoo.errors import ZooError


@dataclass(frozen=True)
class Problem:
    """One sample of a user's own task: its solution and the body of its check."""

    solution: str
    test: str


PLAIN = Problem("    return x + 1\n", "    assert candidate(1) == 2\n")
FILES = Problem("    return open(x).read()\n", "    import os\n    assert candidate(os.devnull) == ''\n")
STATE = Problem("    import logging\n    logging.getLogger().setLevel(x)\n",
                "    import logging\n    candidate(7)\n    assert logging.getLogger().level == 7\n")  # fmt: skip
MISSING = Problem("    return x\n", "    import msgspec\n    assert candidate(1) == msgspec.json.decode(b'1')\n")
SYNTAX = Problem("    return x\n", "    assert candidate(\n")


def made(*problems: Problem) -> Task:
    """A task of these problems, in the form of HumanEval."""
    samples = [
        Sample(id=f"mine/{number}", question="def f(x):\n", target="f", data={
            "test": f"def check(candidate):\n{problem.test}", "entry_point": "f", "solution": problem.solution,
        })
        for number, problem in enumerate(problems)
    ]  # fmt: skip
    return replace(OPENAI, name="mine", samples=lambda: iter(samples), size=len(samples))


def views(task: Task, sandbox: Sandbox | None) -> LintFinding:
    return next(finding for finding in lint(task, None, sandbox) if finding.check == "both views see the tests")


def test_a_test_on_plain_values_needs_no_warning() -> None:
    finding = views(made(PLAIN, PLAIN), None)
    assert finding.ok and not finding.warning and finding.detail == "2 tests"


def test_without_a_sandbox_the_text_of_the_tests_warns() -> None:
    finding = views(made(PLAIN, FILES, STATE, SYNTAX), None)
    assert finding.ok and finding.warning
    assert finding.detail.startswith("2 of 4 tests") and "mine/1, needs files (the module os)" in finding.detail


def test_a_disputed_gold_answer_is_named_and_one_that_both_views_pass_is_not() -> None:
    try:
        with open_sandbox(workers=1, tier="namespaces") as sandbox:
            good, state, missing = (views(made(PLAIN, one), sandbox) for one in (FILES, STATE, MISSING))
    except ZooError as error:
        pytest.skip(f"no namespaces here: {error}")
    assert not good.warning
    assert state.warning and "mine/1, is disputed for the gold answer" in state.detail
    assert missing.warning and "no module msgspec in the sandbox" in missing.detail
