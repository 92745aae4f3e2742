"""A page's table, a list of rows with the same fields, as CSV, Markdown, LaTeX (booktabs) or Parquet. Pure.

The leaderboard itself has richer forms in `export`; these are for every other table that a page shows.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence

from dashboard.escape import latex, markdown, plain, spreadsheet

Lines = Sequence[Mapping[str, object]]


def _text(value: object) -> str:
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def as_csv(lines: Lines) -> bytes:
    """The rows with their fields' names above them; no text is taken for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(lines[0] if lines else ())
    for line in lines:
        writer.writerow([spreadsheet(value) if isinstance(value, str) else value for value in line.values()])
    return out.getvalue().encode("utf-8", "replace")


def as_markdown(lines: Lines) -> bytes:
    """The rows as a Markdown table."""
    if not lines:
        return b""
    told = [[markdown(name) for name in lines[0]], ["---"] * len(lines[0])]
    told += [[markdown(_text(value)) for value in line.values()] for line in lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in told).encode("utf-8", "replace")


def as_latex(lines: Lines) -> bytes:
    """The rows as a LaTeX tabular with booktabs, numbers to the right."""
    if not lines:
        return b""
    right = ["r" if isinstance(value, int | float) else "l" for value in lines[0].values()]
    rows = [" & ".join(latex(_text(value)) for value in line.values()) + r" \\" for line in lines]
    told = [
        "% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{{''.join(right)}}}", "\\toprule",
        " & ".join(latex(name) for name in lines[0]) + r" \\", "\\midrule", *rows, "\\bottomrule", "\\end{tabular}", "",
    ]  # fmt: skip
    return "\n".join(told).encode("utf-8", "replace")


def as_parquet(lines: Lines) -> bytes:
    """The rows as a Parquet file; a field with text in any row is text in all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name in lines[0] if lines else ():
        values = [line[name] for line in lines]
        if any(isinstance(value, str) for value in values):
            values = [None if value is None else plain(_text(value)) for value in values]
        columns[plain(name) or "mark"] = pa.array(values)
    held = io.BytesIO()
    pq.write_table(pa.table(columns), held)
    return held.getvalue()


FORMATS: dict[str, Callable[[Lines], bytes]] = {
    ".csv": as_csv,
    ".md": as_markdown,
    ".tex": as_latex,
    ".parquet": as_parquet,
}
