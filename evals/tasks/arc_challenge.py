"""ARC-Challenge: 1,172 science questions that retrieval and word co-occurrence get wrong, 3 to 5 choices.

Source: Clark et al. 2018, arXiv:1803.05457. Data: allenai/ai2_arc, ARC-Challenge, split test (CC-BY-SA-4.0).
Protocol `lm-eval`: `Question: …\\nAnswer:` and each choice's text after one space, 0-shot, as in
lm-evaluation-harness 0.4.13 (arc_challenge, version 1): acc and acc_norm.
"""

from collections.abc import Iterator

from evals.datasets.load import rows
from evals.records import Sample
from evals.scoring.choices import judge
from evals.task import Task

METRICS = ("acc", "acc_norm")


def samples() -> Iterator[Sample]:
    for row in rows("arc_challenge"):
        choices = tuple(row["choices"])
        yield Sample(id=f"arc_challenge/{row['id']}", question=row["question"], choices=choices, target=row["gold"])


def prompt(sample: Sample) -> str:
    return f"Question: {sample.question}\nAnswer:"


def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((prompt(sample), f" {choice}") for choice in sample.choices)


PROTOCOLS = {
    "lm-eval": Task(
        name="arc_challenge",
        version=1,
        kind="choices",
        about="grade-school science questions, the hard set",
        protocol="lm-eval",
        samples=samples,
        prompt=prompt,
        pairs=pairs,
        judge=judge(METRICS),
        metrics=METRICS,
        data="arc_challenge",
        split="test",
        licence="CC-BY-SA-4.0",
        paper="arXiv:1803.05457",
        size=1172,
        chance=0.25,
    )
}
