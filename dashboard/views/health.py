"""Runs under way, what failed or is unscored, whether the store is whole, and which sandbox ran what."""

import streamlit as st

from dashboard.data import health, source
from dashboard.escape import cut
from dashboard.views import style
from zoo import settings
from zoo.progress import seconds_text

MARKS = {"running": "▶", "finished": "✓", "stopped": "■", "damaged": "!"}


def page() -> None:
    """Draws how things stand; what runs is read again every five seconds."""
    st.title("Health", anchor=False)
    st.subheader("Runs on this machine", anchor=False)
    st.fragment(under_way, run_every=5)()
    st.subheader("Published runs", anchor=False)
    published()
    st.subheader("Store", anchor=False)
    store()


def under_way() -> None:
    """The runs in this machine's folder, those under way first."""
    held = sorted(health.runs(settings.runs_dir()), key=lambda one: one.state != "running")
    if not held:
        st.caption("No run in this machine's folder.")
        return
    for one in (one for one in held if one.state == "running"):
        left = f", {seconds_text(one.left_seconds)} left" if one.left_seconds is not None else ""
        st.progress(
            min(1.0, one.done / max(1, one.wanted)),
            f"{style.text(cut(one.label))} · {one.task} · {one.done}/{one.wanted}{left}",
        )
    st.dataframe(
        [
            {
                "state": f"{MARKS[one.state]} {one.state}",
                "checkpoint": cut(one.label, 48),
                "task": cut(one.task, 40),
                "done": f"{one.done:,} of {one.wanted:,}",
                "unscored": one.unscored,
                "timeouts and errors": one.failed,
                "sandbox": cut(one.tier, 40) or "–",
                "run": one.id[:12],
                "fault": cut(one.fault, 120),
            }
            for one in held
        ],
        hide_index=True,
    )


def published() -> None:
    """The runs behind the board, by sandbox tier and what is unscored."""
    with source.reading() as registry:
        headers = registry.runs() if registry is not None else []
        scores = registry.scores() if registry is not None else []
    unscored = {score.run: score.unscored for score in scores}
    if not headers:
        st.caption("No published run yet.")
        return
    st.dataframe(
        [
            {
                "checkpoint": cut(one["checkpoint_label"], 48),
                "task": one["task"],
                "unscored": unscored.get(one["id"], 0),
                "sandbox": cut(one.get("sandbox") or "–", 40),
                "engine": cut(one["backend"]["engine"], 30),
                "started": one.get("started", ""),
                "run": one["id"][:12],
            }
            for one in reversed(headers)
        ],
        hide_index=True,
    )


def store() -> None:
    """Reads every stored byte again, when asked to: it can take minutes."""
    if not st.button(
        "Verify every stored file", help="Reads all bytes again and compares their sha256; writes nothing."
    ):
        st.caption("Not verified in this session.")
        return
    with source.reading() as registry, st.spinner("Reading"):
        problems = registry.verify() if registry is not None else []
    if problems:
        st.error(f"{len(problems)} stored files are damaged or missing.")
        st.code("\n".join(map(cut, problems)), language=None, wrap_lines=True)
    else:
        st.success("Every stored file is whole.")
