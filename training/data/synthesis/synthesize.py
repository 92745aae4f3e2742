"""Synthetic exercises and textbook passages from the embedded template teacher, kept only if their tests pass.

Every draft is a pure function of (seed, its number). Its code runs in `evals.sandbox` against its own
tests; solutions and prompts of the held-out task are dropped, by content. Quality is not judged here.
Source: phi-1 (arXiv 2306.11644), section 2.2; injected randomness as in TinyStories (arXiv 2305.07759).
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from training.data.build import Built, Counts, Made, make, parts, write_result
from training.data.document import Document, document, dropped, read_documents
from training.data.shards import each_shard
from training.data.synthesis.diversity import NEIGHBOURS, diversity
from training.data.synthesis.held_out import HeldOut, held_out, solution_key
from training.data.synthesis.nameless import words_of
from training.data.synthesis.templates import Draft, draft, passage
from zoo.digest import file_sha256, write_json
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.records import Record

VERSION = 4
CHUNK = 2_000
BATCH = 100  # exercises of our own teacher run together in one program: 40 times as fast as one each
AHEAD = 1.25  # so many drafts a wanted document; more are made if that is not enough
NEW_SHARE = 0.02  # a round with fewer new drafts than this share ends the generation: nothing new comes
LICENCE = "Apache-2.0"

What = Literal["textbooks", "exercises"]


class Piece(Record, frozen=True):
    """A text and the drafts whose code it holds."""

    number: int
    text: str
    family: str
    drafts: tuple[Draft, ...]
    keys: tuple[str, ...]


class Slice(Record, frozen=True):
    """Which drafts a worker makes."""

    what: str
    seed: int
    start: int
    size: int


def synthesize(what: What, name: str, documents: int, seed: int) -> Made:
    """Makes `documents` kept exercises or textbook passages."""
    from training.data.synthesis.held_out import path

    recipe = {
        "stage": f"synthesise {what}", "version": VERSION, "teacher": "template", "seed": seed, "documents": documents,
        "held_out": file_sha256(path()),
    }  # fmt: skip
    return make(name, recipe, None, lambda work: _build(work, what, documents, seed))


def pieces(given: Slice) -> list[Piece | None]:
    """The drafts of one slice; None where the teacher gave nothing sensible."""
    found: list[Piece | None] = []
    for number in range(given.start, given.start + given.size):
        random_ = random.Random(f"{given.what}:{given.seed}:{number}")  # noqa: S311
        if given.what == "exercises":
            one = draft(random_)
            text = one.prompt + one.completion if one else ""
            drafts: tuple[Draft, ...] = (one,) if one else ()
        else:
            text, drafts = passage(random_)
        keys = tuple(solution_key(one.prompt + one.completion) for one in drafts)
        whole = Piece(number=number, text=text, family=drafts[0].family, drafts=drafts, keys=keys) if drafts else None
        found.append(whole)
    return found


class Outcome(Record, frozen=True):
    """What became of one draft: the stage that dropped it and why, or neither."""

    piece: Piece | None
    stage: str = ""
    reason: str = ""


STAGES = ("drafts", "held out", "own tests")


def judged(chunk: Sequence[Piece | None], away: HeldOut, seen: set[str], sandbox: Any) -> list[Outcome]:
    """Each draft's outcome, in order: not sensible, seen before, held out, or run and failed."""
    outcomes = [_before_run(piece, away, seen) for piece in chunk]
    verdicts = run_tests([one.piece for one in outcomes if one.piece and not one.reason], sandbox)
    for place, one in enumerate(outcomes):
        if one.piece and not one.reason and (verdict := verdicts[one.piece.number]) != "passed":
            outcomes[place] = Outcome(piece=one.piece, stage="own tests", reason=verdict)
    return outcomes


def _before_run(piece: Piece | None, away: HeldOut, seen: set[str]) -> Outcome:
    if piece is None:
        return Outcome(piece=None, stage="drafts", reason="no sensible example")
    if piece.text in seen:
        return Outcome(piece=piece, stage="drafts", reason="duplicate")
    seen.add(piece.text)
    if any(key in away.solutions for key in piece.keys):
        return Outcome(piece=piece, stage="held out", reason="held-out solution")
    if any(words_of(one.prompt) in away.prompts for one in piece.drafts):
        return Outcome(piece=piece, stage="held out", reason="held-out prompt")
    return Outcome(piece=piece)


