"""A fixed, stratified part of a task, for a first impression: always the same samples, with its own name and interval.

`arc_easy@lm-eval-quick2` is `arc_easy@lm-eval` on 800 of its questions. The samples follow from their ids alone: each
stratum (subject, or position of the right choice) contributes its share, in the order of the ids' sha256. The part is
another protocol with another fingerprint, so it shares no column with the whole task. `-quick` is the first choice of
samples, `-quick2` the second, `-quick3` the one of `suite:small`.
"""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from evals.records import Sample
from evals.task import Task

# For 1.25 million parameters the first choice took 25 s of one core; the second takes 60 s and has intervals little
# more than half as wide, and the largest mini model may take minutes. The first stays so that its runs can be repeated.
QUICK = "quick2"
SIZES = {
    "humaneval": 120, "mini_exercises": 240, "arc_easy": 800, "piqa": 800, "winogrande": 800, "hellaswag": 800,
    "boolq": 500, "openbookqa": 400, "mmlu": 1140,
}  # fmt: skip
FIRST_SIZES = {
    "humaneval": 40, "mini_exercises": 80, "arc_easy": 200, "piqa": 200, "winogrande": 200, "hellaswag": 200,
    "boolq": 100, "openbookqa": 200, "mmlu": 228,
}  # fmt: skip
# By signal: where small models differ most for their time (docs/statistics.md, Does a column decide anything?)
SMALL = "quick3"
SMALL_SIZES = {
    "gsm8k_bpb": 200, "hellaswag_bpb": 200, "arc_easy": 600, "mmlu": 570, "hellaswag": 500,
    "piqa": 500,
}  # fmt: skip
# subset -> (task -> number of samples, number for any other task)
VERSIONS = {"quick": (FIRST_SIZES, 100), QUICK: (SIZES, 300), SMALL: (SMALL_SIZES, 200)}


def quick_task(task: Task, subset: str = QUICK) -> Task:
    """The quick form of a task under one of its protocols."""
    sizes, other = VERSIONS[subset]
    size = min(sizes.get(task.name, other), task.size)

    def samples() -> Iterator[Sample]:
        yield from choose_samples(list(task.samples()), size)

    return msgspec.structs.replace(task, protocol=f"{task.protocol}-{subset}", samples=samples, size=size)


def part_task(task: Task, size: int) -> Task:
    """A fixed part of a task, of `size` samples at most, read now; its protocol's name ends in -part-SIZE."""
    samples = list(task.samples())
    part = choose_samples(samples, min(size, len(samples)))
    name = f"{task.protocol}-part-{len(part)}"
    return msgspec.structs.replace(task, protocol=name, samples=lambda: iter(part), size=len(part))


def choose_samples(samples: Sequence[Sample], size: int) -> list[Sample]:
    """`size` of the samples in their order: each stratum contributes its share, rounded by largest remainders."""
    few = len({sample.cluster for sample in samples}) * 4 <= size  # subjects, not passages
    strata: dict[str, list[Sample]] = {}
    for sample in samples:
        place = str(sample.target) if sample.choices else ""
        strata.setdefault(sample.cluster if few and sample.cluster else place, []).append(sample)
    shares = {name: size * len(members) / len(samples) for name, members in strata.items()}
    counts = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(strata, key=lambda name: (counts[name] - shares[name], name))
    for name in by_remainder[: size - sum(counts.values())]:
        counts[name] += 1
    kept = {sample.id for name, members in strata.items() for sample in sorted(members, key=_order)[: counts[name]]}
    return [sample for sample in samples if sample.id in kept]


def _order(sample: Sample) -> bytes:
    return hashlib.sha256(sample.id.encode()).digest()
