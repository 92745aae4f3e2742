"""The synthesise stage that rewrites: each document of a dataset in a format, by a model at an endpoint or here.

A rewriting keeps its source's place (`source`, `project`) and names the document (`facts["of"]`), the format, the
teacher and the cost. Refused are: no text, an answer that was cut off, a copy of the source, a text that is not in the
form asked for, a prompt of the held-out task, and a repetition. Every pair of a document and a format is counted. Near
repetitions and problems of other tasks are found by the stages after this one, as for any other dataset.
Answers are stored (`training.data.quality.ledger`), so a killed run pays for nothing twice.
Source: FinePhrase (2026), where structured rewritings by a small model were the better training text than textbooks
alone; Maini et al. 2024, arXiv:2401.16380, for the idea. The prompts are ours (rephrase.toml).
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from training.data.build import Built, Counts, MadeDataset, count_outcome, find, folder_of, make, write_result
from training.data.document import Document, document_files, drop_document, make_document, read_file
from training.data.quality import labeller
from training.data.quality.annotate import open_ledger
from training.data.quality.labeller import LabellingCost, LabelQuestion, Teacher
from training.data.quality.ledger import Ledger, LedgerLine
from training.data.synthesis.held_out import HeldOut, load_held_out, task_file
from training.data.synthesis.nameless import normalise_words
from training.tables import read_table
from zoo.digest import digest, file_sha256
from zoo.errors import ZooError
from zoo.records import Dataset, Record

VERSION = 1


class Requests(Record, frozen=True):
    """The question that every request shares, and what each format asks for."""

    question: LabelQuestion
    formats: dict[str, str]


REQUESTS = read_table("data/synthesis/rephrase.toml", Requests)
QUESTION, FORMATS = REQUESTS.question, REQUESTS.formats
SOURCE_CHARACTERS = 6_000  # of a document; with what is asked for it stays below what a request may hold
GRAM = 5  # words
MOST_COPIED = 0.6  # of a rewriting's 5-grams that may stand in its source; a rewriting keeps names and terms, not runs
STAGES = ("chosen", "answers", "rewritten", "held out", "new")
NOT_CHOSEN = "not in the sample"
# the form that each format must at least have
FORMS: dict[str, Callable[[str], bool]] = {
    "table": lambda text: len(re.findall(r"(?m)^\s*\|.*\|.*\|\s*$", text)) >= 3,  # header, rule, a row
    "faq": lambda text: all(
        re.search(rf"(?im)^\W*{mark}\s*\d*\W*[:.)]", text) for mark in ("Q(?:uestion)?", "A(?:nswer)?")
    ),
    "math": lambda text: bool(re.search(r"\d", text) and re.search(r"(?im)^\W*answer\W", text)),
    "tutorial": lambda text: len(re.findall(r"(?m)^\W*(?:step\s*)?\d+[.):]", text, re.IGNORECASE)) >= 2,
}


def rephrase(
    source: str, name: str, formats: Sequence[str], documents: int, seed: int, teacher: Teacher
) -> tuple[MadeDataset, LabellingCost | None]:
    """Makes a dataset of rewritings of up to `documents` documents, each in every format.

    seed     another one chooses other documents
    teacher  asked `QUESTION`
    Raises   ZooError for a dataset without documents, and where a budget or an endpoint ends the run; its answers are
             kept
    """
    given = find(source, ("documents",))
    if given.documents == 0:
        raise ZooError(f"{source} holds no documents to rewrite. All: phizoo data list")
    chosen_formats = tuple(dict.fromkeys(formats))
    recipe: dict[str, Any] = {
        "stage": "synthesise rephrase", "version": VERSION, "source": given.digest, "formats": list(chosen_formats),
        "teacher": teacher.model, "documents": documents, "seed": seed, "held_out": file_sha256(task_file()),
        "question": digest([QUESTION.text, QUESTION.most_written, [FORMATS[each] for each in chosen_formats]]),
        "labeller": labeller.VERSION, "most_copied": MOST_COPIED,
    }  # fmt: skip
    costs: list[LabellingCost] = []

    def build(work: Path) -> Built:
        chosen = choose_ids((document.id for document in _read(given)), documents, seed)
        with open_ledger(teacher, digest(recipe)[:16]) as ledger:
            asked = (one for one in _read(given) if one.id in chosen)
            costs.append(
                teacher.ask([write_request(each, one.text) for one in asked for each in chosen_formats], ledger)
            )
            return _build(work, given, chosen, chosen_formats, teacher.model, ledger)

    made = make(name, recipe, None, build)
    return made, costs[0] if costs else None


def write_request(format_: str, text: str) -> str:
    """What a model is asked about one text."""
    return f"{FORMATS[format_].strip()}\n\nText:\n\n{text[:SOURCE_CHARACTERS]}"


def _build(
    work: Path, given: Dataset, chosen: frozenset[str], formats: Sequence[str], model: str, ledger: Ledger
) -> Built:
    counts = {stage: Counts(stage) for stage in STAGES}

    def outcomes() -> Iterator[Document]:
        away, seen = load_held_out(), set[str]()
        for document in _read(given):
            for each in formats:
                made = drop_document(document, STAGES[0], NOT_CHOSEN, format=each)
                if document.id in chosen:
                    line = ledger.answers.get(labeller.content_digest(write_request(each, document.text)))
                    made = _rewritten(document, each, model, line, away, seen)
                count_outcome(counts, made.stage, made.reason)
                yield made

    number, tokens = write_result(work / "out", outcomes())
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=tuple(count.stage() for count in counts.values()),
        parents=(given.digest,), licence=_licence(given.licence, model), recipe={"money": round(ledger.spent, 6)},
    )  # fmt: skip


def choose_ids(ids: Iterator[str], documents: int, seed: int) -> frozenset[str]:
    """So many of the documents, by the sha256 of seed and id."""
    by_hash = sorted(set(ids), key=lambda each: hashlib.sha256(f"{seed}:{each}".encode()).digest())
    return frozenset(by_hash[:documents])


def _read(given: Dataset) -> Iterator[Document]:
    for file in document_files(folder_of(given)):
        yield from read_file(file)


def _licence(source: str, model: str) -> str:
    return f"{source}; output of {model}"


def _rewritten(
    document: Document, format_: str, model: str, line: LedgerLine | None, away: HeldOut, seen: set[str]
) -> Document:
    """The rewriting, or the document that it would be with the stage and the reason that refuse it."""
    text = line.text.strip() if line is not None else ""
    facts: dict[str, Any] = {"of": document.id, "format": format_, "teacher": model}
    facts |= {"money": line.money if line is not None else 0.0}
    if len(document.text) > SOURCE_CHARACTERS:
        facts["read_characters"] = SOURCE_CHARACTERS  # of the source
    made = make_document(
        f"{text}\n" if text else "", document.source, document.project, _licence(document.licence, model), "text", facts
    )
    stage, reason, more = refusal(text, document.text[:SOURCE_CHARACTERS], format_, line, away)
    if not reason and (words := normalise_words(text)) in seen:
        stage, reason = STAGES[4], "repeats an earlier one"
    elif not reason:
        seen.add(words)
    return drop_document(made, stage, reason, with_text=True, **more) if reason else made


def refusal(
    text: str, source: str, format_: str, line: LedgerLine | None, away: HeldOut
) -> tuple[str, str, dict[str, Any]]:
    """The stage and the reason that refuse an answer, and the facts behind them; empty for a good one."""
    if line is None:
        return STAGES[1], "no valid answer", {}
    if not any(character.isalnum() for character in text) or "\0" in text:
        return STAGES[1], "empty", {}
    if line.reason == labeller.CUT:
        return STAGES[1], "cut at the token limit", {"tokens": line.tokens}
    if line.reason == labeller.CUT_PROMPT:
        return STAGES[1], "the source does not fit into the context", {}
    if (copied := copied_share(text, source)) > MOST_COPIED:
        return STAGES[2], "copies the source", {"copied": round(copied, 4)}
    if not FORMS[format_](text):
        return STAGES[2], "not in the form", {}
    if any(known and known in normalise_words(text) for known in away.prompts):
        return STAGES[3], "held-out prompt", {}
    return "", "", {}


def copied_share(text: str, source: str) -> float:
    """The share of a text's word 5-grams that its source has; of a shorter text, whether the source has all of it.

    >>> copied_share("a b c d e f", "x a b c d e y"), copied_share("B, a!", "so A b, a"), copied_share("", "a")
    (0.5, 1.0, 0.0)
    """
    mine, theirs = _words(text), _words(source)
    size = min(GRAM, len(mine))
    if not size:
        return 0.0
    known = {tuple(theirs[at : at + size]) for at in range(len(theirs) - size + 1)}
    grams = [tuple(mine[at : at + size]) for at in range(len(mine) - size + 1)]
    return sum(gram in known for gram in grams) / len(grams)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
