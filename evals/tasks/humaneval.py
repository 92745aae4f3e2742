"""HumanEval: 164 hand-written Python problems; right when the completed function passes its tests.

Source: Chen et al. 2021, arXiv:2107.03374. Data: openai/human-eval (MIT), 164 problems, split test.
Protocols, each with the prompt bytes, stops and extraction of another tool (docs/protocols.md):
`openai`    the paper's: the prompt unchanged, five stop strings, up to 512 tokens
`lm-eval`   lm-evaluation-harness 0.4.13: the same with up to 1024 tokens
`bigcode-greedy`  the prompt, stripped, and the eight stop strings of bigcode-evaluation-harness 8fc5bae; the tool
            draws 200 texts at temperature 0.2, each of at most 512 tokens with the prompt
`evalplus`  EvalPlus 0.3.1 on the base tests: stripped plus one newline, its stops, sanitized
`healed`    `openai` with a healed boundary: the prompts end in a newline, which byte-pair
            tokenizers merge with the indentation after it, and some models continue such a prompt badly
`chat`      asked by chat, in the words of EvalPlus 0.3.1's message to an endpoint; prose around the program does not
            matter (`evals.scoring.chat_program`), up to 1024 tokens
`chat-instruct`  the same in the words of the harness's humaneval_instruct, whose begun answer is left out: it is a
            completion of the function, which leaves no place for a thought or prose
"""

from collections.abc import Iterator
from functools import partial

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Hub, Shipped, humaneval
from evals.datasets.load import rows
from evals.records import Decoding, Sample
from evals.sandbox import Program
from evals.scoring.answer import cut, cut_at
from evals.scoring.chat_program import hoist_future, read_program
from evals.scoring.sanitize import sanitize
from evals.task import Task, bare_question

TITLE = "HumanEval"
ALIASES = ("human_eval",)
SETS = (
    EvalSet(
        name="humaneval", split="test", rows=164, licence="MIT", folder="humaneval/data.jsonl",
        digest="3c3148615a7e25da87784ec03b5f3bc3d168e8b129d72dcbfe05380056182f53", form=humaneval,
        shipped=Shipped(package="human_eval", distribution="human-eval", path="data/HumanEval.jsonl.gz", form="jsonl"),
        hub=Hub(repo="openai/openai_humaneval", file="openai_humaneval/test-00000-of-00001.parquet",
                revision="7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544"),
    ),
)  # fmt: skip
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")  # Chen et al., section 3.2
BIGCODE_STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>")
EVALPLUS_ANY = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
INSTRUCTION = (  # EvalPlus 0.3.1, codegen.py
    "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
)
EVALPLUS_STOPS = (*EVALPLUS_ANY, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")


def read_samples(name: str) -> Iterator[Sample]:
    """The samples of HumanEval, or of another set of its form."""
    for row in rows(name):
        data = {"test": row["test"], "entry_point": row["entry_point"], "solution": row["canonical_solution"]}
        yield Sample(id=row["task_id"], question=row["prompt"], target=row["entry_point"], data=data)


def stripped(sample: Sample) -> str:
    """The problem without white space at either end."""
    return sample.question.strip()


def stripped_line(sample: Sample) -> str:
    """The problem without white space at either end, plus one newline."""
    return sample.question.strip() + "\n"


def extract_sanitized(sample: Sample, text: str) -> str:
    """The whole program that EvalPlus would run, from the prompt and the text."""
    written = cut(text, EVALPLUS_STOPS).replace("\t", "    ")
    return sanitize(stripped_line(sample) + written, sample.data["entry_point"])


def prompt_chat(sample: Sample) -> str:
    """The message that EvalPlus sends to a chat endpoint."""
    return f"{INSTRUCTION}\n```python\n{sample.question.strip()}\n```"


def prompt_instruct(sample: Sample) -> str:
    """The message of the harness's humaneval_instruct."""
    message = "Write a solution to the following problem and make sure that it passes the tests:"
    return f"{message}\n```python\n{sample.question}\n```\n"


def extract_chat(sample: Sample, text: str) -> str | None:
    """The program in a chat answer, which may continue the problem's function."""
    return read_program(text, sample.data["entry_point"], stub=sample.question)


def program(sample: Sample, answer: str) -> Program:
    test, entry = sample.data["test"], sample.data["entry_point"]
    return Program(id=sample.id, prompt=sample.question, completion=answer, test=test, entry_point=entry)


def program_stripped(sample: Sample, answer: str) -> Program:
    return replace(program(sample, answer), prompt=stripped(sample))


def gold(sample: Sample) -> str:
    return str(sample.data["solution"])


def gold_stripped(sample: Sample) -> str:
    return "\n" + gold(sample)


def gold_chat(sample: Sample) -> str:
    return f"Here is the function:\n\n```python\n{sample.question}{gold(sample)}```\n\nIt passes the tests."


def make_chat(task: Task, about: str) -> Task:
    """The protocol `chat` of a task of HumanEval's form: an answer's program runs after its problem, as `task` runs it.

    So it may use the imports and helpers of its problem.
    """
    assert task.program is not None
    as_completed = task.program

    def after_problem(sample: Sample, answer: str) -> Program:
        future, rest = hoist_future(answer)
        completed = as_completed(sample, f"\n{rest}\n")
        return replace(completed, prompt=future + completed.prompt)

    return replace(
        task, about=about, protocol="chat", chat=True, version=2, prompt=prompt_chat, extract=extract_chat,
        program=after_problem, gold=gold_chat, decoding=Decoding(max_tokens=1024),
    )  # fmt: skip


OPENAI = Task(
    name="humaneval", version=1, kind="code", about="164 Python functions to complete, run against their tests",
    protocol="openai", samples=partial(read_samples, "humaneval"), prompt=bare_question, extract=cut_at(STOPS),
    program=program, gold=gold, metrics=("pass@1",), decoding=Decoding(max_tokens=512, stop=STOPS), data="humaneval",
    split="test", licence="MIT", paper="arXiv:2107.03374", size=164, chance=0.0,
)  # fmt: skip
LM_EVAL = replace(OPENAI, protocol="lm-eval", decoding=Decoding(max_tokens=1024, stop=STOPS))
BIGCODE = replace(
    OPENAI, protocol="bigcode-greedy", prompt=stripped, extract=cut_at(BIGCODE_STOPS), program=program_stripped,
    gold=gold_stripped, decoding=Decoding(max_tokens=512, stop=BIGCODE_STOPS),
)  # fmt: skip
EVALPLUS = replace(
    OPENAI, protocol="evalplus", prompt=stripped_line, extract=extract_sanitized,
    decoding=Decoding(max_tokens=768, stop=EVALPLUS_STOPS),
)  # fmt: skip
HEALED = replace(OPENAI, protocol="healed", decoding=Decoding(max_tokens=512, stop=STOPS, boundary="healed"))
CHAT = make_chat(OPENAI, "164 Python functions asked by chat, run against their tests")
INSTRUCT = replace(CHAT, protocol="chat-instruct", prompt=prompt_instruct)
PROTOCOLS = {task.protocol: task for task in (OPENAI, LM_EVAL, BIGCODE, EVALPLUS, HEALED, CHAT, INSTRUCT)}
