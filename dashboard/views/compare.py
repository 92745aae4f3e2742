"""The page that compares checkpoints: the verdict, one row a protocol, and the samples on which they differ.

As `phizoo eval compare A B`: a difference is the first one's score minus the second's, which is the baseline.
"""

import shlex
from collections.abc import Callable
from typing import Any

import msgspec
import streamlit as st
from msgspec.structs import replace

from dashboard import charts
from dashboard.board.cells import Board, Cell, overlap_text
from dashboard.board.compare_table import (
    FlipPage,
    FlipSide,
    arrange,
    outcome,
    render_comparison,
    row_key,
    title,
)
from dashboard.data import source
from dashboard.data.comparison import (
    MAX_CHECKPOINTS,
    CheckpointComparison,
    compare_checkpoints,
    default_pair,
    difference_text,
    published_labels,
)
from dashboard.data.samples import SampleQuery
from dashboard.escape import cut, html
from dashboard.views import decisions, samples, style
from evals.records import Result
from evals.results.compare import PUBLISHED
from evals.results.outcome import overall_text
from evals.scoring.choices import first_largest
from zoo.cli.output import NONE, p_text
from zoo.metrics import metric_of

FLIP = ("read", "side", "flip", "find", "order")  # an open flip's address: row, won or lost, sample, search, order


def page() -> None:
    """Draws the comparison in the address, or of the newest checkpoint and its parent."""
    st.title("Compare", anchor=False)
    board = style.load_board(all_versions=True)
    own = {row.label: row.digest for row in board.rows if row.own and row.cells}
    if not own:
        st.info("This page needs checkpoints with scores. Score one: `phizoo eval run NAME --task humaneval`")
        return
    chosen, baseline = pick_models(own)
    if not chosen:
        return
    labels = (baseline, *(label for label in chosen if label != baseline))
    comparisons = _compare(labels, repr(source.stamp()))
    if not comparisons:
        alone = len(labels) == 1
        st.warning("It was not asked by chat and as completions: add `--chat` to a run, or choose another baseline."
                   if alone else "These checkpoints share no protocol: run the same tasks on each.")  # fmt: skip
        return
    if baseline not in own:
        st.caption("The baseline is reported elsewhere, under other prompts: read large gaps only.")
    for number, name in enumerate(dict.fromkeys(pair.checkpoint for pair in comparisons)):
        show_pair(board, [pair for pair in comparisons if pair.checkpoint == name], number)
    show_more(comparisons, chosen, baseline)
    measured = (column.task for column in board.columns if column.main and column.origin == "measured")
    decisions.show(labels if baseline in own else (), tuple(dict.fromkeys(measured)))


def pick_models(digests: dict[str, str]) -> tuple[list[str], str]:
    """Draws the question "is A better than B", and gives back the first ones and the baseline. digests: by label."""
    own = list(digests)
    newest = {label.rpartition(":")[0]: label for label in reversed(own)}
    asked = [newest.get(name, name) for name in st.query_params.get_all("with")]
    than = st.query_params.get("than", "")
    than = newest.get(than, than) if than else asked.pop() if len(asked) > 1 else ""  # A and B, as `eval compare A B`
    start = [name for name in asked if name in own]
    preset = _default_pair(tuple(digests.items()), start[0] if start else "", repr(source.stamp()))
    start = start or [preset[0]]
    baselines = (*own, *published_labels())
    base = than if than in baselines else preset[1]
    for name in (*asked, than):
        if name and name not in (baselines if name == than else own):
            style.warn_unknown("checkpoint with scores", name, own, f"{start[0]} against {base}")
    left, right, swap = st.columns([5, 4, 1], vertical_alignment="bottom")
    chosen = left.multiselect(
        "Is", own, default=start, max_selections=MAX_CHECKPOINTS - 1, key="with", format_func=cut,
        on_change=_put_models,
    )  # fmt: skip
    baseline = right.selectbox(
        "better than (baseline)",
        baselines,
        index=baselines.index(base),
        key="than",
        format_func=lambda label: cut(label.replace(PUBLISHED, "◇ ")),
        on_change=_put_models,
    )
    swap.button(
        "⇄", help="Swap the two", on_click=_swap, disabled=len(chosen) != 1 or baseline not in own, width="stretch"
    )
    if not chosen:
        st.info("Choose a checkpoint on the left. Itself as baseline: by chat and as completions.")
    return chosen, baseline or ""


@st.cache_resource(max_entries=4, show_spinner=False)
def _default_pair(digests: tuple[tuple[str, str], ...], first: str, stamp: str) -> tuple[str, str]:
    with source.open_zoo() as registry:
        return default_pair(registry, dict(digests), first) if registry is not None else (digests[0][0], digests[-1][0])


def _put_models() -> None:
    style.put_widget("with")
    style.put_widget("than")
    _close_flip()


def _swap() -> None:
    first, second = st.session_state["with"][0], st.session_state["than"]
    style.put("with", second)
    style.put("than", first)
    _close_flip()


def _close_flip() -> None:
    for key in FLIP:
        st.query_params.pop(key, None)


