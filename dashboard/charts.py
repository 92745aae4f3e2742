"""Makes the pages' charts with Altair, in Okabe and Ito's colours: blue measured, orange reported.

A screen reader skips the marks (`aria=False`): the page gives each chart a description and a table of its numbers.
"""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from dashboard.board import benchmarks
from dashboard.data.scale import decades, point_labels, spread_labels
from dashboard.escape import cut
from evals.tasks import benchmark_of
from zoo.cli.output import p_text
from zoo.metrics import Metric, metric_of

if TYPE_CHECKING:
    from dashboard.data.comparison import CheckpointComparison
    from dashboard.data.scale import ScalePoint

MEASURED, REPORTED, GREY = "#0072B2", "#D55E00", "#7a8591"
INK = {False: "#56616e", True: "#a4aeb9"}  # of texts beside marks, by whether the ground is dark; as in board.css
SERIES = [MEASURED, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", REPORTED, GREY]
LABEL_CHARACTERS = 28  # in each line of a bar's name
STEP = 32  # pixels per bar: two lines of text
TWO_LINES = "split(datum.label, '\\n')"
NARROW = 720  # pixels of a plot below which a label would be cut: names are on hover there
WIDTH = 760  # of an exported chart, in pixels
COUNTS = "replace(format(datum.value, '~s'), 'G', 'B')"  # 1.3B parameters, not 1.3G


def training_chart(lines: Sequence[dict[str, Any]]) -> Any:
    """The loss against training steps: training as a line, validation as points."""
    import altair as alt

    kinds = {"loss": "training", "validation_loss": "validation"}
    values = [
        {"step": line["step"], "loss": line[key], "kind": kind}
        for line in lines
        for key, kind in kinds.items()
        if isinstance(line.get(key), int | float) and "step" in line
    ]
    color = alt.Color(
        "kind:N", title=None, legend=alt.Legend(orient="top"),
        scale=alt.Scale(domain=list(kinds.values()), range=[MEASURED, REPORTED]),
    )  # fmt: skip
    y = alt.Y("loss:Q", title="loss (nats a token)", scale=alt.Scale(zero=False))
    shared = alt.Chart(alt.InlineData(values=values)).encode(x=alt.X("step:Q", title="step"), y=y, color=color)
    points = shared.transform_filter("datum.kind == 'validation'").mark_point(filled=True)
    return (
        (shared.transform_filter("datum.kind == 'training'").mark_line() + points)
        .properties(height=280)
        .configure_mark(aria=False)
    )


def forest_chart(comparisons: "Sequence[CheckpointComparison]") -> Any:
    """The differences between checkpoints with intervals and a line at zero: a panel for each unit."""
    import altair as alt

    by_unit: dict[Metric, list[CheckpointComparison]] = {}
    for pair in comparisons:
        by_unit.setdefault(metric_of(pair.metric)._replace(name="", title=""), []).append(pair)
    panels = [_forest(unit, pairs) for unit, pairs in by_unit.items()]
    return (panels[0] if len(panels) == 1 else alt.vconcat(*panels)).configure_mark(aria=False)


def _forest(metric: Metric, comparisons: "Sequence[CheckpointComparison]") -> Any:
    import altair as alt

    values = [
        {
            "name": forest_name(pair, number),
            "difference": metric.shown(pair.difference.value),
            "low": metric.shown(pair.difference.low),
            "high": metric.shown(pair.difference.high),
            "adjusted": "significant" if pair.p is not None and pair.p < 0.05 else "not significant",
            "p": p_text(pair.p if pair.p is not None else 1.0),
        }
        for number, pair in enumerate(comparisons)
        if pair.difference is not None
    ]
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelExpr=TWO_LINES, labelLimit=175, labelOverlap=False))
    color = alt.Color(
        "adjusted:N", title=None, legend=alt.Legend(orient="top", direction="vertical"),
        scale=alt.Scale(domain=["significant", "not significant"], range=[MEASURED, GREY]),
    )  # fmt: skip
    base = alt.Chart(alt.InlineData(values=values)).encode(y=y, color=color)
    tips = [alt.Tooltip(f"{name}:{kind}") for name, kind in (("name", "N"), ("difference", "Q"), ("p", "N"))]
    better = " (below 0 is better)" if metric.lower_is_better else ""
    spans = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title=f"difference in {metric.unit}{better}, 95% interval"), x2="high:Q", tooltip=tips
    )
    dots = base.mark_point(filled=True, size=70).encode(x="difference:Q", tooltip=tips)
    zero = alt.Chart(alt.InlineData(values=[{"x": 0}])).mark_rule(strokeDash=[4, 3], color=GREY).encode(x="x:Q")
    return (zero + spans + dots).properties(height=alt.Step(STEP))


