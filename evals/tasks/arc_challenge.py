"""ARC-Challenge: 1,172 science questions that retrieval and word co-occurrence get wrong, 3 to 5 choices.

Source: Clark et al. 2018, arXiv:1803.05457. Data: allenai/ai2_arc, ARC-Challenge, split test (CC-BY-SA-4.0).
Protocol `lm-eval`: `Question: …\\nAnswer:` and each choice's text after one space, 0-shot, as in
lm-evaluation-harness 0.4.13 (arc_challenge, version 1): acc and acc_norm.
"""

from collections.abc import Iterator

from evals.datasets.forms import EvalSet, Hub, labelled, olmo
from evals.datasets.load import rows
from evals.records import Sample
from evals.scoring.choices import judge
from evals.task import Task

TITLE = "ARC-Challenge"
SETS = (
    EvalSet(
        name="arc_challenge", split="test", rows=1172, licence="CC-BY-SA-4.0", folder="arc_challenge/data.jsonl",
        digest="0384aadd14d20aff29636f15b5c4e75ef92631c409bb3a8a2254fe838f6baf97", form=labelled,
        shipped=olmo("oe_eval_tasks/arc_challenge/test_rc_5shot/requests.jsonl.gz", "requests"),
        hub=Hub(
            repo="allenai/ai2_arc", file="ARC-Challenge/test-00000-of-00001.parquet",
            revision="210d026faf9955653af8916fad021475a3f00453",
        ),
    ),
    EvalSet(
        name="arc_challenge", split="validation", rows=299, licence="CC-BY-SA-4.0",
        folder="arc_challenge/validation.jsonl",
        digest="83ee3540abbcb24e0ec49d826608469d11ce8c41fff0833061a41fd486a408a0", form=labelled,
        shipped=olmo("hf_datasets/ai2_arc/ARC-Challenge/validation", "arrow"),
        hub=Hub(
            repo="allenai/ai2_arc", file="ARC-Challenge/validation-00000-of-00001.parquet",
            revision="210d026faf9955653af8916fad021475a3f00453",
        ),
    ),
)  # fmt: skip
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
        name="arc_challenge", version=1, kind="choices", about="grade-school science questions, the hard set",
        protocol="lm-eval", samples=samples, prompt=prompt, pairs=pairs, judge=judge(METRICS), metrics=METRICS,
        data="arc_challenge", split="test", licence="CC-BY-SA-4.0", paper="arXiv:1803.05457", size=1172, chance=0.25,
    ),
}  # fmt: skip
