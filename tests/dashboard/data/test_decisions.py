"""The compare page's blocks show what the commands print."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.data.decisions import average_rows, item_rows, matrix_rows
from evals.decisions.items import find_items
from evals.decisions.matrix import all_pairs
from zoo.registry import Registry, open_registry


@pytest.fixture
def registry(zoo: Path) -> Iterator[Registry]:
    with open_registry(readonly=True) as opened:
        yield opened


def test_the_matrix_is_the_commands(registry: Registry) -> None:
    (matrix,) = all_pairs(registry, (), ("mini_exercises",))
    rows = matrix_rows(matrix)
    assert [row["checkpoint"] for row in rows] == [row.label for row in matrix.rows]
    assert rows[0]["1"] == "–"
    assert rows[0]["2"].startswith("+")
    assert rows[1]["1"] == rows[0]["2"].replace("+", "-")
    assert [row["same"] for row in rows] == [row.letters for row in matrix.rows]


def test_the_samples_of_a_kind(registry: Registry) -> None:
    table = find_items(registry, "mini_exercises")
    for kind, count in table.counts.items():
        assert len(item_rows(table, kind)) == count
    assert sum(table.counts.values()) == len(table.items)


def test_averages_need_two_checkpoints_and_every_part(registry: Registry) -> None:
    labels = [checkpoint.label for checkpoint in registry.list()]
    assert average_rows(registry, labels[:1]) == []
    assert average_rows(registry, labels) == []
