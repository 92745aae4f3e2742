"""Reads the records in a zoo's database: a damaged or forged row is one clear line, wherever it is read."""

from typing import Any, Generic, TypeVar

import msgspec

from zoo.errors import ZooError

Kind = TypeVar("Kind")


class StoredRecord(Generic[Kind]):
    """The decoder of one kind of record, as rows hold it in JSON."""

    def __init__(self, kind: type[Kind], name: str = "") -> None:
        self._name, self._decoder = name or kind.__name__.lower(), msgspec.json.Decoder(kind)

    def decode(self, text: str | bytes) -> Kind:
        """The record of a row. Raises ZooError if the row holds no such record."""
        try:
            return self._decoder.decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise ZooError(
                f"a {self._name} in this zoo's database cannot be read ({str(error)[:120]}): the database is damaged "
                "or not ours; put a copy of it back, or set PHIZOO_HOME to another folder"
            ) from None


PLAIN: StoredRecord[dict[str, Any]] = StoredRecord(dict)
