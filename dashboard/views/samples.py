"""The page of a run's samples: a list that shows the question, and one sample with its verdict and both texts."""

from typing import TYPE_CHECKING, Any

import msgspec
import streamlit as st

from dashboard.data import evidence, samples, source
from dashboard.escape import cut, html_lines, plain_lines
from dashboard.views import style
from evals.records import Result, Run
from evals.scoring.choices import first_largest
from zoo.cli.output import NONE
from zoo.coverage import NOT_SEARCHED
from zoo.errors import ZooError
from zoo.visible import plain

if TYPE_CHECKING:
    from zoo.registry import Registry

FLAGGED, DIFFER, LIMIT = "flagged", "differ", "limit"
NOT_STORED = "The results of this run are not stored in the zoo."
MARKS = {"passed": "✓", "failed": "✗", "read": "≈", "timeout": "⏱", "error": "!", "unscored": "?"}
ENDS = {"stop": "ended by the model or a stop string", "length": "cut at the token limit", "fault": "ended by a fault"}
LIST = "samples-list"  # the key of the list


def page() -> None:
    """Draws the samples of the run in the address."""
    st.title("Samples", anchor=False)
    runs = _runs(repr(source.stamp()))
    if not runs:
        st.info("No run yet. Make the first: `phizoo eval run NAME --task humaneval`")
        return
    left, middle, right = st.columns(3)
    run = pick_run(runs, left, middle)
    others = ["", *(key for key in runs if key != run and runs[key]["task"] == runs[run]["task"])]
    with right:
        other = style.pick("Beside", others, "other", lambda key: run_name(runs[key]) if key else NONE)
    with source.open_zoo() as registry:
        results = load_results(registry, run) if registry is not None else None
        beside = load_results(registry, other) if registry is not None and other else None
    if results is None:
        st.warning(NOT_STORED)
        return
    show_results(runs[run], results, {(one.sample, one.draw): one for one in beside or ()}, runs.get(other))


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


def pick_run(runs: dict[str, dict[str, Any]], left: Any, right: Any) -> str:
    """Lets the reader pick a checkpoint, then one of its runs, which works with thousands of runs."""
    asked = st.query_params.get("run", "")
    found = [key for key in runs if asked and key.startswith(asked)]
    start = asked if asked in runs else found[0] if len(found) == 1 else next(iter(runs))
    labels = list(dict.fromkeys(header["checkpoint_label"] for header in runs.values()))
    label = left.selectbox(
        "Checkpoint", labels, index=labels.index(runs[start]["checkpoint_label"]), format_func=cut, key="checkpoint",
        on_change=_forget_run,
    )  # fmt: skip
    of_label = [key for key, header in runs.items() if header["checkpoint_label"] == label]
    run: str = right.selectbox(
        "Run", of_label, index=of_label.index(start) if start in of_label else 0, key=f"run-of-{label}",
        format_func=lambda key: run_name(runs[key]).partition(" · ")[2], on_change=_forget_run,
    )  # fmt: skip
    if asked and not found:
        style.warn_unknown("run", asked, runs, run_name(runs[run]))
    elif run != asked:
        st.query_params["run"] = run
    return run


def _forget_run() -> None:
    for key in ("run", "sample"):
        st.query_params.pop(key, None)


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
def load_queries(run: str, header: bytes) -> dict[str, samples.SampleQuery] | str:
    """The prompts and tests of a run's samples, or the reason why they cannot be shown."""
    try:
        return samples.sample_queries(msgspec.json.decode(header, type=Run))
    except (ZooError, OSError, KeyError, ValueError, msgspec.ValidationError) as error:
        return str(error)


def show_results(
    header: dict[str, Any], results: tuple[Result, ...], beside: dict[tuple[str, int], Result],
    other: dict[str, Any] | None,
) -> None:  # fmt: skip
    """Draws the filters, the list of samples, and the open sample."""
    leaked = _flagged(repr(source.stamp()), header["id"])
    passing = pick_filters(results, leaked, beside)
    asked = st.query_params.get("sample", "")
    at = next((n for n, result in enumerate(results) if result.sample == asked), None)
    if asked and at is None:
        style.warn_unknown("sample of this run", asked, {result.sample for result in results}, "the first of the list")
    position = at if at is not None else passing[0] if passing else None
    queries = load_queries(header["id"], msgspec.json.encode(header))
    left, right = st.columns([2, 3])
    with left:
        if passing:
            show_list(results, passing, position, {} if isinstance(queries, str) else queries, beside)
        else:
            st.info("No sample passes these filters.")
    if position is None:
        return
    with right:
        position = pick_draw(results, position)
        show_steps(results, passing, position)
        result = results[position]
        show_sample(result, queries, flagged=result.sample in (leaked or ()))
        if other is not None:
            show_beside(beside.get((result.sample, result.draw)), other)


