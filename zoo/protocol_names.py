"""Protocols whose name has changed: what an older record's protocol is called now, and what its fingerprint covers.

A fingerprint covers the name under which a protocol was first published, so a new name keeps the column, its scores and
the ids of its runs. Not here: what a name is made of (`evals.protocol_name`).
"""

import re
from functools import cache
from typing import NamedTuple

AFTER = r"(?=$|-quick\d?|-part-\d+|>|, | t=| check | elsewhere)"  # what may follow a protocol in a name
# the commas between names in a list, and not those inside the name of a protocol asked by chat
BETWEEN_NAMES = r",(?! (?:chat|turns|system|thinking|budget)\b)"


class Renamed(NamedTuple):
    """One change of name.

    first  the name that the fingerprint covers
    now    its name today
    data   digest of its rows, where another protocol is called `first` today
    other  a further old name of the same prompts and decoding, which has no column of its own any more
    """

    task: str
    first: str
    now: str
    data: str = ""
    other: str = ""


BOOLQ = "6cf548aa8c9f4cc071cb873d7d7210c97057778271814bce31cd2d579ea76f3d"  # google/boolq: passages without titles
RENAMED = (
    # the harness reads the passages with titles, so its name is theirs
    Renamed(task="boolq", first="lm-eval", now="no-title", data=BOOLQ),
    Renamed(task="boolq", first="lm-eval-titled", now="lm-eval"),
    # bigcode-evaluation-harness samples, and counts the prompt into its 512 tokens
    Renamed(task="humaneval", first="bigcode", now="bigcode-greedy"),
    Renamed(task="mbpp", first="bigcode", now="bigcode-greedy"),
    Renamed(task="mmlu", first="lm-eval-5", now="lm-eval-5", other="phi-2"),
)


@cache
def current_name(task: str, name: str, data: str = "") -> str:
    """Today's name of a protocol that a record or a user calls `name`; `data` is the digest of its rows, if known.

    >>> current_name("boolq", "lm-eval", BOOLQ), current_name("boolq", "lm-eval-titled-quick2")
    ('no-title', 'lm-eval-quick2')
    >>> current_name("mmlu", "phi-2"), current_name("humaneval", "openai>bigcode t=0.2 p=0.95")
    ('lm-eval-5', 'openai>bigcode-greedy t=0.2 p=0.95')
    """
    for change in RENAMED:
        if change.task == task and change.data in ("", data):
            name = _replace(name, change.other or change.first, change.now)
    return name


def current_spec(spec: str) -> str:
    """The task@protocol that a user means by an older name.

    >>> current_spec("mmlu@phi-2"), current_spec("mbpp")
    ('mmlu@lm-eval-5', 'mbpp')
    """
    task, at, name = spec.partition("@")
    return f"{task}{at}{current_name(task, name)}"


@cache
def other_names(task: str, name: str) -> tuple[str, ...]:
    """Further names under which the protocol called `name` has been published, each with a fingerprint of its own.

    >>> other_names("mmlu", "lm-eval-5-quick2"), other_names("mmlu", "lm-eval")
    (('phi-2-quick2',), ())
    """
    changed = (_replace(name, change.now, change.other) for change in RENAMED if change.task == task and change.other)
    return tuple(other for other in changed if other != name)


@cache
def first_name(task: str, name: str) -> str:
    """The name that the fingerprint covers of a protocol that is called `name` today.

    >>> first_name("boolq", "no-title"), first_name("boolq", "lm-eval"), first_name("arc_easy", "lm-eval")
    ('lm-eval', 'lm-eval-titled', 'lm-eval')
    """
    for change in reversed(RENAMED):
        if change.task == task:
            name = _replace(name, change.now, change.first)
    return name


def _replace(name: str, old: str, new: str) -> str:
    """The name with the first part, and the protocol that rescored it, replaced where they are `old`."""
    return re.sub(rf"(^|>){re.escape(old)}{AFTER}", rf"\g<1>{new}", name)
