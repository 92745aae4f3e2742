"""MBPP+: 378 checked tasks of MBPP with many more inputs; right when base and added inputs pass.

Source: Liu et al. 2023, arXiv:2305.01210. Data: evalplus/mbppplus_release v0.2.0 (Apache-2.0).
Protocols, all with EvalPlus 0.3.1's prompt (a docstring with one assert, 0-shot; not the Austin
prompt of `mbpp`), its stops, greedy up to 768 tokens, sanitized, compared with the reference (`chat` has neither):
`evalplus`       base and added inputs
`evalplus-base`  the base inputs only, which EvalPlus calls MBPP
`chat`           the same prompt in the words of EvalPlus's message to an endpoint; base and added inputs; prose around
                 the program does not matter (`evals.scoring.chat_program`), up to 1024 tokens
The sanitizer of the first two drops functions without `return`, and so the generator that the reference of task 630
calls: that reference fails here as in EvalPlus.
"""

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from evals.datasets.forms import EvalSet
from evals.records import Decoding, Sample
from evals.sandbox import Program
from evals.sandbox.judge.evalplus import make_test
from evals.scoring.answer import cut
from evals.scoring.chat_program import read_program
from evals.scoring.sanitize import sanitize
from evals.task import Task
from evals.tasks.humaneval import EVALPLUS_ANY, gold, prompt_chat
from evals.tasks.humaneval_plus import read_samples
from evals.tasks.mbpp import gold_chat

TITLE = "MBPP+"
ALIASES = ("mbppplus",)
SETS = (
    EvalSet(
        name="mbpp_plus", split="test", rows=378, licence="Apache-2.0", folder="mbpp_plus/data.jsonl",
        digest="9d3aa76266a0013eda5d6ea2ccecdff7e06e109113f247b68ddb5677ed347af8",
    ),
)  # fmt: skip
STOPS = (*EVALPLUS_ANY, '\n"""', "\nassert")


def prompt(sample: Sample) -> str:
    return sample.question.strip() + "\n"


def extract(sample: Sample, text: str) -> str:
    return sanitize(prompt(sample) + cut(text, STOPS).replace("\t", "    "), sample.data["entry_point"])


def extract_chat(sample: Sample, text: str) -> str | None:
    """The program in a chat answer."""
    return read_program(text, sample.data["entry_point"])


def program(parts: tuple[str, ...]) -> Callable[[Sample, str], Program]:
    def made(sample: Sample, answer: str) -> Program:
        data = sample.data
        inputs = [given for part in parts for given in data[part] or ()]
        text = make_test(sample.id, data["entry_point"], data["solution"], inputs, data["atol"])
        return Program(
            id=sample.id, prompt="", completion=answer, test=text, entry_point=data["entry_point"],
            timeout_seconds=60.0, form="evalplus",  # EvalPlus's limit for all inputs of a problem
        )  # fmt: skip

    return made


EVALPLUS = Task(
    name="mbpp_plus", version=1, kind="code", about="short tasks in words with many more inputs", protocol="evalplus",
    samples=partial(read_samples, "mbpp_plus"), prompt=prompt, extract=extract,
    program=program(("base_input", "plus_input")), gold=gold, metrics=("pass@1",),
    decoding=Decoding(max_tokens=768, stop=STOPS), data="mbpp_plus", split="test", licence="Apache-2.0",
    paper="arXiv:2305.01210", size=378, chance=0.0,
)  # fmt: skip
BASE = replace(EVALPLUS, protocol="evalplus-base", program=program(("base_input",)))
CHAT = replace(
    EVALPLUS, about="short tasks asked by chat, with many more inputs", protocol="chat", chat=True, version=2,
    prompt=prompt_chat, extract=extract_chat, gold=gold_chat, decoding=Decoding(max_tokens=1024),
)  # fmt: skip
PROTOCOLS = {"evalplus": EVALPLUS, "evalplus-base": BASE, "chat": CHAT}
