"""Renders a comparison as HTML: its verdict, one row a protocol with its whisker, and one flip read in place.

Every text from outside is escaped here. The page draws it; `compare.js` tells the page what was pressed.
"""

from collections.abc import Mapping, Sequence
from math import ceil

from dashboard.board import benchmarks
from dashboard.data.comparison import CheckpointComparison, difference_text
from dashboard.escape import cut, html, html_lines
from evals.results.outcome import Outcome, needed, outcome_of
from evals.tasks import benchmark_of
from zoo.cli.output import NONE, p_text
from zoo.metrics import metric_of
from zoo.records import Record

WORDS: dict[Outcome, str] = {
    "better": "better ✓", "worse": "worse ✗", "undecided": "undecided", "untested": "not tested",
}  # fmt: skip
ORDER: tuple[Outcome, ...] = ("worse", "better", "undecided", "untested")


class FlipSide(Record, frozen=True):
    """One model's answer to a sample.

    verdict  in words: passed, failed, or the score of a metric that has neither
    text  what it wrote; None: it wrote nothing, a given text was only weighed
    chose  the index of the choice that it took; None for a written answer
    """

    name: str
    won: bool
    verdict: str
    text: str | None
    detail: str = ""
    chose: int | None = None


class FlipPage(Record, frozen=True):
    """One sample on which two models differ, and its place among those of its side.

    first    the model that won or lost
    side     "won" or "lost", of which there are `won` and `lost` samples
    place    of `of`, from 1; 0 if no sample passes the search
    problem  why question and choices cannot be shown; empty if they can
    find     words that the listed samples have; by_length: the shortest question first
    """

    key: str
    title: str
    first: str
    sample: str
    side: str
    won: int
    lost: int
    place: int
    of: int
    question: str
    choices: tuple[str, ...]
    right: int | None
    target: str
    sides: tuple[FlipSide, ...]
    problem: str = ""
    find: str = ""
    by_length: bool = False


def arrange(texts: Mapping[str, tuple[str, ...]], find: str, by_length: bool) -> list[str]:
    """The samples whose id or texts have the words, in their order or by the length of the first text, the question.

    >>> arrange({"a/1": ("Why is it?", "so"), "a/2": ("Why?", "no")}, "why", by_length=True)
    ['a/2', 'a/1']
    >>> arrange({"a/1": ("Why is it?", "so"), "a/2": ("Why?", "no")}, "SO", by_length=False)
    ['a/1']
    """
    words = find.lower()
    ids = [name for name, parts in texts.items() if any(words in part.lower() for part in (name, *parts))]
    return sorted(ids, key=lambda name: len(texts[name][0])) if by_length else ids


def outcome(pair: CheckpointComparison) -> Outcome:
    """The outcome of a row, by Holm's p."""
    return outcome_of(pair.difference, pair.p, pair.metric)


def row_key(pair: CheckpointComparison) -> str:
    """The name of a row in an address: its protocol and metric; unique for one pair of models."""
    return pair.column


def title(pair: CheckpointComparison) -> str:
    """A row's benchmark."""
    return benchmarks.title_of(benchmark_of(pair.task))


def in_order(pairs: Sequence[CheckpointComparison]) -> list[CheckpointComparison]:
    """Decided rows first, the largest differences before the others of a kind."""

    def size(pair: CheckpointComparison) -> float:
        return -abs(pair.difference.value) if pair.difference else 0.0

    return sorted(pairs, key=lambda pair: (ORDER.index(outcome(pair)), size(pair)))


def reach(pairs: Sequence[CheckpointComparison]) -> dict[str, float]:
    """Half of the axis of each unit, as shown: what every interval in that unit fits in."""
    halves: dict[str, float] = {}
    for pair in pairs:
        metric = metric_of(pair.metric)
        ends = (
            [abs(metric.shown(end)) for end in (pair.difference.low, pair.difference.high)] if pair.difference else []
        )
        least = 1.0 if metric.is_share else 0.01
        whole = max(ends, default=least)
        halves[metric.unit] = max(halves.get(metric.unit, least), float(ceil(whole)) if metric.is_share else whole)
    return halves


def render_comparison(pairs: Sequence[CheckpointComparison], flip: FlipPage | None = None) -> str:
    """The rows of one pair of models as a table, the open flip below its row."""
    first, second = (html(cut(name, 26)) for name in (pairs[0].checkpoint, pairs[0].reference))
    halves = reach(pairs)
    units = ", ".join(f"{half:.3g} {unit}" for unit, half in halves.items())
    lines = [
        '<table class="compare"><caption>Differences, one row a protocol</caption><thead><tr>',
        f'<th scope="col">Benchmark</th><th scope="col" class="number">{first}</th>',
        f'<th scope="col" class="number">{second}</th>',
        f'<th scope="col" class="axis"><span>← worse</span><span>0</span><span>better, to {html(units)} →</span></th>',
        '<th scope="col" class="number">Difference</th><th scope="col">Verdict</th>'
        '<th scope="col">Won / lost</th><th scope="col"><span class="unseen">Samples</span></th></tr></thead><tbody>',
    ]
    for pair in in_order(pairs):
        is_open = flip is not None and flip.key == row_key(pair)
        lines.append(_row(pair, halves[metric_of(pair.metric).unit], is_open))
        if flip is not None and is_open:
            lines.append(f'<tr class="flip"><td colspan="8">{render_flip(flip)}</td></tr>')
    return "".join([*lines, "</tbody></table>"])


