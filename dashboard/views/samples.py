"""The page of a run's samples: prompt, generation, answer, tests and verdict, beside the same sample of another run."""

from typing import TYPE_CHECKING, Any

import msgspec
import streamlit as st

from dashboard.data import evidence, samples, source
from dashboard.escape import cut, html_lines, plain_lines
from dashboard.views import style
from evals.records import Result, Run
from zoo.cli.output import NONE
from zoo.coverage import NOT_SEARCHED
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.registry import Registry

PAGE_ROWS = 50
FLAGGED = "flagged"
NOT_STORED = "The results of this run are not stored in the zoo."
MARKS = {"passed": "✓", "failed": "✗", "read": "≈", "timeout": "⏱", "error": "!", "unscored": "?"}


def page() -> None:
    """Draws the samples of the run in the address."""
    st.title("Samples", anchor=False)
    runs = _runs(repr(source.stamp()))
    if not runs:
        st.info("No run yet. Make the first: `phizoo eval run NAME --task humaneval`")
        return
    run = pick_run(runs)
    with source.open_zoo() as registry:
        results = load_results(registry, run) if registry is not None else None
    if results is None:
        st.warning(NOT_STORED)
        return
    show_results(runs, run, results)


@st.cache_resource(max_entries=4, show_spinner=False)
def _runs(stamp: str) -> dict[str, dict[str, Any]]:
    """The headers of all runs by id, newest first, cached until the zoo changes."""
    with source.open_zoo() as registry:
        return {header["id"]: header for header in reversed(registry.runs())} if registry is not None else {}


@st.cache_resource(max_entries=64, show_spinner=False)
def _flagged(stamp: str, run: str) -> frozenset[str] | None:
    """The flagged samples of a run's task, cached until the zoo changes; None: nobody searched."""
    with source.open_zoo() as registry:
        return evidence.flagged_samples(registry, registry.run(run)) if registry is not None else None


def pick_run(runs: dict[str, dict[str, Any]]) -> str:
    """Lets the reader pick a checkpoint, then one of its runs, which works with thousands of runs."""
    current = st.query_params.get("run", "")
    start = current if current in runs else next(iter(runs))
    labels = list(dict.fromkeys(header["checkpoint_label"] for header in runs.values()))
    left, right = st.columns(2)
    label = left.selectbox("Checkpoint", labels, index=labels.index(runs[start]["checkpoint_label"]), format_func=cut)
    of_label = [key for key, header in runs.items() if header["checkpoint_label"] == label]
    run: str = right.selectbox(
        "Run", of_label, index=of_label.index(start) if start in of_label else 0, key=f"run-of-{label}",
        format_func=lambda key: run_name(runs[key]).partition(" · ")[2],
    )  # fmt: skip
    if run != current:
        st.query_params["run"] = run
    return run


def run_name(header: dict[str, Any]) -> str:
    """The name of a run in a menu."""
    protocol = header.get("protocol", {}).get("name", "")
    return f"{cut(header['checkpoint_label'], 48)} · {header['task']} {protocol} · {header['id'][:8]}"


def load_results(registry: "Registry", run: str) -> tuple[Result, ...] | None:
    """A run's results, cached until its file changes; None if they are not stored."""
    try:
        path = registry.results(run)
        return _read_results(str(path), path.stat().st_mtime_ns, run)
    except (ZooError, OSError):
        return None


@st.cache_resource(max_entries=6, show_spinner=False)
def _read_results(path: str, written: int, run: str) -> tuple[Result, ...]:
    with source.open_zoo() as registry:
        return evidence.read_run(registry, run) if registry is not None else ()


@st.cache_resource(max_entries=6, show_spinner="Reading the task's prompts")
def _queries(run: str, header: bytes) -> dict[str, samples.SampleQuery] | str:
    """The prompts and tests of a run's samples, or the reason why they cannot be shown."""
    try:
        return samples.sample_queries(msgspec.json.decode(header, type=Run))
    except (ZooError, OSError, KeyError, ValueError) as error:
        return str(error)


