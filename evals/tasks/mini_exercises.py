"""mini_exercises: 320 small functions to complete, held out from the template teacher's exercises.

Ours; Apache-2.0. `training.data` makes them from a separate seed, and they are pinned here. Every
training set of that teacher is checked to contain none of them (same prompt, or same solution up to
names). They measure models of a few million parameters, which score 0 on HumanEval.
The prompts end right after the docstring's quotes, not in a newline: the same trained model solved
0 of 300 with the newline and 202 of 300 without it, since the tokenizer merges it with the indentation.
Protocol `chat` asks by chat, as `humaneval@chat` does.
Version 2 tests borders: each constant k with inputs at k-1, k and k+1. Its tests kill 98 of 101 mutants that swap
`<` and `<=` or `>` and `>=`, and 1,331 of 1,359 with constants off by one and swapped `+` and `-`. Version 1's killed
46 of 102, and 1,120 of 1,362. Most mutants that are left compute the same.
"""

from functools import partial

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Shipped, humaneval
from evals.records import Decoding
from evals.scoring.answer import cut_at
from evals.task import Task, bare_question
from evals.tasks.humaneval import gold, make_chat, program, read_samples

TITLE = "Mini exercises"
SETS = (
    EvalSet(
        name="mini_exercises", split="test", rows=320, licence="Apache-2.0", folder="mini_exercises/data.jsonl",
        digest="21ae5bb2c8009ad062baef05f1629502971d989e0cad24e60cc010c01a493575", form=humaneval,
        shipped=Shipped(package="evals", distribution="phi-zoo", path="tasks/mini_exercises.jsonl", form="jsonl"),
    ),
)  # fmt: skip
STOPS = ("\ndef", "\nclass", "\n#", "\nif", "\nprint", "\nassert", "\n\n\n")

PHIZOO = Task(
    name="mini_exercises", version=2, kind="code",
    about="320 small held-out functions of the template teacher, run against their tests",
    samples=partial(read_samples, "mini_exercises"), prompt=bare_question, extract=cut_at(STOPS), program=program,
    gold=gold, metrics=("pass@1",), decoding=Decoding(max_tokens=160, stop=STOPS), data="mini_exercises",
    split="test", licence="Apache-2.0", paper="this project", size=320, chance=0.0,
)  # fmt: skip
CHAT = replace(make_chat(PHIZOO, "320 small held-out functions asked by chat, run against their tests"), version=3)
PROTOCOLS = {"phizoo": PHIZOO, "chat": CHAT}
