"""Reads the template teacher's function templates: numbers, pairs, tables, recursion, loops, choices.

Each template in function_templates.toml is a function body with constants to fill in; `operations` has the composable
one-line operations. `meanings` computes the result in another way than the body and tests it. This file draws no
random numbers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from training.data.synthesis.meanings import MEANINGS
from training.tables import read_table


class FunctionTemplate(NamedTuple):
    """One function template.

    family, name  its family, and the word that gives a function its name
    arguments     kinds of the arguments: number, numbers, text, words, table
    phrases       its description; {v} {w} the arguments, {x} an item, {k} {j} {i} the constants
    body          lines of code, indented by 4 inside the function; {f} is the function's own name
    meaning       arguments, then constants -> the result
    constants     choices for k, j and i, if used
    """

    family: str
    name: str
    arguments: tuple[str, ...]
    phrases: tuple[str, ...]
    body: tuple[str, ...]
    meaning: Callable[..., Any]
    constants: tuple[tuple[Any, ...], ...] = ()


def _read_templates() -> tuple[FunctionTemplate, ...]:
    table = read_table("data/synthesis/function_templates.toml", dict[str, Any])
    pools = table.pop("pools")
    return tuple(
        FunctionTemplate(
            family=family, name=entry["name"], arguments=tuple(entry["arguments"]), phrases=tuple(entry["phrases"]),
            body=tuple(entry["body"].split("\n")), meaning=MEANINGS[f"{family}.{entry['name']}"],
            constants=tuple(tuple(pools[pool] if isinstance(pool, str) else pool) for pool in entry["constants"]),
        )
        for family, entries in table.items()
        for entry in entries
    )  # fmt: skip


FUNCTION_TEMPLATES = _read_templates()
