"""The fingerprint of every task under every protocol and metric: a leaderboard column is found by it.

A difference here gives every score made before a column of its own: raise the task's version, then `make golden`.
"""

import json
from pathlib import Path

import pytest

from evals.protocol import protocol
from tests.golden.test_prompts import GIVEN, SHARED, TASKS
from zoo.errors import ZooError

GOLDEN = Path(__file__).with_name("fingerprints.json")


def test_no_fingerprint_changes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite = request.config.getoption("--golden", default=False)
    if folder := (rewrite and GIVEN) or (SHARED.is_dir() and str(SHARED)):
        monkeypatch.setenv("PHIZOO_DATA", folder)
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    fingerprints, missing = {}, []
    for spec, task in TASKS.items():
        try:
            samples = list(task.samples())
            fingerprints[spec] = {metric: protocol(task, samples, metric).fingerprint for metric in task.metrics}
        except ZooError as error:  # this machine has no copy of its samples or examples: the golden values stay
            missing.append(f"{spec}: {error}")
            fingerprints[spec] = golden.get(spec)
    if rewrite:
        assert all(fingerprints.values()), missing
        GOLDEN.write_text(json.dumps(fingerprints, indent=1) + "\n")
        return
    assert set(golden) == set(TASKS), "a task was added or removed: make golden"
    assert {spec for spec in fingerprints if fingerprints[spec] != golden[spec]} == set()
    if SHARED.is_dir():
        assert not missing