def pick_filters(
    results: tuple[Result, ...], leaked: frozenset[str] | None, beside: dict[tuple[str, int], Result]
) -> list[int]:
    """Draws the filters with their counts, and gives back the positions of the results that pass them."""
    differ = {
        n for n, one in enumerate(results)
        if (other := beside.get((one.sample, one.draw))) is not None and other.score != one.score
    }  # fmt: skip
    counts = samples.count_verdicts(results)
    counts |= {FLAGGED: sum(one.sample in leaked for one in results) if leaked else 0, DIFFER: len(differ)}
    counts[LIMIT] = len(samples.filter_results(results, samples.SampleFilter(truncated=True)))
    marks = MARKS | {FLAGGED: "⚑", DIFFER: "≠", LIMIT: "✂"}
    words = samples.WORDS | {FLAGGED: "in training data", DIFFER: "only where they differ", LIMIT: "at a limit"}
    asked = [verdict for verdict in st.query_params.get_all("verdict") if verdict in counts]
    chips, search = st.columns([3, 1], vertical_alignment="bottom")
    chosen = chips.pills(
        "Verdict", [verdict for verdict, count in counts.items() if count or verdict in asked], default=asked,
        format_func=lambda verdict: f"{marks[verdict]} {counts[verdict]:,} {words[verdict]}", key="verdict",
        selection_mode="multi", label_visibility="collapsed", on_change=style.put_widget, args=("verdict",),
    )  # fmt: skip
    chips.caption(f"⚑ {NOT_SEARCHED if leaked is None else f'{counts[FLAGGED]:,} samples in training data'}")
    words_asked = search.text_input(
        "Search", st.query_params.get("find", ""), key="find", placeholder="id, text, answer, reason",
        on_change=style.put_widget, args=("find",),
    )  # fmt: skip
    wanted = samples.SampleFilter(
        verdicts=tuple(verdict for verdict in chosen if verdict in MARKS), search=words_asked or "",
        truncated=LIMIT in chosen, among=frozenset(leaked or ()) if FLAGGED in chosen else None,
    )  # fmt: skip
    passing = samples.filter_results(results, wanted)
    return [n for n in passing if n in differ] if DIFFER in chosen else passing


def pick_draw(results: tuple[Result, ...], position: int) -> int:
    """Lets the reader pick a draw of a sample that has several, and gives back its position."""
    draws = [n for n, result in enumerate(results) if result.sample == results[position].sample]
    if len(draws) < 2:
        return position
    names = {results[n].draw: f"{MARKS[results[n].verdict]} draw {results[n].draw}" for n in draws}
    chosen = st.segmented_control(
        "Draw", list(names), default=next(iter(names)), required=True, format_func=lambda draw: names[draw],
        key=f"draw-of-{results[draws[0]].sample}",
    )  # fmt: skip
    return next(n for n in draws if results[n].draw == chosen)


def show_steps(results: tuple[Result, ...], passing: list[int], position: int) -> None:
    """Draws the buttons to the previous and the next sample among those that pass the filters; keys k and j."""
    names = list(dict.fromkeys(results[n].sample for n in passing))
    here = names.index(results[position].sample) if results[position].sample in names else -1
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, to, key in (("← Previous", here - 1, "k"), ("Next →", here + 1, "j")):
            exists = here >= 0 and 0 <= to < len(names)
            name = names[to] if exists else ""
            st.button(label, disabled=not exists, on_click=_step, args=(name,), key=f"step-{label}", shortcut=key)
        if here >= 0:
            st.caption(f"{here + 1:,} of {len(names):,}", width="content")


def _step(name: str) -> None:
    st.query_params["sample"] = name


def show_list(
    results: tuple[Result, ...], passing: list[int], position: int | None, queries: dict[str, samples.SampleQuery],
    beside: dict[tuple[str, int], Result],
) -> None:  # fmt: skip
    """Draws the list: both verdicts, the question and the reason; a click on a row opens its sample."""
    rows = []
    for n in passing:
        result = results[n]
        query = queries.get(result.sample)
        other = beside.get((result.sample, result.draw))
        marks = MARKS[result.verdict] + (MARKS[other.verdict] if other else "")
        name = cut(result.sample.rpartition("/")[2], 40) + (f" #{result.draw}" if result.draw else "")
        question = plain(query.words) if query else ""
        rows.append((marks, name, question, cut(samples.reason(result, query), 90), result.sample))
    at = passing.index(position) if position in passing else -1
    style.show_samples(rows, at, f"{len(rows):,} samples with verdict, reason and question", LIST, _open_chosen)


