"""CommonsenseQA: 1,221 questions made from ConceptNet, five choices, answered by a letter.

Source: Talmor et al. 2018, arXiv:1811.00937. Data: tau/commonsense_qa, split validation (MIT), since
the test answers are not public.
Protocol `lm-eval`: the prompt lists the choices and the letters are scored, 0-shot, as in
lm-evaluation-harness 0.4.13 (commonsense_qa): only acc.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from collections.abc import Iterable, Iterator

from evals.datasets.forms import EvalSet, Row, labelled, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task

TITLE = "CommonsenseQA"
ALIASES = ("commonsenseqa",)
SETS = (
    EvalSet(
        name="commonsense_qa", split="validation", rows=1221, licence="MIT", folder="commonsense_qa/data.jsonl",
        digest="9ac2c8320b3950db8f2b55134cbe0e553e44db835041c41ded320e7557f2c5fe", form=labelled,
        shipped=olmo("hf_datasets/tau/commonsense_qa/none/validation", "arrow"),
    ),
    olmes_set("commonsense_qa", "olmes-rc", 1221, "MIT",
              "5fbcb461bcf4d7a8b2c7c3a87242bcc4e9e5d5abb979d005b3920c0f9efaf0d0", "csqa/val_rc_5shot"),
    olmes_set("commonsense_qa", "olmes-mc", 1221, "MIT",
              "981a09a1e54e22c8621f9c8cc69146f06ce1d211d515875f6920b22f016b8ce8", "csqa/val_mc_5shot"),
)  # fmt: skip
METRICS = ("acc",)
LETTERS = ("A", "B", "C", "D", "E")


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for row in own:
        listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, row["choices"], strict=True))
        question, identity = f"{row['question'].strip()}\n{listed}", f"commonsense_qa/{row['id']}"
        yield Sample(id=identity, question=question, choices=LETTERS, target=row["gold"])


def samples() -> Iterator[Sample]:
    yield from read(rows("commonsense_qa", split="validation"))


def prompt(sample: Sample) -> str:
    return f"Question: {sample.question}\nAnswer:"


PROTOCOLS = {
    "lm-eval": Task(
        name="commonsense_qa", version=1, kind="choices", about="everyday concepts, five choices shown, a letter asked",
        protocol="lm-eval", samples=samples, prompt=prompt, pairs=each_choice(prompt), judge=judge(METRICS),
        metrics=METRICS, data="commonsense_qa", split="validation", licence="MIT", paper="arXiv:1811.00937", size=1221,
        chance=0.2, source=ShotSource(read=read, rows=other_rows, spare=True),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval"]
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_uncond", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, bare=True
)
