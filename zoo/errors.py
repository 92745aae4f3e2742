"""The error that a user sees: the problem, the expected value and the next command, on one line.

A bug of ours stays an ordinary exception with its traceback; only an error that a user can fix is a
`ZooError`, which `phizoo` prints on one line before it exits with code 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class ZooError(Exception):
    """Wrong use or bad input: one line with the next step; exit code 2, nothing is lost."""


class CheckFailed(ZooError):
    """The command ran and its check failed (a verification, a parity): exit code 1."""


class NotResolvedError(ZooError):
    """The command ran and the samples do not decide (a comparison, a gate): exit code 3."""


class UnreachableError(ZooError):
    """A store that cannot be reached or does not answer: what is on this machine can still be used."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (nearest: "gsm8k")` for a mistyped name, or an empty string if nothing is close.

    >>> nearest("gsm8", ["arc_easy", "gsm8k"])
    ' (nearest: "gsm8k")'
    >>> nearest("zzz", ["arc_easy"])
    ''
    """
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f' (nearest: "{close[0]}")' if close else ""


def unknown(kind: str, name: str, known: Iterable[str], listing: str) -> ZooError:
    """The error for an unknown name: the nearest known name and the command that lists all.

    >>> str(unknown("task", "gsm8", ["gsm8k"], "phizoo eval tasks"))
    'no task "gsm8" (nearest: "gsm8k"). All tasks: phizoo eval tasks'
    """
    plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
    return ZooError(f'no {kind} "{name}"{nearest(name, known)}. All {plural}: {listing}')
