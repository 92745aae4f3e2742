"""LAMBADA: 5,153 passages whose last word a person guesses from the whole, not from the last sentence.

Source: Paperno et al. 2016, arXiv:1606.06031. Data: OpenAI's cased version, split test (CC-BY-4.0).
Protocol `lm-eval`: the passage up to its last space, and the last word after one space, as in
lm-evaluation-harness 0.4.13 (lambada_openai, version 1). acc: the word is what greedy decoding
gives. Its second figure, perplexity, is no mean of 0..1 and is not given as a score.
There is one continuation and no choice among several, so chance is 0.
"""

from collections.abc import Iterator

from evals.datasets.forms import EvalSet
from evals.datasets.load import rows
from evals.records import Choice, Sample, Scored
from evals.task import Task

TITLE = "LAMBADA"
ALIASES = ("lambada_openai",)
SETS = (
    EvalSet(
        name="lambada_openai",
        split="test",
        rows=5153,
        licence="MIT",
        folder="lambada_openai/data.jsonl",
        digest="0fffbad105a51dfc568167c191f3676207b677aa1341951b77f174f0f22c2cca",
    ),
)


def samples() -> Iterator[Sample]:
    for number, row in enumerate(rows("lambada_openai")):
        context, word = row["text"].rsplit(" ", 1)
        yield Sample(id=f"lambada/{number:04d}", question=context, choices=(word,), target=0)


def prompt(sample: Sample) -> str:
    return sample.question


def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    return ((sample.question, f" {sample.choices[0]}"),)


def judge(sample: Sample, read: tuple[Choice, ...]) -> Scored:
    told = "greedy" if read[0].greedy else "not greedy"
    return Scored(metrics={"acc": float(read[0].greedy)}, detail=f"{sample.choices[0]!r} is {told}")


PROTOCOLS = {
    "lm-eval": Task(
        name="lambada",
        version=1,
        kind="choices",
        about="the last word of a passage",
        protocol="lm-eval",
        samples=samples,
        prompt=prompt,
        pairs=pairs,
        judge=judge,
        metrics=("acc",),
        data="lambada_openai",
        split="test",
        licence="CC-BY-4.0",
        paper="arXiv:1606.06031",
        size=5153,
        chance=0.0,
    )
}
