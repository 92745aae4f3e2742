"""A ladder's report as Markdown and as one HTML page with charts; every number links to its run."""

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from training.ladder.report import PUBLISHED_DATA, PUBLISHED_GROWTH, Cell, Ran, Report, Table, of, published_rows, score
from training.ladder.rungs import growth_arms

CHARTS = {
    "ladder-data.svg": "Data: published HumanEval bars with Wilson intervals, and this ladder's score",
    "ladder-growth.svg": "Growth: published HumanEval bars with Wilson intervals, and this ladder's score",
    "ladder-curves.svg": "Growth: validation loss by step, mean over seeds; dashed: where scratch ends",
}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;display:block;overflow-x:auto;margin:1rem 0}
td,th{border:1px solid #ccc;padding:.25rem .6rem;
text-align:left;vertical-align:top}th{background:#f4f4f4}sup a{font-size:.8em}svg{max-width:100%;height:auto}"""


def write(report: Report, folder: Path) -> list[Path]:
    """Writes ladder.md, ladder.html and the charts; gives back the two pages."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = charts(report)
    for name, picture in drawn.items():
        (folder / name).write_text(picture, encoding="utf-8")
    pages = [folder / "ladder.md", folder / "ladder.html"]
    pages[0].write_text(markdown(report), encoding="utf-8")
    pages[1].write_text(html(report, drawn), encoding="utf-8")
    return pages


def opening(report: Report) -> list[str]:
    """What must be known before the tables are read."""
    scale = report.scale
    small, large = scale.small, scale.large
    return [
        f"Scale {scale.name}: {small.layers} layers of {small.width} grown to {large.layers} of {large.width}; "
        f"{scale.small_steps} and {scale.steps} steps of {scale.batch_sequences * scale.sequence_tokens:,} tokens; "
        f"{len(scale.seeds)} seeds; score: {scale.task}. Every number links to the run it comes from.",
        "These are models of a few million parameters and the published ones a thousand times as large: what does "
        "not show here may show there, and the other way round. Negative results stand as they came.",
        f"Made by: phizoo train ladder --scale {scale.name}",
    ]


def runs_of(report: Report) -> list[tuple[str, str, list[str]]]:
    """(anchor, title, lines) of each run: its checkpoint, recipe, evaluation, and the commands that show them."""
    found = []
    for one in report.ran:
        made = one.checkpoint
        lines = [
            f"checkpoint {made.label}, {made.digest[:16]}: phizoo models show {made.label}",
            f"{made.training_tokens or 0:,} tokens and {made.training_flops or 0:.3g} FLOPs with its parents: "
            f"phizoo train curves {made.label}",
            f"evaluation {one.eval_run[:12]}: phizoo eval show {one.eval_run[:12]}",
        ]
        if one.rung.start:
            lines.insert(1, f"starts from {one.rung.start}: phizoo models lineage {made.label}")
        found.append((anchor(one.rung.name), f"{one.rung.study}: {one.rung.arm}, seed {one.rung.seed}", lines))
    return found


def anchor(name: str) -> str:
    """The place of a run on the page."""
    return f"run-{name.replace('.', '-')}"


def markdown(report: Report) -> str:
    """The report as Markdown, charts beside it."""
    parts = ["# The ladder", *opening(report)]
    parts += [f"![{caption}]({name})" for name, caption in CHARTS.items()]
    for table in report.tables:
        parts += [f"## {table.title}", table.note, _markdown_table(table), *(f"- {line}" for line in table.said)]
    parts.append("## The runs")
    for place, title, lines in runs_of(report):
        parts.append(f'<a id="{place}"></a>**{title}**\n' + "\n".join(f"- {line}" for line in lines))
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    rows = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    rows += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in table.rows]
    return "\n".join(rows)


def _markdown_cell(cell: Cell) -> str:
    if not cell.runs or not cell.text:
        return cell.text
    more = " ".join(f"[{place}](#{anchor(name)})" for place, name in enumerate(cell.runs[1:], start=2))
    text = cell.text.replace("[", "\\[").replace("]", "\\]")
    return f"[{text}](#{anchor(cell.runs[0])})" + (f" {more}" if more else "")


def html(report: Report, drawn: dict[str, str]) -> str:
    """The report as one page that needs nothing else."""
    parts = [f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The ladder</title><style>{STYLE}</style>']
    parts.append("<h1>The ladder</h1>" + "".join(f"<p>{escape(text)}</p>" for text in opening(report)))
    for name, caption in CHARTS.items():
        parts.append(f"<figure>{drawn[name]}<figcaption>{escape(caption)}</figcaption></figure>")
    for table in report.tables:
        head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
        rows = "".join("<tr>" + "".join(f"<td>{_html_cell(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
        said = "".join(f"<li>{escape(line)}</li>" for line in table.said)
        parts.append(f"<h2>{escape(table.title)}</h2><p>{escape(table.note)}</p><table><tr>{head}</tr>{rows}</table>")
        parts.append(f"<ul>{said}</ul>" if said else "")
    parts.append("<h2>The runs</h2>")
    for place, title, lines in runs_of(report):
        items = "".join(f"<li>{escape(line)}</li>" for line in lines)
        parts.append(f'<h3 id="{place}">{escape(title)}</h3><ul>{items}</ul>')
    return "\n".join(part for part in parts if part) + "</html>\n"


def _html_cell(cell: Cell) -> str:
    text = escape(cell.text)
    if not cell.runs or not cell.text:
        return text
    links = [f'<a href="#{anchor(name)}">' for name in cell.runs]
    more = " ".join(f"{link}{place}</a>" for place, link in enumerate(links[1:], start=2))
    return f"{links[0]}{text}</a>" + (f"<sup>{more}</sup>" if more else "")


def charts(report: Report) -> dict[str, str]:
    """The three pictures as SVG."""
    ours_data = [(arm, of(report.ran, "data", arm)) for arm in dict.fromkeys(_arms(report.ran, "data"))]
    ours_growth = [(arm, of(report.ran, "growth", arm)) for arm in growth_arms(report.scale)]
    task = report.scale.task
    pictures = [
        _bars("HumanEval, published", PUBLISHED_DATA, f"{task}, here", ours_data),
        _bars("HumanEval, published", PUBLISHED_GROWTH, f"{task}, here", ours_growth),
        _curves(report),
    ]
    return dict(zip(CHARTS, pictures, strict=True))


def _arms(ran: Sequence[Ran], study: str) -> list[str]:
    return [one.rung.arm for one in ran if one.rung.study == study]


def _svg(figure: Any) -> str:
    import matplotlib

    picture = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "ladder", "svg.fonttype": "none"}):  # the same page each time
        figure.savefig(picture, format="svg", metadata={"Date": None})
    text = picture.getvalue()
    return text[text.index("<svg") :]


def _bars(left: str, models: Sequence[str], right: str, ours: list[tuple[str, list[Ran]]]) -> str:
    """Published bars beside ours, each with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.6 + 0.42 * max(len(models), len(ours))), layout="constrained")
    panels = figure.subplots(1, 2)
    there = [(model, value, low, high) for model, value, low, high, _, _ in published_rows(models)]
    here = [(arm, *_interval(score(runs).text)) for arm, runs in ours]
    for panel, title, bars in zip(panels, (left, right), (there, here), strict=True):
        places = list(range(len(bars)))[::-1]
        values = [value for _, value, _, _ in bars]
        ends = [
            [max(0.0, value - low) for _, value, low, _ in bars],
            [max(0.0, high - value) for _, value, _, high in bars],
        ]
        panel.barh(places, values, xerr=ends, color="#7aa6c2", ecolor="#333", capsize=3)
        panel.set_yticks(places, [label if len(label) < 44 else label[:42] + "…" for label, *_ in bars], fontsize=8)
        panel.set_title(f"{title}\n% with 95% intervals", fontsize=10)
        panel.set_xlim(left=0)
    return _svg(figure)


