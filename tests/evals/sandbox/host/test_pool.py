"""The catalogue of the shared folder, MBPP's and EvalPlus' forms, and the filter command, end to end."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evals.cli.sandbox import run as programs
from evals.sandbox import Program, Sandbox, open_sandbox
from evals.sandbox.host import worker
from evals.sandbox.judge import evalplus
from evals.sandbox.selftest import canonical, fingerprint, problem
from evals.sandbox.tiers import choose
from zoo.errors import ZooError

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"


def rows(name: str) -> list[dict[str, Any]]:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as file:
        return [json.loads(line) for line in file]


def test_the_shared_catalogue_is_judged_right(sandbox: Sandbox) -> None:
    """Its programs that need no process outside (judge_sandbox.py runs those): each verdict as expected."""
    found = rows("hostile.jsonl")
    problems = {p.id: p for p in canonical()}
    given, expected = [], {}
    for row in found:
        if any(mark in row["completion"] for mark in ("@CMDPID@", "@PORT@", "@MARK@")):
            continue
        base = problems.get(row["task_id"])
        source = {n: row[n] for n in ("prompt", "test", "entry_point")} if base is None else {
            "prompt": base.prompt, "test": base.test, "entry_point": base.entry_point}  # fmt: skip
        given.append(Program(id=row["id"], completion=row["completion"], timeout_seconds=1.5, **source))
        expected[row["id"]] = {row["expected"], *row.get("accept", ())}
    assert len(given) >= 40
    wrong = {v.id: v.verdict for v in sandbox.run(given) if v.verdict not in expected[v.id]}
    assert wrong == {}


def test_canonical_solutions_pass_twice_with_calls_sent_ahead(sandbox: Sandbox) -> None:
    given = canonical()
    assert [v for v in sandbox.run(given + given) if v.verdict != "passed"] == []


def test_mbpp_in_its_own_form(sandbox: Sandbox) -> None:
    given = [
        Program(id=str(r["task_id"]), prompt="", completion=r["code"], entry_point="sum" if "sum(10,15)" in str(r) else "",
                test=r["test_setup_code"] + "\n" + "\n".join(r["test_list"]), form="asserts", timeout_seconds=10.0)
        for r in rows("evals/mbpp/data.jsonl")
    ]  # fmt: skip
    assert len(given) == 974
    assert [v for v in sandbox.run(given) if v.verdict != "passed"] == []


def plus(row: dict[str, Any], completion: str | None = None) -> Program:
    reference = (row["prompt"] if row["task_id"][0] == "H" else "") + row["canonical_solution"]
    test = evalplus.make_test(row["task_id"], row["entry_point"], reference, row["base_input"], row["atol"])
    return Program(id=row["task_id"], prompt=row["prompt"], completion=completion or row["canonical_solution"],
                   test=test, entry_point=row["entry_point"], form="evalplus", timeout_seconds=20.0)  # fmt: skip


@pytest.mark.parametrize("name", ["humaneval_plus", "mbpp_plus"])
def test_references_pass_their_base_inputs(name: str, sandbox: Sandbox) -> None:
    found = rows(f"evals/{name}/data.jsonl.gz")
    assert [v for v in sandbox.run(map(plus, found)) if v.verdict != "passed"] == []


def test_evalplus_refuses_a_wrong_answer_and_an_emptied_input(sandbox: Sandbox) -> None:
    found = {r["task_id"]: r for r in rows("evals/humaneval_plus/data.jsonl.gz")}
    wrong = plus(found["HumanEval/0"], "    return True\n")
    emptied = plus(found["HumanEval/32"], "    xs.clear()\n    return 0.0\n")
    assert {v.verdict for v in sandbox.run([wrong, emptied])} == {"failed"}


def test_the_filter_gives_one_line_for_each_program() -> None:
    row = {"prompt": "def f():\n", "completion": "    return 1\n", "entry_point": "f"}
    good = {**row, "id": 1, "test": "def check(c):\n    assert c() == 1\n"}
    bad = {**row, "id": "b", "test": "def check(c):\n    assert c() == 2\n", "timeout": 2}
    text = "".join(json.dumps(r) + "\n" for r in (good, bad))
    done = CliRunner().invoke(programs, ["--workers", "1"], input=text)
    told = {r["id"]: r["verdict"] for r in map(json.loads, done.stdout.splitlines())}
    assert done.exit_code == 0
    assert told == {"1": "passed", "b": "failed"}


@pytest.mark.parametrize("line", ["{", "[]", '{"id": 1}', '{"id": 1, "prompt": "", "completion": "", "test": "", "entry_point": "f", "timeout": -1}'])  # fmt: skip
def test_a_bad_line_is_named(line: str) -> None:
    done = CliRunner().invoke(programs, ["--workers", "1"], input=line + "\n")
    assert isinstance(done.exception, ZooError)
    assert "line 1" in str(done.exception)


def test_the_weak_tier_is_refused_unless_allowed() -> None:
    with pytest.raises(ZooError, match="--allow-weak-isolation"):
        choose("process", allow_weak=False)
    with pytest.raises(ZooError, match='nearest: "namespaces"'):
        choose("namespace", allow_weak=False)
    assert choose("process", allow_weak=True) == "process"


MANY_FILES = """
import os
from evals.sandbox.tiers import report
from evals.sandbox.host.spawner import FILTER
for taken in range(FILTER - 7, FILTER + 1):  # each descriptor of a worker comes to lie on the filter's once
    while os.open(os.devnull, os.O_RDONLY) < taken:
        pass
    found = report("process")
    assert found.available, (taken, found.detail)
"""


def test_a_tier_works_whatever_descriptors_are_open() -> None:
    done = subprocess.run([sys.executable, "-c", MANY_FILES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_selftest_is_remembered_for_one_tier_and_version() -> None:
    assert fingerprint("namespaces") != fingerprint("process")


def test_an_unscored_program_is_a_problem_of_the_selftest() -> None:
    from evals.sandbox import Verdict

    assert "not scored" in problem(Verdict(id="x", verdict="unscored"), must_pass=False)


def without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide zygote that cannot start: it is told of a numpy that nobody has bound."""
    plain = worker.launch_config

    def broken(*arguments: Any) -> dict[str, Any]:
        config = plain(*arguments)
        return {**config, "binds": [(a, b) for a, b in config["binds"] if "/numpy" not in b], "numpy": True}

    monkeypatch.setattr(worker, "launch_config", broken)


def test_a_zygote_that_cannot_start_says_why(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    without_numpy(monkeypatch)
    started = worker.Worker(sandbox.tier, wide=True)
    try:
        with pytest.raises(worker.CannotIsolate, match="ModuleNotFoundError: No module named 'numpy'"):
            started.wait_ready()
    finally:
        started.close()


def test_a_narrow_worker_stands_in_for_a_wide_one_that_cannot_start(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given = [
        Program(id=f"{n}", prompt="def add(a, b):\n", entry_point="add", test="def check(f):\n    assert f(1, 2) == 3\n",
                completion="    import asyncio\n    async def g(): return a + b\n    return asyncio.run(g())\n")
        for n in range(3)
    ]  # fmt: skip
    without_numpy(monkeypatch)
    with open_sandbox(1, sandbox.tier) as one:
        assert [v.verdict for v in one.run(given)] == ["passed"] * 3
    assert capfd.readouterr().err.count("No module named 'numpy'") == 1
