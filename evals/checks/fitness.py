"""What this machine can do with a model before it is run: its family, engine, memory, and the time of a suite.

`phizoo doctor MODEL` and `phizoo try --dry-run` print it. Each finding has a state and, unless it is ok, a remedy.
"""

import importlib.util
import math
from collections.abc import Iterator, Sequence

from evals.checks import machine
from evals.checks.candidate import AskedForm, Candidate, asked_form, by_form
from evals.checks.diagnosis import Diagnosis
from evals.checks.estimate import Work, estimate_cpu, estimate_seconds, find_missing, measure_work, resolve_dtype
from evals.datasets.forms import MissingSetError
from evals.engines import gpus
from evals.engines.fastest import usual_engine
from evals.engines.gpus import GPUS
from evals.run import RunOptions
from evals.task import Task
from zoo.errors import ZooError
from zoo.families import PLAIN, TREE
from zoo.progress import seconds_text

SMALL = "suite:small"
GIB = 2**30
# llama.cpp's time for our own: ARC-Easy by SmolLM2 (Q4_1) on two cores, 263 tokens/s for 960 (n=1 each)
LLAMA_CPP_TIMES = 3.6
HOW = {TREE: "fast paths where its own probe proves them", PLAIN: "transformers' own forward pass only"}


def diagnose(
    candidate: Candidate, suite: str, tasks: Sequence[Task], engine: str = "", form: AskedForm | None = None
) -> Iterator[Diagnosis]:
    """The findings on a model, in the order in which they decide, each as soon as it is known: the time comes last.

    suite   as the user names it; tasks: those in it
    engine  the one asked for; empty: the usual one for it; form: the same
    """
    planned, kind = candidate.planned, candidate.quantisation or "not quantised"
    shape = f"{planned.parameters:,} parameters, {kind}, context {planned.context_tokens:,} tokens"
    yield Diagnosis("model", "ok", f"{planned.label}: {shape}")
    try:
        family = candidate.family()
        usual = usual_engine(family, candidate.file)
    except ZooError as error:
        yield Diagnosis("family", "wrong", str(error), "a model of another family: phizoo doctor --families")
        return
    yield Diagnosis("family", "ok", f"{family.name or 'not stated'}: {HOW[family.path]}")
    if candidate.fault:
        yield Diagnosis("files", "wrong", candidate.fault, "put whole files into the folder, then the same command")
        return
    name, reason = (engine, "as asked") if engine else usual
    lacking = _missing_parts(candidate, name)
    texts, remedies = [part for part, _ in lacking], [remedy for _, remedy in lacking]
    state, detail = "wrong" if lacking else "ok", "; ".join([f"{name}: {reason}", *texts])
    yield Diagnosis("engine", state, detail, "; ".join(remedies))
    yield _memory(candidate, name)
    form = form or asked_form(candidate.has_template, candidate.names)
    _, chats = by_form(tasks, form)
    how = f"{len(chats)} of {len(tasks)} tasks by chat" if chats else "as completions"
    if form.by_chat and candidate.has_template is False:
        yield Diagnosis("asked", "wrong", "it has no chat template, so it is a base model", "leave out --chat")
        return
    yield Diagnosis("asked", "ok", f"{how}: {form.reason}")
    yield _time(candidate, suite, tasks, name)


def _missing_parts(candidate: Candidate, engine: str) -> list[tuple[str, str]]:
    """What the engine needs and this machine does not have, each with its remedy."""
    parts = [
        (what, remedy)
        for what, _, remedy in (
            requirement.partition(": ")
            for requirement in find_missing(candidate.planned, resolve_dtype("auto", engine), engine)
        )
    ]
    if candidate.file and engine == "transformers" and importlib.util.find_spec("gguf") is None:
        parts.append(("gguf is not installed", "pip install 'phi-zoo[gguf]'"))
    return parts


def needed_bytes(candidate: Candidate, engine: str) -> tuple[int, int, str]:
    """(bytes of the weights as the engine holds them, of the cache of one whole context, the dtype)."""
    dtype = resolve_dtype("auto", engine)
    if engine == "llama_cpp":
        return (
            candidate.file_bytes,
            candidate.planned.cache_bytes("float32", candidate.planned.context_tokens),
            "as stored",
        )
    cache = candidate.planned.cache_bytes(dtype, candidate.planned.context_tokens)
    return candidate.planned.weight_bytes(dtype), cache, dtype


def _size(number: float) -> str:
    return f"{number / GIB:.2f} GiB" if number >= GIB / 10 else f"{number / 2**20:.1f} MiB"


def _memory(candidate: Candidate, engine: str) -> Diagnosis:
    """The memory needed against the memory there: the GPU's where there is one, else the machine's."""
    weights, cache, dtype = needed_bytes(candidate, engine)
    where, free = "memory", machine.free_memory()
    if gpus.count() and engine != "llama_cpp":
        where, free = "GPU memory", machine.free_gpu_memory() or free
    detail = (
        f"{_size(weights)} of weights ({dtype}) and {_size(cache)} for one context of "
        f"{candidate.planned.context_tokens:,} tokens; {free / GIB:.1f} GiB of {where} free"
    )
    if weights > free:
        remedy = "free some, take a machine with more, or a smaller or quantised model"
        return Diagnosis("memory", "wrong", detail, remedy)
    if weights + cache > free:
        return Diagnosis("memory", "missing", detail, "long texts may not fit; short ones will")
    return Diagnosis("memory", "ok", detail)


def _time(candidate: Candidate, suite: str, tasks: Sequence[Task], engine: str) -> Diagnosis:
    """About how long the tasks take here, by arithmetic; the sets that are missing are named."""
    works: list[Work] = []
    missing = []
    for task in tasks:
        try:
            works.append(measure_work(task, RunOptions(engine=engine)))
        except MissingSetError:
            missing.append(f"{task.name}@{task.protocol}")
    remedy = "phizoo eval tasks --data --fetch; or PHIZOO_DATA=FOLDER" if missing else ""
    detail = time_text(candidate, works, engine)
    detail += f"; no data here for {', '.join(missing)}" if missing else ""
    return Diagnosis(suite, "missing" if missing else "ok", detail, remedy)


def time_text(candidate: Candidate, works: Sequence[Work], engine: str) -> str:
    """The time of some work on this machine, and of how many requests and tokens."""
    size = f"{sum(work.requests for work in works):,} requests, {sum(work.read for work in works):,} tokens to read"
    dtype = resolve_dtype("auto", engine)
    if not works:
        return "no time can be given without its data"
    if gpus.count() and engine != "llama_cpp":  # which runs on the CPU here
        sheet = next((GPUS[name] for name in GPUS if name in machine.gpu_name()), None)
        if sheet is None:
            return f"{size}; this GPU's data sheet is not known here, so no time is given"
        seconds = sum(estimate_seconds(candidate.planned, dtype, work, sheet) for work in works)
        return f"at most about {seconds_text(seconds)} on this GPU, loading aside: {size}"
    if importlib.util.find_spec("numpy") is None:
        return f"no time is given, since numpy is not installed: {size}"
    quick, slow = estimate_cpu(candidate.planned, dtype, works, machine.measure_cpu())
    if quick == math.inf:
        return f"it does not fit in memory here: {size}"
    if engine == "llama_cpp":
        quick, slow = quick * LLAMA_CPP_TIMES, slow * LLAMA_CPP_TIMES
    own = sum(work.requests for work in works) * machine.request_seconds()
    low, high = seconds_text(quick + own), seconds_text(slow + own)
    span = low if low == high else f"{low} to {high}"
    return f"about {span} on this CPU as fast as it is now, loading aside: {size}"
