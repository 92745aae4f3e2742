"""Reads EvalPlus' `*_eval_results.json`: of 0.2.1 and later, where each draw is a record, and of 0.1 and 0.2.0 before.

Before 0.2.1 a task has "nfiles", "base" and "plus", which list a status and the outcome of each test for every draw;
the solutions themselves are not in the file.
"""

import datetime
from pathlib import Path
from typing import Any

from evals.interchange.tool_results import SampleLine, TaskResults
from zoo.digest import file_sha256
from zoo.errors import ZooError

TASKS = {"HumanEval": ("humaneval", "humaneval_plus"), "Mbpp": ("mbpp_plus", "mbpp_plus")}
OLD_STATUS = {"success": "pass", "failed": "fail", "timed out": "timeout"}
STATUSES = ("pass", "fail", "timeout")
READ = "0.1 to 0.3"


def read_evalplus(path: Path, content: dict[str, Any]) -> list[TaskResults]:
    """The two results of a file: the base tests alone, and base and added tests together."""
    if not isinstance(content["eval"], dict) or not content["eval"]:
        raise ZooError(f"{path} has no task's results; expected those of EvalPlus {READ}")
    prefix = next(iter(content["eval"])).split("/")[0]
    if prefix not in TASKS:
        raise ZooError(f"{path} is of {prefix[:40]!r}; expected HumanEval or Mbpp")
    old = any("nfiles" in draws for draws in content["eval"].values() if isinstance(draws, dict))
    results = []
    for plus, task in enumerate(TASKS[prefix]):
        lines = tuple(
            _line(path, name, draw, answer, bool(plus))
            for name, draws in content["eval"].items()
            for draw, answer in enumerate(_in_newest_form(name, draws))
            if not plus or answer.get("plus_status") is not None
        )
        if lines:
            ours = "evalplus" if plus or prefix == "HumanEval" else "evalplus-base"
            source = TaskResults(
                tool="evalplus", release="before 0.2.1" if old else "0.3", task=task, file=path.name,
                sha256=file_sha256(path),
                metrics=("pass@1",), lines=lines, protocol=ours, date=_seconds(content.get("date")),
            )  # fmt: skip
            results.append(source)
    return results


def _in_newest_form(name: str, draws: Any) -> list[dict[str, Any]]:
    """The draws of a task as 0.2.1 and later write them."""
    if isinstance(draws, list):
        return draws
    base, plus = draws["base"], draws.get("plus") or [None] * len(draws["base"])
    if not draws["nfiles"] == len(base) == len(plus):
        raise ZooError(f"{name[:40]!r} has {draws['nfiles']} files and the results of {len(base)} and {len(plus)}")
    return [
        {"base_status": _status(one), "plus_status": None if other is None else _status(other)}
        for one, other in zip(base, plus, strict=True)
    ]


def _status(outcome: list[Any]) -> str:
    return OLD_STATUS.get(outcome[0], str(outcome[0]))


def _line(path: Path, name: str, draw: int, answer: dict[str, Any], plus: bool) -> SampleLine:
    base, added = answer["base_status"], answer.get("plus_status")
    for status in (base, added):
        if status is not None and status not in STATUSES:
            raise ZooError(
                f"{path.name}: {name[:40]!r} has the status {str(status)[:40]!r}; known: {', '.join(STATUSES)}"
            )
    passed = base == "pass" and (not plus or added == "pass")
    text = str(answer.get("solution", ""))
    return SampleLine(
        sample=name, draw=draw, metrics={"pass@1": float(passed)}, answer=text, text=text,
        detail=f"base {base}, plus {added}",
    )  # fmt: skip


def _seconds(date: object) -> float:
    try:
        return datetime.datetime.strptime(str(date), "%Y-%m-%d %H:%M").replace(tzinfo=datetime.UTC).timestamp()
    except ValueError:
        return 0.0
