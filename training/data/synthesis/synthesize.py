"""The synthesise stage: exercises and textbook passages of the template teacher, kept only if their tests pass.

Each draft is a pure function of the seed and its number. Its code runs in `evals.sandbox` against its own tests;
solutions and prompts of the held-out task are dropped by content. This file does not judge quality.
Source: phi-1 (arXiv 2306.11644), section 2.2; injected randomness as in TinyStories (arXiv 2305.07759).
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from training.data.build import Built, Counts, MadeDataset, count_outcome, make, slices, write_result
from training.data.document import Document, drop_document, make_document, read_documents
from training.data.shards import each_shard
from training.data.synthesis.diversity import NEIGHBOURS, diversity
from training.data.synthesis.held_out import HeldOut, load_held_out, solution_key
from training.data.synthesis.nameless import normalise_words
from training.data.synthesis.templates import TemplateDraft, make_draft, make_passage
from zoo.digest import file_sha256, write_json
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.records import Record

VERSION = 5
CHUNK = 2_000
BATCH = 100  # exercises run together in one program: 40 times as fast as one program each
AHEAD = 1.25  # drafts made for each wanted document; more follow if they are too few
NEW_SHARE = 0.02  # a round with a smaller share of new drafts ends the generation
LICENCE = "Apache-2.0"

What = Literal["textbooks", "exercises"]


class DraftPiece(Record, frozen=True):
    """A text and the drafts whose code it contains."""

    number: int
    text: str
    family: str
    drafts: tuple[TemplateDraft, ...]
    keys: tuple[str, ...]


class DraftSlice(Record, frozen=True):
    """The numbers of the drafts that one job makes."""

    what: str
    seed: int
    start: int
    size: int


def synthesize(what: What, name: str, documents: int, seed: int) -> MadeDataset:
    """Makes a dataset of `documents` exercises or textbook passages."""
    from training.data.synthesis.held_out import task_file

    recipe = {
        "stage": f"synthesise {what}", "version": VERSION, "teacher": "template", "seed": seed, "documents": documents,
        "held_out": file_sha256(task_file()),
    }  # fmt: skip
    return make(name, recipe, None, lambda work: _build(work, what, documents, seed))


def make_pieces(given: DraftSlice) -> list[DraftPiece | None]:
    """Makes the drafts of one slice; None for a draft without a sensible example."""
    pieces: list[DraftPiece | None] = []
    for number in range(given.start, given.start + given.size):
        random_ = random.Random(f"{given.what}:{given.seed}:{number}")  # noqa: S311
        if given.what == "exercises":
            draft = make_draft(random_)
            text = draft.prompt + draft.completion if draft else ""
            drafts: tuple[TemplateDraft, ...] = (draft,) if draft else ()
        else:
            text, drafts = make_passage(random_)
        keys = tuple(solution_key(draft.prompt + draft.completion) for draft in drafts)
        whole = (
            DraftPiece(number=number, text=text, family=drafts[0].family, drafts=drafts, keys=keys) if drafts else None
        )
        pieces.append(whole)
    return pieces


class DraftOutcome(Record, frozen=True):
    """The outcome of one draft: the stage that dropped it and why, both empty if it was kept."""

    piece: DraftPiece | None
    stage: str = ""
    reason: str = ""


STAGES = ("drafts", "held out", "own tests")


def judge(chunk: Sequence[DraftPiece | None], away: HeldOut, seen: set[str], sandbox: Any) -> list[DraftOutcome]:
    """Decides on each draft, in order: no sensible example, duplicate, held out, failed, or kept."""
    outcomes = [_before_run(piece, away, seen) for piece in chunk]
    verdicts = run_tests([outcome.piece for outcome in outcomes if outcome.piece and not outcome.reason], sandbox)
    for place, outcome in enumerate(outcomes):
        if outcome.piece and not outcome.reason and (verdict := verdicts[outcome.piece.number]) != "passed":
            outcomes[place] = DraftOutcome(piece=outcome.piece, stage="own tests", reason=verdict)
    return outcomes


def _before_run(piece: DraftPiece | None, away: HeldOut, seen: set[str]) -> DraftOutcome:
    if piece is None:
        return DraftOutcome(piece=None, stage="drafts", reason="no sensible example")
    if piece.text in seen:
        return DraftOutcome(piece=piece, stage="drafts", reason="duplicate")
    seen.add(piece.text)
    if any(key in away.solutions for key in piece.keys):
        return DraftOutcome(piece=piece, stage="held out", reason="held-out solution")
    if any(normalise_words(draft.prompt) in away.prompts for draft in piece.drafts):
        return DraftOutcome(piece=piece, stage="held out", reason="held-out prompt")
    return DraftOutcome(piece=piece)


def run_tests(chosen: Sequence[DraftPiece], sandbox: Any) -> dict[int, str]:
    """Runs the pieces in the sandbox; maps each number to "passed", "failed", "timeout" or "error".

    Batches run first; the pieces of a batch that fails run again alone. Only our own teacher's code may share a
    program, because a model's code could tamper with its neighbours.
    """
    verdicts: dict[int, str] = {}
    batches = {str(number): batch for number, batch in enumerate(slices(chosen, BATCH))}
    alone: dict[str, DraftPiece] = {}
    for verdict in sandbox.run(_batch_program(name, batch) for name, batch in batches.items()):
        if verdict.verdict == "passed":
            verdicts.update((piece.number, "passed") for piece in batches[verdict.id])
        else:
            alone.update((str(piece.number), piece) for piece in batches[verdict.id])
    for verdict in sandbox.run(program for piece in alone.values() for program in _piece_programs(piece)):
        number = int(verdict.id.split("/")[0])
        if verdict.verdict == "unscored":
            raise ZooError(f"the sandbox could not run an exercise ({verdict.detail}); see: phizoo doctor")
        if verdicts.get(number, "passed") == "passed":
            verdicts[number] = verdict.verdict
    return verdicts


def _batch_program(name: str, batch: Sequence[DraftPiece]) -> Any:
    from evals.sandbox import Program

    sources = [
        (draft.prompt + draft.completion, draft.test, draft.entry_point) for piece in batch for draft in piece.drafts
    ]
    code = (
        f"SOURCES = {sources!r}\n\n\n"
        "def failures():\n"
        "    number = 0\n"
        "    for code, test, name in SOURCES:\n"
        "        space = {}\n"
        "        try:\n"
        "            exec(code, space)\n"
        "            exec(test, space)\n"
        "            space['check'](space[name])\n"
        "        except BaseException:\n"
        "            number += 1\n"
        "    return number\n"
    )
    test = "def check(candidate):\n    assert candidate() == 0\n"
    return Program(id=name, prompt="", completion=code, test=test, entry_point="failures")


def _piece_programs(piece: DraftPiece) -> Iterator[Any]:
    from evals.sandbox import Program

    for place, draft in enumerate(piece.drafts):
        yield Program(
            id=f"{piece.number}/{place}", prompt=draft.prompt, completion=draft.completion, test=draft.test,
            entry_point=draft.entry_point,
        )  # fmt: skip


def _build(work: Path, what: What, documents: int, seed: int) -> Built:
    counts = {name: Counts(name) for name in STAGES}

    def outcomes() -> Iterator[Document]:
        number = 0
        with progress(f"make and test {what}", documents, "documents") as bar:
            for outcome in _judge_drafts(work, what, documents, seed):
                count_outcome(counts, outcome.stage, outcome.reason)
                if outcome.reason:
                    if outcome.piece:
                        yield drop_document(
                            _document(outcome.piece, what, seed), outcome.stage, outcome.reason, with_text=True
                        )
                    continue
                number += 1
                yield _document(outcome.piece, what, seed)  # type: ignore[arg-type]
                bar.advance()
                if number == documents:
                    return

    number, tokens = write_result(work / "out", outcomes())
    _write_diversity(work / "out")
    stages = tuple(count.stage() for count in counts.values())
    return Built(kind="documents", documents=number, tokens=tokens, stages=stages, licence=LICENCE)


def _write_diversity(out: Path) -> None:
    """Writes diversity.json: the diversity of each family, and of all, from the first documents of each."""
    by_family: dict[str, list[str]] = {}
    for document in read_documents(out):
        texts = by_family.setdefault(document.facts["family"], [])
        if len(texts) < NEIGHBOURS:
            texts.append(document.text)
    slots = {family: diversity(texts) for family, texts in sorted(by_family.items())}
    every = [text for texts in by_family.values() for text in texts]
    write_json(out / "diversity.json", {"all": diversity(every), "slots": slots, "ended": []})


def _judge_drafts(work: Path, what: What, documents: int, seed: int) -> Iterator[DraftOutcome]:
    """Yields the outcomes of drafts in order, without end; raises ZooError if the teacher makes nothing new."""
    from evals.sandbox import open_sandbox

    away, seen, start = load_held_out(), set[str](), 0
    with open_sandbox() as sandbox:
        while True:
            size = max(CHUNK, int(documents * AHEAD) - start)
            jobs = [
                DraftSlice(what=what, seed=seed, start=first, size=min(CHUNK, start + size - first))
                for first in range(start, start + size, CHUNK)
            ]
            fresh = len(seen)
            for chunk in each_shard(work, f"draft {what} from {start}", jobs, make_pieces, list[DraftPiece | None]):
                yield from judge(chunk, away, seen, sandbox)
            if len(seen) - fresh < size * NEW_SHARE:
                raise ZooError(
                    f"the template teacher can make only {len(seen):,} different {what} from seed {seed}; "
                    f"ask for fewer with --documents"
                )
            start += size


def _document(piece: DraftPiece, what: What, seed: int) -> Document:
    facts: dict[str, Any] = {"teacher": "template", "seed": seed, "number": piece.number, "family": piece.family}
    if what == "exercises":
        draft = piece.drafts[0]
        facts |= {"prompt_characters": len(draft.prompt), "entry_point": draft.entry_point, "test": draft.test}
    source = f"template/{what}/{piece.family}/{seed}-{piece.number}"
    kind: Any = "exercise" if what == "exercises" else "textbook"
    return make_document(piece.text, source, f"template/{piece.family}", LICENCE, kind, facts)