@st.cache_resource(ttl=600, max_entries=16, show_spinner="Comparing sample by sample")
def _compare(labels: tuple[str, ...], stamp: str) -> tuple[CheckpointComparison, ...]:
    with source.open_zoo() as registry:
        return compare_checkpoints(registry, labels) if registry is not None else ()


def show_pair(board: Board, pairs: list[CheckpointComparison], number: int) -> None:
    """Draws one pair of models: the verdict, the main rows, and the further ones folded."""
    main = [pair for pair in pairs if pair.p is not None]
    second = [pair for pair in pairs if pair.p is None]
    lines = [overall_text(pairs[0].checkpoint, list(map(outcome, pairs))), *map(_proof(board), main)]
    body = "".join(f"<p>{html(line)}</p>" for line in lines if line)
    st.html(f'<div class="phizoo-answer" role="status">{body}</div>')
    flip = open_flip(pairs) if st.query_params.get("pair", "0") == str(number) else None
    key = f"comparison-{number}"
    if main:
        style.show_comparison(render_comparison(main, flip), key, lambda: _press(key, number, pairs))
    if second and not main:
        style.show_comparison(render_comparison(second, flip), key, lambda: _press(key, number, pairs))
    elif second:
        opened = flip is not None and any(row_key(pair) == flip.key for pair in second)
        with st.expander(f"Second metrics, other protocols and published numbers ({len(second)})", expanded=opened):
            other = f"{key}-second"
            style.show_comparison(render_comparison(second, flip), other, lambda: _press(other, number, pairs))


def _proof(board: Board) -> Callable[[CheckpointComparison], str]:
    """What is proven of a row, in a sentence, with what its training data held of the benchmark; else nothing."""
    cells: dict[tuple[str, str], Cell] = {
        (cell.run, key.partition(".")[2]): cell for row in board.rows if row.own for key, cell in row.cells.items()
    }

    def say(pair: CheckpointComparison) -> str:
        kind = outcome(pair)
        if kind not in ("better", "worse"):
            return ""
        cell = cells.get((pair.runs[0], pair.metric)) if pair.runs else None
        leak = overlap_text(cell) if cell is not None else ""
        return f"{title(pair)}: {difference_text(pair)} {metric_of(pair.metric).unit}, proven to be {kind}." + (
            f" {leak}." if leak else ""
        )

    return say


def _press(key: str, number: int, pairs: list[CheckpointComparison]) -> None:
    """Moves the open flip, in the address, as a button or a key of the table says."""
    act, _, value = str(st.session_state[key].get("pressed") or "~").partition("~")
    query = st.query_params
    if act == "read":
        same = query.get("read") == value and query.get("pair", "0") == str(number)
        _close_flip()
        if not same:
            query["read"], query["pair"] = value, str(number)
    elif act in ("won", "lost"):
        query["side"] = act
        query.pop("flip", None)
    elif act in ("find", "order"):
        style.put(act, *([value] if value and act == "find" else ["length"] if query.get(act) != "length" else []))
        query.pop("flip", None)
    elif act in ("next", "prev") and (pair := _open_row(pairs)) is not None:
        ids = _listed(_flips(pair, _side(pair)), *_read(pair))
        here = ids.index(query.get("flip", "")) if query.get("flip") in ids else 0
        query["flip"] = ids[min(max(here + (1 if act == "next" else -1), 0), len(ids) - 1)]


def _open_row(pairs: list[CheckpointComparison]) -> CheckpointComparison | None:
    return next((pair for pair in pairs if row_key(pair) == st.query_params.get("read") and pair.flips), None)


def _flips(pair: CheckpointComparison, side: str) -> list[str]:
    metric = metric_of(pair.metric)
    return [flip.sample for flip in pair.flips if metric.is_better(flip.first, flip.second) is (side == "won")]


def _side(pair: CheckpointComparison) -> str:
    asked = st.query_params.get("side", "won")
    return asked if asked in ("won", "lost") and _flips(pair, asked) else "won" if _flips(pair, "won") else "lost"


def _read(pair: CheckpointComparison) -> tuple[list[dict[str, Result]], dict[str, SampleQuery] | str]:
    """Both runs' results by sample, and the questions or why there are none."""
    with source.open_zoo() as registry:
        results = [samples.load_results(registry, run) if registry is not None else None for run in pair.runs]
        header = registry.run(pair.runs[0]) if registry is not None else {}
    by_sample = [{one.sample: one for one in reversed(results_of or ())} for results_of in results]
    return by_sample, samples.load_queries(pair.runs[0], msgspec.json.encode(header))


def _names(flip: str) -> tuple[str, str]:
    """The sample that a flip may name: itself, or, of a metric with several trials a sample, before "#2"."""
    return flip, flip.rpartition("#")[0]


