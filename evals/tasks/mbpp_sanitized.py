"""MBPP sanitized: the 257 of MBPP's test tasks that were checked by hand and reworded.

Source: Austin et al. 2021, arXiv:2108.07732, section 2.1. Data: google-research/mbpp, sanitized, task ids 11
to 510 of its 427 (CC-BY-4.0).
Protocol `austin`: the paper's prompt with all asserts, 3 shots (task ids 2, 3, 4 of the same set), until
"[DONE]". The imports of the tests run before them. Protocol `chat` asks by chat, as `mbpp@chat` does.
"""

import re
from collections.abc import Iterator
from functools import cache

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Row
from evals.datasets.load import rows
from evals.records import Decoding, Sample
from evals.scoring.answer import cut_at
from evals.task import Task
from evals.tasks.mbpp import SHOTS, STOPS, extract_chat, gold, gold_chat, message, program

TITLE = "MBPP sanitized"
SETS = (
    EvalSet(
        name="mbpp_sanitized", split="full", rows=427, licence="CC-BY-4.0", folder="mbpp_sanitized/data.jsonl",
        digest="0a16f33d2b664db4e3a55acceaf7aad487e1841828174a7ee91734501e9de00f",
    ),
)  # fmt: skip


def write_question(row: Row) -> str:
    """One problem in the words of the prompt: the task and all its tests."""
    tests = "\n".join(row["test_list"])
    return (
        f"You are an expert Python programmer, and here is your task: {row['prompt']} "
        f"Your code should pass these tests:\n\n{tests}\n[BEGIN]\n"
    )


@cache
def shots() -> str:
    """The solved problems before each prompt."""
    by_id = {row["task_id"]: row for row in rows("mbpp_sanitized", split="full")}
    return "".join(f"{write_question(by_id[number])}{by_id[number]['code']}\n[DONE]\n\n" for number in SHOTS)


def samples() -> Iterator[Sample]:
    for row in rows("mbpp_sanitized", split="full"):
        if 11 <= row["task_id"] <= 510:
            names = re.findall(r"^def (\w+)", row["code"], re.M)
            entry = next((name for name in names if f"{name}(" in row["test_list"][0]), "")
            tests = [*row["test_imports"], *row["test_list"]]
            data = {"tests": tests, "solution": row["code"], "entry_point": entry, "docstring": row["prompt"]}
            yield Sample(id=f"mbpp_sanitized/{row['task_id']}", question=write_question(row), data=data)


def prompt(sample: Sample) -> str:
    return shots() + sample.question


def prompt_chat(sample: Sample) -> str:
    """The message of `mbpp@chat` over this set's words and all its tests."""
    return message(sample.data["docstring"], sample.data["tests"])


AUSTIN = Task(
    name="mbpp_sanitized", version=1, kind="code", about="257 checked tasks in words, run against their asserts",
    protocol="austin", samples=samples, prompt=prompt, extract=cut_at(STOPS), program=program, gold=gold,
    metrics=("pass@1",), shots=3, decoding=Decoding(max_tokens=256, stop=STOPS), data="mbpp_sanitized",
    split="full", licence="CC-BY-4.0", paper="arXiv:2108.07732", size=257, chance=0.0,
)  # fmt: skip
CHAT = replace(
    AUSTIN, about="257 checked tasks asked by chat, run against their asserts", protocol="chat", chat=True, version=2,
    prompt=prompt_chat, extract=extract_chat, gold=gold_chat, shots=0, decoding=Decoding(max_tokens=1024),
)  # fmt: skip
PROTOCOLS = {"austin": AUSTIN, "chat": CHAT}