def _interval(text: str) -> tuple[float, float, float]:
    """(value, low, high) of a cell such as `51.2 [43.6–58.7] n=164`.

    >>> _interval("51.2 [43.6–58.7] n=164")
    (51.2, 43.6, 58.7)
    """
    value, _, rest = text.partition(" [")
    low, _, high = rest.partition("]")[0].partition("–")
    return float(value), float(low), float(high)


def _curves(report: Report) -> str:
    """Validation loss of every arm of the growth study, the mean over seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    panel = figure.subplots()
    for arm in growth_arms(report.scale):
        runs = of(report.ran, "growth", arm)
        losses: dict[int, list[float]] = {}
        for run in runs:
            for line in run.curve:
                if "validation_loss" in line:
                    losses.setdefault(line["step"], []).append(line["validation_loss"])
        steps = sorted(losses)
        means = [sum(losses[step]) / len(losses[step]) for step in steps]
        panel.plot(steps, means, label=arm, linewidth=2.2 if arm == "scratch" else 1.1)
        if arm == "scratch" and means:
            panel.axhline(means[-1], linestyle="--", linewidth=0.9, color="#555")
    panel.set_xlabel("step")
    panel.set_ylabel("validation loss, nats a token")
    panel.legend(fontsize=8, ncols=2)
    panel.grid(alpha=0.3)
    return _svg(figure)
