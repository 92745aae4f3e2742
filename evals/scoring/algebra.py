"""Asks sympy, in a process of its own, whether two texts in LaTeX's notation are the same expression.

A model writes one of them, and sympy may take for ever or all memory over a text like 9^{9^{9^9}}. So it runs in a
child with a limit of memory and of CPU seconds for each pair; a pair that ends the child is not equal, and the next
one gets a new child. sympy reads expressions by a grammar; it does not run them as Python.
"""

import json
import subprocess
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from zoo.errors import ZooError
from zoo.safe_path import python

NEEDED = {"sympy": "sympy", "antlr4": "antlr4-python3-runtime"}
CHILD = Path(__file__).with_name("algebra_child.py")
MOST_CHARACTERS = 2000


def check_algebra() -> None:
    """Raises ZooError with the command that installs what is missing."""
    from importlib.util import find_spec

    if missing := [package for module, package in NEEDED.items() if find_spec(module) is None]:
        raise ZooError(
            f'this protocol needs {", ".join(missing)} to compare answers; next: pip install "phi-zoo[math]"'
        )


@lru_cache(maxsize=10_000)
def differ_by_nothing(mine: str, right: str) -> bool:
    """Whether sympy reads both texts and simplifies their difference to 0; within 5 CPU seconds and 2 GiB.

    As in lm-evaluation-harness, sympy reads the beginning of a text that is an expression and ignores the rest.

    >>> differ_by_nothing("\\\\sqrt{8}", "2\\\\sqrt{2}"), differ_by_nothing("x+1", "x"), differ_by_nothing("(,", "(,")
    (True, False, False)
    """
    if not mine.strip() or not right.strip() or max(len(mine), len(right)) > MOST_CHARACTERS:
        return False
    return ALGEBRA.ask(mine, right)


class AlgebraProcess:
    """A child that compares pairs, started at the first one and again after one that ended it."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[str] | None = None
        self.lock = threading.Lock()

    def ask(self, mine: str, right: str) -> bool:
        """The child's answer; False where it had to be ended."""
        with self.lock:
            if self.child is None:
                self.child = subprocess.Popen(
                    python(str(CHILD)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, text=True, encoding="utf-8", errors="backslashreplace",
                )  # fmt: skip
            line = ""
            with suppress(OSError):
                assert self.child.stdin is not None and self.child.stdout is not None
                self.child.stdin.write(json.dumps([mine, right]) + "\n")
                self.child.stdin.flush()
                line = self.child.stdout.readline()
            if not line:
                self.close()
                return False
            return bool(json.loads(line))

    def close(self) -> None:
        """Ends the child."""
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None


ALGEBRA = AlgebraProcess()
