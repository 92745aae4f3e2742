"""What a chooser filters by: licence, kind, weights and quantisation.

A fact that is not known is the empty text, and `UNKNOWN` in a filter and on the page: it passes no filter that does not
ask for it.
"""

from collections.abc import Sequence

from dashboard.board import benchmarks
from zoo.records import Checkpoint

UNKNOWN = "unknown"
NOT_KNOWN = ("", UNKNOWN, "none", "n/a")  # what cards and `models add` write for it
KINDS = ("base", "chat", UNKNOWN)
WEIGHTS = ("open", "closed", UNKNOWN)
QUANTISED = ("yes", "no")
LICENCES = {  # the classes of `licences` in benchmarks.toml
    "permissive": "may be used commercially, on no condition but naming it",
    "conditions": "may be used, on conditions of its own: read them",
    "non-commercial": "may not be used commercially",
    "other": "a licence that is in none of these lists: read it",
    UNKNOWN: "no licence is known: it may not be used until it is",
}


def known(text: str) -> str:
    """A fact as its source writes it, empty if it says that it is not known.

    >>> known("Apache-2.0 "), known("unknown")
    ('apache-2.0', '')
    """
    text = text.strip().lower()
    return "" if text in NOT_KNOWN else text


def licence_class(licence: str) -> str:
    """What a licence allows, one of `LICENCES`.

    >>> licence_class("Apache-2.0"), licence_class("gemma"), licence_class(""), licence_class("my-own")
    ('permissive', 'conditions', 'unknown', 'other')
    """
    name = known(licence)
    if not name:
        return UNKNOWN
    classes = benchmarks.FACTS["licences"]
    return next((key.replace("_", "-") for key, names in classes.items() if name in names), "other")


def passes_licence(licence: str, wanted: Sequence[str]) -> bool:
    """Whether a licence is one of those wanted, by its name or by its class; without any wanted, all pass.

    >>> passes_licence("mit", ("permissive",)), passes_licence("", ("permissive",)), passes_licence("", ("unknown",))
    (True, False, True)
    """
    return not wanted or known(licence) in wanted or licence_class(licence) in wanted


def passes(value: str, wanted: str) -> bool:
    """Whether a fact is the one wanted; an empty fact is unknown, and an empty wish is met by all.

    >>> passes("base", ""), passes("base", "chat"), passes("", "chat"), passes("", "unknown")
    (True, False, False, True)
    """
    return not wanted or (value or UNKNOWN) == wanted


def kind_of(checkpoint: Checkpoint) -> str:
    """Whether a checkpoint of this zoo is a chat or a base model: by its chat template, or by how it was added."""
    return "chat" if checkpoint.chat_template or checkpoint.prompt_style == "chat" else "base"
