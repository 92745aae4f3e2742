"""The one error a user sees: what happened, what was expected, the next command, on one line.

A fault of ours stays an ordinary exception with its traceback; only what a user can mend is a
`ZooError`, which `phizoo` prints on one line and ends with exit code 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class ZooError(Exception):
    """Wrong use or bad input: one line that says what to do next; exit code 2, nothing lost."""


class CheckFailed(ZooError):
    """The command ran and its answer is no (a verification, a parity): exit code 1."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (nearest: "gsm8k")` for a mistyped name, or an empty string when nothing is close.

    >>> nearest("gsm8", ["arc_easy", "gsm8k"])
    ' (nearest: "gsm8k")'
    >>> nearest("zzz", ["arc_easy"])
    ''
    """
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f' (nearest: "{close[0]}")' if close else ""


def unknown(kind: str, name: str, known: Iterable[str], listing: str) -> ZooError:
    """The error for a name that is not known: the nearest known one and the command that lists all.

    >>> str(unknown("task", "gsm8", ["gsm8k"], "phizoo eval tasks"))
    'no task "gsm8" (nearest: "gsm8k"). All tasks: phizoo eval tasks'
    """
    plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
    return ZooError(f'no {kind} "{name}"{nearest(name, known)}. All {plural}: {listing}')
