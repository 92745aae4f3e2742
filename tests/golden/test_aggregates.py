"""An aggregate keeps its version only while its parts and their tasks' versions stay."""

import json
from pathlib import Path

import pytest

from evals.suites import AGGREGATES

GOLDEN = Path(__file__).with_name("aggregates.json")


def test_an_aggregate_keeps_its_fingerprint_until_its_version_is_raised(request: pytest.FixtureRequest) -> None:
    now = {one.name: {"version": one.version, "fingerprint": one.fingerprint} for one in AGGREGATES}
    golden = json.loads(GOLDEN.read_text())
    for name, told in golden.items():
        if name in now and now[name]["version"] == told["version"]:
            assert now[name] == told, f"{name}: a part changed, so raise its version"
    if request.config.getoption("--golden", default=False):
        GOLDEN.write_text(json.dumps(now, indent=1) + "\n")
        return
    assert now == golden, "an aggregate was added, removed or raised: make golden"
