"""Reads the published numbers of other models from the files of this folder, one file for each kind of source.

A row is one printed number, in the protocol of its source. Two sources that disagree are two rows. A file is either
long, with one number a line, or wide, with one model a line and the columns that `sources.toml` describes. `n` is given
only if the benchmark's size is certain. The scripts in docs/published write the files.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from zoo.published.check import problems
from zoo.published.models import PublishedModel, number_text, read_models
from zoo.published.sources import Source, read_sources
from zoo.records import ModelFacts, Reported

FOLDER = Path(__file__).parent
# in the order in which a board without measured rows shows their models
LONG = ("papers", "cards", "repositories", "evalplus")
WIDE = (
    "phi4_mini",
    "gemma2",
    "gemma3_270m",
    "gemma3_it",
    "smollm2_360m",
    "smollm2_135m",
    "smollm2_135m_it",
    "qwen25",
    "qwen25_it",
    "openllm_v2",
)
FIELDS = ("model", "benchmark", "subset", "protocol", "shots", "op", "value", "n", "date", "source")
NUMBERS = ("shots", "n")
SHARED = ("benchmark", "protocol", "shots", "n", "subset")  # what a column gives to each of its rows


@cache
def load() -> tuple[Reported, ...]:
    """All published rows in the files' order, read and checked once per process.

    Raises  ValueError naming the file and line, if one contains an impossible value.
    """
    models, sources = read_models(), read_sources()
    rows = [row for name in LONG for row in parse(_text(name), models, sources, name)]
    rows += [row for name in WIDE for row in parse_wide(_text(name), name, models, sources)]
    _refuse(problems(rows), "the published table")
    return tuple(rows)


def _text(name: str) -> str:
    return (FOLDER / f"{name}.csv").read_text(encoding="utf-8")


def _refuse(faults: Sequence[str], name: str) -> None:
    if faults:
        raise ValueError(f"{name} cannot be used:\n" + "\n".join(faults))


def parse(
    text: str, models: Mapping[str, PublishedModel] | None = None, sources: Mapping[str, Source] | None = None,
    name: str = "table",
) -> tuple[Reported, ...]:  # fmt: skip
    """Parses a long table (CSV with a header line, its sources by key) and checks its rows.

    Raises  ValueError with all problems, one per line.
    """
    models, sources = models or read_models(), sources or read_sources()
    rows = []
    for number, line in _lines(text, FIELDS, f"{name}.csv"):
        source = sources.get(line["source"])
        if source is None:
            raise ValueError(f"{name}.csv line {number}: source {line['source']!r} is not in sources.toml")
        line["op"] = line["op"] or "="
        line["date"] = line["date"] or source.date
        rows.append(_row(line, models.get(line["model"]), source, f"{name}.csv line {number}"))
    _refuse(problems(rows), f"{name}.csv")
    return tuple(rows)


def parse_wide(
    text: str, key: str, models: Mapping[str, PublishedModel], sources: Mapping[str, Source]
) -> Iterator[Reported]:
    """The rows of a wide table: one model a line, one number a column of its source. Raises ValueError for a line."""
    source = sources[key]
    for number, line in _lines(text, ("model", "variant", *source.columns), f"{key}.csv"):
        model = models.get(line["model"])
        for header, column in source.columns.items():
            if line[header] != "":
                fields = {name: getattr(column, name) for name in SHARED} | {
                    "model": line["model"],
                    "variant": line["variant"],
                }
                fields |= {"op": "=", "value": line[header], "date": source.date}
                yield _row(fields, model, source, f"{key}.csv line {number}")


def _lines(text: str, fields: Sequence[str], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if tuple(reader.fieldnames or ()) != tuple(fields):
        raise ValueError(f"{name} line 1: expected the header {','.join(fields)}")
    for number, line in enumerate(reader, start=2):
        if None in line or None in line.values():
            raise ValueError(f"{name} line {number}: {len(fields)} fields are expected")
        yield number, line


def _row(fields: Mapping[str, Any], model: PublishedModel | None, source: Source, place: str) -> Reported:
    """A row with the facts of its model and its source."""
    values = {key: None if key in NUMBERS and value == "" else value for key, value in fields.items()}
    values |= {"source": source.title, "address": source.address, "accessed": source.accessed}
    values |= {"licence": source.licence, "one_protocol": source.one_protocol, "parameters": None}
    values |= {"unique_tokens": None, "training_tokens": None}
    if model is not None:
        values |= {"model": model.model, "parameters": model.parameters, "unique_tokens": model.unique_tokens}
        values |= {"training_tokens": model.training_tokens}
        values["date"] = values["date"] or model.released
    try:
        row = msgspec.convert(values, Reported, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{place}: {error}") from error
    return row if model is None else msgspec.structs.replace(row, facts=_facts(model))


@cache
def _facts(model: PublishedModel) -> ModelFacts:
    return model.facts


@cache
def by_model() -> dict[str, tuple[Reported, ...]]:
    """The published rows of each model, models in the files' order."""
    grouped: dict[str, list[Reported]] = {}
    for row in load():
        grouped.setdefault(row.model, []).append(row)
    return {model: tuple(rows) for model, rows in grouped.items()}


def write_rows(rows: Iterable[Reported], source: str) -> str:
    """Rows of one source as a long table that `parse` reads; `source` is its key in sources.toml."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        fields = {name: number_text(getattr(row, name)) for name in FIELDS}
        writer.writerow(fields | {"source": source, "op": "" if row.op == "=" else row.op})
    return out.getvalue()
