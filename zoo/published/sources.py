"""Reads `sources.toml`: where published numbers were read, when, under which licence."""

from functools import cache
from pathlib import Path

import msgspec

from zoo.records import Record

FILE = Path(__file__).with_name("sources.toml")


class PrintedColumn(Record, frozen=True):
    """A column of a source's wide table: the benchmark and the protocol of its numbers.

    n        number of samples, if known
    printed  the label of its row, and its metric after a comma, as docs/published/card.py finds it in the source
    """

    benchmark: str
    protocol: str
    shots: int | None = None
    n: int | None = None
    subset: str = ""
    printed: str = ""


class Source(Record, frozen=True):
    """A page, paper or repository with numbers.

    licence       as it states it; "not stated" where it does not
    one_protocol  it measured all of its models itself, in one way: its numbers may be ranked
    date          the month of its numbers, where it is the same for all
    columns       header -> column of its wide table, if it has one
    models        a model as its tables name it -> a name of `models.csv`
    about         what a reader must know of all its numbers
    """

    title: str
    address: str
    accessed: str
    licence: str
    one_protocol: bool = False
    date: str = ""
    about: str = ""
    columns: dict[str, PrintedColumn] = {}
    models: dict[str, str] = {}


@cache
def read_sources() -> dict[str, Source]:
    """The sources by key. Raises ValueError if `sources.toml` cannot be used."""
    return parse_sources(FILE.read_text(encoding="utf-8"))


@cache
def about(title: str) -> str:
    """What a reader must know of all numbers of the source with this title; empty for another's."""
    return next((" ".join(source.about.split()) for source in read_sources().values() if source.title == title), "")


def parse_sources(text: str) -> dict[str, Source]:
    """Parses the sources of a TOML text. Raises ValueError naming the fault."""
    try:
        return msgspec.toml.decode(text, type=dict[str, Source])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"sources.toml: {error}") from error
