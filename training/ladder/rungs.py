"""Runs the ladder: the effects of filtered data, textbooks, exercises and weight reuse, measured on two CPU cores.

Three studies with the talk's ratios, several seeds each: the data ladder, growth from a small model to a
larger one by every method, and the chain phi-1-small -> phi-1 -> phi-1.5 -> phi-2. Models of this size are judged by
bits per byte of gold answers and of held-out text as well as by scores. This file defines the runs
and makes each with the functions of the ordinary commands; finished runs are found again, so a stopped ladder
can be resumed. `training.ladder.report` reads the results from the zoo.
Departures from the papers: grown models train on base and exercises mixed half and half instead of a later
finetune, so that one run gives both the curve and the score; and on AdamW, to which the rule 1/n applies.
"""

import functools
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from evals.suites import SMALL_BITS
from training.growth.rules import Depth, Growth, Method
from training.recipe import Model
from training.tables import read_table
from zoo import safe_path
from zoo.errors import ZooError
from zoo.records import Checkpoint, Record

if TYPE_CHECKING:
    from zoo.registry import Registry

Study = Literal["data", "growth", "chain"]
NOISE = 0.01  # breaks the symmetry of the copies; at dropout 0 nothing else does (docs/phi.md, Growth)

# The quickstart's data, and two parts of it packed separately.
DATA_LINES = (
    "data pack code-clean --tokenizer mini-bpe --name filtered-tokens --tokens 2000000",
    "data pack textbooks --tokenizer mini-bpe --name textbooks-tokens --tokens 2000000",
)
KINDS = {"code": "filtered-tokens", "textbooks": "textbooks-tokens", "exercises": "exercises-tokens"}
MIXED = {"base-tokens": 0.5, "exercises-tokens": 0.5}
DATA_ARMS = {
    "unfiltered code": {"unfiltered-tokens": 1.0},
    "filtered code": {"filtered-tokens": 1.0},
    "+ textbooks": {"base-tokens": 1.0},
    "+ exercises": {"exercises-tokens": 1.0},
}


