"""Every document of some training sets against every sample of a task, on all cores, as flags.

Documents are read here and matched in other processes, some hundred at a time; what comes back does not depend on
how many there are. Cost: one pass over the documents, whatever the number of samples.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import msgspec

from evals.contamination.documents import TrainingSet, documents
from evals.contamination.flags import Flag, Flags, Match, Method, Search
from evals.contamination.match import Found
from evals.contamination.problems import Problem
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.records import Record

CHUNK = 256  # documents that go to a process at a time
FEW = 2_000  # documents that are searched here: starting processes would take longer
KEPT = 5  # matches that are kept of each sample, the closest


class Engine(Protocol):
    """What finds the likenesses between some texts and the problems it was made for.

    unsearched  the problems that its method cannot look for
    """

    @property
    def unsearched(self) -> frozenset[int]:
        """Numbers of the samples that this method cannot look for (too short, not parsable)."""

    def matches(self, texts: Sequence[str]) -> Iterator[Found]:
        """For each document, the samples found in it."""


class Asked(Record, frozen=True):
    """How to search: the method, its threshold, and for embeddings what makes the vectors."""

    method: Method
    threshold: float
    embedder: str = ""
    folder: str = ""


def engine(problems: Sequence[Problem], asked: Asked) -> Engine:
    """The engine of a method, ready to search."""
    if asked.method == "ngram":
        from evals.contamination.ngrams import Ngrams

        return Ngrams(problems, int(asked.threshold))
    if asked.method == "ast":
        from evals.contamination.trees import Trees

        return Trees(problems, asked.threshold)
    from pathlib import Path

    from evals.contamination.embeddings import Embeddings, embedder

    folder = Path(asked.folder) if asked.folder else None
    return Embeddings(problems, asked.threshold, embedder(asked.embedder, problems, folder))


def search(task: str, problems: Sequence[Problem], sets: Sequence[TrainingSet], asked: Asked) -> Flags:
    """The samples that stand in the documents, each with its closest documents.

    Raises  ZooError when the sets hold no document: nothing searched is not the same as nothing found
    """
    made = engine(problems, asked)
    where: list[str] = []
    kept: dict[int, list[tuple[float, int, str]]] = {}
    near = -1 if asked.method != "embedding" else 1
    with progress(f"{task} {asked.method}", None, "documents") as bar:
        for start, names, found in _chunks(made, problems, sets, asked):
            where += names
            for one in found:
                mine = kept.setdefault(one.problem, [])
                mine.append((near * one.similarity, start + one.document, one.text))
                mine.sort(key=lambda match: match[:2])
                del mine[KEPT:]
            bar.advance(len(names), f"{len(kept)} samples found")
    if not where:
        raise ZooError(f"{', '.join(one.name for one in sets)} holds no documents, so nothing was searched")
    flagged = [
        Flag(
            sample=problems[number].sample,
            matches=tuple(
                Match(document=where[document], similarity=round(near * value, 4), text=text)
                for value, document, text in kept[number]
            ),
        )
        for number in sorted(kept)
    ]
    told = Search(
        task=task, datasets=tuple(one.digest for one in sets), method=asked.method, threshold=asked.threshold,
        checked=len(problems), names=tuple(one.name for one in sets), documents=len(where), how=_how(asked),
        unsearched=tuple(problems[number].sample for number in sorted(made.unsearched)),
    )  # fmt: skip
    return Flags(search=told, flagged=tuple(flagged))


def at_least(flags: Flags, threshold: float) -> Flags:
    """The flags of a stricter threshold, from those of a laxer one: no second search."""
    strict = flags.search.method != "embedding"

    def close(match: Match) -> bool:
        return match.similarity >= threshold - 1e-9 if strict else match.similarity <= threshold + 1e-9

    kept = [
        msgspec.structs.replace(flag, matches=tuple(filter(close, flag.matches)))
        for flag in flags.flagged
        if any(map(close, flag.matches))
    ]
    return Flags(search=msgspec.structs.replace(flags.search, threshold=threshold), flagged=tuple(kept))


def _how(asked: Asked) -> str:
    if asked.method == "ngram":
        return "words in lower case; shorter questions whole"
    if asked.method == "ast":
        from evals.contamination.syntax_trees import SERIALISATION

        return SERIALISATION
    return f"L2 distance of unit vectors, {asked.embedder}"


def _chunks(
    made: Engine, problems: Sequence[Problem], sets: Sequence[TrainingSet], asked: Asked
) -> Iterator[tuple[int, list[str], list[Found]]]:
    """(number of its first document, where its documents are, what was found) of each chunk, in order."""
    given = _grouped(document for one in sets for document in documents(one))
    first = [chunk for _, chunk in zip(range(FEW // CHUNK), given, strict=False)]
    start = 0
    with ExitStack() as stack:
        if len(first) * CHUNK < FEW or asked.embedder not in ("", "words") or _cores() == 1:
            run: Callable[[list[str]], Any] = _Here(made).submit
            ahead = 1
        else:
            run, ahead = _pool(stack, problems, asked), 4 * _cores()
        waiting: list[tuple[list[str], Any]] = []
        for chunk in _both(first, given):
            waiting.append(([name for name, _ in chunk], run([text for _, text in chunk])))
            if len(waiting) >= ahead:
                names, result = waiting.pop(0)
                yield start, names, result.result()
                start += len(names)
        for names, result in waiting:
            yield start, names, result.result()
            start += len(names)


def _both(first: list[list[tuple[str, str]]], rest: Iterator[list[tuple[str, str]]]) -> Iterator[list[tuple[str, str]]]:
    yield from first
    yield from rest


def _grouped(given: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    chunk: list[tuple[str, str]] = []
    for one in given:
        chunk.append(one)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Here:
    """Searches in this process, with the look of a pool."""

    def __init__(self, made: Engine) -> None:
        self.made, self.found = made, list[Found]()

    def submit(self, texts: list[str]) -> "_Here":
        self.found = list(self.made.matches(texts))
        return self

    def result(self) -> list[Found]:
        return self.found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pool(stack: ExitStack, problems: Sequence[Problem], asked: Asked) -> Callable[[list[str]], Any]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(
        _cores(), mp_context=get_context("forkserver"), initializer=_begin, initargs=(list(problems), asked)
    )
    stack.callback(pool.shutdown, wait=True, cancel_futures=True)
    return lambda texts: pool.submit(_found, texts)


_ENGINE: list[Engine] = []  # this process's own, made once


def _begin(problems: list[Problem], asked: Asked) -> None:
    _ENGINE[:] = [engine(problems, asked)]


def _found(texts: list[str]) -> list[Found]:
    return list(_ENGINE[0].matches(texts))
