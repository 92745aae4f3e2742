"""Charts as pictures: drawn without a browser, names as text, each column's front a line of its own."""

from types import SimpleNamespace

import msgspec
import pytest

from dashboard import charts
from dashboard.board.build import build_board
from dashboard.data import scale
from dashboard.data.comparison import CheckpointComparison
from evals.stats.paired import paired_difference
from zoo.metrics import metric_of

HOSTILE = '<script>x</script>"&'


@pytest.fixture(scope="module")
def points(made: SimpleNamespace) -> tuple[scale.ScalePoint, ...]:
    mini, under = made.checkpoint(), made.protocol()
    rows = [made.reported(HOSTILE, 40.0, parameters=1e9), made.reported("Large", 60.0, parameters=7e10)]
    whole = build_board([mini], [made.score(mini, under, 0.1)], {under.fingerprint: under}, reported=rows)
    return scale.scale_points(whole, whole.columns, "parameters")


def test_svg_holds_names_as_text(points: tuple[scale.ScalePoint, ...]) -> None:
    svg = charts.render_chart(charts.scale_chart(points, "parameters"), "svg").decode()
    assert svg.startswith("<svg")
    assert "&lt;script&gt;x&lt;/script&gt;" in svg
    assert "<script>" not in svg
    for decade in ("1M", "10M", "100M", "1B", "10B", "100B"):
        assert f">{decade}</text>" in svg


def test_png_is_a_picture(points: tuple[scale.ScalePoint, ...]) -> None:
    png = charts.render_chart(charts.scale_chart(points, "parameters"), "png")
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") > 2 * charts.WIDTH  # twice the size


def test_a_front_never_crosses_columns(points: tuple[scale.ScalePoint, ...]) -> None:
    layers = charts.scale_chart(points, "parameters").to_dict()["layer"]
    fronts = [layer for layer in layers if layer["mark"].get("interpolate") == "step-after"]
    assert [layer["encoding"]["detail"]["field"] for layer in fronts] == ["column"]
    assert {point.column for point in points if point.front} == {point.column for point in points}


def test_names_at_one_place_are_one_text(points: tuple[scale.ScalePoint, ...]) -> None:
    (best,) = (point for point in points if point.name == "Large")
    same = [msgspec.structs.replace(best, name=f"{best.name} {n}") for n in range(3)]
    svg = charts.render_chart(charts.scale_chart([*points, *same], "parameters"), "svg").decode()
    assert svg.count(">Large, Large 0 and 2 more</text>") == 1
    assert ">Large 1</text>" not in svg


def test_every_kind_of_chart_is_drawn(made: SimpleNamespace) -> None:
    bar = {"name": HOSTILE, "value": 5.0, "low": None, "high": None, "kind": "reported"}
    step = {"name": "mini", "x": 1e6, "value": 5.0, "low": 4.0, "high": 6.0}
    curve = [{"step": n, "loss": 3.0 - n} for n in range(3)]
    for chart in (
        charts.bar_chart([bar]),
        charts.progress_chart([step], metric_of("acc")),
        charts.training_chart(curve),
    ):
        assert charts.render_chart(chart, "svg").startswith(b"<svg")


def test_two_protocols_of_a_benchmark_are_two_lines_of_the_forest() -> None:
    gap = paired_difference([1.0] * 9, [0.0] * 9)
    pairs = [
        CheckpointComparison(
            checkpoint="b", reference="a", task="humaneval", column=f"humaneval [{name}] pass@1", metric="pass@1",
            kind="paired", value=1.0, reference_value=0.0, difference=gap, p=p, runs=(), note="", flips=(),
        )
        for name, p in (("openai", 0.01), ("bigcode", None), ("a-name-that-is-cut-" * 3 + "1", 0.2),
                        ("a-name-that-is-cut-" * 3 + "2", 0.2))
    ]  # fmt: skip
    chart = charts.forest_chart(pairs).to_dict()
    names = next([value["name"] for value in values] for values in chart["datasets"].values() if "name" in values[0])
    assert len(set(names)) == len(pairs)
    assert "openai" in names[0] and "bigcode" in names[1]
