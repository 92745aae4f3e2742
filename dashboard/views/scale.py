"""The page of scores against parameters, tokens or FLOPs, and of the larger models that a model matches."""

from collections import Counter
from typing import Any

import streamlit as st

from dashboard import charts
from dashboard.board import benchmarks
from dashboard.board.cells import Board
from dashboard.board.view import DEFAULT, SUITES, View, select
from dashboard.data import scale, source
from dashboard.escape import cut
from dashboard.views import style
from zoo.cli.output import NONE, count
from zoo.metrics import metric_of

WORDS: dict[scale.Standing, str] = {
    "beaten": "beats", "alike": "is not told apart from", "better": "is below", "untested": "cannot be tested against",
}  # fmt: skip


def page() -> None:
    """Draws one benchmark's scores against scale."""
    st.title("Scale", anchor=False)
    board = style.load_board(all_versions=True)
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    suite = left.selectbox(
        "Published models",
        [name for name in SUITES if name != DEFAULT],
        key="beside",
        bind="query-params",
        index=[name for name in SUITES if name != DEFAULT].index("phi-1"),
    )
    shown = select(board, View(suite=suite))
    measured = sorted({column.benchmark for column in shown.columns}, key=benchmarks.order_of)
    if not measured:
        st.info("Nothing to draw yet: this suite has no score.")
        return
    names = {benchmarks.title_of(benchmark): benchmark for benchmark in measured}
    title = middle.selectbox("Benchmark", list(names), key="benchmark", bind="query-params")
    axis = right.selectbox("Against", scale.AXES, key="axis", bind="query-params")
    columns = [column for column in shown.columns if column.benchmark == names[title]]
    points = scale.scale_points(shown, columns, axis, recorded_flops())
    if not points:
        st.info(f"No model with a score on {style.text(title)} has known {axis}.")
        return
    chart = charts.scale_chart(points, axis)
    alt = f"{title} scores against {axis}; the table below has the numbers"
    style.draw_chart(chart, alt, height=480)
    st.caption(
        "Dashed lines: the Pareto front of each column, since two protocols' numbers are not comparable. "
        "Vertical lines: 95% intervals. FLOPs are as recorded, or 6 × parameters × tokens seen."
    )
    show_numbers(points, axis, chart)
    show_matched(points)
    show_versions(board, names[title])


def show_numbers(points: tuple[scale.ScalePoint, ...], axis: scale.Axis, chart: Any) -> None:
    """Draws the chart's points as a table, for readers without the picture, and offers exports."""
    rows = [
        {
            "model": cut(point.name), axis: point.x, "score": point.value, "low": point.low, "high": point.high,
            "origin": "measured" if point.own else "reported", "front": point.front,
            "protocol": cut(point.protocol, 160),
        }
        for point in points
    ]  # fmt: skip
    with st.expander("The numbers of this chart"):
        style.show_table(rows, "The numbers of this chart")
    style.show_exports(rows, "scale", chart)


def recorded_flops() -> dict[str, float]:
    """The training FLOPs that the trainer recorded, by row key."""
    with source.open_zoo() as registry:
        if registry is None:
            return {}
        checkpoints = registry.list(all_versions=True)
    return {checkpoint.label: checkpoint.training_flops for checkpoint in checkpoints if checkpoint.training_flops}


def show_matched(points: tuple[scale.ScalePoint, ...]) -> None:
    """Draws how a chosen model stands against the larger ones of its column, by a test."""
    names = sorted({point.name for point in points if point.front or point.own}) or [points[0].name]
    most = max(names, key=lambda name: sum(how != "better" for _, how in scale.larger_models(points, name)))
    chosen = style.pick("As good as which larger models?", names, "matched", cut, first=most)
    own = next(point for point in points if point.name == chosen)
    larger = scale.larger_models(points, chosen)
    if not larger:
        st.markdown(f"No larger model stands in the column of {style.text(cut(chosen))}.")
        return
    counts = Counter(how for _, how in larger)
    parts = [f"{word} {counts[how]}" for how, word in WORDS.items() if counts[how]]
    st.markdown(f"**{style.text(cut(chosen))}** against {len(larger)} larger models: {', '.join(parts)}.")
    digits = metric_of(own.metric).digits
    rows = [
        {
            "model": cut(point.name), "verdict": how,
            "times larger": _times(scale.ratio(point.parameters, to=own.parameters)),
            "parameters": count(point.parameters), "score": f"{point.value:.{digits}f}",
            "its own": f"{own.value:.{digits}f}", "unique tokens": count(point.unique),
            "tokens seen": count(point.tokens), "times more seen": _times(scale.ratio(point.tokens, to=own.tokens)),
        }
        for point, how in larger
    ]  # fmt: skip
    style.show_table(rows, "As good as which larger models")
    st.caption(
        "Beaten, better: proven by an unpaired test, p adjusted over all of these (Holm). Alike: not told apart."
    )
    style.show_exports(rows, "as-good-as")


def _times(times: float | None) -> str:
    return NONE if times is None else f"{times:,.0f}" if times >= 100 else f"{times:.3g}"


def show_versions(board: Board, benchmark: str) -> None:
    """Draws the scores along training of models with several versions."""
    rows = [row for row in board.rows if row.own and row.training_tokens]
    versions = Counter(row.name for row in rows)
    columns = [column for column in board.columns if column.benchmark == benchmark and column.origin == "measured"]
    values = [
        {"name": cut(row.name), "x": row.training_tokens, "value": cell.value, "low": cell.low, "high": cell.high}
        for row in rows
        if versions[row.name] > 1
        for column in columns
        if column.main and (cell := row.cells.get(column.key))
    ]
    if values:
        st.subheader("Along training", anchor=False)
        alt = "Scores of a model's versions against tokens seen"
        style.show_chart(charts.progress_chart(values, metric_of(columns[0].metric)), alt, values, "along-training")
