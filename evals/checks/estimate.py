"""What `phizoo serve` and `phizoo eval run` would do (`--dry-run`): names, flags, memory and time, and what is lacking.

Nothing is loaded, started, fetched or written. A model that is not in the zoo yet is taken from the table of Phi
variants, so that a GPU machine can be planned for on one without. Memory is exact (weights) or a bound (cache);
time is arithmetic, not a measurement: prompts at UTILISATION of the peak, written tokens at BANDWIDTH_SHARE of the
memory's bandwidth, every text as long as its protocol allows. Peaks are those of the makers' data sheets.
"""

import importlib.util
import math
from collections.abc import Sequence
from typing import Any

import click

from evals.engines import gpus
from evals.engines.gpus import GPUS, Gpu
from evals.run import RunOptions, select_samples
from evals.task import Task
from zoo.errors import CheckFailed, ZooError, nearest
from zoo.phi_variants import VARIANTS
from zoo.records import Record

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
UTILISATION, BANDWIDTH_SHARE = 0.4, 0.5  # assumed, as training's plans assume 40%
CHARACTERS_A_TOKEN = 3.5  # assumed: English prose has more, code fewer
TEXTS_AT_ONCE = 256  # at most so many are written side by side
MEMORY_SHARE = 0.9  # of a GPU, for weights and cache


class Shape(Record, frozen=True, kw_only=True):
    """What is known of a model before it is loaded. cache_values: numbers kept for one token of context."""

    label: str
    parameters: int
    context_tokens: int
    cache_values: int
    in_zoo: bool

    def weights(self, dtype: str) -> int:
        """Bytes of the weights."""
        return self.parameters * BYTES[dtype]

    def cache(self, dtype: str, tokens: int) -> int:
        """Bytes of keys and values of so many tokens."""
        return self.cache_values * BYTES[dtype] * tokens


class Rehearsal(Record, frozen=True):
    """Lines that tell what would be done, and what this machine lacks for it, each with its remedy."""

    told: tuple[str, ...]
    lacks: tuple[str, ...]


def tell(found: Rehearsal) -> None:
    """Prints a rehearsal. Raises CheckFailed (exit code 1) when something is lacking here."""
    click.echo("\n".join(found.told))
    for lack in found.lacks:
        click.echo(f"lacking here: {lack}")
    if found.lacks:
        raise CheckFailed(f"it would not run here: {len(found.lacks)} lacking, named above; nothing was done")


def shape(name: str) -> Shape:
    """A model's shape from the zoo, or a Phi variant's from the table. Raises ZooError for any other name."""
    from zoo.registry import open_registry

    try:
        with open_registry(readonly=True) as registry:
            found = registry.get(name)
        return _shape(found.label, found.architecture, found.parameters, found.context_tokens, in_zoo=True)
    except ZooError:
        known = VARIANTS.get(name) or next((one for one in VARIANTS.values() if one.repository == name), None)
        if known is None:
            raise
    return _shape(known.name, known.config, known.parameters, known.config["max_position_embeddings"], in_zoo=False)


