"""LAMBADA: 5,153 passages whose last word people guess from the whole passage, not from its last sentence.

Source: Paperno et al. 2016, arXiv:1606.06031. Data: OpenAI's cased version, split test (CC-BY-4.0).
Protocol `lm-eval`: the passage up to its last space, and the last word after one space, as in
lm-evaluation-harness 0.4.13 (lambada_openai, version 1). acc: greedy decoding
gives the word. The harness's second figure, perplexity, is not a mean of values in 0..1, so it is no score here.
There is only one continuation to score, so chance is 0.
"""

from collections.abc import Iterator

from evals.datasets.forms import EvalSet
from evals.datasets.load import rows
from evals.records import Choice, Sample, Scored
from evals.task import Task, bare_question

TITLE = "LAMBADA"
ALIASES = ("lambada_openai",)
SETS = (
    EvalSet(
        name="lambada_openai", split="test", rows=5153, licence="MIT", folder="lambada_openai/data.jsonl",
        digest="0fffbad105a51dfc568167c191f3676207b677aa1341951b77f174f0f22c2cca",
    ),
)  # fmt: skip


def samples() -> Iterator[Sample]:
    for number, row in enumerate(rows("lambada_openai")):
        context, word = row["text"].rsplit(" ", 1)
        yield Sample(id=f"lambada/{number:04d}", question=context, choices=(word,), target=0)


def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    return ((sample.question, f" {sample.choices[0]}"),)


def judge(sample: Sample, read: tuple[Choice, ...]) -> Scored:
    kind = "greedy" if read[0].greedy else "not greedy"
    return Scored(metrics={"acc": float(read[0].greedy)}, detail=f"{sample.choices[0]!r} is {kind}")


PROTOCOLS = {
    "lm-eval": Task(
        name="lambada", version=1, kind="choices", about="the last word of a passage", protocol="lm-eval",
        samples=samples, prompt=bare_question, pairs=pairs, delimiter="", judge=judge, metrics=("acc",),
        data="lambada_openai", split="test", licence="CC-BY-4.0", paper="arXiv:1606.06031", size=5153, chance=0.0,
    ),
}  # fmt: skip
