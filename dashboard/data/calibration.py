"""The figures of the calibration page: the same rows as `phizoo eval calibration`."""

from dashboard.escape import cut
from evals.decisions.calibration import Calibration
from evals.decisions.calibration_page import COLUMNS, fields

TableRow = dict[str, str]


def table_rows(calibration: Calibration) -> list[TableRow]:
    """A checkpoint's rows as a table, each with the address of its source."""
    names = [name.lower() for name in COLUMNS]
    return [
        {name: cut(text, 160) for name, text in zip(names, fields(row), strict=True)} | {"address": row.address}
        for row in calibration.rows
    ]