def show_results(runs: dict[str, dict[str, Any]], run: str, results: tuple[Result, ...]) -> None:
    """Draws the filters, the list of samples, and the open sample."""
    leaked = _flagged(repr(source.stamp()), run)
    counts = samples.count_verdicts(results)
    parts = [f"{MARKS[verdict]} {count:,} {verdict}" for verdict, count in counts.items() if count]
    flagged = sum(sample in leaked for sample in {result.sample for result in results}) if leaked is not None else 0
    parts.append(NOT_SEARCHED if leaked is None else f"⚑ {flagged:,} samples in training data")
    st.caption(" · ".join(parts))
    passing = pick_filters(results, leaked)
    jump = st.session_state.get("sample") or ""
    if jump and all(result.sample != jump for result in results):
        st.warning(f"This run has no sample {style.text(cut(jump, 60))}.")
    if not passing:
        st.info("No sample passes these filters.")
    else:
        show_list(results, passing)
    position = pick_draw(results, passing, jump)
    if position is not None:
        show_steps(results, passing, position)
        show_sample(runs, run, results[position])


def pick_filters(results: tuple[Result, ...], leaked: frozenset[str] | None) -> list[int]:
    """Draws the filters, and gives back the positions of the results that pass them."""
    # every run has every pill, so that an address with "flagged" opens any run
    verdicts = st.pills(
        "Verdict", (*samples.VERDICTS, FLAGGED), selection_mode="multi", key="verdict", bind="query-params",
        help="flagged: a search of the training data found it",
    )  # fmt: skip
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    search = left.text_input("Search", key="find", bind="query-params", placeholder="words in id, text, answer, detail")
    middle.text_input("Jump to sample", key="sample", bind="query-params", placeholder="its id")
    limit = right.toggle("Cut off at a limit", key="limit", bind="query-params")
    wanted = samples.SampleFilter(
        verdicts=tuple(verdict for verdict in verdicts if verdict != FLAGGED), search=search or "", truncated=limit,
        among=frozenset(leaked or ()) if FLAGGED in verdicts else None,
    )  # fmt: skip
    return samples.filter_results(results, wanted)


def pick_draw(results: tuple[Result, ...], passing: list[int], jump: str) -> int | None:
    """Lets the reader pick a draw of the sample `jump`, or of the first that passes, and gives back its position."""
    draws = [position for position, result in enumerate(results) if result.sample == jump]
    if not draws and passing:
        draws = [position for position in passing if results[position].sample == results[passing[0]].sample]
    if len(draws) < 2:
        return draws[0] if draws else None
    names = {results[n].draw: f"{MARKS[results[n].verdict]} draw {results[n].draw}" for n in draws}
    chosen = st.segmented_control(
        "Draw", list(names), default=next(iter(names)), required=True, format_func=lambda draw: names[draw],
        key=f"draw-of-{results[draws[0]].sample}",
    )  # fmt: skip
    return next(position for position in draws if results[position].draw == chosen)


def show_steps(results: tuple[Result, ...], passing: list[int], position: int) -> None:
    """Draws the buttons to the previous and the next sample among those that pass the filters."""
    names = list(dict.fromkeys(results[n].sample for n in passing))
    here = names.index(results[position].sample) if results[position].sample in names else -1
    with st.container(horizontal=True):
        for label, to in (("← Previous", here - 1), ("Next →", here + 1)):
            exists = here >= 0 and 0 <= to < len(names)
            name = names[to] if exists else ""
            st.button(label, disabled=not exists, on_click=_open_sample, args=(name,), key=f"step-{label}")


def _open_sample(name: str) -> None:
    st.session_state["sample"] = name


