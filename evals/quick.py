"""A fixed part of a task, for a first look: the same samples for everyone, with its own name and interval.

`arc_easy@lm-eval-quick` is `arc_easy@lm-eval` on some 200 of its questions. Which ones follows from
their ids alone: each stratum (subject, or place of the right choice) gives its share, in the order of
the ids' sha256. It is another protocol with another fingerprint: it shares no column with the whole.
"""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from evals.records import Sample
from evals.task import Task

SUFFIX = "-quick"
# task -> samples: some five minutes in all for a model of a few million parameters on two cores
SIZES = {
    "humaneval": 40,
    "mini_exercises": 80,
    "arc_easy": 200,
    "piqa": 200,
    "winogrande": 200,
    "hellaswag": 200,
    "boolq": 100,
    "openbookqa": 200,
    "mmlu": 228,
}
OTHER = 100


def reduced(task: Task) -> Task:
    """The quick form of a task under one of its protocols."""
    size = min(SIZES.get(task.name, OTHER), task.size)

    def samples() -> Iterator[Sample]:
        yield from chosen(list(task.samples()), size)

    return msgspec.structs.replace(task, protocol=task.protocol + SUFFIX, samples=samples, size=size)


def chosen(samples: Sequence[Sample], size: int) -> list[Sample]:
    """That many samples in their order: every stratum its share, rounded by the largest remainders."""
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
