"""One run's samples: prompt, generation with its cut, answer, tests and verdict; and the same sample of another run."""

from typing import TYPE_CHECKING, Any

import msgspec
import streamlit as st

from dashboard import evidence, source
from dashboard.samples import VERDICTS, Asked, Filter, asked, chosen, cut_at, difference, tally
from dashboard.text import cut, html, plain
from dashboard.views import style
from evals.records import Result, Run
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.registry import Registry

PAGE_ROWS = 50
MARKS = {"passed": "✓", "failed": "✗", "timeout": "⏱", "error": "!", "unscored": "?"}


def page() -> None:
    """Draws the samples of the run that the address names."""
    st.title("Samples", anchor=False)
    with source.reading() as registry:
        runs = {one["id"]: one for one in reversed(registry.runs())} if registry is not None else {}
        if registry is None or not runs:
            st.info("No run yet. `phizoo eval run NAME --tasks humaneval` makes the first one.")
            return
        run = style.pick("Run", list(runs), "run", lambda key: run_name(runs[key]))
        results = held(registry, run)
    if results is None:
        st.warning("The result lines of this run are not kept in the zoo.")
        return
    draw(runs, run, results)


def run_name(header: dict[str, Any]) -> str:
    """A run as a person tells it from others."""
    protocol = header.get("protocol", {}).get("name", "")
    return f"{cut(header['checkpoint_label'], 48)} · {header['task']} {protocol} · {header['id'][:8]}"


def held(registry: "Registry", run: str) -> tuple[Result, ...] | None:
    """A run's result lines, cached: a results file never changes under its digest."""
    try:
        return _held(str(registry.results(run)), registry.results(run).stat().st_mtime_ns, run)
    except (ZooError, OSError):
        return None


@st.cache_resource(max_entries=6, show_spinner=False)
def _held(path: str, written: int, run: str) -> tuple[Result, ...]:
    with source.reading() as registry:
        return evidence.results_of(registry, run) if registry is not None else ()


@st.cache_resource(max_entries=6, show_spinner="Reading the task's prompts")
def _asked(run: str, header: bytes) -> dict[str, Asked] | str:
    try:
        return asked(msgspec.json.decode(header, type=Run))
    except (ZooError, OSError, KeyError, ValueError) as error:
        return str(error)


def draw(runs: dict[str, dict[str, Any]], run: str, results: tuple[Result, ...]) -> None:
    """Filters, the list of samples, and the one that is open."""
    counts = tally(results)
    st.caption(" · ".join(f"{MARKS[verdict]} {count:,} {verdict}" for verdict, count in counts.items() if count))
    verdicts = st.pills("Verdict", VERDICTS, selection_mode="multi", key="verdict", bind="query-params")
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    search = (
        left.text_input("Search", key="find", bind="query-params", placeholder="words in id, text, answer, detail")
        or ""
    )
    jump = middle.text_input("Jump to sample", key="sample", bind="query-params", placeholder="its id") or ""
    flagged = right.toggle("Cut off at a limit", key="limit", bind="query-params")
    found = chosen(results, Filter(verdicts=tuple(verdicts), search=search, truncated=flagged))
    by_id = {one.sample: at for at, one in enumerate(results)}
    if jump and jump not in by_id:
        st.warning(f"This run has no sample {style.text(cut(jump, 60))}.")
    if not found:
        st.info("No sample passes these filters.")
    else:
        table(results, found)
    at = by_id.get(jump, found[0] if found else None)
    if at is not None:
        sample(runs, run, results[at])


