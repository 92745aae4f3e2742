"""SIQA: 1,954 questions about people in everyday situations, three answers each.

Source: Sap et al. 2019, arXiv:1904.09728. Data: Social IQa, split validation (CC-BY-4.0).
Protocol `lm-eval`: `Q: … …\\nA:` and each answer after one space, 0-shot, as in
lm-evaluation-harness 0.4.13 (social_iqa, version 0): only acc.
Several questions share a situation. Situations are clusters: they are some of many.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from collections.abc import Iterable, Iterator

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task

TITLE = "SIQA"
ALIASES = ("social_iqa", "social_i_qa")
METRICS = ("acc",)


def form(row: Row) -> Row:
    """context, question, three answers, index of the right one (the label counts from 1)."""
    choices = [row["answerA"], row["answerB"], row["answerC"]]
    return {"context": row["context"], "question": row["question"], "choices": choices, "gold": int(row["label"]) - 1}


SETS = (
    EvalSet(
        name="siqa", split="validation", rows=1954, licence="CC-BY-4.0", folder="siqa/data.jsonl",
        digest="4223f46560bd59e665ab9d66b0124f309b5885bc2186371e5ff1457ede4a3772", form=form,
        shipped=olmo("hf_datasets/social_i_qa/none/validation", "arrow"),
    ),
    olmes_set("siqa", "olmes-rc", 1954, "CC-BY-4.0",
              "cf5234105db36638b2feea84564423cd58dcec12a7f35a24fcb9615a551d898c", "socialiqa/val_rc_5shot"),
    olmes_set("siqa", "olmes-mc", 1954, "CC-BY-4.0",
              "6237008b51e16525792eb33bf701f64ac41664ed7d98a225e8c045cae29bbfbb", "socialiqa/val_mc_5shot"),
)  # fmt: skip


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for number, row in enumerate(own):
        question, choices = f"{row['context']} {row['question']}", tuple(row["choices"])
        identity = f"siqa/{number:04d}"
        yield Sample(id=identity, question=question, choices=choices, target=row["gold"], cluster=row["context"])


def samples() -> Iterator[Sample]:
    yield from read(rows("siqa", split="validation"))


def prompt(sample: Sample) -> str:
    return f"Q: {sample.question}\nA:"


PROTOCOLS = {
    "lm-eval": Task(
        name="siqa", version=1, kind="choices", about="why people do what they do, three answers each",
        protocol="lm-eval", samples=samples, prompt=prompt, pairs=each_choice(prompt), judge=judge(METRICS),
        metrics=METRICS, data="siqa", split="validation", licence="CC-BY-4.0", paper="arXiv:1904.09728", size=1954,
        chance=1 / 3, source=ShotSource(read=read, rows=other_rows, spare=True),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval"]
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_per_char", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, bare=True, like=samples
)
