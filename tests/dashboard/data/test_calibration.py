"""The calibration page shows what the command prints, with the address of each source."""

from dashboard.data.calibration import table_rows
from evals.decisions.calibration import Calibration, CalibrationRow
from evals.decisions.calibration_page import fields
from evals.stats.intervals import wilson
from evals.stats.paired import unpaired_difference

ROW = CalibrationRow(
    benchmark="piqa", column="piqa@lm-eval acc_norm", shots=0, value=0.643, low=0.621, high=0.665, n=1838,
    theirs=0.6692, their_n=1838, their_shots=0, their_protocol="accuracy (lm-eval, acc_norm)", source="a card",
    address="https://example.org/card", verdict="NOT RESOLVED", notes=("our file is Q4_1",),
    difference=unpaired_difference(wilson(1182, 1838), wilson(1230, 1838), 1838),
)  # fmt: skip


def test_a_row_has_the_commands_fields_and_its_address() -> None:
    calibration = Calibration(checkpoint="a:1", model="A", by="its file", rows=(ROW,), unmeasured=())
    (row,) = table_rows(calibration)
    assert tuple(row.values()) == (*fields(ROW), "https://example.org/card")
    assert row["verdict"] == "NOT RESOLVED"
    assert row["ours - theirs [95%]"].startswith("-2.6 [")
