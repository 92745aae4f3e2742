"""Keeps the current folder out of what child processes import: a `json.py` or `vllm.py` there is somebody's text.

Python puts the current folder first on the path of `python -m` and `python -c`, which is how servers, worker pools and
their own children are started, and for an empty or relative part of PYTHONPATH. `protect_children` ends both for every
process that is started afterwards, at any depth, through the environment; whoever builds a command line starts it with
`python`. Not here: a folder that the user names in full in PYTHONPATH, and the interpreters of the sandbox.
"""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext


def protect_children() -> None:
    """Sets the environment so that no child imports from the current folder; it may be called any number of times."""
    os.environ["PYTHONSAFEPATH"] = "1"  # read by each new interpreter as its option -P
    if given := os.environ.get("PYTHONPATH"):
        os.environ["PYTHONPATH"] = os.pathsep.join(part for part in given.split(os.pathsep) if os.path.isabs(part))


def python(*arguments: str) -> list[str]:
    """The command line of a child with this interpreter.

    >>> python("-m", "streamlit")[1:]
    ['-P', '-m', 'streamlit']
    """
    protect_children()
    return [sys.executable, "-P", *arguments]


def spawn() -> "SpawnContext":
    """The context of processes that start anew: torch's threads do not survive a fork."""
    import multiprocessing

    protect_children()
    return multiprocessing.get_context("spawn")


def forkserver() -> "ForkServerContext":
    """The context of processes that are forked from a small one without threads."""
    import multiprocessing

    protect_children()
    return multiprocessing.get_context("forkserver")
