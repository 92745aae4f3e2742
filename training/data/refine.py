"""Filter, deduplicate and decontaminate in one go, and the table of what each step left."""

from collections.abc import Sequence

from training.data.build import find
from training.data.decontaminate import decontaminate_dataset
from training.data.dedup.dedup import dedup_dataset
from training.data.quality.filter import FilterChoice, filter_dataset
from zoo.records import Dataset, Record


class Step(Record, frozen=True):
    """One row of the table: what the data is called at this step, and what it then holds."""

    title: str
    dataset: Dataset


def refine(source: str, name: str, choice: FilterChoice, tasks: Sequence[str], seed: int) -> list[Step]:
    """The datasets NAME-filtered, NAME-dedup and NAME, made one from the other or found finished."""
    filtered, single = f"{name}-filtered", f"{name}-dedup"
    return [
        Step(title="unfiltered", dataset=find(source, ("documents",))),
        Step(title="filtered", dataset=filter_dataset(source, filtered, choice, seed).dataset),
        Step(title="deduplicated", dataset=dedup_dataset(filtered, single).dataset),
        Step(title="decontaminated", dataset=decontaminate_dataset(single, name, tasks).dataset),
    ]


def table(steps: Sequence[Step]) -> list[str]:
    """The table as Markdown lines. Tokens are words and punctuation marks: no tokenizer is chosen yet."""
    first = steps[0].dataset
    lines = [
        "| step | documents | share | tokens | share | dropped |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for step in steps:
        one = step.dataset
        last = one.stages[-1:] if step is not steps[0] else ()
        lost = "; ".join(f"{reason}: {count:,}" for stage in last for reason, count in stage.dropped.items())
        lines.append(
            f"| {step.title} | {one.documents:,} | {one.documents / max(1, first.documents):.1%} "
            f"| {one.tokens:,} | {one.tokens / max(1, first.tokens):.1%} | {lost or '-'} |"
        )
    return lines