def _open_chosen() -> None:
    if chosen := st.session_state[LIST].get("opened"):
        st.query_params["sample"] = chosen


def show_sample(result: Result, queries: dict[str, samples.SampleQuery] | str, flagged: bool) -> None:
    """Draws one sample: its verdict, its prompt and tests, what the model wrote or chose."""
    query = None if isinstance(queries, str) else queries.get(result.sample)
    st.subheader(
        f"{MARKS[result.verdict]} {style.text(cut(result.sample, 80))}: {samples.WORDS[result.verdict]}", anchor=False
    )
    show_facts(result, query, flagged)
    left, right = st.columns(2)
    with left:
        st.markdown("**Prompt**")
        if isinstance(queries, str):
            st.caption(style.text(queries))
        elif query is not None:
            style.show_text_box(html_lines(query.prompt), "Prompt")
            if not query.choices:
                st.markdown("**Tests or target**")
                style.show_text_box(html_lines(query.target), "Tests or target")
    with right:
        show_text(result, query)


def show_facts(result: Result, query: samples.SampleQuery | None, flagged: bool) -> None:
    """Draws why the result has its verdict, and its token counts on a second line."""
    if why := samples.reason(result, query):
        st.markdown(style.text(cut(why, 600)))
    facts = [f"{result.prompt_tokens} prompt tokens"]
    facts += [f"{result.tokens} tokens"] if not result.logprobs else []
    facts += [f"{result.thought_tokens} of them thought"] if result.thought_tokens else []
    facts += ["unfinished"] if result.unfinished else []
    facts += ["disputed: one view of the sandbox alone"] if result.disputed else []
    facts += [ENDS.get(result.finish, result.finish)] if result.finish else []
    facts += [f"{result.truncated} prompt tokens cut off"] if result.truncated else []
    facts += ["flagged: found in the training data"] if flagged else []
    facts += [text] if (text := samples.seconds_text(result.seconds)) else []
    st.caption(style.text(" · ".join(facts)))


def show_text(result: Result, query: samples.SampleQuery | None = None) -> None:
    """Draws the text that the model wrote, with its end of answer marked, its thought folded; or its choices."""
    if result.thought:
        title = "Thought, without an end" if result.unfinished else "Thought (not part of the answer)"
        with st.expander(title, expanded=False):
            st.code(plain_lines(result.thought), language=None, wrap_lines=True)
    if result.logprobs:
        show_choices(result, query)
        return
    st.markdown("**Written by the model** (the text after ✂ was not scored)")
    end = samples.answer_end(result)
    rest = f'<span class="phizoo-cut"> ✂</span><span class="phizoo-rest">{html_lines(result.text[end:])}</span>'
    markup = html_lines(result.text[:end]) + (rest if result.text[end:].strip() else "")
    style.show_text_box(markup or "(nothing)", "Written by the model")
    if result.answer is not None and result.answer.strip() != result.text[:end].strip():
        st.markdown("**Answer that was read in it**")
        st.code(plain_lines(result.answer), language=None, wrap_lines=True)


def show_choices(result: Result, query: samples.SampleQuery | None) -> None:
    """Draws the choices with their log-probabilities, numbered from 1, the right and the chosen one marked."""
    st.markdown("**Choices**" if len(result.logprobs) > 1 else "**The text that was weighed**")
    chosen = first_largest(result.logprobs) if len(result.logprobs) > 1 else None
    texts = query.choices if query is not None else ()
    right = query.right if query is not None and chosen is not None else None
    rows = [
        {
            "choice": n + 1, "text": cut(texts[n], 160) if n < len(texts) else "",
            "": " ".join(word for word, holds in (("✓ right", n == right), ("→ chosen", n == chosen))
                         if holds),
            "log-probability": round(value, 2),
        }
        for n, value in enumerate(result.logprobs)
    ]  # fmt: skip
    style.show_table(rows, "Choices")


def show_beside(other: Result | None, header: dict[str, Any]) -> None:
    """Draws the same sample of another run: its verdict, and its own text whole."""
    st.subheader(f"Beside: {style.text(run_name(header))}", anchor=False)
    if other is None:
        st.caption("That run has no such sample.")
        return
    st.markdown(f"{MARKS[other.verdict]} **{samples.WORDS[other.verdict]}** {style.text(samples.reason(other))}")
    show_text(other)
