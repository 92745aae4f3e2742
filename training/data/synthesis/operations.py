"""Reads the template teacher's operations from operations.toml: for each its words, its code and its meaning.

`code` is the solution's text, and the meaning computes the expected result in another way (`meanings`). This file
draws no random numbers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from training.data.synthesis.meanings import MEANINGS
from training.tables import read_table


class Operation(NamedTuple):
    """One thing to do with one value.

    name     the word that gives a function its name
    about    the object of the operation: "each" item, "all" items, the "whole" value
    phrases  imperative sentences; {o} the object, {k} and {j} the constants
    code     Python expression; {v} the value, {x} its item, {k} and {j} constants as source text
    meaning  the value and the constants it takes -> the result
    source, result  number | numbers | text | words | table | bool
    k, j     constants to choose from; empty if not used
    """

    name: str
    about: str
    phrases: tuple[str, ...]
    code: str
    meaning: Callable[..., Any]
    source: str
    result: str
    k: tuple[Any, ...] = ()
    j: tuple[Any, ...] = ()


def _read_operations() -> dict[str, tuple[Operation, ...]]:
    table = read_table("data/synthesis/operations.toml", dict[str, Any])
    pools = table.pop("pools")

    def pool(entry: dict[str, Any], key: str) -> tuple[Any, ...]:
        constants = entry.get(key, ())
        return tuple(pools[constants] if isinstance(constants, str) else constants)

    return {
        group: tuple(
            Operation(**entry | {
                "phrases": tuple(entry["phrases"]), "k": pool(entry, "k"), "j": pool(entry, "j"),
                "meaning": MEANINGS[f"{group}.{entry['name']}"],
            })
            for entry in entries
        )
        for group, entries in table.items()
    }  # fmt: skip


OPERATIONS = _read_operations()  # by group
