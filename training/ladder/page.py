"""Writes a ladder's report: ladder.md with charts beside it, and ladder.html from the same Markdown.

Every number links to its run.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from training.ladder.measures import LadderCell, LadderTable, RungResult, runs_of_arm, score
from training.ladder.report import PUBLISHED_DATA, PUBLISHED_GROWTH, Report, published_rows
from training.ladder.rungs import growth_arms
from training.metrics import svg

CHARTS = {
    "ladder-data.svg": "Data: published HumanEval scores with Wilson intervals, and this ladder's score",
    "ladder-growth.svg": "Growth: published HumanEval scores with Wilson intervals, and this ladder's score",
    "ladder-curves.svg": "Growth: validation loss by step, mean over seeds; dashed: where scratch ends",
}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;display:block;overflow-x:auto;margin:1rem 0}
td,th{border:1px solid #ccc;padding:.25rem .6rem;
text-align:left;vertical-align:top}th{background:#f4f4f4}svg{max-width:100%;height:auto}"""


def write(report: Report, folder: Path) -> list[Path]:
    """Writes ladder.md, ladder.html and the charts; returns the paths of the two pages."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = charts(report)
    for name, picture in pictures.items():
        (folder / name).write_text(picture, encoding="utf-8")
    text = markdown(report)
    pages = [folder / "ladder.md", folder / "ladder.html"]
    pages[0].write_text(text, encoding="utf-8")
    pages[1].write_text(html(text, pictures), encoding="utf-8")
    return pages


def introduction(report: Report) -> list[str]:
    """The paragraphs that a reader needs before the tables."""
    scale = report.scale
    small, large = scale.small, scale.large
    return [
        f"Scale {scale.name}: {small.layers} layers of {small.width} grown to {large.layers} of {large.width}; "
        f"{scale.small_steps} and {scale.steps} steps of {scale.batch_sequences * scale.sequence_tokens:,} tokens; "
        f"{len(scale.seeds)} seeds; score: {scale.task}; bits per byte of the gold answers of "
        f"{', '.join(f'{name} ({kind})' for kind, name in scale.bits.items())}. Every number links to its runs.",
        "These models have a few million parameters; the published ones are about a thousand times as large. An effect "
        "that is absent here may appear there, and the reverse. Negative results are reported as they are.",
        f"Made by: phizoo train ladder --scale {scale.name}",
    ]


def run_sections(report: Report) -> list[tuple[str, str, list[str]]]:
    """(anchor, title, lines) of each run: its checkpoint, recipe, evaluation, and the commands that show them."""
    sections = []
    for run in report.ran:
        checkpoint = run.checkpoint
        lines = [
            f"checkpoint {checkpoint.label}, {checkpoint.digest[:16]}: phizoo models show {checkpoint.label}",
            f"{checkpoint.training_tokens or 0:,} tokens and {checkpoint.training_flops or 0:.3g} FLOPs, parents "
            f"included: phizoo train curves {checkpoint.label}",
            *(f"{task}, {name[:12]}: phizoo eval show {name[:12]}" for task, name in run.evals.items()),
        ]
        if run.rung.start:
            lines.insert(1, f"starts from {run.rung.start}: phizoo models lineage {checkpoint.label}")
        sections.append((anchor(run.rung.name), f"{run.rung.study}: {run.rung.arm}, seed {run.rung.seed}", lines))
    return sections


def anchor(name: str) -> str:
    """The anchor of a run on the page."""
    return f"run-{name.replace('.', '-')}"


def markdown(report: Report) -> str:
    """The report as Markdown, charts beside it."""
    parts = ["# The ladder", *introduction(report)]
    parts += [f"![{caption}]({name})" for name, caption in CHARTS.items()]
    for table in report.tables:
        parts += [f"## {table.title}", table.note, _markdown_table(table), _bullets(table.findings)]
    parts.append("## The runs")
    for place, title, lines in run_sections(report):
        parts.append(f'<a id="{place}"></a>**{title}**\n\n' + _bullets(lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join("- " + re.sub(r"^[+]", r"\\+", line) for line in lines)  # a leading plus would nest a list


def _markdown_table(table: LadderTable) -> str:
    rows = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    rows += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in table.rows]
    return "\n".join(rows)


def _markdown_cell(cell: LadderCell) -> str:
    if not cell.runs or not cell.text:
        return cell.text
    more = " ".join(f"[{place}](#{anchor(name)})" for place, name in enumerate(cell.runs[1:], start=2))
    text = cell.text.replace("[", "\\[").replace("]", "\\]")
    return f"[{text}](#{anchor(cell.runs[0])})" + (f" {more}" if more else "")


def html(text: str, pictures: dict[str, str]) -> str:
    """The Markdown report as one page that loads nothing else."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    figure = re.compile(r'<p><img src="([^"]+)" alt="([^"]*)" /></p>')
    body = figure.sub(lambda m: f"<figure>{pictures[m[1]]}<figcaption>{m[2]}</figcaption></figure>", body)
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The ladder</title><style>{STYLE}</style>'
    return f"{head}\n{body}</html>\n"


def charts(report: Report) -> dict[str, str]:
    """The three charts as SVG, by file name."""
    ours_data = [(arm, runs_of_arm(report.ran, "data", arm)) for arm in dict.fromkeys(_arms(report.ran, "data"))]
    ours_growth = [(arm, runs_of_arm(report.ran, "growth", arm)) for arm in growth_arms(report.scale)]
    task = report.scale.task
    pictures = [
        _bars("HumanEval, published", PUBLISHED_DATA, f"{task}, here", ours_data),
        _bars("HumanEval, published", PUBLISHED_GROWTH, f"{task}, here", ours_growth),
        _curves(report),
    ]
    return dict(zip(CHARTS, pictures, strict=True))


def _arms(ran: Sequence[RungResult], study: str) -> list[str]:
    return [run.rung.arm for run in ran if run.rung.study == study]


def _bars(left: str, models: Sequence[str], right: str, ours: list[tuple[str, list[RungResult]]]) -> str:
    """Published scores beside ours, each with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.6 + 0.42 * max(len(models), len(ours))), layout="constrained")
    panels = figure.subplots(1, 2)
    published = [(model, value, low, high) for model, value, low, high, _, _ in published_rows(models)]
    measured = [(arm, *score(runs).interval) for arm, runs in ours]
    for panel, title, bars in zip(panels, (left, right), (published, measured), strict=True):
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
    return svg(figure)


def _curves(report: Report) -> str:
    """Validation loss of every arm of the growth study, the mean over seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    panel = figure.subplots()
    for arm in growth_arms(report.scale):
        runs = runs_of_arm(report.ran, "growth", arm)
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
    return svg(figure)
