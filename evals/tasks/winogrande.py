"""WinoGrande: 1,267 sentences with a blank and two names or things to fill it with.

Source: Sakaguchi et al. 2019, arXiv:1907.10641. Data: winogrande_xl, split validation (CC-BY-4.0).
Protocol `lm-eval`: partial scoring. Each option fills the blank, and the rest of the sentence,
the same for both, is scored, as in lm-evaluation-harness 0.4.13
(winogrande, version 1): only acc, 0-shot.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from collections.abc import Iterable, Iterator

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import judge
from evals.task import ShotSource, Task

TITLE = "WinoGrande"
METRICS = ("acc",)


def form(row: Row) -> Row:
    """A sentence with `_`, two options, index of the right one (the answer counts from 1)."""
    choices = [row["option1"], row["option2"]]
    return {"sentence": row["sentence"], "choices": choices, "gold": int(row["answer"]) - 1}


SETS = (
    EvalSet(
        name="winogrande", split="validation", rows=1267, licence="CC-BY-4.0", folder="winogrande/data.jsonl",
        digest="e56fa73fa5f86664a41628f3171d2f8c9ec394854757b1e5d21cad981983ea51", form=form,
        shipped=olmo("hf_datasets/winogrande/winogrande_xl/validation", "arrow"),
    ),
    olmes_set("winogrande", "olmes-rc", 1267, "CC-BY-4.0",
              "a3f8cee98ea1f1336b14234a6a48763215a063536f945c0c6b17921056b01bca", "winogrande/val_rc_5shot"),
    olmes_set("winogrande", "olmes-mc", 1267, "CC-BY-4.0",
              "65190bd0f28e6d0e80741e6fc27ffb658f868781b3bbdc21706a0199ac5e935d", "winogrande/val_mc_5shot"),
)  # fmt: skip


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for number, row in enumerate(own):
        identity, choices = f"winogrande/{number:04d}", tuple(row["choices"])
        yield Sample(id=identity, question=row["sentence"], choices=choices, target=row["gold"])


def samples() -> Iterator[Sample]:
    yield from read(rows("winogrande", split="validation"))


def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    before, after = sample.question.split("_", 1)
    return tuple((before + choice, f" {after.strip()}") for choice in sample.choices)


PROTOCOLS = {
    "lm-eval": Task(
        name="winogrande", version=1, kind="choices", about="who or what a blank stands for, two options",
        protocol="lm-eval", samples=samples, pairs=pairs, judge=judge(METRICS), metrics=METRICS, data="winogrande",
        split="validation", licence="CC-BY-4.0", paper="arXiv:1907.10641", size=1267, chance=0.5,
        source=ShotSource(read=read, rows=other_rows, spare=True),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval"]
PROTOCOLS |= olmes_protocols(SETS[-2:], "acc_raw", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper)
