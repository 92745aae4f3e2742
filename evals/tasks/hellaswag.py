"""HellaSwag: 10,042 beginnings of a scene, four endings each, three of them machine-written.

Source: Zellers et al. 2019, arXiv:1905.07830. Data: Rowan/hellaswag, split validation (MIT).
Protocol `lm-eval`: `activity: context` and each ending after one space, both cleaned of WikiHow's
brackets, 0-shot, as in lm-evaluation-harness 0.4.13 (hellaswag, version 1): acc and acc_norm.
Several beginnings come from one video or article. These sources are clusters: they are some of many.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

import re
from collections.abc import Iterable, Iterator

from evals.datasets.forms import EvalSet, Hub, Row, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task, bare_question

TITLE = "HellaSwag"
ALIASES = ("hella_swag",)
METRICS = ("acc", "acc_norm")


def form(row: Row) -> Row:
    """activity, the two parts of the context, four endings, index of the right one."""
    keep = {key: row[key] for key in ("ind", "activity_label", "ctx_a", "ctx_b", "source_id")}
    return {**keep, "choices": list(row["endings"]), "gold": int(row["label"])}


SETS = (
    EvalSet(
        name="hellaswag", split="validation", rows=10042, licence="MIT", folder="hellaswag/data.jsonl",
        digest="3bd13ca05c74986800f920da0e07e89b030bee7df7a5d16e3ef9fea9ded0842a", form=form,
        shipped=olmo("hf_datasets/hellaswag/none/validation", "arrow"),
        hub=Hub(repo="Rowan/hellaswag", file="data/validation-00000-of-00001.parquet",
                revision="218ec52e09a7e7462a5400043bb9a69a41d06b76"),
    ),
    olmes_set("hellaswag", "olmes-rc", 10042, "MIT",
              "d32edf505c3641f8ab246fc790292c8b55851d3b24c2b41f35b821393e034155", "hellaswag/val_rc_5shot"),
    olmes_set("hellaswag", "olmes-mc", 10042, "MIT",
              "6b894521fd5295364c9c506414d536d83da5c7e750b2c416d464f4f2a514eb4a", "hellaswag/val_mc_5shot"),
)  # fmt: skip


def clean(text: str) -> str:
    """The text without the remains of WikiHow's markup.

    >>> clean(" Open it [title] Pull [substeps] the lid. ")
    'Open it. Pull the lid.'
    """
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for number, row in enumerate(own):
        question = clean(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}")
        choices = tuple(clean(ending) for ending in row["choices"])
        identity, cluster = f"hellaswag/{number:05d}", row["source_id"]
        yield Sample(id=identity, question=question, choices=choices, target=row["gold"], cluster=cluster)


def samples() -> Iterator[Sample]:
    yield from read(rows("hellaswag", split="validation"))


PROTOCOLS = {
    "lm-eval": Task(
        name="hellaswag", version=1, kind="choices", about="how a scene goes on, four endings", protocol="lm-eval",
        samples=samples, prompt=bare_question, pairs=each_choice(bare_question), judge=judge(METRICS), metrics=METRICS,
        data="hellaswag", split="validation", licence="MIT", paper="arXiv:1905.07830", size=10042, chance=0.25,
        source=ShotSource(read=read, rows=other_rows, spare=True),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval"]
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_per_char", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, bare=True, like=samples
)
