"""`phizoo eval cost`: tokens from the lines, seconds and memory from the header, a front for each machine."""

import json
from typing import Any

import pytest

from evals.decisions.cost import cost_rows
from zoo.cli.root import run as phizoo


@pytest.fixture
def four(made_up: Any) -> Any:
    """Scores 0.9, 0.8, 0.7 on machine x at 4, 2 and 3 seconds an answer; 0.5 on machine y at 1."""
    for name, right, seconds, host in (
        ("a", 9, 40.0, "x"),
        ("b", 8, 20.0, "x"),
        ("c", 7, 30.0, "x"),
        ("d", 5, 10.0, "y"),
    ):
        cost = {"seconds": seconds, "answers": 10, "peak_memory_bytes": 2_000_000}
        hardware = {"host": host, "processor": f"chip {host}", "cores": 2}
        made_up.score(name, [float(i < right) for i in range(10)], header={"cost": cost, "hardware": hardware})
    made_up.score("old", [1.0] * 10)
    return made_up


def test_the_front_is_drawn_inside_one_machine(four: Any) -> None:
    rows = {row.checkpoint: row for row in cost_rows(four.registry, "arc_easy", (), "seconds")}
    assert {name: row.front for name, row in rows.items()} == {
        "a:1": True, "b:1": True, "c:1": False, "d:1": True, "old:1": None,
    }  # fmt: skip
    spent = rows["a:1"].cost
    assert (spent.tokens_read, spent.tokens_written, spent.answers) == (100, 50, 10)
    assert (spent.seconds, spent.peak_memory_bytes, spent.machine) == (4.0, 2_000_000, "chip x, 2 cores")
    assert rows["old:1"].cost.seconds is None


def test_tokens_are_compared_between_machines(four: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row.front for row in cost_rows(four.registry, "arc_easy", (), "tokens")] == [True] + [False] * 4
    assert phizoo(["eval", "cost", "arc_easy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1]["cost"]["machine"] == "chip x, 2 cores"
    assert phizoo(["eval", "cost", "arc_easy", "a", "d"]) == 0
    assert "2.00 MB" in capsys.readouterr().out
    assert phizoo(["eval", "cost", "humaneval"]) == 2