def _listed(
    ids: list[str], results: list[dict[str, Result]], queries: dict[str, SampleQuery] | str
) -> list[str]:  # fmt: skip
    """The flips that the address's search leaves, in the order that it asks for."""
    find, by_length = st.query_params.get("find", ""), st.query_params.get("order") == "length"
    if not find and not by_length:
        return ids
    texts: dict[str, tuple[str, ...]] = {}
    for flip in ids:
        query = None if isinstance(queries, str) else next((queries[n] for n in _names(flip) if n in queries), None)
        written = (of_run[n].text for of_run in results for n in _names(flip) if n in of_run)
        texts[flip] = (query.prompt if query else "", *(query.choices if query else ()), *written)
    return arrange(texts, find, by_length)


def open_flip(pairs: list[CheckpointComparison]) -> FlipPage | None:
    """The flip in the address, with its question and both answers; None: no row is open."""
    pair = _open_row(pairs)
    if pair is None or len(pair.runs) != 2:
        return None
    side = _side(pair)
    results, queries = _read(pair)
    ids = _listed(_flips(pair, side), results, queries)
    asked, find = st.query_params.get("flip", ""), st.query_params.get("find", "")
    page = FlipPage(
        key=row_key(pair), title=title(pair), first=pair.checkpoint, sample="", side=side,
        won=len(_flips(pair, "won")), lost=len(_flips(pair, "lost")), place=0, of=len(ids), question="", choices=(),
        right=None, target="", sides=(), find=find, by_length=st.query_params.get("order") == "length",
        problem=f"No sample here matches “{cut(find, 60)}”.",
    )  # fmt: skip
    if not ids:
        return page
    chosen = asked if asked in ids else ids[0]
    of_sample = [next((of_run[name] for name in _names(chosen) if name in of_run), None) for of_run in results]
    query = None if isinstance(queries, str) else next((queries[n] for n in _names(chosen) if n in queries), None)
    values = next(flip for flip in pair.flips if flip.sample == chosen)
    scores = (values.first, values.second)
    sides = tuple(
        _flip_side(name, pair, result, *pairs)
        for name, result, pairs in zip(
            (pair.checkpoint, pair.reference), of_sample, (scores, scores[::-1]), strict=True
        )
    )  # fmt: skip
    return replace(
        page, sample=chosen, place=ids.index(chosen) + 1, sides=sides, question=query.prompt if query else "",
        choices=query.choices if query else (), right=query.right if query else None,
        target=query.target if query else "",
        problem="" if query else queries if isinstance(queries, str) else "The task no longer has this sample.",
    )  # fmt: skip


def _flip_side(
    name: str, pair: CheckpointComparison, result: Result | None, score: float, other: float
) -> FlipSide:  # fmt: skip
    metric = metric_of(pair.metric)
    won = metric.is_better(score, other)
    whole = score in (0.0, 1.0) and metric.is_share
    verdict = ("passed" if score else "failed") if whole else f"{metric.text(score)} {metric.name}"
    if result is None:
        return FlipSide(name=name, won=won, verdict=verdict, text=samples.NOT_STORED)
    chose = first_largest(result.logprobs) if len(result.logprobs) > 1 else None
    detail = "" if result.logprobs else result.detail
    text = None if result.logprobs else result.text
    return FlipSide(name=name, won=won, verdict=verdict, text=text, detail=detail, chose=chose)


def show_more(comparisons: tuple[CheckpointComparison, ...], chosen: list[str], baseline: str) -> None:
    """Draws the command that says the same, the link, the numbers as a table, and their files."""
    rows: list[dict[str, Any]] = [
        {
            "benchmark": title(pair), "protocol": cut(pair.column, 60), "checkpoint": cut(pair.checkpoint, 48),
            "baseline": cut(pair.reference, 48), "score": metric_of(pair.metric).text(pair.value),
            "baseline's score": metric_of(pair.metric).text(pair.reference_value),
            "difference [95%]": difference_text(pair),
            "p (Holm)": p_text(pair.p) or (f"{p_text(pair.difference.p)}, unadjusted" if pair.difference else NONE),
            "verdict": outcome(pair),
            "won / lost / tied": f"{pair.difference.wins} / {pair.difference.losses} / {pair.difference.ties}"
            if pair.difference and pair.kind == "paired"
            else pair.kind,
            "n": pair.difference.n if pair.difference else None,
        }
        for pair in comparisons
    ]  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        style.show_link("compare-link")
        style.show_exports(rows, "comparison", charts.forest_chart(comparisons))
    with st.expander("p-values, Holm, n, and how to read this"):
        style.show_table(rows, "Differences")
        st.caption(
            "Difference: the score of the model on the left minus the baseline's, on the same samples. p is two-sided "
            f"and adjusted for {sum(pair.p is not None for pair in comparisons)} comparisons (Holm): the main metric "
            "of each benchmark. Better and worse: p below 0.05. Undecided: the data allow either."
        )
        for name in chosen:
            st.code(f"phizoo eval compare {shlex.quote(name)} {shlex.quote(baseline)}", language="bash",
                    wrap_lines=True)  # fmt: skip
        for note in dict.fromkeys(f"{pair.column}: {pair.note}" for pair in comparisons if pair.note):
            st.caption(style.text(note))
