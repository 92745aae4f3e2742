"""unconventional: 25 problems that no textbook has, in HumanEval's form with unit tests.

Ours; Apache-2.0. After phi-1 (arXiv:2306.11644, section 4): problems that are unlikely to be in any
training set, since each combines rules that are not usually combined. The paper's 50 problems and its
grader's prompt are not published; it had no tests, only a grade. Here `phizoo eval run` runs the tests, and
`phizoo eval judge` asks a judge model for a grade from 0 to 10 and reports how well the two agree.
25 problems separate models only coarsely: the interval of a score is about 40 points wide.
Protocol `chat` asks by chat, as `humaneval@chat` does.
"""

from functools import partial

from evals.datasets.forms import EvalSet, Shipped, humaneval
from evals.records import Decoding
from evals.scoring.answer import cut_at
from evals.task import Task, bare_question
from evals.tasks.humaneval import gold, make_chat, program, read_samples

TITLE = "Unconventional 25"
SETS = (
    EvalSet(
        name="unconventional", split="test", rows=25, licence="Apache-2.0", folder="unconventional/data.jsonl",
        digest="d1f53123a97d2bc61b68f8ef8843a834b0cef868288a332886c2a4fcf4d0b6db", form=humaneval,
        shipped=Shipped(package="evals", distribution="phi-zoo", path="tasks/unconventional.jsonl", form="jsonl"),
    ),
)  # fmt: skip
STOPS = ("\ndef", "\nclass", "\n#", "\nif", "\nprint", "\nassert")

PHIZOO = Task(
    name="unconventional", version=1, kind="code",
    about="25 problems unlike any textbook's, run against their tests; also graded by a model",
    samples=partial(read_samples, "unconventional"), prompt=bare_question, extract=cut_at(STOPS), program=program,
    gold=gold, metrics=("pass@1",), decoding=Decoding(max_tokens=384, stop=STOPS), data="unconventional",
    split="test", licence="Apache-2.0", paper="this project", size=25, chance=0.0,
)  # fmt: skip
CHAT = make_chat(PHIZOO, "25 problems unlike any textbook's, asked by chat; also graded by a model")
PROTOCOLS = {"phizoo": PHIZOO, "chat": CHAT}