def show_list(results: tuple[Result, ...], passing: list[int]) -> None:
    """Draws one page of the list; a click on a row opens its sample."""
    pages = -(-len(passing) // PAGE_ROWS)
    number = style.pick_page(pages, f"{len(passing):,} samples", "samples-page") if pages > 1 else 1
    shown = [results[n] for n in passing[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]]
    rows = [
        {
            "": MARKS[result.verdict], "sample": cut(result.sample, 60), "verdict": result.verdict,
            "score": result.score, "answer": cut(result.answer or "no answer found", 90),
            "detail": cut(result.detail, 90), "tokens": result.tokens, "draw": result.draw,
        }
        for result in shown
    ]  # fmt: skip
    st.dataframe(
        rows, hide_index=True, height=290, on_select=_open_selected, selection_mode="single-row", key="samples-table"
    )
    st.session_state["samples-shown"] = [result.sample for result in shown]


def _open_selected() -> None:
    rows = st.session_state["samples-table"]["selection"]["rows"]
    if rows:
        _open_sample(st.session_state["samples-shown"][rows[0]])


def show_sample(runs: dict[str, dict[str, Any]], run: str, result: Result) -> None:
    """Draws one sample, and the diff with the same sample of another run."""
    st.subheader(f"{MARKS[result.verdict]} {style.text(cut(result.sample, 80))}", anchor=False)
    leaked = _flagged(repr(source.stamp()), run)
    show_facts(result, flagged=result.sample in (leaked or ()))
    queries = _queries(run, msgspec.json.encode(runs[run]))
    query = None if isinstance(queries, str) else queries.get(result.sample)
    left, right = st.columns(2)
    with left:
        st.markdown("**Prompt**")
        if isinstance(queries, str):
            st.caption(style.text(queries))
        elif query is not None:
            st.code(query.prompt, language=None, wrap_lines=True)
            st.markdown("**Tests or target**")
            st.code(query.target, language=None, wrap_lines=True)
    with right:
        show_text(result, query.choices if query is not None else ())
    others = ["", *(key for key in runs if key != run and runs[key]["task"] == runs[run]["task"])]
    other = style.pick(
        "The same sample in another run", others, "other", lambda key: run_name(runs[key]) if key else NONE
    )
    if other:
        show_diff(other, result)


def show_facts(result: Result, flagged: bool) -> None:
    """Draws the verdict, token counts and times of one result on a line."""
    facts = [result.verdict, f"{result.prompt_tokens} prompt tokens", f"{result.tokens} tokens"]
    facts += [f"{result.thought_tokens} of them thought"] if result.thought_tokens else []
    facts += ["unfinished"] if result.unfinished else []
    facts += ["disputed: one view of the sandbox alone"] if result.disputed else []
    facts.append(f"ended by {result.finish or '?'}")
    facts += [f"{result.truncated} prompt tokens cut off"] if result.truncated else []
    facts += ["flagged: found in the training data"] if flagged else []
    facts += [f"{result.seconds:.2f} s", *([result.detail] if result.detail else [])]
    st.markdown(style.text(" · ".join(facts)))


def show_text(result: Result, choices: tuple[str, ...] = ()) -> None:
    """Draws the text that the model wrote, with its end of answer marked, its thought folded, and its answer."""
    if result.thought:
        title = "Thought, without an end" if result.unfinished else "Thought (not part of the answer)"
        with st.expander(title, expanded=False):
            st.code(plain_lines(result.thought), language=None, wrap_lines=True)
    if result.text:
        st.markdown("**Written by the model** (the text after ✂ was not scored)")
        end = samples.answer_end(result)
        rest = f'<span class="phizoo-cut"> ✂</span><span class="phizoo-rest">{html_lines(result.text[end:])}</span>'
        markup = html_lines(result.text[:end]) + (rest if result.text[end:].strip() else "")
        style.show_text_box(markup, "Written by the model")
    st.markdown("**Answer**")
    answer = "no answer found" if result.answer is None else plain_lines(result.answer)
    st.code(answer, language=None, wrap_lines=True)
    if result.logprobs:
        best = max(result.logprobs)
        rows = [
            {
                "": "→" if value == best else "",
                "choice": cut(choices[n] if n < len(choices) else str(n + 1), 120),
                "log-probability": round(value, 4),
            }
            for n, value in enumerate(result.logprobs)
        ]
        st.dataframe(rows, hide_index=True)


def show_diff(run: str, result: Result) -> None:
    """Draws the verdict of the same sample in another run, and the diff of the texts."""
    with source.open_zoo() as registry:
        results = load_results(registry, run) if registry is not None else None
    key = (result.sample, result.draw)
    other = next((other for other in results or () if (other.sample, other.draw) == key), None)
    if other is None:
        st.caption("That run has no such sample.")
        return
    st.markdown(f"There: {MARKS[other.verdict]} {other.verdict}")
    diff = samples.text_diff(result, other)
    st.code(plain_lines(diff) if diff else "both wrote the same", language="diff", wrap_lines=True)
