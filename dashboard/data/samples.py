"""Filters a run's samples, says why each has its verdict, finds where each answer ends, and rebuilds the prompts."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.records import Result
from evals.scoring.choices import first_largest
from zoo.errors import ZooError
from zoo.records import Record

if TYPE_CHECKING:
    from evals.records import Run

VERDICTS = ("passed", "failed", "read", "timeout", "error", "unscored")


# "error" is the model's program at fault, "unscored" is ours
WORDS = {"passed": "passed", "failed": "failed", "read": "read", "timeout": "timed out", "error": "program broke",
         "unscored": "not scored"}  # fmt: skip
_DOCSTRING = re.compile(r"\"\"\"\s*(.+)|'''\s*(.+)")


class SampleQuery(Record, frozen=True):
    """A sample's exact prompt, the tests or target that its verdict rests on, its choices, and its first words.

    right  the index of the right choice
    """

    prompt: str
    target: str
    choices: tuple[str, ...] = ()
    right: int | None = None
    words: str = ""


class SampleFilter(Record, frozen=True):
    """The samples to show, by verdict (empty: all) and by words in id, thought, text, answer or detail.

    truncated  only samples whose prompt was cut or whose text ended at the token limit
    among      only these samples, such as those found in training data; None: all
    """

    verdicts: tuple[str, ...] = ()
    search: str = ""
    truncated: bool = False
    among: frozenset[str] | None = None


def first_words(question: str) -> str:
    """What a question asks, for a list: of a program's stub its docstring.

    >>> first_words("def f(a):\\n    '''Adds one.'''\\n    return"), first_words("\\nHow to  start?\\nSo")
    ('Adds one.', 'How to start? So')
    """
    match = _DOCSTRING.search(question)
    text = (match[1] or match[2]).strip().rstrip("\"'") if match else question
    return " ".join(text.split())[:200]


def choice_text(result: Result, query: SampleQuery | None) -> str:
    """Which choice a model took and which is right, both numbered from 1; empty if it wrote a text.

    >>> query = SampleQuery(prompt="", target="", choices=("a sock", "a television"), right=1)
    >>> choice_text(Result(sample="s", draw=0, score=0.0, logprobs=(-1.0, -2.0)), query)
    'chose 1: «a sock» · right 2: «a television»'
    """
    if len(result.logprobs) < 2:  # none, or one text that was only weighed
        return ""
    chosen = first_largest(result.logprobs)

    def named(n: int) -> str:
        return f"{n + 1}: «{query.choices[n]}»" if query and n < len(query.choices) else str(n + 1)

    right = f" · right {named(query.right)}" if query and query.right is not None else ""
    return f"chose {named(chosen)}{right}"


def reason(result: Result, query: SampleQuery | None = None) -> str:
    """Why a result has its verdict, in a few words."""
    if text := choice_text(result, query):
        return text
    if result.detail == "no answer found":
        return "nothing to extract"
    return " ".join(result.detail.split())


def seconds_text(seconds: float) -> str:
    """The time that scoring took, which is not the time of writing.

    >>> seconds_text(0.006), seconds_text(2.34), seconds_text(0.0)
    ('scored in 6 ms', 'scored in 2.3 s', '')
    """
    if seconds < 0.001:
        return ""
    return f"scored in {1000 * seconds:.0f} ms" if seconds < 1 else f"scored in {seconds:.1f} s"


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
            prompt=shown(task, sample), target=str(tests or choices or sample.target), choices=tuple(sample.choices),
            right=sample.target if sample.choices and isinstance(sample.target, int) else None,
            words=first_words(sample.question),
        )  # fmt: skip
    return queries
