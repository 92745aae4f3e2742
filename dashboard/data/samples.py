"""Filters a run's samples, finds where each answer ends, diffs two runs' texts, and rebuilds the prompts."""

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.records import Result
from zoo.errors import ZooError
from zoo.records import Record

if TYPE_CHECKING:
    from evals.records import Run

VERDICTS = ("passed", "failed", "read", "timeout", "error", "unscored")


class SampleQuery(Record, frozen=True):
    """A sample's exact prompt, the tests or target that its verdict rests on, and its choices."""

    prompt: str
    target: str
    choices: tuple[str, ...] = ()


class SampleFilter(Record, frozen=True):
    """The samples to show, by verdict (empty: all) and by words in id, thought, text, answer or detail.

    truncated  only samples whose prompt was cut or whose text ended at the token limit
    among      only these samples, such as those found in training data; None: all
    """

    verdicts: tuple[str, ...] = ()
    search: str = ""
    truncated: bool = False
    among: frozenset[str] | None = None


def filter_results(results: Sequence[Result], wanted: SampleFilter) -> list[int]:
    """The positions of the results that pass the filter, in order."""
    words = wanted.search.lower().split()

    def has_words(result: Result) -> bool:
        text = f"{result.sample}\n{result.thought}\n{result.text}\n{result.answer or ''}\n{result.detail}".lower()
        return all(word in text for word in words)

    def passes(result: Result) -> bool:
        return (
            (not wanted.verdicts or result.verdict in wanted.verdicts)
            and (not wanted.truncated or bool(result.truncated) or result.finish == "length")
            and (wanted.among is None or result.sample in wanted.among)
            and (not words or has_words(result))
        )

    return [position for position, result in enumerate(results) if passes(result)]


def count_verdicts(results: Sequence[Result]) -> dict[str, int]:
    """The number of results with each verdict."""
    counts = Counter(result.verdict for result in results)
    return {verdict: counts[verdict] for verdict in VERDICTS}  # type: ignore[index]


def answer_end(result: Result) -> int:
    """Where the answer ends in the text that the model wrote; the text's length if all of it counts.

    >>> answer_end(Result(sample="s", draw=0, score=1.0, text="  return 1\\nclass A:", answer="  return 1"))
    10
    """
    answer = (result.answer or "").rstrip()
    start = result.text.find(answer) if answer else -1
    return start + len(answer) if start >= 0 else len(result.text)


def text_diff(result: Result, other: Result) -> str:
    """The unified diff of the texts of two results."""
    lines = difflib.unified_diff(
        result.text.splitlines(), other.text.splitlines(), "this run", "the other run", lineterm="", n=20
    )
    return "\n".join(lines)


def sample_queries(run: "Run") -> dict[str, SampleQuery]:
    """The prompt and tests of every sample of a run, rebuilt from its task.

    Raises  ZooError if the task or its data is missing, or if the task's prompts have changed since the run.
    """
    from evals.protocol import prompts_sha256, shown
    from evals.results.task_of_run import task_of_run

    task = task_of_run(run)
    samples = list(task.samples())
    if prompts_sha256(task, samples) != run.protocol["prompts_sha256"]:
        raise ZooError(f"the prompts of {run.task} have changed since this run, so they cannot be shown")
    queries = {}
    for sample in samples:
        tests = sample.data.get("test") or sample.data.get("tests")
        choices = "\n".join(f"{'→' if n == sample.target else ' '} {text}" for n, text in enumerate(sample.choices))
        queries[sample.id] = SampleQuery(
            prompt=shown(task, sample), target=str(tests or choices or sample.target), choices=tuple(sample.choices)
        )
    return queries
