"""One run's samples: prompt, generation with its cut, answer, tests and verdict; and the same sample of another run."""

from typing import TYPE_CHECKING, Any

import msgspec
import streamlit as st

from dashboard.data import evidence, source
from dashboard.data.samples import VERDICTS, Asked, Filter, asked, chosen, cut_at, difference, tally
from dashboard.escape import cut, lined, plain
from dashboard.views import style
from evals.records import Result, Run
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.registry import Registry

PAGE_ROWS = 50
FLAGGED = "flagged"
MARKS = {"passed": "✓", "failed": "✗", "timeout": "⏱", "error": "!", "unscored": "?"}


def page() -> None:
    """Draws the samples of the run that the address names."""
    st.title("Samples", anchor=False)
    runs = _runs(repr(source.stamp()))
    if not runs:
        st.info("No run yet. `phizoo eval run NAME --tasks humaneval` makes the first one.")
        return
    run = which(runs)
    with source.reading() as registry:
        results = held(registry, run) if registry is not None else None
    if results is None:
        st.warning("The result lines of this run are not kept in the zoo.")
        return
    draw(runs, run, results)


@st.cache_resource(max_entries=4, show_spinner=False)
def _runs(stamp: str) -> dict[str, dict[str, Any]]:
    """All runs' headers by id, newest first, read again when the zoo was written to."""
    with source.reading() as registry:
        return {one["id"]: one for one in reversed(registry.runs())} if registry is not None else {}


def which(runs: dict[str, dict[str, Any]]) -> str:
    """The run to show: a checkpoint first, then one of its runs, so that thousands of runs stay choosable."""
    asked_for = st.query_params.get("run", "")
    start = asked_for if asked_for in runs else next(iter(runs))
    labels = list(dict.fromkeys(one["checkpoint_label"] for one in runs.values()))
    left, right = st.columns(2)
    label = left.selectbox("Checkpoint", labels, index=labels.index(runs[start]["checkpoint_label"]), format_func=cut)
    mine = [key for key, one in runs.items() if one["checkpoint_label"] == label]
    run: str = right.selectbox(
        "Run", mine, index=mine.index(start) if start in mine else 0, key=f"run-of-{label}",
        format_func=lambda key: run_name(runs[key]).partition(" · ")[2],
    )  # fmt: skip
    if run != asked_for:
        st.query_params["run"] = run
    return run


def run_name(header: dict[str, Any]) -> str:
    """A run as a person tells it from others."""
    protocol = header.get("protocol", {}).get("name", "")
    return f"{cut(header['checkpoint_label'], 48)} · {header['task']} {protocol} · {header['id'][:8]}"


def held(registry: "Registry", run: str) -> tuple[Result, ...] | None:
    """A run's result lines, cached: a results file never changes under its digest."""
    try:
        path = registry.results(run)
        return _held(str(path), path.stat().st_mtime_ns, run)
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
    leaked = runs[run].get("overlapping")
    told = [f"{MARKS[verdict]} {count:,} {verdict}" for verdict, count in counts.items() if count]
    told.append("not searched for in training data" if leaked is None else f"⚑ {len(leaked):,} samples flagged")
    st.caption(" · ".join(told))
    found = filtered(results, leaked)
    jump = st.session_state.get("sample") or ""
    if jump and all(one.sample != jump for one in results):
        st.warning(f"This run has no sample {style.text(cut(jump, 60))}.")
    if not found:
        st.info("No sample passes these filters.")
    else:
        table(results, found)
    at = opened(results, found, jump)
    if at is not None:
        steps(results, found, at)
        sample(runs, run, results[at])


def filtered(results: tuple[Result, ...], leaked: list[str] | None) -> list[int]:
    """The filters, and the positions of the samples that pass them."""
    # every pill is always there: an address with "flagged" must open any run
    verdicts = st.pills(
        "Verdict", (*VERDICTS, FLAGGED), selection_mode="multi", key="verdict", bind="query-params",
        help="flagged: found in the training data, as said by the flags that the run was published with",
    )  # fmt: skip
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    search = left.text_input("Search", key="find", bind="query-params", placeholder="words in id, text, answer, detail")
    middle.text_input("Jump to sample", key="sample", bind="query-params", placeholder="its id")
    limit = right.toggle("Cut off at a limit", key="limit", bind="query-params")
    wanted = Filter(
        verdicts=tuple(one for one in verdicts if one != FLAGGED), search=search or "", truncated=limit,
        among=frozenset(leaked or ()) if FLAGGED in verdicts else None,
    )  # fmt: skip
    return chosen(results, wanted)