def forest_name(pair: "CheckpointComparison", number: int) -> str:
    """The name of a row: benchmark, protocol, metric, checkpoint. Two rows never share one, or they become one bar."""
    protocol = pair.column.partition(" [")[2].replace("]", "")
    first = cut(f"{benchmarks.title_of(benchmark_of(pair.task))}, {protocol}", LABEL_CHARACTERS + 8)
    return f"{first}\n{cut(pair.checkpoint, LABEL_CHARACTERS)}" + "\u200a" * number


def scale_chart(points: "Sequence[ScalePoint]", axis: str) -> Any:
    """Scores against size, tokens or FLOPs on a logarithmic axis, with intervals and Pareto fronts."""
    import altair as alt

    values = [
        {
            "x": point.x, "value": point.value, "low": point.low, "high": point.high, "name": cut(point.name, 60),
            "kind": "measured here" if point.own else "reported", "front": point.front,
            "protocol": cut(point.protocol, 80), "column": point.column, "label": label, "left": left,
        }
        for point, (label, left) in zip(points, spread_labels(points, point_labels(points)), strict=True)
    ]  # fmt: skip
    first, last = decades(points)
    powers = [10.0**power for power in range(first, last + 1)]
    x = alt.X(
        "x:Q", title=axis, axis=alt.Axis(labelExpr=COUNTS, values=powers),
        scale=alt.Scale(type="log", domain=[powers[0], powers[-1]]),
    )  # fmt: skip
    metric = metric_of(points[0].metric)  # of one benchmark, so that all have its unit
    digits = f".{metric.digits}f"
    y = alt.Y("value:Q", title=metric.axis, scale=alt.Scale(zero=False, reverse=metric.lower_is_better))
    kinds = alt.Scale(domain=["measured here", "reported"], range=[MEASURED, REPORTED])
    color = alt.Color("kind:N", scale=kinds, title=None, legend=alt.Legend(orient="top"))
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x)
    spans = base.transform_filter("datum.low != null").mark_rule(opacity=0.75, strokeWidth=1.5)
    spans = spans.encode(y=alt.Y("low:Q", title=metric.axis), y2="high:Q", color=color)
    tips = [alt.Tooltip("name:N"), alt.Tooltip("value:Q", format=digits), alt.Tooltip("low:Q", format=digits)]
    tips += [
        alt.Tooltip("high:Q", format=digits), alt.Tooltip("x:Q", format=".3s", title=axis), alt.Tooltip("protocol:N"),
    ]  # fmt: skip
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=["measured here", "reported"], range=["circle", "diamond"]))
    dots = base.mark_point(filled=True, size=70, opacity=0.9).encode(y=y, color=color, shape=shape, tooltip=tips)
    front = (
        base.transform_filter("datum.front")
        .encode(detail="column:N")
        .mark_line(interpolate="step-after", strokeDash=[5, 3], color=GREY)
    )
    names = [
        base.transform_filter(f"datum.label != '' && {'' if left else '!'}datum.left")
        .mark_text(
            align="right" if left else "left", dx=-7 if left else 7, dy=-7,
            opacity=alt.expr(f"width < {NARROW} ? 0 : 1"),
        )
        .encode(y=y, text="label:N")
        for left in (False, True)
    ]  # fmt: skip
    return (spans + front.encode(y=y) + dots + names[0] + names[1]).properties(height=460).configure_mark(aria=False)


