"""The table of planted leaks: what it counts is what a search finds, and its distance keeps its word."""

import inspect
import json
import statistics
import textwrap
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from training.cli.data_inspect import leaks as leaks_command
from training.data import leak_table
from training.data.build import Made
from training.data.decontaminate import decontaminate_dataset
from training.data.leak_table import distance_at, lines
from zoo.errors import ZooError

MODULES = (statistics, textwrap, inspect, json.decoder)


@pytest.fixture
def innocent(monkeypatch: pytest.MonkeyPatch) -> int:
    """Functions of the standard library in place of all packages'."""
    texts = [
        textwrap.dedent(inspect.getsource(one))
        for module in MODULES
        for one in vars(module).values()
        if inspect.isfunction(one) and one.__module__ == module.__name__
    ][:100]
    monkeypatch.setattr(leak_table, "innocents", lambda most: texts[:most])
    return len(texts)


def test_the_table_counts_finds_and_false_alarms(innocent: int, tiny_phi: Path) -> None:
    arguments = ["--embedding", str(tiny_phi), "--planted", "10", "--innocent", str(innocent), "--json"]
    told = CliRunner().invoke(leaks_command, arguments, catch_exceptions=False)
    table = msgspec.json.decode(told.output, type=leak_table.LeakTable)
    rows = {(row.method, row.threshold): row for row in table.rows}
    assert rows["ngram", 0.0].found["copied"] == 10
    assert rows["ngram", 0.0].found["rewritten"] < 5
    assert rows["tree", 0.95].found["renamed"] >= 9
    assert rows["tree", 0.8].found["restructured"] >= rows["tree", 0.95].found["restructured"]
    assert rows["tree", 0.8].false <= innocent // 20
    own = rows["embedding", table.calibrated]
    # a copied problem has the very vector of the problem; one in a hundred others is as near as the distance
    assert own.found["copied"] == 10
    assert own.false <= innocent // 10
    assert table.planted == 10
    assert "(calibrated)" in "\n".join(lines(table))


@given(st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=300), st.floats(0, 0.5))
def test_no_more_than_the_share_is_within_the_distance(nearest: list[float], share: float) -> None:
    distance = distance_at(share, np.array(nearest))
    assert sum(one <= distance for one in nearest) <= share * len(nearest)
    assert sum(one <= distance + 0.02 for one in nearest) > int(share * len(nearest))


def test_an_encoder_without_a_calibrated_distance_asks_for_one(code: Made, tiny_phi: Path) -> None:
    with pytest.raises(ZooError, match="phizoo data leaks --embedding"):
        decontaminate_dataset("code", "clean", ["humaneval"], ["embedding"], embedding=str(tiny_phi))
