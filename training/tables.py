"""Reads the tables that this package keeps as TOML files beside its code."""

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_table(name: str, kind: type[T]) -> T:
    """Reads a TOML file, named by its path inside the package, into a record or a container of records.

    >>> read_table("data/synthesis/slots.toml", dict)["audiences"][1]
    'a student of a first course'
    """
    return msgspec.convert(tomllib.loads((Path(__file__).parent / name).read_text(encoding="utf-8")), kind)
