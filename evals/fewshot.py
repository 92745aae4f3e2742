"""A choice task with any number of examples, drawn as lm-evaluation-harness draws them: a protocol of its own.

`arc_easy@lm-eval-5` has five examples before each question, from split train; `arc_easy@lm-eval-5-validation` has
them from split validation, for which the harness needs `fewshot_split: validation`. The examples follow from the
rows alone: one Random(1234) draws for each question in turn. The fingerprint covers every prompt byte, so that rows of
another source give another column.

Source: lm-evaluation-harness 0.4.13, api/samplers.py (`ContextSampler`, `FirstNSampler`), api/task.py
(`fewshot_docs`, `fewshot_context`) and evaluator.py (the seed).
"""

import random
from collections.abc import Iterator, Sequence
from functools import cache, partial

from msgspec.structs import replace

from evals.datasets.forms import MissingSetError, Row
from evals.records import Sample
from evals.task import PromptParts, ShotSource, Task
from zoo.errors import ZooError

SEED = 1234
OTHER = "validation"  # the split that examples may come from where the harness's own is not available


def shots_task(task: Task, shots: int, split: str = "") -> Task:
    """The task with so many examples before each question, of a split; empty: that of the harness.

    Nothing is read here: `samples` raises MissingSetError where the split is not available, and ZooError where it has
    too few rows.
    Raises  ZooError for a task without a source of examples
    """
    source = task.source
    if source is None:
        own = f"its {task.shots} examples are part of it" if task.shots else "it has no rows to draw examples from"
        raise ZooError(
            f"{task.name}@{task.protocol} takes no --shots: {own}. 0-shot choice tasks do: phizoo eval tasks"
        )
    split = split or source.split
    suffix = "" if split == source.split else f"-{split}"
    parts = partial(_parts, task)
    return replace(
        task, protocol=f"{task.protocol}-{shots}{suffix}", shots=shots, source=None,
        samples=partial(_samples, task, source, split, shots), pairs=partial(_pairs, task),
        parts=parts if task.prompt is not None else None,
        prompt=(lambda sample: parts(sample).text()) if task.prompt is not None else None,
    )  # fmt: skip


def splits_of(task: Task) -> tuple[str, ...]:
    """The splits that examples may come from, the harness's first."""
    own = task.source.split if task.source is not None else ""
    return (own, OTHER) if OTHER not in (own, task.split) else (own,)


def check_rows(task: Task, shots: int, split: str = "") -> None:
    """Raises MissingSetError where no place has the rows of a split (empty: the harness's), with what is available."""
    own, *others = splits_of(task)
    split = split or own
    try:
        _rows(task, split)
    except MissingSetError as error:
        also = [other for other in others if other != split and is_available(task, other)]
        instead = [f"examples from split {other} are available: {_spec(task, shots, other)}" for other in also]
        raise MissingSetError(
            f"{_spec(task, shots, '' if split == own else split)} is not available: its examples come from split "
            f"{split}. {error}. 0-shot is available: {task.name}@{task.protocol}"
            + "".join(f"; {each}" for each in instead)
            + ". Or score it with lm-evaluation-harness and import its file: phizoo eval import FILE"
        ) from None


def is_available(task: Task, split: str) -> bool:
    """Whether some place has the rows of a split."""
    try:
        return bool(_rows(task, split))
    except MissingSetError:
        return False


def _rows(task: Task, split: str) -> Sequence[Row]:
    return task.source.rows(task.data, task.split, split) if task.source is not None else ()


def _spec(task: Task, shots: int, split: str) -> str:
    return f"{task.name}@{task.protocol}-{shots}" + (f"-{split}" if split else "")


def draw_indices(pool: Sequence[Row], asked: Sequence[Row], shots: int, spare: bool) -> Iterator[list[int]]:
    """The examples of each question as places in the pool, by one generator for all questions.

    spare  one more is drawn, and those that equal the question itself are left out
    """
    draw = random.Random(SEED)  # noqa: S311 - the harness's own draws
    for row in asked:
        if not spare:
            yield draw.sample(range(len(pool)), shots)
            continue
        drawn = [place for place in draw.sample(range(len(pool)), shots + 1) if pool[place] != row][:shots]
        if len(drawn) < shots:
            drawn = draw.sample([place for place, other in enumerate(pool) if other != row], shots)
        yield drawn


def _samples(task: Task, source: ShotSource, split: str, shots: int) -> Iterator[Sample]:
    pool = _rows(task, split)
    made = list(source.read(pool))
    written = cache(lambda place: _write_shot(task, made[place]))  # one example stands before many questions
    samples = list(task.samples())
    least = shots + source.spare
    if source.first:
        first = {cluster: [at for at, each in enumerate(made) if each.cluster == cluster][:shots]
                 for cluster in {sample.cluster for sample in samples}}  # fmt: skip
        if (fewest := min(map(len, first.values()), default=shots)) < shots:
            raise ZooError(_too_few(task, split, shots, fewest))
        drawn: Iterator[list[int]] = (first[sample.cluster] for sample in samples)
    elif len(pool) < least:
        raise ZooError(_too_few(task, split, shots, len(pool)))
    else:
        drawn = draw_indices(pool, _rows(task, task.split), shots, source.spare)
    for sample, places in zip(samples, drawn, strict=True):
        yield replace(sample, data={**sample.data, "shots": [written(place) for place in places]})


def _too_few(task: Task, split: str, shots: int, there: int) -> str:
    return f"{task.name} has too few rows in split {split} to draw {shots} examples ({there}); give a smaller --shots"


def _write_shot(task: Task, shot: Sample) -> tuple[str, str]:
    """An example's question, without the task's description, and its right answer."""
    assert task.pairs is not None  # of choices
    context, answer = task.pairs(shot)[shot.target]
    return context.removeprefix(_description(task, shot)), answer.removeprefix(task.delimiter)


def _description(task: Task, sample: Sample) -> str:
    return task.parts(sample).description if task.parts is not None else ""


def _parts(task: Task, sample: Sample) -> PromptParts:
    own = task.parts(sample) if task.parts is not None else PromptParts(question="")
    if task.parts is None and task.prompt is not None:
        own = replace(own, question=task.prompt(sample))
    return replace(own, shots=tuple((asked, answer) for asked, answer in sample.data["shots"]))


def _pairs(task: Task, sample: Sample) -> tuple[tuple[str, str], ...]:
    """The task's own pairs, with the examples between its description and each context."""
    assert task.pairs is not None  # of choices
    description, examples = _description(task, sample), _parts(task, sample).examples
    return tuple(
        (f"{description}{examples}{context.removeprefix(description)}", text) for context, text in task.pairs(sample)
    )
