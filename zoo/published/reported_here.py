"""Keeps published numbers that a user has taken in from other boards, beside those that this package brings.

They lie in the user's home, one file of lines for each file that they were read from: `PHIZOO_HOME/reported/SHA.jsonl`.
They are reported rows like all others: never measured here, each with its protocol, its source and its date.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from zoo import settings
from zoo.digest import digest, whole_file
from zoo.errors import ZooError
from zoo.published import problems
from zoo.records import Reported

NAME, MOST = 400, 100_000  # characters of a text, rows of a file
TEXTS = ("model", "benchmark", "subset", "protocol", "source")
_DECODER = msgspec.json.Decoder(Reported)


def folder() -> Path:
    """Where the files lie."""
    return settings.home() / "reported"


def keep_reported(rows: Sequence[Reported], origin: str) -> tuple[Path, int]:
    """Keeps rows, once each. Returns their file and how many of them were not kept before.

    origin  what they were read from, such as a folder's name: its rows of before are replaced
    Raises  ZooError for a row that cannot be right; then none is kept
    """
    if len(rows) > MOST:
        raise ZooError(f"{origin[:100]!r} has {len(rows):,} reported numbers; expected at most {MOST:,} at once")
    for row in rows:
        for name in TEXTS:
            text = getattr(row, name)
            if not text.isprintable() or len(text) > NAME:
                raise ZooError(
                    f"a reported row has the {name} {text[:40]!r}, expected printable text of at most {NAME}"
                )
    unique = list(dict.fromkeys(rows))
    if faults := problems(unique):
        raise ZooError(f"{len(faults)} of {len(unique)} reported numbers cannot be right; the first: {faults[0][:200]}")
    path = folder() / f"{digest(origin)[:16]}.jsonl"
    before = set(_read(path)) if path.is_file() else set()
    with whole_file(path) as file:
        file.write(b"".join(msgspec.json.encode(row) + b"\n" for row in unique))
    return path, len(set(unique) - before)


def load_reported() -> tuple[Reported, ...]:
    """All rows that were kept. Raises ZooError naming a file that cannot be read and how to remove it."""
    rows: dict[Reported, None] = {}
    for path in sorted(folder().glob("*.jsonl")):
        rows.update(dict.fromkeys(_read(path)))
    return tuple(rows)


def _read(path: Path) -> list[Reported]:
    try:
        return [_DECODER.decode(line) for line in path.read_bytes().split(b"\n") if line]
    except (OSError, msgspec.MsgspecError) as error:
        raise ZooError(f"{path} cannot be read ({str(error)[:80]}); remove it and import again: rm {path}") from None
