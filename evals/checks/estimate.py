"""Estimates `phizoo eval run` and `phizoo serve` before they run (`--dry-run`): flags, memory, time, missing parts.

Nothing is loaded, started, fetched or written. A model that is not in the zoo yet is taken from the table of Phi
variants, so a GPU machine can be planned for on a machine without a GPU. Memory is exact (weights) or a bound (cache);
time is arithmetic, not a measurement: prompts at UTILISATION of the peak, written tokens at BANDWIDTH_SHARE of the
memory's bandwidth, every text as long as its protocol allows. Peaks are from the data sheets (`evals.engines.gpus`).
"""

import importlib.util
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec.structs import replace

from evals.engines import gpus
from evals.engines.gpus import GPUS, Gpu
from evals.run import RunOptions, select_samples
from evals.task import Task
from zoo.cli.output import report_dry_run
from zoo.errors import ZooError, nearest
from zoo.published.phi_variants import VARIANTS
from zoo.records import Record
from zoo.shape import Shape, read_shape

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
UTILISATION, BANDWIDTH_SHARE = 0.4, 0.5  # assumed, as training's plans assume 40%
CHARACTERS_A_TOKEN = 3.5  # assumed: English prose has more, code fewer
CPU_SHARE = 1.0  # of a measured CPU: SmolLM2-135M read 161 questions of suite:small in 33 CPU seconds, 44 by this
TEXTS_AT_ONCE = 256  # at most so many are written side by side
MEMORY_SHARE = 0.9  # of a GPU, for weights and cache


class PlannedModel(Record, frozen=True, kw_only=True):
    """What is known of a model before it is loaded. here: its files are in the zoo or on this machine."""

    label: str
    parameters: int
    shape: Shape
    here: bool

    @property
    def context_tokens(self) -> int:
        """The longest text that it reads."""
        return self.shape.context_tokens

    def weight_bytes(self, dtype: str) -> int:
        """Bytes of the weights."""
        return self.parameters * BYTES[dtype]

    def cache_bytes(self, dtype: str, tokens: int) -> int:
        """Bytes of the keys and values of so many tokens."""
        return self.shape.cache_values * BYTES[dtype] * tokens


class DryRun(Record, frozen=True):
    """The lines that describe a run, and the requirements that this machine does not meet, each with its remedy."""

    lines: tuple[str, ...]
    missing: tuple[str, ...]


def report(dry_run: DryRun) -> None:
    """Prints a dry run. Raises CheckFailed (exit code 1) when a requirement is missing here."""
    report_dry_run(dry_run.lines, dry_run.missing, "nothing was run")


def find_model(name: str) -> PlannedModel:
    """A model of the zoo, or a Phi variant from the table. Raises ZooError for any other name."""
    from zoo.registry import open_registry

    try:
        with open_registry(readonly=True) as registry:
            record = registry.get(name)
        shape = read_shape(record.architecture)
        return PlannedModel(label=record.label, parameters=record.parameters, shape=shape, here=True)
    except ZooError:
        by_repository = {variant.repository: variant for variant in VARIANTS.values()}
        variant = VARIANTS.get(name) or by_repository.get(name)
        if variant is None:
            raise
    return PlannedModel(label=variant.name, parameters=variant.parameters, shape=variant.shape, here=False)


def describe_memory(model: PlannedModel, dtype: str) -> tuple[str, ...]:
    """The memory that a model needs, as lines."""
    context = model.context_tokens
    return (
        f"{model.label}: {model.parameters:,} parameters, {model.weight_bytes(dtype) / 2**30:.2f} GiB in {dtype}",
        f"  cache {model.cache_bytes(dtype, 1) / 2**10:.0f} KiB a token, "
        f"{model.cache_bytes(dtype, context) / 2**30:.2f} GiB for one context of {context:,} tokens",
    )


def find_missing(model: PlannedModel, dtype: str, engine: str, gpus_wanted: int = 1) -> list[str]:
    """The requirements of a model on an engine that this machine does not meet, each with its remedy."""
    missing = []
    if not model.here:
        source = VARIANTS[model.label].repository
        remedy = f"phizoo models add {source}" if source else f"phizoo train run {model.label}"
        missing.append(f"{model.label} is not in the zoo: {remedy}")
    package = {"vllm": "vllm", "vllm_server": "vllm", "transformers": "transformers", "llama_cpp": "llama_cpp"}.get(
        engine
    )
    if package and importlib.util.find_spec(package) is None:
        extra = {"vllm": "vllm", "llama_cpp": "llama-cpp"}.get(package, "eval")
        missing.append(f"{package} is not installed: pip install 'phi-zoo[{extra}]'")
    here = gpus.count()
    if engine.startswith("vllm") and here < gpus_wanted:
        missing.append(f"{gpus_wanted} GPU{'s' * (gpus_wanted > 1)} wanted, {here} here: docs/gpu.md")
    if here and package:
        import torch

        free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0
        needed = (model.weight_bytes(dtype) + model.cache_bytes(dtype, model.context_tokens)) / gpus_wanted
        if free < needed:
            missing.append(
                f"{needed / 2**30:.1f} GiB of GPU memory wanted, {free / 2**30:.1f} free: another --dtype or GPU"
            )
    return missing


class Work(Record, frozen=True, kw_only=True):
    """The work of a task for a model.

    read     tokens of prompts
    fresh    of these, the tokens that do not repeat the beginning of another prompt, which an engine may read once
    written  the most tokens that the texts may have
    """

    requests: int
    read: int
    fresh: int
    written: int
    longest: int


