"""SciQ: 1,000 science exam questions by crowd workers, four choices, most with a supporting text.

Source: Welbl et al. 2017, arXiv:1707.06209. Data: allenai/sciq, split validation (CC-BY-NC-3.0, not
for commercial use). The harness reads split test, which needs a network. The prompts here are the
harness's but the questions are not, so the protocol is called `lm-eval-validation`.
`support`, `Question: …`, `Answer:` and each choice after one space, the right one always last, as in
lm-evaluation-harness 0.4.13 (sciq, version 1): acc and acc_norm, 0-shot. A model that ties on all
choices gets 0, since the first choice wins a tie.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from collections.abc import Iterable, Iterator

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task

TITLE = "SciQ"
METRICS = ("acc", "acc_norm")


def form(row: Row) -> Row:
    """question, support, the three distractors and then the answer, in the harness's order."""
    choices = [row["distractor1"], row["distractor2"], row["distractor3"], row["correct_answer"]]
    return {"question": row["question"], "support": row["support"], "choices": choices, "gold": 3}


SETS = (
    EvalSet(
        name="sciq", split="validation", rows=1000, licence="CC-BY-NC-3.0", folder="sciq/data.jsonl",
        digest="57793f82ab5d1623ac26085f4978f6f82da33a05145a41ebd375fae4cb5b13c8", form=form,
        shipped=olmo("hf_datasets/sciq/none/validation", "arrow"),
    ),
    olmes_set("sciq", "olmes-rc", 1000, "CC-BY-NC-3.0",
              "a7fc193c1795cf33935c049a9686a7633091aa974ce6723a7c03440fd2b40a95", "sciq/rc_5shot"),
    olmes_set("sciq", "olmes-mc", 1000, "CC-BY-NC-3.0",
              "a4277f619ab94cb2df8081c4325013441c8902ebdb9cc487f42f6b4b008c24e9", "sciq/mc_5shot"),
)  # fmt: skip


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for number, row in enumerate(own):
        question, choices = f"{row['support'].lstrip()}\nQuestion: {row['question']}", tuple(row["choices"])
        yield Sample(id=f"sciq/{number:04d}", question=question, choices=choices, target=row["gold"])


def samples() -> Iterator[Sample]:
    yield from read(rows("sciq", split="validation"))


def prompt(sample: Sample) -> str:
    return f"{sample.question}\nAnswer:"


PROTOCOLS = {
    "lm-eval-validation": Task(
        name="sciq", version=1, kind="choices", about="science exam questions with a supporting text",
        protocol="lm-eval-validation", samples=samples, prompt=prompt, pairs=each_choice(prompt), judge=judge(METRICS),
        metrics=METRICS, data="sciq", split="validation", licence="CC-BY-NC-3.0", paper="arXiv:1707.06209", size=1000,
        chance=0.25, source=ShotSource(read=read, rows=other_rows),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval-validation"]
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_per_char", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, bare=True
)
