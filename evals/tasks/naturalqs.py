"""Natural Questions, open: questions that people asked a search engine, answered without a text.

Source: Kwiatkowski et al. 2019 (TACL 7), and Lee et al. 2019, arXiv:1906.00300, who chose those with short answers.
Data: split validation (CC-BY-SA-3.0).
Protocols:
`olmes`    the prompts of `evals.olmes_written`, 5-shot, for 1,000 of 3,610 questions, chosen by AI2's seed. The
           package has them for the bits of a gold answer only; the prompt is the same. `f1` and `em` by DROP's rules
           (`evals.scoring.drop`), as AI2 does, the best over the accepted answers
`lm-eval`  lm-evaluation-harness 0.4.13 (nq_open, version 4): `Q: …?` after "Answer these questions:", 0-shot, to the
           end of the line, a full stop or a comma, for all 3,610; exact match with one of the accepted answers
           without case, punctuation and articles. The articles are removed before the case is, wherever one of
           "The ", "the ", "An ", "A ", "a ", "an " begins a word
"""

import re
from collections.abc import Iterator

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import rows
from evals.olmes_written import PROTOCOL, extract, gold, written_set, written_task
from evals.records import Decoding, Sample, Scored
from evals.scoring.drop import compare_with_spans
from evals.task import PromptParts, Task
from evals.tasks.trivia_qa import plain

TITLE = "Natural Questions"
ALIASES = ("naturalqs_open", "nq_open", "nq", "natural_questions")
ARTICLES = re.compile(r"\b(?:The |the |An |A |a |an )")


def form(row: Row) -> Row:
    """question, accepted answers."""
    return {"question": row["question"], "answers": list(row.get("answers") or row["answer"])}


SETS = (
    written_set(
        "naturalqs", 1000, "CC-BY-SA-3.0",
        "a5e6945f012ce6556c2724399f2dfdb6a67a8c8160443590d75f129b39b68d75", "naturalqs_open/bpb_5shot",
        partial="1,000 of 3,610 questions"
    ),
    EvalSet(
        name="naturalqs", split="validation", rows=3610, licence="CC-BY-SA-3.0", folder="naturalqs/data.jsonl",
        digest="156b7fa61cd22f90b8c708f94abfe5ee806189c69a50bad4e87b903d31f81731", form=form,
        shipped=olmo("hf_datasets/nq_open/none/validation", "arrow"),
    ),
)  # fmt: skip


def score(sample: Sample, answer: str) -> Scored:
    exact, f1 = compare_with_spans(answer, [[right] for right in sample.target])
    return Scored(metrics={"f1": f1, "em": exact}, detail=f"read {answer!r}, right is {sample.target[0]!r}")


def samples() -> Iterator[Sample]:
    for number, row in enumerate(rows("naturalqs", split="validation")):
        yield Sample(id=f"naturalqs/{number:04d}", question=row["question"], target=row["answers"])


def parts(sample: Sample) -> PromptParts:
    return PromptParts(question=f"Q: {sample.question}?\nA:", description="Answer these questions:\n\n")


def prompt(sample: Sample) -> str:
    return parts(sample).text()


def score_exact(sample: Sample, answer: str) -> Scored:
    names = [ARTICLES.sub("", right) for right in sample.target]
    mine, widest = ARTICLES.sub("", answer), max(map(len, names))
    right = float(plain(mine, len(mine)) in {plain(name, widest) for name in names})
    return Scored(metrics={"exact_match": right}, detail=f"read {answer!r}, right is {sample.target[0]!r}")


OLMES: Task = replace(
    written_task(
        SETS[0], about="questions that people asked a search engine", paper="arXiv:1906.00300", shots=5, chance=0.0,
        stop=("Question:", "Q:", "\n\n"),
    ),
    metrics=("f1", "em"), score=score,
)  # fmt: skip
LM_EVAL: Task = replace(
    OLMES, protocol="lm-eval", samples=samples, prompt=prompt, parts=parts, extract=extract, score=score_exact,
    gold=gold, metrics=("exact_match",), shots=0, decoding=Decoding(max_tokens=256, stop=("\n", ".", ",")),
    split="validation", size=3610,
)  # fmt: skip
PROTOCOLS = {PROTOCOL: OLMES, "lm-eval": LM_EVAL}
