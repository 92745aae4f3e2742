"""A verdict is plain Python's: none passes that it fails, and where it passes one that we fail, that is disputed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from evals.sandbox import Sandbox, Verdict
from evals.sandbox.catalogue.case import Case, fidelity, program

CASES = fidelity()
# what docs/sandbox.md lists as outside: the judge's process and the program's do not share it
OUTSIDE = {
    "right: a file of the test's", "right: one constant asked for twice is one object", "right: a patched clock",
}  # fmt: skip
# values that the judge's side cannot serve; they may come to pass
DISPUTED = {
    "right: asdict of a dataclass", "right: reflected and unary operators", "right: a live view of keys",
    "right: an awaitable of the test's", "right: a class decorator of the test's class",
}  # fmt: skip
RIGHT = [case for case in CASES if case.passes]
WRONG = [case for case in CASES if not case.passes]


def passes_plain(case: Case) -> bool:
    """The verdict of plain Python: the program, its test and the call of check in one process, judged by its exit."""
    source = f"{case.prompt}{case.completion}\n{case.test}\ncheck({case.entry_point})\n"
    command = [
        sys.executable,
        "-I",
        "-c",
        "import sys; exec(sys.stdin.read().encode('utf-8', 'surrogatepass'), {'__name__': 'solution'})",
    ]
    return subprocess.run(command, input=source.encode(), capture_output=True, timeout=60).returncode == 0


def test_the_catalogue_is_wide_and_says_what_plain_python_says() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 200
    with ThreadPoolExecutor(2) as pool:
        plain = dict(zip((case.name for case in CASES), pool.map(passes_plain, CASES), strict=True))
    assert {name for name, passed in plain.items() if passed} == {case.name for case in RIGHT}


@pytest.fixture(scope="module")
def judged(sandbox: Sandbox) -> dict[str, Verdict]:
    return {verdict.id: verdict for verdict in sandbox.run([program(case, 10.0) for case in CASES])}


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_what_plain_python_fails_does_not_pass(case: Case, judged: dict[str, Verdict]) -> None:
    assert judged[case.name].verdict == "failed"
    assert not judged[case.name].disputed


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_what_plain_python_passes_passes_and_what_is_outside_is_disputed(
    case: Case, judged: dict[str, Verdict]
) -> None:
    verdict = judged[case.name]
    passed, disputed = ("passed", False), ("failed", True)
    expected = {disputed} if case.name in OUTSIDE else {passed, disputed} if case.name in DISPUTED else {passed}
    assert (verdict.verdict, verdict.disputed) in expected, verdict.detail
