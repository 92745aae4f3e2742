"""The page of scores measured here beside what others published of the same models. It only draws."""

import streamlit as st

from dashboard.data import source
from dashboard.data.calibration import table_rows
from dashboard.views import style
from evals.decisions.calibration import Calibration, calibrate_all
from evals.decisions.calibration_page import identity, summary, unmeasured

MEANING = """AGREES: the same tool, shots, metric and set, and their number lies inside our 95% interval. NOT RESOLVED:
the same, but outside, and the difference may be chance. DIFFERS: the same, and it is not chance. Another protocol: no
verdict; the gap says nothing about the harness."""


def page() -> None:
    """Draws a table for each checkpoint that is a published model."""
    st.title("Calibration", anchor=False)
    calibrations = _calibrations(repr(source.stamp()))
    if not calibrations:
        st.info("No scored checkpoint here is a published model. Add one: phizoo quickstart --only real")
        return
    st.markdown(style.text(summary(calibrations)))
    st.caption(MEANING)
    for place, calibration in enumerate(calibrations):
        st.subheader(style.text(identity(calibration)), anchor=False)
        rows = table_rows(calibration)
        style.show_table(rows, f"Calibration of {calibration.checkpoint}")
        style.show_exports(rows, f"calibration-{place}")
        if text := unmeasured(calibration):
            st.caption(style.text(text))


@st.cache_resource(ttl=600, max_entries=4, show_spinner="Reading scores")
def _calibrations(stamp: str) -> list[Calibration]:
    with source.open_zoo() as registry:
        return calibrate_all(registry) if registry is not None else []
