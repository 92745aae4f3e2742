"""Writes the licences and kinds of `facts.toml` into `zoo/published/models.csv`.

    python docs/published/facts.py

Only empty facts are filled in, so it can run again after a board has added models. A family that no model fits, a model
that fits two, and a fact that differs from the one in the table are errors: nothing is decided silently.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from zoo.published.models import MODELS, PublishedModel, parse_models, write_models

FILE = Path(__file__).with_name("facts.toml")


class FamilyFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts of some models of one maker.

    models   a pattern of their whole name or repository
    licence  as the hub tags it, in lower case
    source   a name in `sources`
    """

    models: str
    licence: str
    source: str
    kind: str = ""


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `facts.toml`: addresses by name, and the families."""

    sources: dict[str, str]
    families: tuple[FamilyFacts, ...]


def read_facts(file: Path = FILE) -> Facts:
    """The facts of a file. Raises msgspec.DecodeError for another form."""
    return msgspec.toml.decode(file.read_text(encoding="utf-8"), type=Facts)


def fill(models: Sequence[PublishedModel], facts: Facts) -> list[PublishedModel]:
    """The models with the facts of their families. Raises ValueError with all faults, one a line."""
    faults, used, filled = [], set(), []
    for model in models:
        fitting = [family for family in facts.families if fits(family, model)]
        used |= set(fitting)
        if len(fitting) > 1:
            faults.append(f"{model.model} fits {fitting[0].models} and {fitting[1].models}")
        for family in fitting[:1]:
            faults += differing(model, family)
            model = with_facts(model, family, facts.sources[family.source])
        filled.append(model)
    faults += [f"no model fits {family.models}" for family in facts.families if family not in used]
    if faults:
        raise ValueError("\n".join(faults))
    return filled


def fits(family: FamilyFacts, model: PublishedModel) -> bool:
    """Whether a family's pattern is a model's name or repository.

    >>> family = FamilyFacts(models="o/a-[0-9]+b", licence="mit", source="s")
    >>> [fits(family, PublishedModel(model=name)) for name in ("o/a-3b", "o/a-3b-Chat", "another/o/a-3b")]
    [True, False, False]
    """
    return any(re.fullmatch(family.models, name) for name in (model.model, model.repository) if name)


def differing(model: PublishedModel, family: FamilyFacts) -> list[str]:
    """What a model's facts and its family's say otherwise, one line each; what either does not say is no difference."""
    pairs = {name: (getattr(model, name), getattr(family, name)) for name in ("licence", "kind")}
    return [
        f"{model.model} has the {name} {old}, its family {new}"
        for name, (old, new) in pairs.items()
        if old and new and old != new
    ]


def with_facts(model: PublishedModel, family: FamilyFacts, address: str) -> PublishedModel:
    """A model with its family's facts where it has none; a licence comes with the address that states it."""
    if not model.licence:
        model = msgspec.structs.replace(model, licence=family.licence, facts_from=address)
    return model if model.kind else msgspec.structs.replace(model, kind=family.kind)


def main() -> None:
    """Writes the table, and prints how many licences and kinds are new."""
    before = parse_models(MODELS.read_text(encoding="utf-8"))
    after = fill(before, read_facts())
    write_models(after)
    for name in ("licence", "kind"):
        known, all_known = (sum(bool(getattr(model, name)) for model in models) for models in (before, after))
        print(f"{name}: {all_known} of {len(after)} models, {all_known - known} new")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(str(error))