def run_tests(chosen: Sequence[Piece], sandbox: Any) -> dict[int, str]:
    """Number of each piece -> "passed", "failed", "timeout" or "error", all run in the sandbox.

    Batches first; the pieces of a batch that does not pass as a whole run again alone. Only our own
    teacher's code may share a program: a stranger's could tamper with its neighbours.
    """
    verdicts: dict[int, str] = {}
    batches = {str(number): batch for number, batch in enumerate(parts(chosen, BATCH))}
    alone: dict[str, Piece] = {}
    for verdict in sandbox.run(_together(name, batch) for name, batch in batches.items()):
        if verdict.verdict == "passed":
            verdicts.update((piece.number, "passed") for piece in batches[verdict.id])
        else:
            alone.update((str(piece.number), piece) for piece in batches[verdict.id])
    for verdict in sandbox.run(program for piece in alone.values() for program in _alone(piece)):
        number = int(verdict.id.split("/")[0])
        if verdict.verdict == "unscored":
            raise ZooError(f"the sandbox could not run an exercise ({verdict.detail}); see: phizoo doctor")
        if verdicts.get(number, "passed") == "passed":
            verdicts[number] = verdict.verdict
    return verdicts


def _together(name: str, batch: Sequence[Piece]) -> Any:
    from evals.sandbox import Program

    sources = [(one.prompt + one.completion, one.test, one.entry_point) for piece in batch for one in piece.drafts]
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


def _alone(piece: Piece) -> Iterator[Any]:
    from evals.sandbox import Program

    for place, one in enumerate(piece.drafts):
        yield Program(
            id=f"{piece.number}/{place}", prompt=one.prompt, completion=one.completion, test=one.test,
            entry_point=one.entry_point,
        )  # fmt: skip


def _build(work: Path, what: What, documents: int, seed: int) -> Built:
    counts = {name: Counts(name) for name in STAGES}

    def outcomes() -> Iterator[Document]:
        number = 0
        with progress(f"make and test {what}", documents, "documents") as bar:
            for one in _outcomes(work, what, documents, seed):
                reached = STAGES.index(one.stage) if one.stage else len(STAGES)
                for name in STAGES[:reached]:
                    counts[name].keep()
                if one.reason:
                    counts[one.stage].drop(one.reason)
                    if one.piece:
                        yield dropped(_document(one.piece, what, seed), one.stage, one.reason, with_text=True)
                    continue
                number += 1
                yield _document(one.piece, what, seed)  # type: ignore[arg-type]
                bar.advance()
                if number == documents:
                    return

    number, tokens = write_result(work / "out", outcomes())
    _write_diversity(work / "out")
    stages = tuple(count.stage() for count in counts.values())
    return Built(kind="documents", documents=number, tokens=tokens, stages=stages, licence=LICENCE)


def _write_diversity(out: Path) -> None:
    """How varied each family is, and the whole, of the first documents of each."""
    by_family: dict[str, list[str]] = {}
    for one in read_documents(out):
        texts = by_family.setdefault(one.facts["family"], [])
        if len(texts) < NEIGHBOURS:
            texts.append(one.text)
    slots = {family: diversity(texts) for family, texts in sorted(by_family.items())}
    every = [text for texts in by_family.values() for text in texts]
    write_json(out / "diversity.json", {"all": diversity(every), "slots": slots, "ended": []})


def _outcomes(work: Path, what: What, documents: int, seed: int) -> Iterator[Outcome]:
    """Outcomes of all drafts in order, without end but for a teacher that has nothing new to say."""
    from evals.sandbox import open_sandbox

    away, seen, start = held_out(), set[str](), 0
    with open_sandbox() as sandbox:
        while True:
            size = max(CHUNK, int(documents * AHEAD) - start)
            slices = [
                Slice(what=what, seed=seed, start=first, size=min(CHUNK, start + size - first))
                for first in range(start, start + size, CHUNK)
            ]
            fresh = len(seen)
            for chunk in each_shard(work, f"draft {what} from {start}", slices, pieces, list[Piece | None]):
                yield from judged(chunk, away, seen, sandbox)
            if len(seen) - fresh < size * NEW_SHARE:
                raise ZooError(
                    f"the template teacher has no more than {len(seen):,} different {what} to give from seed {seed}; "
                    f"ask for fewer with --documents"
                )
            start += size


def _document(piece: Piece, what: What, seed: int) -> Document:
    facts: dict[str, Any] = {"teacher": "template", "seed": seed, "number": piece.number, "family": piece.family}
    if what == "exercises":
        one = piece.drafts[0]
        facts |= {"prompt_characters": len(one.prompt), "entry_point": one.entry_point, "test": one.test}
    source = f"template/{what}/{piece.family}/{seed}-{piece.number}"
    kind: Any = "exercise" if what == "exercises" else "textbook"
    return document(piece.text, source, f"template/{piece.family}", LICENCE, kind, facts)
