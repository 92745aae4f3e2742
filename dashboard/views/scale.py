"""Score against parameters, tokens or FLOPs: who is as good as models ten times larger, and at what intervals."""

from typing import Any, cast

import streamlit as st

from dashboard import charts
from dashboard.board import benchmarks as facts
from dashboard.board.cells import Board
from dashboard.board.view import SUITES, View, select
from dashboard.data import scale, source
from dashboard.escape import count, cut
from dashboard.views import style

AXES = ("parameters", "training tokens", "training FLOPs")


def page() -> None:
    """Draws one benchmark's scores against scale."""
    st.title("Scale", anchor=False)
    whole = style.board(all_versions=True)
    one, two, three = st.columns([2, 2, 2], vertical_alignment="bottom")
    suite = one.selectbox(
        "Published beside own", list(SUITES), index=list(SUITES).index("phi-1"), key="beside", bind="query-params"
    )
    shown = select(whole, View(suite=suite))
    benchmarks = sorted({column.benchmark for column in shown.columns}, key=facts.order_of)
    if not benchmarks:
        st.info("Nothing to draw yet: no score in this suite.")
        return
    names = {facts.title_of(benchmark): benchmark for benchmark in benchmarks}
    title = two.selectbox("Benchmark", list(names), key="benchmark", bind="query-params")
    axis = cast(scale.Axis, three.selectbox("Against", AXES, key="axis", bind="query-params"))
    columns = [column for column in shown.columns if column.benchmark == names[title]]
    points = scale.points(shown, columns, axis, recorded_flops())
    if not points:
        st.info(f"No model with a score on {style.text(title)} has its {axis} stated.")
        return
    drawn = charts.scale(points, axis)
    alt = f"{title} scores against {axis}; the numbers are in the table under it"
    st.altair_chart(drawn, width="stretch", height=480, alt=alt)
    st.caption(
        "Dashed: the Pareto front of each column by itself, since two protocols' numbers are not comparable; "
        "rules: 95% intervals. FLOPs are as recorded, or 6 × parameters × tokens."
    )
    numbers(points, axis, drawn)
    matched(points)
    series(whole, names[title])


def numbers(points: tuple[scale.Point, ...], axis: scale.Axis, drawn: Any) -> None:
    """The chart's points as a table: what a reader without the picture needs, and its export."""
    rows = [
        {
            "model": cut(point.name), axis: point.x, "score": point.value, "low": point.low, "high": point.high,
            "origin": "measured" if point.own else "reported", "front": point.front,
            "protocol": cut(point.protocol, 160),
        }
        for point in points
    ]  # fmt: skip
    with st.expander("The numbers of this chart"):
        st.dataframe(rows, hide_index=True)
    style.exported(rows, "scale", drawn)


def recorded_flops() -> dict[str, float]:
    """Training FLOPs that the trainer recorded, by row key."""
    with source.reading() as registry:
        if registry is None:
            return {}
        held = registry.list(all_versions=True)
    return {one.label: one.training_flops for one in held if one.training_flops}


def matched(points: tuple[scale.Point, ...]) -> None:
    """Which larger models a chosen one equals."""
    names = sorted({point.name for point in points if point.front}) or [points[0].name]
    most = max(names, key=lambda name: len(scale.matched(points, name)))
    chosen = style.pick("As good as which larger models?", names, "matched", cut, first=most)
    mine = next(point for point in points if point.name == chosen)
    beaten = scale.matched(points, chosen)
    if not beaten:
        st.markdown(f"{style.text(cut(chosen))} equals no larger model in its column.")
        return
    rows = [
        {
            "model": cut(point.name),
            "parameters": count(point.parameters),
            "times larger": _rounded(scale.times(mine.parameters, point.parameters)),
            "training tokens": count(point.tokens),
            "times more tokens": _rounded(scale.times(mine.tokens, point.tokens)),
            "score": point.value,
            "its own": mine.value,
            "intervals": "overlap" if _overlap(mine, point) else "apart",
        }
        for point in beaten
    ]
    st.dataframe(rows, hide_index=True)
    style.exported(rows, "as-good-as")


def _rounded(times: float | None) -> float | None:
    return None if times is None else float(f"{times:.3g}")


def _overlap(one: scale.Point, other: scale.Point) -> bool:
    if one.low is None or other.high is None:
        return True
    return one.low <= other.high


def series(whole: Board, benchmark: str) -> None:
    """Scores along training, for names with several versions."""
    rows = [row for row in whole.rows if row.own and row.training_tokens]
    by_name: dict[str, int] = {}
    for row in rows:
        by_name[row.name] = by_name.get(row.name, 0) + 1
    columns = [column for column in whole.columns if column.benchmark == benchmark and column.origin == "measured"]
    told = [
        {"name": cut(row.name), "x": row.training_tokens, "value": cell.value, "low": cell.low, "high": cell.high}
        for row in rows
        if by_name[row.name] > 1
        for column in columns
        if column.main and (cell := row.cells.get(column.key))
    ]
    if told:
        st.subheader("Along training", anchor=False)
        style.chart(charts.along(told), "Scores of a name's versions against tokens seen", told, "along-training")
