"""What a run says of itself while it runs: one JSON line a step, and a page of curves from them.

After a kill the file may be ahead of the newest state; `Metrics` cuts it back to the state's step,
so the lines of a resumed run are those of an undisturbed one. Timing stands in `metrics.jsonl`
only; `curves()` leaves it out, so that the same training gives the same checkpoint bytes.
"""

import json
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zoo.digest import whole_file

TIMED = ("seconds", "tokens_per_second", "memory_bytes", "mfu")


class Metrics:
    """The open metrics file of one run; TensorBoard gets the same numbers where it is installed."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / "metrics.jsonl"
        lines = [line for line in read(self.path) if line["step"] <= step]
        with whole_file(self.path) as file:
            file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self.losses = [line["loss"] for line in lines if "loss" in line]
        self.seconds = lines[-1].get("seconds", 0.0) if lines else 0.0
        self.file = self.path.open("a", encoding="utf-8")
        self.board: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def add(self, line: Mapping[str, Any]) -> None:
        """Writes one line, at once."""
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        if "loss" in line:
            self.losses.append(line["loss"])
        for key, value in line.items():
            if self.board is not None and key != "step":
                self.board.add_scalar(key, value, line["step"])

    def close(self) -> None:
        """Closes the file."""
        self.file.close()
        if self.board is not None:
            self.board.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file; a line that a kill cut short is left out."""
    if not path.is_file():
        return []
    text = path.read_bytes()
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def curves(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """The lines without what depends on the machine's speed: the checkpoint's training_curves.jsonl."""
    kept = ({key: value for key, value in line.items() if key not in TIMED} for line in lines)
    return b"".join(json.dumps(line).encode() + b"\n" for line in kept)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px system-ui,sans-serif;margin:2rem auto;max-width:46rem;color:#222}}svg{{width:100%;height:auto}}
text{{font-size:11px;fill:#555}}.line{{fill:none;stroke:#2266aa;stroke-width:1.4}}.dots{{fill:#bb4422}}
.grid{{stroke:#ddd;stroke-width:1}}</style><h1>{title}</h1>{plots}</html>
"""
PLOTS = (
    ("loss", "Training loss (nats a token); dots: validation", "validation_loss"),
    ("learning_rate", "Learning rate", ""),
    ("gradient_norm", "Gradient norm before clipping", ""),
    ("tokens_per_second", "Tokens per second", ""),
)
WIDTH, HEIGHT, LEFT, BOTTOM = 720, 220, 60, 24


def plots(lines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(key, label, key of the dots) of every quantity that was recorded; the evals' scores come last."""
    tasks = sorted({key for line in lines for key in line if key.startswith("eval_") and f"{key}_low" in line})
    scores = []
    for key in tasks:
        last = next(line for line in reversed(lines) if key in line)
        label = f"{key.removeprefix('eval_')}, {last[f'{key}_n']} samples; last {100 * last[key]:.1f}%"
        scores.append((key, f"{label} [{100 * last[f'{key}_low']:.1f}–{100 * last[f'{key}_high']:.1f}]", key))
    return [plot for plot in (*PLOTS, *scores) if any(line.get(plot[0]) is not None for line in lines)]


def series(lines: list[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) wherever that key was recorded."""
    return [(line["step"], line[key]) for line in lines if key and line.get(key) is not None]


def png(title: str, lines: list[dict[str, Any]]) -> bytes:
    """The same curves as a picture, one panel below the other."""
    import io

    from matplotlib.figure import Figure

    shown = plots(lines)
    figure = Figure(figsize=(9, 2.6 * max(1, len(shown))), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(max(1, len(shown)), squeeze=False)[:, 0]
    for panel, (key, label, dots) in zip(panels, shown, strict=False):
        panel.plot(*zip(*series(lines, key), strict=True), linewidth=1.0)
        if marked := series(lines, dots):
            panel.plot(*zip(*marked, strict=True), "o", markersize=4)
        panel.set_title(label, fontsize=10)
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel("step")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def page(title: str, lines: list[dict[str, Any]]) -> str:
    """A page of curves that needs nothing else: one inline SVG for each quantity that was recorded."""
    from html import escape

    drawn = [
        f"<h2>{escape(label)}</h2>{_svg(series(lines, key), series(lines, dots))}" for key, label, dots in plots(lines)
    ]
    return PAGE.format(title=escape(title), plots="".join(drawn))


def _svg(points: list[tuple[float, float]], dots: list[tuple[float, float]]) -> str:
    everything = points + dots
    low_x, high_x = min(x for x, _ in everything), max(x for x, _ in everything)
    low_y, high_y = min(y for _, y in everything), max(y for _, y in everything)
    wide, high = (high_x - low_x) or 1, (high_y - low_y) or 1

    def at(x: float, y: float) -> str:
        right = LEFT + (x - low_x) / wide * (WIDTH - LEFT - 10)
        return f"{right:.1f},{10 + (high_y - y) / high * (HEIGHT - BOTTOM - 20):.1f}"

    shown = points[:: max(1, len(points) // 1500)]
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    for share in (0.0, 0.5, 1.0):
        value = low_y + share * high
        x, y = at(low_x, value).split(",")
        parts.append(f'<line class="grid" x1="{x}" y1="{y}" x2="{WIDTH - 10}" y2="{y}"/>')
        parts.append(f'<text x="4" y="{float(y) + 4}">{value:.3g}</text>')
    for value in (low_x, high_x):
        x, _ = at(value, low_y).split(",")
        parts.append(f'<text x="{float(x) - 20}" y="{HEIGHT - 4}">{value:,.0f}</text>')
    parts.append(f'<polyline class="line" points="{" ".join(at(x, y) for x, y in shown)}"/>')
    parts += ['<circle class="dots" r="3" cx="{}" cy="{}"/>'.format(*at(x, y).split(",")) for x, y in dots]
    return "".join([*parts, "</svg>"])
