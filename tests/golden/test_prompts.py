"""The bytes that a model is shown, per task and protocol: the first prompt to read, the digest of all.

A difference here is a difference of every score: raise the task's version, then `make golden`.
"""

import json
import os
from pathlib import Path

import pytest

from evals.checks.task_lint import first_prompt
from evals.suites import find_tasks, task_names
from evals.tasks import every
from evals.tasks import task as find
from zoo.errors import ZooError

GOLDEN = Path(__file__).with_name("prompts.json")
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "evals"
GIVEN = os.environ.get("PHIZOO_DATA")  # of who types `make golden`; the tests themselves see no user's folder
FIRST = [find(name.removesuffix("2")) for name in task_names("quick")]  # the first choice, which stays
TASKS = {f"{task.name}@{task.protocol}": task for task in (*every(), *FIRST, *find_tasks("suite:quick, suite:small"))}
ALIKE = (
    {"mbpp_plus@evalplus", "mbpp_plus@evalplus-base"},  # the tests differ
)


def test_golden(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite = request.config.getoption("--golden", default=False)
    if folder := (rewrite and GIVEN) or (SHARED.is_dir() and str(SHARED)):
        monkeypatch.setenv("PHIZOO_DATA", folder)
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    found, missing = {}, []
    for spec, task in TASKS.items():
        try:
            samples = list(task.samples())
            found[spec] = json.loads(json.dumps(first_prompt(task, samples)))
        except ZooError as error:  # its set is not at hand: what was golden stays
            missing.append(f"{spec}: {error}")
            found[spec] = golden.get(spec)
    if rewrite:
        assert all(found.values()), missing
        GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        return
    assert set(golden) == set(TASKS), "a task was added or removed: make golden"
    assert {spec for spec in found if found[spec] != golden[spec]} == set()
    if SHARED.is_dir():
        assert not missing


def test_no_two_protocols_of_a_task_show_the_same_prompts_and_decode_alike() -> None:
    golden = json.loads(GOLDEN.read_text())
    seen: dict[tuple[str, ...], str] = {}
    for spec, task in TASKS.items():
        key = (task.name, golden[spec]["sha256"], repr(task.decoding), str(task.kind))
        other = seen.setdefault(key, spec)
        assert other == spec or {other, spec} in ALIKE