def _shape(label: str, config: dict[str, Any], parameters: int, context: int, in_zoo: bool) -> Shape:
    heads = int(config.get("num_attention_heads") or config.get("n_head") or 1)
    width = int(config.get("hidden_size") or config.get("n_embd") or 0)
    layers = int(config.get("num_hidden_layers") or config.get("n_layer") or 0)
    kept = int(config.get("num_key_value_heads") or heads) * int(config.get("head_dim") or width // heads)
    return Shape(
        label=label, parameters=parameters, context_tokens=context, cache_values=2 * layers * kept, in_zoo=in_zoo
    )


def model(of: Shape, dtype: str) -> tuple[str, ...]:
    """The memory of a model, as lines."""
    return (
        f"{of.label}: {of.parameters:,} parameters, {of.weights(dtype) / 2**30:.2f} GiB in {dtype}",
        f"  cache {of.cache(dtype, 1) / 2**10:.0f} KiB a token, {of.cache(dtype, of.context_tokens) / 2**30:.2f} GiB "
        f"for one context of {of.context_tokens:,} tokens",
    )


def lacking(of: Shape, dtype: str, engine: str, wanted: int = 1) -> list[str]:
    """What this machine lacks to run a model by an engine."""
    lacks = []
    if not of.in_zoo:
        source = VARIANTS[of.label].repository
        how = f"phizoo models add {source}" if source else f"phizoo train run {of.label}"
        lacks.append(f"{of.label} is not in the zoo: {how}")
    package = {"vllm": "vllm", "vllm_server": "vllm", "transformers": "transformers"}.get(engine)
    if package and importlib.util.find_spec(package) is None:
        extra = "vllm" if package == "vllm" else "eval"
        lacks.append(f"{package} is not installed: pip install 'phi-zoo[{extra}]'")
    there = gpus.count()
    if engine.startswith("vllm") and there < wanted:
        lacks.append(f"{wanted} GPU{'s' * (wanted > 1)} wanted, {there} here: docs/gpu.md")
    if there and package:
        import torch

        free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0
        need = (of.weights(dtype) + of.cache(dtype, of.context_tokens)) / wanted
        if free < need:
            lacks.append(
                f"{need / 2**30:.1f} GiB of GPU memory wanted, {free / 2**30:.1f} free: another --dtype or GPU"
            )
    return lacks


class Work(Record, frozen=True, kw_only=True):
    """What a task asks of a model. read: tokens of prompts; written: the most tokens that answers may have."""

    requests: int
    read: int
    written: int
    longest: int


def work(task: Task, options: RunOptions) -> Work:
    """A task's requests and tokens, from its prompts. Raises ZooError when its data is not at hand."""
    from evals.protocol import shown

    _, some = select_samples(task, options)
    if task.kind == "choices" and task.pairs is not None:
        each = [_characters(task.pairs(sample)) for sample in some]
        read = [math.ceil(count / CHARACTERS_A_TOKEN) for count in each]
        return Work(requests=len(some), read=sum(read), written=0, longest=max(read, default=0))
    read = [math.ceil(len(shown(task, sample)) / CHARACTERS_A_TOKEN) for sample in some]
    most = task.decoding.max_tokens
    return Work(
        requests=len(some) * options.draws,
        read=sum(read),  # draws of a prompt share it
        written=len(some) * options.draws * most,
        longest=max(read, default=0) + most,
    )


def _characters(pairs: Sequence[tuple[str, str]]) -> int:
    """Characters read for a question: each different context once, and every choice."""
    return sum(map(len, {context for context, _ in pairs})) + sum(len(choice) for _, choice in pairs)


def seconds(of: Shape, dtype: str, asked: Work, gpu: Gpu) -> float:
    """At most so long on one GPU, by the arithmetic of this file's first lines; inf where it does not fit."""
    room = gpu.memory * MEMORY_SHARE - of.weights(dtype)
    longest = min(max(asked.longest, 1), of.context_tokens)
    fitting = int(min(TEXTS_AT_ONCE, room // max(of.cache(dtype, longest), 1)))
    if fitting < 1:
        return math.inf
    reading = 2 * of.parameters * asked.read / (gpu.flops * UTILISATION)
    if not asked.written:
        return reading
    at_once = min(fitting, asked.requests)
    steps = math.ceil(asked.requests / at_once) * (asked.written / asked.requests)
    moved = of.weights(dtype) + at_once * of.cache(dtype, longest)
    return reading + steps * moved / (gpu.bandwidth * BANDWIDTH_SHARE)


def numbers(dtype: str, engine: str = "vllm") -> str:
    """What "auto" stands for: fp32 for transformers without a GPU, else bf16. Raises ZooError for an unknown one."""
    if dtype == "auto":
        return "float32" if engine == "transformers" and not gpus.count() else "bfloat16"
    if dtype not in BYTES:
        raise ZooError(f'no dtype "{dtype}"{nearest(dtype, BYTES)}; one of auto, {", ".join(BYTES)}')
    return dtype


def runs(names: Sequence[str], tasks: Sequence[Task], options: RunOptions, dtype: str) -> Rehearsal:
    """The rehearsal of `phizoo eval run`."""
    from zoo.progress import seconds_text

    told: list[str] = []
    lacks: list[str] = []
    engine = options.engine
    kind = numbers(dtype, engine)
    shapes = [shape(name) for name in names if not name.startswith("endpoint:")]
    for of in shapes:
        told += model(of, kind)
        lacks += lacking(of, kind, engine)
    needed: dict[str, float] = dict.fromkeys(GPUS, 0.0)
    known = 0
    for task in tasks:
        label = f"{task.name}@{task.protocol}"
        try:
            one = work(task, options)
        except ZooError as error:
            lacks.append(f"{label}: {error}")
            told.append(f"  {label:<28} {task.size:>6,} samples; its prompts are not known here")
            continue
        known += 1
        told.append(
            f"  {label:<28} {one.requests:>6,} requests, about {one.read:,} tokens to read, "
            f"at most {one.written:,} to write"
        )
        for name, gpu in GPUS.items():
            needed[name] += sum(seconds(of, kind, one, gpu) for of in shapes)
    if shapes and known:
        which = "" if known == len(tasks) else f" for {known} of {len(tasks)} tasks"
        times = ", ".join(
            f"{name} {seconds_text(value) if value < math.inf else 'too small'}" for name, value in needed.items()
        )
        told.append(f"at most{which}, estimated by arithmetic for one GPU in {kind}, loading aside: {times}")
    return Rehearsal(tuple(told), tuple(dict.fromkeys(lacks)))


def serving(name: str, engine: str, dtype: str, line: Sequence[str], wanted: int) -> Rehearsal:
    """The rehearsal of `phizoo serve`. line: the command that would be started, () for our own server."""
    of = shape(name)
    kind = numbers(dtype, engine)
    told = [*model(of, kind), f"engine {engine}{': ' + ' '.join(line) if line else ''}"]
    return Rehearsal(tuple(told), tuple(lacking(of, kind, engine, wanted)))
