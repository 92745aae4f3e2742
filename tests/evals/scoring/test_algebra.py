"""Equality by sympy in a child: what is equal, and that no text of a model can hold or hurt the run."""

import os
import resource
import subprocess
import sys

import pytest

from evals.scoring import algebra
from evals.scoring.algebra import ALGEBRA, CHILD, AlgebraProcess, check_algebra, differ_by_nothing
from zoo.errors import ZooError


def test_what_the_harness_calls_equal() -> None:
    assert differ_by_nothing("\\frac{\\pi}{2}", "\\pi/2")
    assert differ_by_nothing("\\sin^2 x+\\cos^2 x", "1")
    assert differ_by_nothing("1,2", "1")  # only the beginning of a text that is an expression is read
    assert not differ_by_nothing("x=", "")
    assert not differ_by_nothing("\\frac{1}{0", "1")


def test_a_pair_that_ends_the_child_is_not_equal_and_the_next_one_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """9^{9^{9^9}} would be a number of hundreds of millions of digits."""
    process = AlgebraProcess()
    try:
        assert process.ask("1+1", "2")
        first = process.child
        assert first is not None
        first.kill()
        first.wait()
        assert process.ask("1+1", "2") is False  # the pair is lost, not the run
        assert process.ask("1+1", "2")
        assert process.child is not None and process.child.pid != first.pid
        # of its address space: the peak of all children, which the system keeps, holds those of other tests
        assert resource.prlimit(process.child.pid, resource.RLIMIT_AS)[0] < (3 << 30)
        # two limits: of CPU seconds, or of memory, whichever comes first
        assert process.ask("9^{9^{9^{9}}}+1", "3") is False
        assert process.ask("1+1", "2")
    finally:
        process.close()


def test_odd_texts_are_answered() -> None:
    for text in ("\ud800", "\0", "é", "$", "\\", "}{", "a\nb", "x" * 5000, "(" * 400):
        assert differ_by_nothing(text, "17+1") is False
    assert ALGEBRA.ask("1", "1")


def test_the_child_reads_no_python(tmp_path: os.PathLike[str]) -> None:
    """sympy's other reader, sympify, would run this; the LaTeX grammar makes a product of letters of it."""
    planted = f"{os.fspath(tmp_path)}/planted"
    assert differ_by_nothing(f"__import__('os').system('touch {planted}')", "1") is False
    assert not os.path.exists(planted)


def test_the_child_starts_from_any_folder_and_takes_nothing_from_it(tmp_path: os.PathLike[str]) -> None:
    with open(f"{os.fspath(tmp_path)}/sympy.py", "w") as file:
        file.write("raise SystemExit(7)\n")
    ran = subprocess.run(
        [sys.executable, "-P", str(CHILD)],
        input='["2", "1+1"]\n',
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert ran.stdout == "true\n"


def test_what_is_missing_is_said_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    check_algebra()
    monkeypatch.setattr(algebra, "NEEDED", {"no_such_module": "no-such-package"})
    with pytest.raises(ZooError, match=r'needs no-such-package .* pip install "phi-zoo\[math\]"'):
        check_algebra()
