"""Reads JSON-lines files, gzipped or not, and names the line that is damaged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo import gz
from zoo.errors import ZooError


def read_lines(path: Path, expected: str) -> Iterator[tuple[str, Any]]:
    """The values of a file's lines as ("FILE:NUMBER", value), in their order; blank lines are skipped.

    expected  the kind of lines, for the error's text: "task_id and completion"
    Raises    ZooError if the file cannot be read or a line is not JSON
    """
    number = 0
    try:
        for number, line in enumerate(gz.lines(path), 1):
            if line.strip():
                yield f"{path}:{number}", json.loads(line)
    except OSError as error:
        raise ZooError(f"cannot read {path} ({error.strerror or error}); expected lines of {expected}") from None
    except ValueError as error:
        raise ZooError(f"{path}:{number} is not JSON ({error}); expected lines of {expected}") from None
