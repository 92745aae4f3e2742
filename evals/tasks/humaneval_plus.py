"""HumanEval+: HumanEval's 164 problems with about 80 times the tests; right when base and added inputs pass.

Source: Liu et al. 2023, arXiv:2305.01210. Data: evalplus/humanevalplus_release v0.1.10 (Apache-2.0).
Protocol `evalplus`: the prompt stripped plus one newline, EvalPlus 0.3.1's stops, greedy up to 768
tokens, sanitized; `evals.sandbox` compares the outputs with the reference's. Our verdict differs from
EvalPlus's only on problem 32, which EvalPlus fails for every solution (docs/protocols.md).
Protocol `chat`: the same tests, asked by chat as in `humaneval@chat`.
`humaneval@evalplus` has the prompts of `evalplus` with the base tests only.
"""

from collections.abc import Iterator
from functools import partial

from evals.datasets.forms import EvalSet
from evals.datasets.load import rows
from evals.records import Decoding, Sample
from evals.sandbox import Program
from evals.sandbox.judge.evalplus import make_test
from evals.task import Task
from evals.tasks.humaneval import EVALPLUS_STOPS, extract_sanitized, gold, make_chat, stripped_line

TITLE = "HumanEval+"
ALIASES = ("humanevalplus",)
SETS = (
    EvalSet(
        name="humaneval_plus", split="test", rows=164, licence="Apache-2.0", folder="humaneval_plus/data.jsonl",
        digest="bd2e2902a8fb536f6700fecf95ec399afb7e4e74277bca0ce7855abfea927c1b",
    ),
)  # fmt: skip


def read_samples(name: str) -> Iterator[Sample]:
    """The samples of one of EvalPlus's two sets."""
    for row in rows(name):
        kept = ("entry_point", "base_input", "plus_input", "atol")
        data = {**{key: row[key] for key in kept}, "solution": row["canonical_solution"]}
        yield Sample(id=row["task_id"], question=row["prompt"], target=row["entry_point"], data=data)


def program(sample: Sample, answer: str) -> Program:
    data = sample.data
    inputs = [*data["base_input"], *data["plus_input"]]
    text = make_test(sample.id, data["entry_point"], sample.question + data["solution"], inputs, data["atol"])
    return Program(
        id=sample.id, prompt=sample.question, completion=answer, test=text, entry_point=data["entry_point"],
        timeout_seconds=60.0, form="evalplus",  # EvalPlus's limit for all inputs of a problem
    )  # fmt: skip


EVALPLUS = Task(
    name="humaneval_plus", version=1, kind="code", about="HumanEval with many more inputs", protocol="evalplus",
    samples=partial(read_samples, "humaneval_plus"), prompt=stripped_line, extract=extract_sanitized,
    program=program, gold=gold, metrics=("pass@1",), decoding=Decoding(max_tokens=768, stop=EVALPLUS_STOPS),
    data="humaneval_plus", split="test", licence="Apache-2.0", paper="arXiv:2305.01210", size=164, chance=0.0,
)  # fmt: skip
PROTOCOLS = {"evalplus": EVALPLUS, "chat": make_chat(EVALPLUS, "HumanEval with many more inputs, asked by chat")}
