"""IFEval: 541 prompts with 834 instructions that plain code can verify, of 25 kinds.

Source: Zhou et al. 2023, arXiv:2311.07911. Data: google/IFEval, 541 prompts (Apache-2.0).
Protocol `lm-eval`: lm-evaluation-harness 0.4.13 (ifeval, version 4): the prompt as it is, greedy, no stop, up to
1,280 tokens. It is meant for chat models: `--chat` asks by the checkpoint's template, in a column of its own.

prompt_strict  all instructions of a prompt are followed
inst_strict    instructions that are followed, of all: a mean over 834 instructions in 541 clusters, the prompts
prompt_loose, inst_loose  the same if the response may first lose its first line, its last line and its asterisks
"""

from collections.abc import Iterator
from typing import Any

from evals.datasets.forms import EvalSet, Row
from evals.datasets.load import rows
from evals.records import Decoding, Sample, Scored
from evals.scoring.instruction_answers import write_answer
from evals.scoring.instructions import follows, follows_loosely
from evals.scoring.language import check_libraries
from evals.task import Task, bare_question

TITLE = "IFEval"
METRICS = ("prompt_strict", "inst_strict", "prompt_loose", "inst_loose")


def form(row: Row) -> Row:
    """key, prompt, kinds of instruction, and the arguments of each, without those that are not its own (None)."""
    arguments = [{name: value for name, value in given.items() if value is not None} for given in row["kwargs"]]
    return {"key": row["key"], "prompt": row["prompt"], "kinds": list(row["instruction_id_list"]), "kwargs": arguments}


SETS = (
    EvalSet(
        name="ifeval", split="train", rows=541, licence="Apache-2.0", folder="ifeval/data.jsonl",
        digest="724963c34721bc440566e51af9297ad3809a93ec18321f2e8949ec74b5ef2b81", form=form,
    ),
)  # fmt: skip


def samples() -> Iterator[Sample]:
    for row in rows("ifeval", split="train"):
        data = {"arguments": row["kwargs"]}
        yield Sample(id=f"ifeval/{row['key']}", question=row["prompt"], target=row["kinds"], data=data)


def instructions(sample: Sample) -> list[tuple[str, dict[str, Any]]]:
    """Each instruction of a prompt: its kind and its arguments."""
    return list(zip(sample.target, sample.data["arguments"], strict=True))


def trials(sample: Sample) -> dict[str, int]:
    """Instructions of a prompt, under each metric that counts instructions."""
    return dict.fromkeys(("inst_strict", "inst_loose"), len(sample.target))


def extract(sample: Sample, text: str) -> str:
    return text


def score(sample: Sample, answer: str) -> Scored:
    strict = tuple(float(follows(kind, answer, arguments)) for kind, arguments in instructions(sample))
    loose = tuple(
        followed or float(follows_loosely(kind, answer, arguments))
        for followed, (kind, arguments) in zip(strict, instructions(sample), strict=True)
    )
    values = (float(all(strict)), sum(strict) / len(strict), float(all(loose)), sum(loose) / len(loose))
    missed = ", ".join(kind for kind, followed in zip(sample.target, strict, strict=True) if not followed)
    detail = f"{int(sum(strict))} of {len(strict)} followed" + (f"; not: {missed}" if missed else "")
    outcomes = {"inst_strict": strict, "inst_loose": loose}
    return Scored(metrics=dict(zip(METRICS, values, strict=True)), trials=outcomes, detail=detail)


def gold(sample: Sample) -> str | None:
    return write_answer(instructions(sample))


PROTOCOLS = {
    "lm-eval": Task(
        name="ifeval", version=1, kind="generate", about="instructions that code can verify", protocol="lm-eval",
        samples=samples, prompt=bare_question, extract=extract, score=score, gold=gold, metrics=METRICS,
        trials=trials, needs=check_libraries, decoding=Decoding(max_tokens=1280), data="ifeval", split="train",
        licence="Apache-2.0", paper="arXiv:2311.07911", size=541, chance=0.11,  # one short sentence to every prompt
    ),
}  # fmt: skip
