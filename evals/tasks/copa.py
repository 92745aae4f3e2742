"""COPA: 100 premises, each with two possible causes or effects, one of them more plausible.

Source: Roemmele et al. 2011; as in SuperGLUE, arXiv:1905.00537, split validation (BSD-2-Clause).
Protocol `lm-eval`: the premise without its full stop, "because" or "therefore", and each choice in
lower case after two spaces (one belongs to the choice, the other is the delimiter), 0-shot, as in
lm-evaluation-harness 0.4.13 (copa, version 1): only acc.
"""

from collections.abc import Iterable, Iterator

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import other_rows, rows
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task, bare_question

TITLE = "COPA"
SETS = (
    EvalSet(
        name="copa", split="validation", rows=100, licence="BSD-2-Clause", folder="copa/data.jsonl",
        digest="c2a8e652cecf803f24c511de99ff128092feb574a4a3c3fcd75b8abd2f375561",
        shipped=olmo("hf_datasets/super_glue/copa/validation", "arrow"),
    ),
)  # fmt: skip
METRICS = ("acc",)
CONNECTORS = {"cause": "because", "effect": "therefore"}


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for row in own:
        question = f"{row['premise'].strip()[:-1]} {CONNECTORS[row['question']]}"
        choices = tuple(f" {text[0].lower()}{text[1:]}" for text in (row["choice1"], row["choice2"]))
        yield Sample(id=f"copa/{row['idx']:03d}", question=question, choices=choices, target=row["label"])


def samples() -> Iterator[Sample]:
    yield from read(rows("copa", split="validation"))


PROTOCOLS = {
    "lm-eval": Task(
        name="copa", version=1, kind="choices", about="the likelier cause or effect, two choices", protocol="lm-eval",
        samples=samples, prompt=bare_question, pairs=each_choice(bare_question), judge=judge(METRICS), metrics=METRICS,
        data="copa", split="validation", licence="BSD-2-Clause", paper="arXiv:1905.00537", size=100, chance=0.5,
        source=ShotSource(read=read, rows=other_rows, spare=True),
    ),
}  # fmt: skip
