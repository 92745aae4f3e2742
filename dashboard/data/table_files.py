"""Writes a page's table (rows with the same fields) as CSV, Markdown, LaTeX (booktabs) or Parquet, and as HTML to show.

`dashboard.board.export` writes the leaderboard with the same writers.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dashboard.escape import html, latex, markdown, spreadsheet
from zoo.cli.output import NONE
from zoo.visible import plain

TableRows = Sequence[Mapping[str, object]]
WEB_ADDRESS = re.compile(r"https://[\w.-]+(?:/[\w./%~@:+=&?#-]*)?", re.ASCII)  # a field that is one is shown as a link


def _text(value: object) -> str:
    return NONE if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def csv_text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV with a header; a spreadsheet reads no text as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(spreadsheet, header))
    writer.writerows([spreadsheet(value) if isinstance(value, str) else value for value in row] for row in rows)
    return out.getvalue()


def latex_text(alignment: str, header: Iterable[str], rows: Iterable[Iterable[str]], notes: Iterable[str] = ()) -> str:
    """Rows of escaped fields as a LaTeX tabular with booktabs, and the notes as comments below it."""
    first, *body = (" & ".join(fields) + r" \\" for fields in (header, *rows))
    lines = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{{alignment}}}", "\\toprule", first, "\\midrule"]
    return "\n".join([*lines, *body, "\\bottomrule", "\\end{tabular}", *(f"% {plain(note)}" for note in notes), ""])


def parquet_bytes(columns: Mapping[str, Any]) -> bytes:
    """Columns (Arrow arrays by name) as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def html_table(rows: TableRows) -> str:
    """The rows as an HTML table, the first named field as each row's heading; a phone shows each row as a card.

    >>> html_table([{"model": "a<b", "score": 1.5}])[-105:]
    '<tbody><tr><th scope="row">a&lt;b</th><td class="number" data-label="score">1.5</td></tr></tbody></table>'
    """
    if not rows:
        return ""
    first = next((name for name in rows[0] if name), "")
    numbers = {name for name in rows[0] if all(isinstance(row[name], int | float | None) for row in rows)} - {first}

    def field(name: str, value: object) -> str:
        text = html(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _text(value))
        if WEB_ADDRESS.fullmatch(_text(value)):
            text = f'<a href="{text}" rel="noreferrer" aria-label="open {text}">open ↗</a>'
        if name == first:
            return f'<th scope="row">{text}</th>'
        names = [*(["number"] if name in numbers else []), *(["empty"] if text in ("", NONE) else [])]
        kind = f' class="{" ".join(names)}"' if names else ""
        return f'<td{kind} data-label="{html(name)}">{text}</td>'

    heads = (f'<th scope="col"{" class=number" if name in numbers else ""}>{html(name)}</th>' for name in rows[0])
    lines = (f"<tr>{''.join(field(name, value) for name, value in row.items())}</tr>" for row in rows)
    return f'<table class="phizoo-rows"><thead><tr>{"".join(heads)}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def as_csv(rows: TableRows) -> bytes:
    """The rows as CSV."""
    return csv_text(rows[0] if rows else (), (row.values() for row in rows)).encode("utf-8", "replace")


def as_markdown(rows: TableRows) -> bytes:
    """The rows as a Markdown table."""
    if not rows:
        return b""
    lines = [[markdown(name) for name in rows[0]], ["---"] * len(rows[0])]
    lines += [[markdown(_text(value)) for value in row.values()] for row in rows]
    return "".join(f"| {' | '.join(fields)} |\n" for fields in lines).encode("utf-8", "replace")


def as_latex(rows: TableRows) -> bytes:
    """The rows as a LaTeX tabular, numbers aligned right."""
    if not rows:
        return b""
    alignment = "".join("r" if isinstance(value, int | float) else "l" for value in rows[0].values())
    body = ([latex(_text(value)) for value in row.values()] for row in rows)
    return latex_text(alignment, map(latex, rows[0]), body).encode("utf-8", "replace")


def as_parquet(rows: TableRows) -> bytes:
    """The rows as a Parquet file; a field that is text in one row becomes text in all."""
    import pyarrow as pa

    columns = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if any(isinstance(value, str) for value in values):
            values = [None if value is None else plain(_text(value)) for value in values]
        columns[plain(name) or "mark"] = pa.array(values)
    return parquet_bytes(columns)


FORMATS: dict[str, Callable[[TableRows], bytes]] = {
    ".csv": as_csv, ".md": as_markdown, ".tex": as_latex, ".parquet": as_parquet,
}  # fmt: skip
