"""The page on the state of this machine: current and published runs, failures, and the stored files."""

import streamlit as st

from dashboard.data import health, source
from dashboard.escape import cut
from dashboard.views import style
from zoo import settings
from zoo.progress import seconds_text

MARKS = {"running": "▶", "finished": "✓", "stopped": "■", "damaged": "!"}


def page() -> None:
    """Draws the state of runs and store; the current runs are read again every five seconds."""
    st.title("Health", anchor=False)
    st.subheader("Runs on this machine", anchor=False)
    st.fragment(show_local_runs, run_every=5)()
    st.subheader("Published runs", anchor=False)
    show_published_runs()
    st.subheader("Store", anchor=False)
    show_store()


def show_local_runs() -> None:
    """Draws the runs in this machine's folder, running ones first."""
    runs = sorted(health.run_states(settings.runs_dir()), key=lambda run: run.state != "running")
    if not runs:
        st.caption("This machine's folder has no runs.")
        return
    for run in (run for run in runs if run.state == "running"):
        left = f", {seconds_text(run.left_seconds)} left" if run.left_seconds is not None else ""
        st.progress(
            min(1.0, run.done / max(1, run.wanted)),
            f"{style.text(cut(run.label))} · {run.task} · {run.done}/{run.wanted}{left}",
        )
    style.show_table(
        [
            {
                "state": f"{MARKS[run.state]} {run.state}", "checkpoint": cut(run.label, 48),
                "task": cut(run.task, 40), "done": f"{run.done:,} of {run.wanted:,}", "unscored": run.unscored,
                "timeouts and errors": run.failed, "sandbox": cut(run.tier, 40) or "–", "run": run.id[:12],
                "fault": cut(run.fault, 120),
            }
            for run in runs
        ],
        "Runs on this machine",
    )  # fmt: skip


def show_published_runs() -> None:
    """Draws the runs of the board, with sandbox tier and unscored samples."""
    with source.open_zoo() as registry:
        headers = registry.runs() if registry is not None else []
        scores = registry.scores() if registry is not None else []
    unscored = {score.run: score.unscored for score in scores if score.seeds == 1}
    if not headers:
        st.caption("No published run yet.")
        return
    style.show_table(
        [
            {
                "checkpoint": cut(header["checkpoint_label"], 48), "task": header["task"],
                "unscored": unscored.get(header["id"], 0), "sandbox": cut(header.get("sandbox") or "–", 40),
                "engine": cut(header["backend"]["engine"], 30), "started": header.get("started", ""),
                "run": header["id"][:12],
            }
            for header in reversed(headers)
        ],
        "Published runs",
    )  # fmt: skip


def show_store() -> None:
    """Verifies every stored file at the press of a button, which may take minutes."""
    if not st.button(
        "Verify every stored file", help="Reads all bytes again and compares their sha256; writes nothing."
    ):
        st.caption("Not verified in this session.")
        return
    with source.open_zoo() as registry, st.spinner("Reading"):
        problems = registry.verify() if registry is not None else []
    if problems:
        st.error(f"{len(problems)} stored files are damaged or missing.")
        st.code("\n".join(map(cut, problems)), language=None, wrap_lines=True)
    else:
        st.success("Every stored file is whole.")
