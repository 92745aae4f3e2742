"""`pytest tests/golden --golden` writes the golden files anew instead of comparing with them.

It also writes the digest of evals/tasks/mini_exercises.jsonl into evals/tasks/mini_exercises.py: the step of
`make golden` before this one makes that set.
"""

import json
import re
from pathlib import Path

import pytest

EVALS = Path(__file__).resolve().parents[2] / "evals"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


def pytest_configure(config: pytest.Config) -> None:
    """Before any test imports the task."""
    if config.getoption("--golden", default=False):
        _pin()


def _pin() -> None:
    from evals.datasets.forms import humaneval
    from zoo.digest import digest

    with (EVALS / "tasks" / "mini_exercises.jsonl").open() as file:
        now = digest(tuple(humaneval(json.loads(line)) for line in file))
    file_of_task = EVALS / "tasks" / "mini_exercises.py"
    text = file_of_task.read_text()
    pinned = re.sub(r'(digest=")[0-9a-f]{64}', rf"\g<1>{now}", text, count=1)
    if pinned != text:
        file_of_task.write_text(pinned)
