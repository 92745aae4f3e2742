"""OpenBookQA: 500 elementary science questions that need a known fact and common sense, four choices.

Source: Mihaylov et al. 2018, arXiv:1809.02789. Data: allenai/openbookqa, main, split test (Apache-2.0).
Protocol `lm-eval`: the question's stem alone, without "Answer:", and each choice after one space,
0-shot, as in lm-evaluation-harness 0.4.13 (openbookqa, version 1): acc and acc_norm.
"""

from collections.abc import Iterator

from evals.datasets.load import rows
from evals.records import Sample
from evals.scoring.choices import judge
from evals.task import Task

METRICS = ("acc", "acc_norm")


def samples() -> Iterator[Sample]:
    for row in rows("openbookqa"):
        choices = tuple(row["choices"])
        yield Sample(id=f"openbookqa/{row['id']}", question=row["question"], choices=choices, target=row["gold"])


def prompt(sample: Sample) -> str:
    return sample.question


def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((prompt(sample), f" {choice}") for choice in sample.choices)


PROTOCOLS = {
    "lm-eval": Task(
        name="openbookqa",
        version=1,
        kind="choices",
        about="science facts with common sense, four choices",
        protocol="lm-eval",
        samples=samples,
        prompt=prompt,
        pairs=pairs,
        judge=judge(METRICS),
        metrics=METRICS,
        data="openbookqa",
        split="test",
        licence="Apache-2.0",
        paper="arXiv:1809.02789",
        size=500,
        chance=0.25,
    )
}