def with_ink(chart: Any, dark: bool) -> Any:
    """The chart with the texts in it in a colour that can be read on a light or a dark ground (4.5 to 1)."""
    return chart.configure_text(color=INK[dark])


def render_chart(chart: Any, form: str) -> bytes:
    """A chart as "svg" or as "png" at twice the size for print, rendered without a browser."""
    import vl_convert

    spec = with_ink(chart, dark=False).properties(width=WIDTH).to_dict()
    if form == "svg":
        svg: str = vl_convert.vegalite_to_svg(spec)
        return svg.encode()
    png: bytes = vl_convert.vegalite_to_png(spec, scale=2)
    return png


def wrap_name(text: str) -> str:
    """A name on at most two lines, which leaves room for the bars on a phone.

    >>> wrap_name("phi-1-base (1.3B CodeTextbook, 51B tokens, 770 GPU h)")
    'phi-1-base (1.3B\\nCodeTextbook, 51B tokens, 7…'
    """
    words, first = text.split(" "), ""
    while words and len(first) + len(words[0]) < LABEL_CHARACTERS:
        first = f"{first} {words.pop(0)}".strip()
    rest = " ".join(words)
    return "\n".join(cut(line, LABEL_CHARACTERS) for line in (first, rest) if line)


def bar_chart(rows: Sequence[dict[str, Any]]) -> Any:
    """Named values with intervals, in the given order; the colour marks measured and reported ones."""
    import altair as alt

    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelExpr=TWO_LINES, labelLimit=175, labelOverlap=False))
    kinds = alt.Scale(domain=["measured here", "reported"], range=[MEASURED, REPORTED])
    color = alt.Color("kind:N", scale=kinds, legend=None)
    tips = [alt.Tooltip("whole:N", title="name"), alt.Tooltip("value:Q", format=".1f"), alt.Tooltip("kind:N")]
    values = [{**row, "name": wrap_name(row["name"]), "whole": cut(row["name"], 120)} for row in rows]
    base = alt.Chart(alt.InlineData(values=values)).encode(y=y, tooltip=tips)
    most = max((max(row["value"], row["high"] or 0.0) for row in rows), default=100.0)
    x = alt.X("value:Q", title="percent", scale=alt.Scale(domain=[0, min(100, 10 * ceil(most / 10) + 10)]))
    columns = base.mark_bar(opacity=0.7, height=15).encode(x=x, color=color)
    spans = (
        base.transform_filter("datum.low != null").mark_rule(strokeWidth=1.5, color=GREY).encode(x="low:Q", x2="high:Q")
    )
    end = "max(datum.value, isValid(datum.high) ? datum.high : 0)"
    texts = base.transform_calculate(end=end).mark_text(align="left", dx=5)
    texts = texts.encode(x="end:Q", text=alt.Text("value:Q", format=".1f"))
    return (columns + spans + texts).properties(height=alt.Step(STEP)).configure_mark(aria=False)


def progress_chart(rows: Sequence[dict[str, Any]], metric: Metric) -> Any:
    """The scores of a model's versions against the training tokens seen."""
    import altair as alt

    x = alt.X("x:Q", title="tokens seen", axis=alt.Axis(labelExpr=COUNTS, tickCount=8))
    color = alt.Color("name:N", title=None, scale=alt.Scale(range=SERIES), legend=alt.Legend(orient="top"))
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(x=x, color=color)
    spans = base.mark_rule(opacity=0.4).encode(y=alt.Y("low:Q", title=metric.axis), y2="high:Q")
    return (spans + base.mark_line(point=True).encode(y="value:Q")).properties(height=320).configure_mark(aria=False)