def measure_work(task: Task, options: RunOptions) -> Work:
    """A task's requests and tokens, from its prompts. Raises ZooError when its data is not on this machine."""
    from evals.protocol import shown

    _, samples = select_samples(task, options)
    most = 0 if task.by_logprob else task.decoding.max_tokens
    asked = [
        task.pairs(sample) if task.by_logprob and task.pairs is not None else ((shown(task, sample), ""),)
        for sample in samples
    ]
    read = [math.ceil(_count_characters(pairs) / CHARACTERS_A_TOKEN) for pairs in asked]
    repeated = _count_repeated(context for pairs in asked for context in {context for context, _ in pairs})
    draws = 1 if task.by_logprob else options.draws  # draws of a prompt share it
    return Work(
        requests=len(samples) * draws,
        read=sum(read),
        fresh=max(0, sum(read) - int(repeated / CHARACTERS_A_TOKEN)),
        written=len(samples) * draws * most,
        longest=max(read, default=0) + most,
    )


def _count_repeated(contexts: Iterable[str]) -> int:
    """Characters of texts that the beginning of another of them has already.

    >>> _count_repeated(["Q: 1+1?", "a", "Q: 1+2?"])
    5
    """
    pairs = pairwise(sorted(contexts))
    return sum(
        next((at for at, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), len(pair[0])) for pair in pairs
    )


def _count_characters(pairs: Sequence[tuple[str, str]]) -> int:
    """Characters read for a question: each different context once, and every choice."""
    return sum(map(len, {context for context, _ in pairs})) + sum(len(choice) for _, choice in pairs)


def estimate_seconds(model: PlannedModel, dtype: str, work: Work, gpu: Gpu) -> float:
    """An upper bound on one GPU, by the arithmetic of this file's first lines; inf where the model does not fit."""
    room = gpu.memory * MEMORY_SHARE - model.weight_bytes(dtype)
    longest = min(max(work.longest, 1), model.context_tokens)
    fitting = int(min(TEXTS_AT_ONCE, room // max(model.cache_bytes(dtype, longest), 1)))
    if fitting < 1:
        return math.inf
    reading = 2 * model.parameters * work.read / (gpu.flops * UTILISATION)
    if not work.written:
        return reading
    at_once = min(fitting, work.requests)
    steps = math.ceil(work.requests / at_once) * (work.written / work.requests)
    moved = model.weight_bytes(dtype) + at_once * model.cache_bytes(dtype, longest)
    return reading + steps * moved / (gpu.bandwidth * BANDWIDTH_SHARE)


def estimate_cpu(model: PlannedModel, dtype: str, works: Iterable[Work], cpu: Gpu) -> tuple[float, float]:
    """Seconds on a CPU of this measured speed, by transformers: the shared beginnings read once, and all read.

    Both inf where the model does not fit. Written tokens are as many as the protocols allow in both.
    """
    quick = slow = 0.0
    busy = replace(cpu, flops=cpu.flops * CPU_SHARE / UTILISATION)  # `estimate_seconds` takes UTILISATION of it
    for work in works:
        ends = [estimate_seconds(model, dtype, replace(work, read=read), busy) for read in (work.fresh, work.read)]
        quick, slow = quick + ends[0], slow + ends[1]
    return quick, slow


def resolve_dtype(dtype: str, engine: str = "vllm") -> str:
    """A dtype with "auto" resolved: fp32 for transformers without a GPU, else bf16. ZooError for an unknown one."""
    if dtype == "auto":
        return "float32" if engine in ("transformers", "auto") and not gpus.count() else "bfloat16"
    if dtype not in BYTES:
        raise ZooError(f'no dtype "{dtype}"{nearest(dtype, BYTES)}; one of auto, {", ".join(BYTES)}')
    return dtype


def plan_runs(names: Sequence[str], tasks: Sequence[Task], options: RunOptions, dtype: str) -> DryRun:
    """The dry run of `phizoo eval run`."""
    from zoo.progress import seconds_text

    lines: list[str] = []
    missing: list[str] = []
    dtype = resolve_dtype(dtype, options.engine)
    models = [find_model(name) for name in names if not name.startswith("endpoint:")]
    for model in models:
        lines += describe_memory(model, dtype)
        missing += find_missing(model, dtype, options.engine)
    seconds: dict[str, float] = dict.fromkeys(GPUS, 0.0)
    known = 0
    for task in tasks:
        label = f"{task.name}@{task.protocol}"
        try:
            work = measure_work(task, options)
        except ZooError as error:
            missing.append(f"{label}: {error}")
            lines.append(f"  {label:<28} {task.size:>6,} samples; its prompts are not known here")
            continue
        known += 1
        lines.append(
            f"  {label:<28} {work.requests:>6,} requests, about {work.read:,} tokens to read, "
            f"at most {work.written:,} to write"
        )
        for name, gpu in GPUS.items():
            seconds[name] += sum(estimate_seconds(model, dtype, work, gpu) for model in models)
    if models and known:
        which = "" if known == len(tasks) else f" for {known} of {len(tasks)} tasks"
        times = ", ".join(
            f"{name} {seconds_text(value) if value < math.inf else 'too small'}" for name, value in seconds.items()
        )
        lines.append(f"at most{which}, estimated by arithmetic for one GPU in {dtype}, loading aside: {times}")
    return DryRun(tuple(lines), tuple(dict.fromkeys(missing)))


def plan_serving(name: str, engine: str, dtype: str, command: Sequence[str], gpus_wanted: int) -> DryRun:
    """The dry run of `phizoo serve`. command: the one that would be started, () for our own server."""
    model, dtype = find_model(name), resolve_dtype(dtype, engine)
    lines = [*describe_memory(model, dtype), f"engine {engine}{': ' + ' '.join(command) if command else ''}"]
    return DryRun(tuple(lines), tuple(find_missing(model, dtype, engine, gpus_wanted)))
