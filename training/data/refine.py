"""Filters, deduplicates and decontaminates a dataset in one go, and makes the table of what each step kept."""

from collections.abc import Sequence

from training.data.build import find
from training.data.decontaminate import decontaminate_dataset
from training.data.dedup.dedup import dedup_dataset
from training.data.quality.filter import FilterChoice, filter_dataset
from zoo.records import Dataset, Record


class RefineStep(Record, frozen=True):
    """One row of the table: the step's title, and the dataset after it."""

    title: str
    dataset: Dataset


def refine_dataset(source: str, name: str, choice: FilterChoice, tasks: Sequence[str], seed: int) -> list[RefineStep]:
    """The datasets NAME-filtered, NAME-dedup and NAME, each made from the one before or found finished."""
    filtered, single = f"{name}-filtered", f"{name}-dedup"
    return [
        RefineStep(title="unfiltered", dataset=find(source, ("documents",))),
        RefineStep(title="filtered", dataset=filter_dataset(source, filtered, choice, seed).dataset),
        RefineStep(title="deduplicated", dataset=dedup_dataset(filtered, single).dataset),
        RefineStep(title="decontaminated", dataset=decontaminate_dataset(single, name, tasks).dataset),
    ]


def markdown_table(steps: Sequence[RefineStep]) -> list[str]:
    """The table as Markdown lines. Tokens are words and punctuation marks: no tokenizer is chosen yet."""
    first = steps[0].dataset
    lines = ["| step | documents | share | tokens | share | dropped |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for step in steps:
        dataset = step.dataset
        stages = dataset.stages[-1:] if step is not steps[0] else ()
        dropped = "; ".join(f"{reason}: {count:,}" for stage in stages for reason, count in stage.dropped.items())
        lines.append(
            f"| {step.title} | {dataset.documents:,} | {dataset.documents / max(1, first.documents):.1%} "
            f"| {dataset.tokens:,} | {dataset.tokens / max(1, first.tokens):.1%} | {dropped or '-'} |"
        )
    return lines