def _row(pair: CheckpointComparison, half: float, is_open: bool) -> str:
    kind, metric = outcome(pair), metric_of(pair.metric)
    gap = pair.difference
    how = pair.column.partition(" [")[2]
    counts, button = html(pair.kind), ""
    if gap is not None and pair.kind == "paired":
        counts = f"{gap.wins:,} / {gap.losses:,}"
        flips = gap.wins + gap.losses
        if pair.flips:
            button = (
                f'<button type="button" data-act="read" data-key="{html(row_key(pair))}" aria-expanded='
                f'"{"true" if is_open else "false"}">{"Close" if is_open else f"Read {flips:,}"}</button>'
            )
    verdict = f'<span class="verdict {kind}">{WORDS[kind]}</span>'
    if (problems := needed(gap)) and kind == "undecided" and gap is not None and problems > gap.n:
        verdict += f'<span class="aside">needs about {_round(problems):,} problems; has {gap.n:,}</span>'
    elif kind != "untested" and gap is not None:
        verdict += f'<span class="aside">p {p_text(pair.p)}, {gap.n:,} problems</span>'
    return (
        f'<tr class="{kind}"><th scope="row">{html(title(pair))}'
        f'<span class="aside">{html(cut("[" + how, 44) + metric.mark)}</span></th>'
        f'<td class="number" data-label="{html(cut(pair.checkpoint, 26))}">{metric.text(pair.value)}</td>'
        f'<td class="number" data-label="{html(cut(pair.reference, 26))}">{metric.text(pair.reference_value)}</td>'
        f'<td class="axis">{_whisker(pair, half)}</td>'
        f'<td class="number gap">{html(difference_text(pair))}</td><td>{verdict}</td>'
        f'<td data-label="won / lost">{counts}</td><td class="act">{button}</td></tr>'
    )


def _round(problems: int) -> int:
    """Two digits: it is an estimate."""
    return int(float(f"{problems:.2g}"))


def _whisker(pair: CheckpointComparison, half: float) -> str:
    """The interval on an axis from -half to half: drawn by CSS, told to screen readers by the number beside it."""
    gap = pair.difference
    if gap is None:
        return '<span class="whisker" aria-hidden="true"></span>'
    metric = metric_of(pair.metric)
    ends = (
        50 + 50 * max(-1.0, min(1.0, metric.merit(metric.shown(end)) / half)) for end in (gap.low, gap.value, gap.high)
    )
    low, value, high = sorted(ends)
    style = f"--low:{low:.2f}%;--high:{100 - high:.2f}%;--at:{value:.2f}%"
    return f'<span class="whisker" aria-hidden="true" style="{style}"><i></i><b></b></span>'


def render_flip(flip: FlipPage) -> str:
    """One flip: the question whole, the right choice marked, and what each model did."""
    name = flip.first
    tabs = "".join(
        _toggle(side, f"{html(cut(name, 30))} {side} {count:,}", flip.side == side)
        for side, count in (("won", flip.won), ("lost", flip.lost))
        if count
    )
    find = (
        f'<input type="search" data-act="find" value="{html(flip.find)}" placeholder="id, question, answer" '
        f'aria-label="Search these samples">{_toggle("order", "shortest first", flip.by_length)}'
    )
    steps = (
        f'<span class="steps"><button type="button" data-act="prev" aria-label="Previous sample (k)">←</button>'
        f"{flip.place:,} of {flip.of:,}"
        '<button type="button" data-act="next" aria-label="Next sample (j)">→</button> keys j k</span>'
    )
    return (
        f'<section class="reader" tabindex="-1" aria-label="{html(flip.title)}: where they differ">'
        f'<div class="bar"><strong>{html(flip.title)}: where they differ</strong>{tabs}{find}{steps}</div>'
        f'<p class="sample">{html(cut(flip.sample, 80))}</p>{_question(flip)}'
        f'<div class="sides">{"".join(_side(flip, side) for side in flip.sides)}</div></section>'
    )


def _toggle(act: str, name: str, pressed: bool) -> str:
    return f'<button type="button" data-act="{act}" aria-pressed="{"true" if pressed else "false"}">{name}</button>'


def _question(flip: FlipPage) -> str:
    if flip.problem:
        return f'<p class="aside">{html(flip.problem)}</p>'
    alone = len(flip.choices) == 1  # a text to weigh, among no others
    choices = "".join(
        f"<li{' class=right' if n == flip.right else ''}>{html_lines(text)}{' ✓ right' if n == flip.right else ''}</li>"
        for n, text in enumerate(flip.choices)
    )
    weighed = f'<p>The text that was weighed:</p><pre tabindex="0">{html_lines(flip.choices[0])}</pre>' if alone else ""
    body = weighed or (f"<ol>{choices}</ol>" if choices else "")
    tests = "" if choices or not flip.target else _fold("Tests or right answer", flip.target)
    return f'<pre class="question" tabindex="0">{html_lines(flip.question)}</pre>{body}{tests}'


def _fold(name: str, text: str) -> str:
    return f"<details><summary>{html(name)}</summary><pre>{html_lines(text)}</pre></details>"


def _side(flip: FlipPage, side: FlipSide) -> str:
    mark, kind = ("✓", "passed") if side.won else ("✗", "failed")
    head = f'<h4><span class="{kind}">{mark} {html(side.verdict)}</span> {html(cut(side.name, 48))}</h4>'
    if side.chose is not None:
        choice = flip.choices[side.chose] if side.chose < len(flip.choices) else NONE
        return f"<div>{head}<p>chose {side.chose + 1}: «{html(cut(choice, 300))}»</p></div>"
    if side.text is None:
        return f"<div>{head}</div>"
    detail = f'<p class="aside">{html(cut(side.detail, 300))}</p>' if side.detail else ""
    return f'<div>{head}{detail}<pre tabindex="0">{html_lines(side.text or "(nothing written)")}</pre></div>'