def opened(results: tuple[Result, ...], found: list[int], jump: str) -> int | None:
    """The position of the sample and draw to show; the first that passes where none is asked for."""
    draws = [at for at, one in enumerate(results) if one.sample == jump]
    if not draws:
        draws = [at for at in found if results[at].sample == results[found[0]].sample] if found else []
    if len(draws) < 2:
        return draws[0] if draws else None
    names = {results[at].draw: f"{MARKS[results[at].verdict]} draw {results[at].draw}" for at in draws}
    picked = st.segmented_control(
        "Draw", list(names), default=next(iter(names)), required=True, format_func=lambda one: names[one],
        key=f"draw-of-{results[draws[0]].sample}",
    )  # fmt: skip
    return next(at for at in draws if results[at].draw == picked)


def steps(results: tuple[Result, ...], found: list[int], at: int) -> None:
    """The way to the sample before and the one after, among those that pass the filters."""
    names = list(dict.fromkeys(results[one].sample for one in found))
    here = names.index(results[at].sample) if results[at].sample in names else -1
    with st.container(horizontal=True):
        for label, to in (("← Previous", here - 1), ("Next →", here + 1)):
            there = here >= 0 and 0 <= to < len(names)
            st.button(label, disabled=not there, on_click=_go, args=(names[to] if there else "",), key=f"step-{label}")


def _go(name: str) -> None:
    st.session_state["sample"] = name


def table(results: tuple[Result, ...], found: list[int]) -> None:
    """One page of the list; a chosen line opens its sample."""
    pages = -(-len(found) // PAGE_ROWS)
    at = style.page_number(pages, f"{len(found):,} samples", "samples-page") if pages > 1 else 1
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
    told += ["flagged: found in the training data"] if one.sample in (runs[run].get("overlapping") or ()) else []
    told += [f"{one.seconds:.2f} s", *([one.detail] if one.detail else [])]
    st.markdown(style.text(" · ".join(told)))
    facts = _asked(run, msgspec.json.encode(runs[run]))
    choices = facts[one.sample].choices if not isinstance(facts, str) and one.sample in facts else ()
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
        written(one, choices)
    others = ["", *(key for key in runs if same(runs, run, key))]
    other = style.pick(
        "The same sample in another run", others, "other", lambda key: run_name(runs[key]) if key else "–"
    )
    if other:
        beside(other, one)


def same(runs: dict[str, dict[str, Any]], run: str, key: str) -> bool:
    """Whether another run asked the same task."""
    return key != run and runs[key]["task"] == runs[run]["task"]


def written(one: Result, choices: tuple[str, ...] = ()) -> None:
    """What the model wrote, with the cut marked, and the answer that was taken from it."""
    if one.text:
        st.markdown("**Written by the model** (what stands after ✂ was not counted)")
        end = cut_at(one)
        rest = f'<span class="phizoo-cut"> ✂</span><span class="phizoo-rest">{lined(one.text[end:])}</span>'
        style.scrolled(lined(one.text[:end]) + (rest if one.text[end:].strip() else ""), "Written by the model")
    st.markdown("**Answer**")
    st.code("no answer found" if one.answer is None else plain_lines(one.answer), language=None, wrap_lines=True)
    if one.logprobs:
        best = max(one.logprobs)
        st.dataframe(
            [
                {
                    "": "→" if value == best else "",
                    "choice": cut(choices[at] if at < len(choices) else str(at + 1), 120),
                    "log-probability": round(value, 4),
                }
                for at, value in enumerate(one.logprobs)
            ],
            hide_index=True,
        )


def plain_lines(text: str) -> str:
    """The text with its lines kept and everything else that steers made visible."""
    return "\n".join(plain(line) for line in text.expandtabs(4).split("\n"))


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