class Scale(Record, frozen=True, kw_only=True):
    """The size of a ladder.

    steps  of the larger models; small_steps: of the parents and the data arms
    task   whose score is given
    bits   tasks of gold answers whose bits per byte are given, by what they are of: code, maths, text
    more_arms   arms of the data ladder besides `DATA_ARMS`, each with its sources
    more_lines  the commands that make these sources
    """

    name: str
    small: Model
    large: Model
    largest: Model
    steps: int
    small_steps: int
    finetune_steps: int
    batch_sequences: int
    sequence_tokens: int
    validate_every: int
    seeds: tuple[int, ...] = (0, 1, 2)
    methods: tuple[Method, ...] = ("scratch", "corner", "tile", "tile-exact", "pad-exact")
    depths: tuple[Depth, ...] = ("copy", "zero")
    task: str = "mini_exercises"
    more_arms: dict[str, dict[str, float]] = {}
    more_lines: tuple[str, ...] = ()
    bits: dict[str, str] = msgspec.field(default_factory=SMALL_BITS.copy)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task on which a run is scored."""
        return (self.task, *self.bits.values())


SCALES = read_table("ladder/scales.toml", dict[str, Scale])


class Rung(Record, frozen=True, kw_only=True):
    """One run: a recipe as plain data, and its parent. grow: the growth that makes its first weights."""

    name: str
    study: Study
    arm: str
    seed: int
    recipe: dict[str, Any]
    parent: str = ""
    grow: Growth | None = None

    @property
    def start(self) -> str:
        """The name of the checkpoint that it starts from; "" for a seeded initialisation."""
        return f"{self.name}-start" if self.grow else self.parent


def rungs(scale: Scale) -> list[Rung]:
    """All runs of a ladder, each after its parent."""
    return [*_data(scale), *_parents(scale), *_growth(scale), *_chain(scale)]


def data_arms(scale: Scale) -> dict[str, dict[str, float]]:
    """The arms of the data ladder with their sources, in order."""
    return DATA_ARMS | scale.more_arms


def _rung_name(scale: Scale, *parts: object) -> str:
    text = "-".join(str(part) for part in ("ladder", scale.name, *parts))
    return text.replace("+ ", "plus-").replace(" ", "-").replace("/", "-")


def _recipe(
    scale: Scale, name: str, shape: Model, sources: dict[str, float], seed: int, steps: int, about: str
) -> dict[str, Any]:
    """A run's recipe. The rates are those of the mini recipes for AdamW, the same for every arm of a study."""
    return {
        "name": name,
        "about": about,
        "family": "phi-ladder",
        "licence": "apache-2.0",
        "model": msgspec.to_builtins(shape),
        "data": {
            "sources": [{"name": source, "weight": weight} for source, weight in sources.items()],
            "sequence_tokens": scale.sequence_tokens,
            "packing": "shifted",
        },
        "training": {"steps": steps, "batch_sequences": scale.batch_sequences, "seed": seed},
        "schedule": {"kind": "linear", "peak_learning_rate": 2e-3, "warmup_steps": max(1, steps // 15)},
        "optimizer": {"kind": "adamw", "beta2": 0.95, "weight_decay": 0.1},
        "validation": {"every_steps": scale.validate_every, "sequences": 32},
        "sources": dict.fromkeys(("model", "data", "training", "schedule", "optimizer", "validation"), "estimated"),
    }


def _data(scale: Scale) -> Iterator[Rung]:
    for seed in scale.seeds:
        before = ""
        for arm, sources in data_arms(scale).items():
            name = _rung_name(scale, "data", arm, f"s{seed}")
            finetune = arm == "+ exercises"
            steps = scale.finetune_steps if finetune else scale.small_steps
            recipe = _recipe(scale, name, scale.small, sources, seed, steps, f"the data ladder: {arm}")
            if finetune:
                recipe["parent"] = {"checkpoint": before, "relation": "finetune"}
            yield Rung(name=name, study="data", arm=arm, seed=seed, recipe=recipe, parent=before if finetune else "")
            before = name


def _parents(scale: Scale) -> Iterator[Rung]:
    for seed in scale.seeds:
        name = _rung_name(scale, "small", f"s{seed}")
        recipe = _recipe(scale, name, scale.small, MIXED, seed, scale.small_steps, "the parent of the grown models")
        yield Rung(name=name, study="growth", arm="parent", seed=seed, recipe=recipe)


def growth_arms(scale: Scale) -> dict[str, tuple[Growth | None, int]]:
    """Arm -> (its growth, None for scratch; n of the learning-rate rule 1/n, 1 for none).

    The rule 1/n is for tiled matrices: tiling methods have an arm with it and one without, the others one arm.
    """
    arms: dict[str, tuple[Growth | None, int]] = {}
    copies = scale.large.width // scale.small.width
    for method in scale.methods:
        if method == "scratch":
            arms["scratch"] = (None, 1)
            continue
        rates = (1, copies) if method.startswith("tile") else (1,)
        for depth, rate in itertools.product(scale.depths, rates):
            noise = NOISE if method == "tile-exact" else 0.0
            arms[f"{method}, {depth}" + (", lr/n" if rate > 1 else "")] = (
                Growth(method=method, depth=depth, noise=noise),
                rate,
            )
    return arms


def _growth(scale: Scale) -> Iterator[Rung]:
    for seed, (arm, (grow, copies)) in itertools.product(scale.seeds, growth_arms(scale).items()):
        name = _rung_name(scale, *(part.replace("/", "") for part in arm.replace(",", "").split()), f"s{seed}")
        recipe = _recipe(scale, name, scale.large, MIXED, seed, scale.steps, f"growth: {arm}")
        recipe["optimizer"] = {**recipe["optimizer"], "tiled_copies": copies}
        parent = _rung_name(scale, "small", f"s{seed}") if grow else ""
        if grow:
            grow = msgspec.structs.replace(grow, seed=seed)
            recipe["parent"] = {"checkpoint": f"{name}-start", "relation": "resume"}
        yield Rung(name=name, study="growth", arm=arm, seed=seed, recipe=recipe, parent=parent, grow=grow)


def _chain(scale: Scale) -> Iterator[Rung]:
    """The chain of each seed: phi-1-small is the seed's parent above, each later model starts from the one before."""
    copies = scale.large.width // scale.small.width
    tile = Growth(method="tile-exact", depth="zero", noise=NOISE)
    pad = Growth(method="pad-exact", depth="zero")
    language = {"textbooks-tokens": 0.8, **dict.fromkeys(MIXED, 0.1)}
    links: tuple[tuple[str, Model, dict[str, float], Growth | None, int], ...] = (
        ("phi-1", scale.large, MIXED, tile, copies),
        ("phi-1.5", scale.large, language, None, 1),
        ("phi-2", scale.largest, {"textbooks-tokens": 0.5, **dict.fromkeys(MIXED, 0.25)}, pad, 1),
    )
    for seed in scale.seeds:
        before = _rung_name(scale, "small", f"s{seed}")
        for arm, shape, sources, grow, rate in links:
            name = _rung_name(scale, "chain", arm, f"s{seed}")
            recipe = _recipe(scale, name, shape, sources, seed, scale.steps, f"the chain: {arm}")
            recipe["optimizer"] = {**recipe["optimizer"], "tiled_copies": rate}
            recipe["parent"] = {"checkpoint": f"{name}-start" if grow else before, "relation": "resume"}
            own = msgspec.structs.replace(grow, seed=seed) if grow else None
            yield Rung(name=name, study="chain", arm=arm, seed=seed, recipe=recipe, parent=before, grow=own)
            before = name


def climb(registry: "Registry", scale: Scale, say: Callable[[str], None], jobs: int = 1) -> None:
    """Trains, grows and scores every rung that is not in the zoo yet, `jobs` at a time; a repeated call resumes.

    A rung waits for its parent. With jobs above 1 each rung has its own process and an equal share of the cores; the
    numbers are the same as long as that share is the same (the number of threads changes the order of sums).
    """
    every = rungs(scale)
    if jobs == 1:
        for number, rung in enumerate(every, start=1):
            say(f"[{number}/{len(every)}] {rung.study}: {rung.arm}, seed {rung.seed}")
            _complete_rung(registry, rung, scale)
        return
    _prove_sandbox(scale)  # once, not in every process
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    waiting, done = list(every), set[str]()
    running: dict[Future[None], Rung] = {}
    say(f"each run's progress: tail -f {log_file()}")
    with ProcessPoolExecutor(jobs, safe_path.spawn(), initializer=_start_process, initargs=(threads,)) as pool:
        try:
            while waiting or running:
                for rung in [rung for rung in waiting if not rung.parent or rung.parent in done][: jobs - len(running)]:
                    waiting.remove(rung)
                    running[pool.submit(_complete_in_process, rung, scale)] = rung
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    rung = running.pop(ended)
                    ended.result()
                    done.add(rung.name)
                    say(f"[{len(done)}/{len(every)}] {rung.study}: {rung.arm}, seed {rung.seed}")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _prove_sandbox(scale: Scale) -> None:
    from evals.sandbox import open_sandbox, selftest
    from evals.tasks import task

    if task(scale.task).kind == "code":
        with open_sandbox() as sandbox:
            selftest.require(sandbox.tier)


def log_file() -> Path:
    """The file to which parallel runs write their progress."""
    from zoo import settings

    settings.training_dir().mkdir(parents=True, exist_ok=True)
    return settings.training_dir() / "ladder.log"


def _start_process(threads: int) -> None:
    """Prepares a process of the pool: its share of the cores, the log as output, and an end with the ladder's."""
    import torch

    torch.set_num_threads(threads)
    sys.stdout = sys.stderr = log_file().open("a", buffering=1, encoding="utf-8")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Saves the run and ends this process if the ladder is killed; otherwise it would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
    os._exit(1)


def _complete_in_process(rung: Rung, scale: Scale) -> None:
    import torch

    from zoo.registry import open_registry

    with open_registry() as registry:
        _complete_rung(registry, rung, scale, torch.get_num_threads())


def _complete_rung(registry: "Registry", rung: Rung, scale: Scale, cores: int | None = None) -> None:
    """Trains and scores a rung as far as it is not done. cores: the cores that programs may use."""
    made = _train_rung(registry, rung, f"phizoo train ladder --scale {scale.name}")
    score_rung(registry, made, scale, cores)
    kind_bits(registry, made)


def _train_rung(registry: "Registry", rung: Rung, command: str) -> Checkpoint:
    from training.growth.grow import grow
    from training.recipe import from_plain, shape
    from training.run import run_recipe

    recipe = from_plain(rung.recipe)
    if rung.grow is not None:
        grow(registry, rung.parent, recipe.name, shape(recipe), rung.grow, rung.start)
    checkpoint = run_recipe(recipe, rung.name, say=lambda _: None, command=command)
    if checkpoint is None:
        raise ZooError(f"{rung.name} was stopped; its state is saved, the same command resumes it")
    return checkpoint


def score_rung(registry: "Registry", checkpoint: Checkpoint, scale: Scale, cores: int | None = None) -> None:
    """Scores a checkpoint on the ladder's tasks and publishes the scores, but for those that the zoo has already."""
    from evals.results.publish import publish
    from evals.run import RunOptions
    from evals.subjects import Subject, evaluate_many
    from evals.tasks import task
    from zoo import settings

    missing = [task(name) for name in scale.tasks if not run_of(registry, checkpoint, name)]
    if not missing:
        return
    subject = Subject(digest=checkpoint.digest, label=checkpoint.label, path=registry.path(checkpoint))
    options, write = RunOptions(workers=cores), functools.partial(publish, registry)
    for _ in evaluate_many([subject], missing, options, settings.runs_dir(), write):
        pass


def run_of(registry: "Registry", checkpoint: Checkpoint, name: str) -> str:
    """The id of the run that stands for a checkpoint on a task, or ""."""
    from evals.tasks import task

    wanted, protocols = task(name), registry.protocols()
    runs = [
        score.run
        for score in registry.scores(checkpoint.digest, wanted.name, chosen=True)
        if protocols[score.protocol].name == wanted.protocol and score.subset == "all"
    ]
    return runs[-1] if runs else ""


def kind_bits(registry: "Registry", checkpoint: Checkpoint) -> dict[str, float]:
    """Bits per byte of each kind of text, on the same held-out sequences for every checkpoint.

    Stored beside the training runs under the checkpoint's digest, so that it is computed once.
    """
    import json

    from zoo import settings
    from zoo.digest import write_json

    file = settings.training_dir() / "kind-bits" / f"{checkpoint.digest}.json"
    if not file.is_file():
        write_json(file, _bits(registry, checkpoint))
    bits: dict[str, float] = json.loads(file.read_bytes())
    return bits


def _bits(registry: "Registry", checkpoint: Checkpoint) -> dict[str, float]:
    import torch

    from evals.engines.local.load import load_model
    from training.data.tokens.loader import Loader, TokenBatch, open_tokens
    from training.loop.validate import BITS, byte_counter, validation_numbers
    from training.recipe import Data, DataSource
    from zoo import settings

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(registry.path(checkpoint)).to(device)

    def loss_of(batch: TokenBatch) -> float:
        with torch.no_grad():
            logits = model(torch.from_numpy(batch.inputs_BT).to(device)).logits
        targets = torch.from_numpy(batch.targets_BT).to(device)
        return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"))

    bits = {}
    for kind, name in KINDS.items():
        dataset = registry.dataset(name)
        folder = settings.datasets_dir() / dataset.digest
        tokens = open_tokens(folder, name, dataset.digest)
        loader = Loader(Data(sources=(DataSource(name),), sequence_tokens=128), [tokens], 8, 0)
        numbers = validation_numbers(loader.validation(64), [tokens], loss_of, byte_counter(folder / "tokenizer"))
        if BITS not in numbers:
            raise ZooError(f"{name} has no held-out text to measure bits per byte on; pack it again with more tokens")
        bits[kind] = numbers[BITS]
    return bits
