"""Keeps the current folder out of what processes import: a `json.py` or `vllm.py` there is somebody's text.

Python puts the current folder first on the path of `python -m` and `python -c`, which is how servers, worker pools and
their own children are started, and for an empty or relative part of PYTHONPATH. `protect_children` ends both for every
process that is started afterwards, at any depth, through the environment, and takes the folder out of this process's
own path, which pools hand on. Whoever starts an interpreter takes its command line from `python` or `isolated`; a test
holds that nobody starts one otherwise. Not here: a folder that the user names in full in PYTHONPATH, and modules that
the interpreter imports before ours (`sitecustomize` and `zoo` with an empty part of PYTHONPATH, or by `python -m`).
"""

import os
import sys
import sysconfig
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # the folder of our packages
ENTER = "import sys; sys.path[:0] = [{!r}]\n"


def protect_children() -> None:
    """Sets the environment so that no child imports from the current folder; it may be called any number of times."""
    os.environ["PYTHONSAFEPATH"] = "1"  # read by each new interpreter as its option -P
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    whole = [part for part in given if os.path.isabs(part)]
    if "PYTHONPATH" in os.environ:
        os.environ["PYTHONPATH"] = os.pathsep.join(whole)
    here, standard = os.path.realpath(os.curdir), sysconfig.get_path("stdlib")
    end = sys.path.index(standard) if standard in sys.path else 0  # what follows is installed, not found here
    if here != os.path.realpath(ROOT) and here not in map(os.path.realpath, whole):
        sys.path[:end] = [part for part in sys.path[:end] if os.path.realpath(part) != here]


def python(*arguments: str) -> list[str]:
    """The command line of a child with this interpreter.

    >>> python("-m", "streamlit")[1:]
    ['-P', '-m', 'streamlit']
    """
    protect_children()
    return [sys.executable, "-P", *arguments]


def isolated(code: str, *arguments: str, options: tuple[str, ...] = (), executable: str = "") -> list[str]:
    """The command line of a child that runs code of ours, without the environment's and the user's own modules.

    >>> isolated("import zoo", "a")[1:3], isolated("import zoo", "a")[-1]
    (['-I', '-c'], 'a')
    """
    return [executable or sys.executable, "-I", *options, "-c", ENTER.format(ROOT) + code, *arguments]


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
