"""Writes a source's wide table from the Markdown tables of a stored model card or report.

    python docs/published/card.py gemma2 README.md

The source's entry in `zoo/published/sources.toml` says which columns of the card are models (`models`) and which rows
are wanted (`columns`, each by `printed`: the row's label, and its metric after a comma where the card has one). A model
or a row that the card does not have is an error: nothing is left out silently.
"""

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from zoo.published.sources import Source, read_sources
from zoo.published.table import FOLDER

LINK = re.compile(r"\[([^\]]*)\](?:\[[^\]]*\]|\([^)]*\))")
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def cells(line: str) -> list[str]:
    """The cells of a Markdown row, without links, bold and the marks of the best.

    >>> cells("| [HellaSwag][hellaswag] | 10-shot | **54.5** |")
    ['HellaSwag', '10-shot', '54.5']
    """
    plain = LINK.sub(r"\1", line.strip().strip("|"))
    return [re.sub(r"[*_`]+|</?u>", "", cell).strip() for cell in plain.split("|")]


def numbers(text: str, source: Source) -> Iterator[tuple[str, str, str]]:
    """(model, column, value) of every wanted number of a card."""
    wanted = {column.printed: name for name, column in source.columns.items()}
    models: dict[int, str] = {}
    for line in text.splitlines():
        if "|" not in line:
            models = {}
            continue
        row = cells(line)
        if named := {at: source.models[cell] for at, cell in enumerate(row) if cell in source.models}:
            models = named
            continue
        label = next((name for name in (", ".join(row[:2]), row[0]) if name in wanted), None)
        for at, model in models.items():
            if label is not None and at < len(row) and NUMBER.fullmatch(row[at]):
                yield model, wanted[label], row[at]


def table(text: str, source: Source) -> list[list[str]]:
    """The lines of the wide file. Raises ValueError naming models and columns that the card does not have."""
    values: dict[tuple[str, str], str] = {}
    for model, column, value in numbers(text, source):
        if values.setdefault((model, column), value) != value:
            raise ValueError(f"{model} {column}: the card prints {values[model, column]} and {value}")
    models = list(dict.fromkeys(source.models.values()))
    missing = {name for name in source.columns if not any((model, name) in values for model in models)}
    missing |= {model for model in models if not any((model, name) in values for name in source.columns)}
    if missing:
        raise ValueError(f"the card has no number for {', '.join(sorted(missing))}")
    return [[model, "", *(values.get((model, name), "") for name in source.columns)] for model in models]


def main(key: str, path: Path) -> None:
    """Writes the file of a source."""
    source = read_sources()[key]
    rows = table(path.read_text(encoding="utf-8"), source)
    with (FOLDER / f"{key}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "variant", *source.columns])
        writer.writerows(rows)
    print(f"{sum(value != '' for row in rows for value in row[2:])} numbers of {len(rows)} models")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
