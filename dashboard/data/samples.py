"""One run's samples: which pass a filter, where the generation was cut, what two runs wrote differently."""

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.records import Result
from zoo.errors import ZooError
from zoo.records import Record

if TYPE_CHECKING:
    from evals.records import Run

VERDICTS = ("passed", "failed", "timeout", "error", "unscored")


class Asked(Record, frozen=True):
    """What a sample asked: its prompt's exact text, the tests or target behind its verdict, and its choices."""

    prompt: str
    target: str
    choices: tuple[str, ...] = ()


class Filter(Record, frozen=True):
    """Which samples to show: verdicts (empty: all), words in id, text, answer or detail, and the cut-off ones.

    truncated  only samples whose prompt was cut or whose text ended at the token limit
    among      only these samples: the ones flagged as found in training data; None: all
    """

    verdicts: tuple[str, ...] = ()
    search: str = ""
    truncated: bool = False
    among: frozenset[str] | None = None


def chosen(results: Sequence[Result], wanted: Filter) -> list[int]:
    """The positions of the results that pass, in their order."""
    words = wanted.search.lower().split()
    found = []
    for at, one in enumerate(results):
        if wanted.verdicts and one.verdict not in wanted.verdicts:
            continue
        if wanted.truncated and not one.truncated and one.finish != "length":
            continue
        if wanted.among is not None and one.sample not in wanted.among:
            continue
        if words:
            told = f"{one.sample}\n{one.text}\n{one.answer or ''}\n{one.detail}".lower()
            if not all(word in told for word in words):
                continue
        found.append(at)
    return found


def tally(results: Sequence[Result]) -> dict[str, int]:
    """How many results have each verdict, all of them named."""
    counted = Counter(one.verdict for one in results)
    return {verdict: counted[verdict] for verdict in VERDICTS}  # type: ignore[index]


def cut_at(result: Result) -> int:
    """Where the answer ends in the text that the model wrote; the text's length when all of it counts.

    >>> cut_at(Result(sample="s", draw=0, score=1.0, text="  return 1\\nclass A:", answer="  return 1"))
    10
    """
    if result.answer and result.answer.strip():
        found = result.text.find(result.answer.rstrip())
        if found >= 0:
            return found + len(result.answer.rstrip())
    return len(result.text)


def difference(one: Result, other: Result) -> str:
    """What the second wrote other than the first, as a unified diff."""
    lines = difflib.unified_diff(
        one.text.splitlines(), other.text.splitlines(), "this run", "the other run", lineterm="", n=20
    )
    return "\n".join(lines)


def asked(run: "Run") -> dict[str, Asked]:
    """The prompt and the tests of every sample of a run, as its task has them today.

    Raises  ZooError when the task or its data are not at hand, or the prompts are others by now.
    """
    from evals.protocol import prompts_sha256, shown
    from evals.results.task_of_run import task_of_run

    task = task_of_run(run)
    held = list(task.samples())
    if prompts_sha256(task, held) != run.protocol["prompts_sha256"]:
        raise ZooError(f"{run.task} asks other prompts by now than this run was asked; they cannot be shown")
    told = {}
    for sample in held:
        tests = sample.data.get("test") or sample.data.get("tests")
        choices = "\n".join(f"{'→' if at == sample.target else ' '} {text}" for at, text in enumerate(sample.choices))
        told[sample.id] = Asked(prompt=shown(task, sample), target=str(tests or choices or sample.target),
                                choices=tuple(sample.choices))  # fmt: skip
    return told
