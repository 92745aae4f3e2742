"""Searches every document of some training sets for every sample of a task, on all cores, and gives flags.

Documents are read here and searched in other processes, some hundred at a time; the result does not depend on the
number of processes. Cost: one pass over the documents, whatever the number of samples.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice

import msgspec

from evals.contamination.documents import TrainingSet, documents
from evals.contamination.flags import Flag, Flags, FlagsHeader, MatchedDocument
from evals.contamination.fold import FoldedSearch, fold_problem
from evals.contamination.match import Match, SearchMethod
from evals.contamination.problems import Problem
from evals.contamination.thresholds import Method
from evals.encoders import MINILM, Encoder
from zoo import safe_path
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.records import Record

CHUNK = 256  # documents that go to a process at a time
FEW = 2_000  # documents that are searched in this process: starting others would take longer
KEPT = 5  # matches that are kept of each sample, the closest

Chunk = list[tuple[str, str]]  # (where the document is, its text)


class SearchPlan(Record, frozen=True):
    """How to search: the method, its threshold, and for embeddings the model of the vectors (None: words)."""

    method: Method
    threshold: float
    encoder: Encoder | None = None

    @property
    def form(self) -> str:
        """What is compared, as the flags record it."""
        if self.method == "ast":
            from evals.contamination.syntax_trees import SERIALISATION

            return f"{SERIALISATION}, of folded text"
        if self.method == "embedding":
            return f"L2 distance of unit vectors, {embedder_name(self.encoder)}"
        return "folded words" + ("; shorter questions whole" if self.method == "ngram" else ", without docstrings")


def embedder_name(encoder: Encoder | None) -> str:
    """`words`, `minilm`, or the digest that identifies another model."""
    if encoder is None:
        return "words"
    return MINILM if encoder.name == MINILM and encoder.sentence else encoder.digest


def open_method(problems: Sequence[Problem], plan: SearchPlan) -> SearchMethod:
    """The method of a plan, ready to search for these problems; all methods compare folded texts."""
    return FoldedSearch(_open_folded([fold_problem(problem) for problem in problems], plan))


def _open_folded(problems: Sequence[Problem], plan: SearchPlan) -> SearchMethod:
    if plan.method == "ast":
        from evals.contamination.trees import TreeSearch

        return TreeSearch(problems, plan.threshold)
    if plan.method == "embedding":
        from evals.contamination.embeddings import EmbeddingSearch, make_embed

        return EmbeddingSearch(problems, plan.threshold, make_embed(problems, plan.encoder))
    from evals.contamination.ngrams import NgramSearch

    return NgramSearch(problems, int(plan.threshold), code=plan.method == "code-ngram")


def search(
    task: str, problems: Sequence[Problem], sets: Sequence[TrainingSet], plan: SearchPlan, part: bool = False
) -> Flags:
    """The samples that stand in the documents, each with its closest documents.

    part    the problems are only some of the task's samples
    Raises  ZooError when the sets hold no document: nothing searched is not the same as nothing found
    """
    method = open_method(problems, plan)
    sources: list[str] = []
    sizes: list[int] = []
    kept: dict[int, list[tuple[float, int, str]]] = {}
    sign = 1 if plan.method == "embedding" else -1  # the closest match sorts first
    with progress(f"{task} {plan.method}", None, "documents") as bar:
        for start, names, matches in _searched_chunks(method, problems, _every_document(sets, sizes), plan):
            sources += names
            for match in matches:
                closest = kept.setdefault(match.problem, [])
                closest.append((sign * match.similarity, start + match.document, match.text))
                closest.sort(key=lambda entry: entry[:2])
                del closest[KEPT:]
            bar.advance(len(names), f"{len(kept)} samples found")
    if not sources:
        raise ZooError(
            f"{', '.join(training_set.name for training_set in sets)} holds no documents, so nothing was searched"
        )
    flagged = [
        Flag(
            sample=problems[number].sample,
            matches=tuple(
                MatchedDocument(document=sources[document], similarity=round(sign * value, 4), text=text)
                for value, document, text in kept[number]
            ),
        )
        for number in sorted(kept)
    ]
    header = FlagsHeader(
        task=task, datasets=tuple(training_set.digest for training_set in sets), method=plan.method,
        threshold=plan.threshold, checked=len(problems), names=tuple(training_set.name for training_set in sets),
        documents=len(sources), how=plan.form,
        unsearched=tuple(problems[number].sample for number in sorted(method.unsearched)),
        sizes=tuple(sizes), part=tuple(problem.sample for problem in problems) if part else (),
    )  # fmt: skip
    return Flags(search=header, flagged=tuple(flagged))


def narrow(flags: Flags, threshold: float) -> Flags:
    """The flags of a stricter threshold, from those of a laxer one: no second search."""
    is_distance = flags.search.method == "embedding"

    def is_close(match: MatchedDocument) -> bool:
        return match.similarity <= threshold + 1e-9 if is_distance else match.similarity >= threshold - 1e-9

    kept = [
        msgspec.structs.replace(flag, matches=tuple(filter(is_close, flag.matches)))
        for flag in flags.flagged
        if any(map(is_close, flag.matches))
    ]
    return Flags(search=msgspec.structs.replace(flags.search, threshold=threshold), flagged=tuple(kept))


def _every_document(sets: Sequence[TrainingSet], sizes: list[int]) -> Iterator[tuple[str, str]]:
    """The documents of all sets; `sizes` gets the number of documents of each."""
    for training_set in sets:
        sizes.append(0)
        for document in documents(training_set):
            sizes[-1] += 1
            yield document


def _searched_chunks(
    method: SearchMethod, problems: Sequence[Problem], every: Iterator[tuple[str, str]], plan: SearchPlan
) -> Iterator[tuple[int, list[str], list[Match]]]:
    """(number of its first document, sources of its documents, matches) of each chunk, in order."""
    chunks: Iterator[Chunk] = iter(lambda: list(islice(every, CHUNK)), [])
    first = list(islice(chunks, FEW // CHUNK))
    start = 0
    with ExitStack() as stack:
        causal = plan.encoder is not None and not plan.encoder.sentence  # too large to load once for each core
        if len(first) * CHUNK < FEW or causal or _cores() == 1:
            submit, ahead = _search_here(method), 1
        else:
            submit, ahead = _open_pool(stack, problems, plan), 4 * _cores()
        waiting: list[tuple[list[str], Callable[[], list[Match]]]] = []
        for chunk in chain(first, chunks, [None] * ahead):  # at the end, nothing new: the waiting ones are collected
            if chunk is not None:
                waiting.append(([name for name, _ in chunk], submit([text for _, text in chunk])))
            if waiting and (chunk is None or len(waiting) >= ahead):
                names, result = waiting.pop(0)
                yield start, names, result()
                start += len(names)


Submit = Callable[[list[str]], Callable[[], list[Match]]]


def _search_here(method: SearchMethod) -> Submit:
    def submit(texts: list[str]) -> Callable[[], list[Match]]:
        matches = list(method.matches(texts))
        return lambda: matches

    return submit


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open_pool(stack: ExitStack, problems: Sequence[Problem], plan: SearchPlan) -> Submit:
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(
        _cores(), mp_context=safe_path.forkserver(), initializer=_begin_worker, initargs=(list(problems), plan)
    )
    stack.callback(pool.shutdown, wait=True, cancel_futures=True)
    return lambda texts: pool.submit(_search_in_worker, texts).result


_METHOD: list[SearchMethod] = []  # this process's own, opened once


def _begin_worker(problems: list[Problem], plan: SearchPlan) -> None:
    _METHOD[:] = [open_method(problems, plan)]


def _search_in_worker(texts: list[str]) -> list[Match]:
    return list(_METHOD[0].matches(texts))