def table(results: tuple[Result, ...], found: list[int]) -> None:
    """One page of the list; a chosen line opens its sample."""
    pages = -(-len(found) // PAGE_ROWS)
    at = (
        int(st.number_input(f"Page (of {pages}; {len(found):,} samples)", 1, pages, key="samples-page"))
        if pages > 1
        else 1
    )
    shown = [results[one] for one in found[(at - 1) * PAGE_ROWS : at * PAGE_ROWS]]
    rows = [
        {
            "": MARKS[one.verdict],
            "sample": cut(one.sample, 60),
            "verdict": one.verdict,
            "score": one.score,
            "answer": cut(one.answer or "no answer found", 90),
            "detail": cut(one.detail, 90),
            "tokens": one.tokens,
            "draw": one.draw,
        }
        for one in shown
    ]
    st.dataframe(rows, hide_index=True, height=290, on_select=_pick, selection_mode="single-row", key="samples-table")
    st.session_state["samples-shown"] = [one.sample for one in shown]


def _pick() -> None:
    rows = st.session_state["samples-table"]["selection"]["rows"]
    if rows:
        st.session_state["sample"] = st.session_state["samples-shown"][rows[0]]


def sample(runs: dict[str, dict[str, Any]], run: str, one: Result) -> None:
    """Everything of one sample, and of the same sample in another run."""
    st.subheader(f"{MARKS[one.verdict]} {style.text(cut(one.sample, 80))}", anchor=False)
    told = [one.verdict, f"{one.prompt_tokens} prompt tokens", f"{one.tokens} tokens", f"ended by {one.finish or '?'}"]
    told += [f"{one.truncated} prompt tokens cut off"] if one.truncated else []
    st.markdown(style.text(" · ".join([*told, f"{one.seconds:.2f} s", one.detail])))
    facts = _asked(run, msgspec.json.encode(runs[run]))
    left, right = st.columns(2)
    with left:
        st.markdown("**Prompt**")
        if isinstance(facts, str):
            st.caption(style.text(facts))
        elif one.sample in facts:
            st.code(facts[one.sample].prompt, language=None, wrap_lines=True)
            st.markdown("**Tests or target**")
            st.code(facts[one.sample].target, language=None, wrap_lines=True)
    with right:
        written(one)
    others = ["", *(key for key in runs if same(runs, run, key))]
    other = style.pick(
        "The same sample in another run", others, "other", lambda key: run_name(runs[key]) if key else "–"
    )
    if other:
        beside(other, one)


def same(runs: dict[str, dict[str, Any]], run: str, key: str) -> bool:
    """Whether another run asked the same task."""
    return key != run and runs[key]["task"] == runs[run]["task"]


def written(one: Result) -> None:
    """What the model wrote, with the cut marked, and the answer that was taken from it."""
    if one.text:
        st.markdown("**Written by the model** (what stands after ✂ was not counted)")
        end = cut_at(one)
        rest = f'<span class="phizoo-cut"> ✂</span><span class="phizoo-rest">{lined(one.text[end:])}</span>'
        st.html(f'<pre class="phizoo-text">{lined(one.text[:end])}{rest if one.text[end:].strip() else ""}</pre>')
    st.markdown("**Answer**")
    st.code("no answer found" if one.answer is None else plain_lines(one.answer), language=None, wrap_lines=True)
    if one.logprobs:
        st.bar_chart({"log-probability of each choice": list(one.logprobs)}, height=160)


def plain_lines(text: str) -> str:
    """The text with its lines kept and everything else that steers made visible."""
    return "\n".join(plain(line) for line in text.expandtabs(4).split("\n"))


def lined(text: str) -> str:
    """The text as HTML, lines kept, everything else escaped."""
    return "\n".join(html(line) for line in text.expandtabs(4).split("\n"))


def beside(run: str, one: Result) -> None:
    """The same sample of another run, as a difference."""
    with source.reading() as registry:
        results = held(registry, run) if registry is not None else None
    found = next((other for other in results or () if (other.sample, other.draw) == (one.sample, one.draw)), None)
    if found is None:
        st.caption("That run has no such sample.")
        return
    st.markdown(f"There: {MARKS[found.verdict]} {found.verdict}")
    changed = difference(one, found)
    st.code(plain_lines(changed) if changed else "both wrote the same", language="diff", wrap_lines=True)
