"""Every run behind a cell is found, told apart, and each version of a protocol says what it changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.results.history import cell_history, changes_between, what_changed
from evals.tasks import TASKS, protocols
from tests.zoo.conftest import phi, protocol, score
from zoo.records import About, ProtocolRecord
from zoo.registry import Registry, open_registry

FIRST, SECOND = (protocol("trivia_qa", "accuracy", name="lm-eval", task_version=version) for version in (1, 2))
OTHER_ROWS = protocol("trivia_qa", "accuracy", name="lm-eval", task_version=2, data="e" * 64)
OTHER_NAME = protocol("trivia_qa", "accuracy", name="lm-eval-quick2", task_version=2)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(f"sqlite:///{tmp_path / 'zoo.db'}", str(tmp_path / "store")) as opened:
        opened.add(phi(tmp_path / "a", 1), "mini", About())
        yield opened


def add(registry: Registry, run: str, under: ProtocolRecord, value: float, day: int, **fields: object) -> str:
    digest = registry.get("mini").digest
    measured = score(digest, run, value, under, created=f"2026-11-{day:02d}T10:00:00+00:00", **fields)
    registry.add_scores({"id": run, "checkpoint": digest}, under, [measured])
    return digest


def test_a_cell_has_its_run_and_the_earlier_ones_newest_first(registry: Registry) -> None:
    for run, value, day in (("run-a", 0.3, 1), ("run-b", 0.4, 2), ("run-c", 0.5, 3)):
        digest = add(registry, run, SECOND, value, day)
    add(registry, "run-d", OTHER_NAME, 0.9, 4)
    history = cell_history(registry, digest, SECOND.fingerprint, "accuracy")
    assert [(past.run, past.role, past.value) for past in history] == [
        ("run-c", "shown", 0.5), ("run-b", "earlier", 0.4), ("run-a", "earlier", 0.3),
    ]  # fmt: skip
    assert cell_history(registry, digest, SECOND.fingerprint, "f1") == ()
    assert cell_history(registry, digest, "0" * 64, "accuracy") == ()


def test_a_longer_run_is_shown_though_it_is_older(registry: Registry) -> None:
    add(registry, "run-a", SECOND, 0.3, 1, n=164)
    digest = add(registry, "run-b", SECOND, 0.6, 2, n=100, unscored=64)
    roles = [(past.run, past.role) for past in cell_history(registry, digest, SECOND.fingerprint, "accuracy")]
    assert roles == [("run-a", "shown"), ("run-b", "earlier")]


def test_another_version_stands_beside_it_and_says_what_changed(registry: Registry) -> None:
    add(registry, "run-a", FIRST, 0.3, 1)
    add(registry, "run-b", SECOND, 0.4, 2)
    digest = add(registry, "run-c", OTHER_ROWS, 0.5, 3)
    history = cell_history(registry, digest, SECOND.fingerprint, "accuracy")
    assert [(past.run, past.role, past.version) for past in history] == [
        ("run-b", "shown", 2), ("run-c", "other rows", 2), ("run-a", "another version", 1),
    ]  # fmt: skip
    assert history[-1].changed.startswith("version 2: the reading of names that are all punctuation")
    assert [past.changed for past in history[:-1]] == ["", ""]


def test_every_version_of_every_protocol_says_what_it_changed() -> None:
    silent = [
        (task, name, version)
        for task in TASKS
        for name, one in protocols(task).items()
        for version in range(2, one.version + 1)
        if not what_changed(task, name, version)
    ]
    assert silent == [], "say in evals/results/changes.toml what these versions changed"


def test_changes_over_several_versions_stand_in_order() -> None:
    text = changes_between("mini_exercises", "chat", 1, 3)
    assert text.startswith("version 2: the readings of answers") and "; version 3: the tests" in text
    assert changes_between("mini_exercises", "phizoo", 2, 2) == "" == changes_between("piqa", "lm-eval", 1, 9)
