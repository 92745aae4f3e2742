"""The families of causal language models that transformers knows, and how each is read: one table, `families.toml`.

tests/evals/engines/test_families.py runs the table: a tiny model of each family against a plain forward pass.
"""

import tomllib
from pathlib import Path

from zoo.errors import ZooError
from zoo.records import Record
from zoo.shape import folder_shape

PLAIN, TREE, REFUSED = "plain", "tree", "refused"


class Family(Record, frozen=True, kw_only=True):
    """One family, by its model_type.

    path       "tree": a fast path may be taken where the model's own probe proves it; "plain": never; "refused"
    reason     why it is refused
    attention  transformers' own implementation for it: "sdpa", or "eager" where it has no other
    gated      whether its layers have a Llama's form (`evals.engines.local.gated_cpu`)
    """

    name: str
    path: str
    reason: str = ""
    attention: str = "sdpa"
    gated: bool = False


def _read_table() -> dict[str, Family]:
    table = tomllib.loads(Path(__file__).with_name("families.toml").read_text(encoding="utf-8"))
    eager, gated = frozenset(table["eager"]), frozenset(table["gated"])
    families = {
        name: Family(name=name, path=path, attention="eager" if name in eager else "sdpa", gated=name in gated)
        for path in (TREE, PLAIN)
        for name in table[path]
    }
    for reason, names in table[REFUSED].items():
        families |= {name: Family(name=name, path=REFUSED, reason=reason) for name in names}
    return families


FAMILIES = _read_table()
ACCEPTED = tuple(name for name, family in FAMILIES.items() if family.path != REFUSED)


def check_family(name: str, where: object) -> Family:
    """The family of a model type. Raises ZooError where it is refused, with the reason; an unknown one is plain.

    where  the folder or file, for the message
    """
    family = FAMILIES.get(name, Family(name=name, path=PLAIN))
    if family.path == REFUSED:
        raise ZooError(f"{where}: model_type {name} is refused: {family.reason}. All: phizoo doctor --families")
    return family


def folder_family(folder: Path) -> Family:
    """The family of a checkpoint's folder. Raises ZooError as `check_family` does."""
    return check_family(folder_shape(folder).family, folder)
