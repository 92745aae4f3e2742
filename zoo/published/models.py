"""Reads `models.csv`: the facts of each published model, once.

Empty is unknown. Parameters and tokens are counts as the sources state them (EvalPlus gives the active parameters of a
mixture of experts). The size of the training data and the tokens seen are two facts: phi-1 saw 51 billion tokens of 7
billion. A model is found by its name, by another name that a source gives it, and by its repository.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import msgspec

from zoo.records import ModelFacts, Record

MODELS = Path(__file__).with_name("models.csv")
MONTH = re.compile(r"20[12]\d-(0[1-9]|1[0-2])")
ADDRESS = re.compile(r"https://[\w.-]+\.[a-z]+/\S+")
REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
BETWEEN = ";"  # between other names


class PublishedModel(Record, frozen=True):
    """A published model.

    also        other names that sources give it, with semicolons between them
    facts_from  the address at which its licence was read
    """

    model: str
    also: str = ""
    repository: str = ""
    parameters: float | None = None
    unique_tokens: float | None = None
    training_tokens: float | None = None
    released: str = ""
    licence: str = ""
    kind: str = ""
    weights: str = ""
    quantisation: str = ""
    facts_from: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which its numbers stand in a source."""
        others = (name.strip() for name in self.also.split(BETWEEN))
        return tuple(dict.fromkeys(name for name in (self.model, *others, self.repository) if name))

    @property
    def facts(self) -> ModelFacts:
        """The facts that a row of it carries."""
        fields = {name: getattr(self, name) for name in ModelFacts.__struct_fields__}
        return msgspec.convert(fields, ModelFacts)


@cache
def read_models() -> dict[str, PublishedModel]:
    """The models by each of their names, read and checked once per process. Raises ValueError naming the faults."""
    return by_name(parse_models(MODELS.read_text(encoding="utf-8")))


def parse_models(text: str) -> list[PublishedModel]:
    """Parses a table of models (CSV with a header line) and checks it. Raises ValueError with all problems."""
    models = []
    for number, line in enumerate(csv.DictReader(io.StringIO(text), strict=True), start=2):
        fields = {key: value for key, value in line.items() if value != ""}
        try:
            models.append(msgspec.convert(fields, PublishedModel, strict=False))
            _ = models[-1].facts
        except (msgspec.ValidationError, TypeError) as error:
            raise ValueError(f"models.csv line {number}: {error}") from error
    if faults := model_problems(models):
        raise ValueError("models.csv cannot be used:\n" + "\n".join(faults))
    return models


def by_name(models: Iterable[PublishedModel]) -> dict[str, PublishedModel]:
    """The models by each of their names."""
    return {name: model for model in models for name in model.names}


def model_problems(models: Iterable[PublishedModel]) -> list[str]:
    """The faults of published models, one line each: a name of two models, and impossible values."""
    models = list(models)
    times = Counter(name for model in models for name in model.names)
    faults = [f"two models have the name {name!r}" for name, number in times.items() if number > 1]
    return faults + [f"{model.model}: {fault}" for model in models for fault in _faults(model)]


def count_faults(parameters: float | None, unique: float | None, seen: float | None) -> Mapping[str, bool]:
    """The statements about impossible counts of parameters and tokens, and whether each is true."""
    return {
        f"{parameters} parameters": parameters is not None and not 1e4 <= parameters <= 1e13,
        **{f"{count} tokens": count is not None and not 1e6 <= count <= 1e15 for count in (unique, seen)},
        f"{unique} unique tokens of {seen} seen": unique is not None and seen is not None and 1e6 <= seen < unique,
    }


def _faults(model: PublishedModel) -> list[str]:
    statements = {
        "no name": not model.model.strip(),
        **count_faults(model.parameters, model.unique_tokens, model.training_tokens),
        f"release {model.released!r} is not YYYY-MM": bool(model.released) and not MONTH.fullmatch(model.released),
        f"repository {model.repository!r} is not owner/name": (
            bool(model.repository) and not REPOSITORY.fullmatch(model.repository)
        ),
        f"licence {model.licence!r} is not a name in lower case": model.licence != model.licence.strip().lower(),
        "a licence without the address at which it was read": bool(model.licence) and not model.facts_from,
        f"{model.facts_from!r} is not https://…": bool(model.facts_from) and not ADDRESS.fullmatch(model.facts_from),
        "closed weights with a repository": model.weights == "closed" and bool(model.repository),
    }
    return [text for text, holds in statements.items() if holds]


def write_models(models: Iterable[PublishedModel], file: Path = MODELS) -> None:
    """Writes a table of models as `parse_models` reads it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, PublishedModel.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    for model in models:
        fields = msgspec.structs.asdict(model)
        writer.writerow({key: number_text(value) for key, value in fields.items()})
    file.write_text(out.getvalue(), encoding="utf-8")


def number_text(value: object) -> object:
    """A value as a table writes it: whole numbers without a point, nothing for None."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return "" if value is None else value
