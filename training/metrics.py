"""Records a training run's metrics, one JSON line a step, and draws them as curves.

After a kill the file may be ahead of the newest saved state; `Metrics` cuts it back to that state's step, so a
resumed run has the same lines as one that was never interrupted. Only `metrics.jsonl` holds timing; `curves()`
leaves it out, so the same training gives the same checkpoint bytes.
"""

import contextlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from training.loop.trackers import Tracker
from training.loop.validate import BITS, LOSS, by_source
from zoo.digest import whole_file
from zoo.metrics import metric_of

TIMED = ("seconds", "tokens_per_second", "memory_bytes", "mfu")


class Metrics:
    """The open metrics file of one run; its trackers get the same numbers."""

    def __init__(self, folder: Path, step: int, trackers: Sequence[Tracker] = ()) -> None:
        self.path = folder / "metrics.jsonl"
        lines = [line for line in read(self.path) if line["step"] <= step]
        with whole_file(self.path) as file:
            file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self.losses = [line["loss"] for line in lines if "loss" in line]
        self.seconds = lines[-1].get("seconds", 0.0) if lines else 0.0
        self.file = self.path.open("a", encoding="utf-8")
        self.trackers = trackers

    def add(self, line: Mapping[str, Any]) -> None:
        """Writes one line and flushes it."""
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        if "loss" in line:
            self.losses.append(line["loss"])
        numbers = {key: value for key, value in line.items() if key != "step"}
        for tracker in self.trackers:
            tracker.log(numbers, line["step"])

    def try_add(self, line: Mapping[str, Any]) -> OSError | None:
        """As `add`, but returns the error of a full disk, so that all processes can end together."""
        try:
            self.add(line)
        except OSError as error:
            return error
        return None

    def close(self) -> None:
        """Closes the file and the trackers."""
        with contextlib.suppress(OSError):  # `add` has raised it already
            self.file.close()
        for tracker in self.trackers:
            tracker.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a metrics file; a line cut short by a kill is left out."""
    if not path.is_file():
        return []
    text = path.read_bytes()
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def curves(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """The lines without timing, as the checkpoint's training_curves.jsonl holds them."""
    kept = ({key: value for key, value in line.items() if key not in TIMED} for line in lines)
    return b"".join(json.dumps(line).encode() + b"\n" for line in kept)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px system-ui,sans-serif;margin:2rem auto;max-width:46rem}}svg{{width:100%;height:auto}}</style>
{table}{picture}</html>
"""
PLOTS = (
    ("loss", "Training loss (nats a token); dots: validation", LOSS),
    (BITS, "Validation, bits a byte", BITS),
    ("learning_rate", "Learning rate", ""),
    ("gradient_norm", "Gradient norm before clipping", ""),
    ("tokens_per_second", "Tokens per second", ""),
)


def plots(lines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(key, label, key of the dots) of every recorded quantity; evaluation scores and the sources' losses come last."""
    tasks = sorted({key for line in lines for key in line if key.startswith("eval_") and f"{key}_low" in line})
    scores = [(key, _score_label(key, next(line for line in reversed(lines) if key in line)), key) for key in tasks]
    named = dict.fromkeys(key for line in lines for key in line if key.startswith(f"{LOSS}/"))
    for key in named:
        source = key.removeprefix(f"{LOSS}/")
        scores.append((key, f"Validation loss of {source} (nats a token)", key))
        scores.append((f"{BITS}/{source}", f"Validation of {source}, bits a byte", f"{BITS}/{source}"))
    return [plot for plot in (*PLOTS, *scores) if any(line.get(plot[0]) is not None for line in lines)]


def _score_label(key: str, last: Mapping[str, Any]) -> str:
    """A task's last score in its metric's unit, with interval and n."""
    from evals.tasks import main_metric

    task = key.removeprefix("eval_")
    metric = metric_of(main_metric(task))
    value, low, high = (metric.text(last[name]) for name in (key, f"{key}_low", f"{key}_high"))
    unit = "%" if metric.is_share else f" {metric.title}{metric.mark}"
    return f"{task}, {last[f'{key}_n']} samples; last {value}{unit} [{low}–{high}]"


def series(lines: list[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) for every line that has the key."""
    return [(line["step"], line[key]) for line in lines if key and line.get(key) is not None]


def draw(title: str, lines: list[dict[str, Any]]) -> Any:
    """A matplotlib figure of the curves, one panel below the other."""
    from matplotlib.figure import Figure

    shown = plots(lines)
    figure = Figure(figsize=(9, 2.6 * max(1, len(shown))), layout="constrained")
    figure.suptitle(title, parse_math=False)
    panels = figure.subplots(max(1, len(shown)), squeeze=False)[:, 0]
    for panel, (key, label, dots) in zip(panels, shown, strict=False):
        points = series(lines, key)
        panel.plot(*zip(*points[:: max(1, len(points) // 1500)], strict=True), linewidth=1.0)
        if marked := series(lines, dots):
            panel.plot(*zip(*marked, strict=True), "o", markersize=4)
        panel.set_title(label, fontsize=10)
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel("step")
    return figure


def png(title: str, lines: list[dict[str, Any]]) -> bytes:
    """The curves as a PNG picture."""
    picture = io.BytesIO()
    draw(title, lines).savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def svg(figure: Any) -> str:
    """A matplotlib figure as an SVG element for an HTML page: the same text each time."""
    import matplotlib

    picture = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "phi-zoo", "svg.fonttype": "none"}):
        figure.savefig(picture, format="svg", metadata={"Date": None})
    text = picture.getvalue()
    return text[text.index("<svg") :]


def page(title: str, lines: list[dict[str, Any]]) -> str:
    """The curves as one HTML page that loads nothing else."""
    return PAGE.format(title=escape(title), table=_table(lines), picture=svg(draw(title, lines)))


def _table(lines: list[dict[str, Any]]) -> str:
    """The last validation as an HTML table, one source a row; empty without one."""
    last = next((line for line in reversed(lines) if LOSS in line), None)
    if last is None:
        return ""
    cells = [
        f"<tr><td>{escape(name)}</td><td>{loss:.4f}</td><td>{'' if bits is None else f'{bits:.4f}'}</td></tr>"
        for name, loss, bits in by_source(last)
    ]
    head = "<tr><th>source</th><th>nats a token</th><th>bits a byte</th></tr>"
    return f"<table><caption>Validation after step {last['step']}</caption>{head}{''.join(cells)}</table>"
