"""Exports a page's table (rows with the same fields) as CSV, Markdown, LaTeX (booktabs) or Parquet.

For every table but the leaderboard, which `dashboard.board.export` writes.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence

from dashboard.escape import latex, markdown, plain, spreadsheet
from zoo.cli.output import NONE

TableRows = Sequence[Mapping[str, object]]


def _text(value: object) -> str:
    return NONE if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def as_csv(rows: TableRows) -> bytes:
    """The rows as CSV with a header; a spreadsheet reads no text as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0] if rows else ())
    for row in rows:
        writer.writerow([spreadsheet(value) if isinstance(value, str) else value for value in row.values()])
    return out.getvalue().encode("utf-8", "replace")


def as_markdown(rows: TableRows) -> bytes:
    """The rows as a Markdown table."""
    if not rows:
        return b""
    lines = [[markdown(name) for name in rows[0]], ["---"] * len(rows[0])]
    lines += [[markdown(_text(value)) for value in row.values()] for row in rows]
    return "".join(f"| {' | '.join(fields)} |\n" for fields in lines).encode("utf-8", "replace")


def as_latex(rows: TableRows) -> bytes:
    """The rows as a LaTeX tabular with booktabs, numbers aligned right."""
    if not rows:
        return b""
    alignment = "".join("r" if isinstance(value, int | float) else "l" for value in rows[0].values())
    body = [" & ".join(latex(_text(value)) for value in row.values()) + r" \\" for row in rows]
    lines = [
        "% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{{alignment}}}", "\\toprule",
        " & ".join(latex(name) for name in rows[0]) + r" \\", "\\midrule", *body, "\\bottomrule", "\\end{tabular}", "",
    ]  # fmt: skip
    return "\n".join(lines).encode("utf-8", "replace")


def as_parquet(rows: TableRows) -> bytes:
    """The rows as a Parquet file; a field that is text in one row becomes text in all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if any(isinstance(value, str) for value in values):
            values = [None if value is None else plain(_text(value)) for value in values]
        columns[plain(name) or "mark"] = pa.array(values)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[TableRows], bytes]] = {
    ".csv": as_csv, ".md": as_markdown, ".tex": as_latex, ".parquet": as_parquet,
}  # fmt: skip
