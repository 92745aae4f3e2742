"""Charts as Altair records: data in, a chart out; Okabe and Ito's colours."""

from collections.abc import Sequence
from typing import Any

MEASURED, REPORTED = "#0072B2", "#D55E00"


def training(lines: Sequence[dict[str, Any]]) -> Any:
    """Loss against step: training as a line, validation as points."""
    import altair as alt

    kinds = {"loss": "training", "validation_loss": "validation"}
    told = [
        {"step": line["step"], "loss": line[key], "kind": kind}
        for line in lines
        for key, kind in kinds.items()
        if isinstance(line.get(key), int | float) and "step" in line
    ]
    color = alt.Color("kind:N", scale=alt.Scale(domain=list(kinds.values()), range=[MEASURED, REPORTED]), title=None)
    shared = alt.Chart(alt.InlineData(values=told)).encode(
        x=alt.X("step:Q", title="step"),
        y=alt.Y("loss:Q", title="loss (nats a token)", scale=alt.Scale(zero=False)),
        color=color,
    )
    return (
        shared.mark_line() + shared.transform_filter("datum.kind == 'validation'").mark_point(filled=True)
    ).properties(height=280)
