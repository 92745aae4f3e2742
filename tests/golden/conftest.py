"""`pytest tests/golden --golden` writes the golden files anew instead of comparing with them.

It pins evals/tasks/mini_exercises.jsonl in evals/datasets/catalog.py too: that set is made here, by the
step of `make golden` before this one.
"""

import json
import re
from pathlib import Path

import pytest

EVALS = Path(__file__).resolve().parents[2] / "evals"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


def pytest_configure(config: pytest.Config) -> None:
    """Before the table of sets is imported by any test."""
    if config.getoption("--golden", default=False):
        _pin()


def _pin() -> None:
    from evals.datasets.forms import FORMS
    from zoo.digest import digest

    with (EVALS / "tasks" / "mini_exercises.jsonl").open() as file:
        now = digest(tuple(FORMS["humaneval"](json.loads(line)) for line in file))
    table = EVALS / "dataset_sets.py"
    text = table.read_text()
    pinned = re.sub(r'(name="mini_exercises".*?digest=")[0-9a-f]{64}', rf"\g<1>{now}", text, count=1, flags=re.S)
    if pinned != text:
        table.write_text(pinned)
