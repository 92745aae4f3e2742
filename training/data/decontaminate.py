"""Drops documents that hold evaluation problems and counts them; `evals.contamination` finds the problems.

Each dropped document records its problems, each with the method, the similarity and the span. Methods and thresholds
are those of `phizoo eval contamination`: by the same method, a document that is kept here gets no flag there.
Source: phi-1 (arXiv 2306.11644), section 5; words of solutions and tests besides.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from evals.contamination.match import SearchMethod
from evals.contamination.problems import Problem, make_problems
from evals.contamination.search import CHUNK, SearchPlan, open_method
from evals.contamination.syntax_trees import SHORTEST
from evals.contamination.thresholds import DISTANCES, METHODS, Method, checked_threshold, default_threshold
from evals.encoders import MINILM, find_encoder
from evals.tasks import task as find_task
from training.data.build import Built, Counts, MadeDataset, find, folder_of, make, write_result
from training.data.document import Document, document_files, drop_document, read_file
from training.data.shards import each_shard
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Dataset, Record

VERSION = 6
OLD_METHODS = {"tree": "ast"}  # as recipes before version 5 name it
DEFAULT_METHODS = ("ngram", "code-ngram", "ast")
EXCERPT = 400  # characters of a match that stand beside the dropped document


class DecontaminationJob(Record, frozen=True):
    """One file of documents, and the searches to run over it."""

    documents: str
    tasks: tuple[str, ...]
    plans: tuple[SearchPlan, ...]


class HeldProblem(Record, frozen=True):
    """A problem that a document holds: its task, the method, the similarity or distance, the span and its text."""

    problem: str
    task: str
    method: Method
    value: float
    start: int
    end: int
    text: str


class HeldProblems(Record, frozen=True):
    """The problems that a file's documents hold, by the document's place in the file."""

    places: dict[int, list[HeldProblem]]


@lru_cache(maxsize=4)
def load_problems(tasks: tuple[str, ...]) -> list[Problem]:
    """All problems of these tasks, loaded once a process."""
    return [problem for name in tasks for problem in make_problems(find_task(name))]


@lru_cache(maxsize=4)
def open_methods(tasks: tuple[str, ...], plans: tuple[SearchPlan, ...]) -> list[tuple[Method, SearchMethod]]:
    """The searches for the problems of these tasks, opened once a process."""
    return [(plan.method, open_method(load_problems(tasks), plan)) for plan in plans]


def search_file(job: DecontaminationJob) -> HeldProblems:
    """The problems that each document of a file holds."""
    return search_texts((document.text for document in read_file(Path(job.documents))), job.tasks, job.plans)


def search_texts(texts: Iterable[str], tasks: tuple[str, ...], plans: tuple[SearchPlan, ...]) -> HeldProblems:
    """The problems that each text holds, in the order of the problems and plans."""
    problems, methods = load_problems(tasks), open_methods(tasks, plans)
    places: dict[int, list[HeldProblem]] = {}
    rest, start = iter(texts), 0
    while chunk := list(islice(rest, CHUNK)):
        matches = [(match, method) for method, search in methods for match in search.matches(chunk)]
        for match, method in sorted(matches, key=lambda pair: pair[0].problem):
            problem, text = problems[match.problem], chunk[match.document]
            held_problem = HeldProblem(
                problem=problem.sample, task=problem.task, method=method, value=round(match.similarity, 4),
                start=match.start, end=match.end, text=text[match.start : match.end][:EXCERPT],
            )  # fmt: skip
            places.setdefault(start + match.document, []).append(held_problem)
        start += len(chunk)
    return HeldProblems(places=places)


def decontaminate_dataset(
    source: str, name: str, tasks: Sequence[str], methods: Sequence[str] = DEFAULT_METHODS, rate: float | None = None,
    distance: float | None = None, embedding: str = MINILM,
) -> MadeDataset:  # fmt: skip
    """The documents that hold no problem of these tasks.

    methods    of `ngram`, `code-ngram`, `ast`, `embedding`
    rate       least match rate of two syntax trees that counts; None is the engine's own
    distance   largest L2 distance of two vectors that counts; None is the engine's own for the embedding
    embedding  the model of the vectors: `minilm`, a checkpoint of the zoo, a folder
    """
    dataset = find(source, ("documents",))
    chosen = tuple(dict.fromkeys(task.strip() for task in tasks if task.strip()))
    plans = make_plans(methods, {"ast": rate, "embedding": distance}, embedding)
    problems = load_problems(chosen)
    recipe: dict[str, Any] = {
        "stage": "decontaminate", "version": VERSION, "source": dataset.digest, "against": list(chosen),
        "problems": digest([msgspec.structs.astuple(problem) for problem in problems]), "shortest_tree": SHORTEST,
        "searches": [{"method": plan.method, "threshold": plan.threshold, "form": plan.form} for plan in plans],
        "encoders": [plan.encoder.digest for plan in plans if plan.encoder],
    }  # fmt: skip
    return make(name, recipe, None, lambda work: _build(work, dataset, chosen, plans))


def make_plans(
    methods: Sequence[str], thresholds: dict[str, float | None], embedding: str = MINILM
) -> tuple[SearchPlan, ...]:
    """The searches of these methods, in the engine's order. Raises ZooError for an unknown method."""
    named = {OLD_METHODS.get(method, method) for method in methods}
    if strange := sorted(named - set(METHODS)):
        raise ZooError(f'no method "{strange[0]}"; the methods are {", ".join(METHODS)}')
    plans = []
    for method in (method for method in METHODS if method in named):
        threshold = thresholds.get(method)
        if threshold is not None:
            checked_threshold(method, threshold, embedding)
        elif method == "embedding" and embedding not in DISTANCES:
            raise ZooError(f"no distance is calibrated for {embedding}: give --distance; see docs/contamination.md")
        encoder = find_encoder(embedding) if method == "embedding" and embedding != "words" else None
        usual = default_threshold(method, embedding)
        plans.append(SearchPlan(method=method, threshold=usual if threshold is None else threshold, encoder=encoder))
    return tuple(plans)


def _build(work: Path, dataset: Dataset, tasks: tuple[str, ...], plans: tuple[SearchPlan, ...]) -> Built:
    files = document_files(folder_of(dataset))
    jobs = [DecontaminationJob(documents=str(path), tasks=tasks, plans=plans) for path in files]
    counts, similar = Counts("decontaminate"), set[str]()

    def outcomes() -> Iterator[Document]:
        for job, result in zip(jobs, each_shard(work, "search", jobs, search_file, HeldProblems), strict=True):
            for place, document in enumerate(read_file(Path(job.documents))):
                problems = result.places.get(place, [])
                if not problems:
                    counts.keep()
                    yield document
                    continue
                similar.update(problem.problem for problem in problems)
                reason = f"holds {problems[0].task} ({problems[0].method})"
                counts.drop(reason)
                yield drop_document(document, "decontaminate", reason, matches=msgspec.to_builtins(problems))

    number, tokens = write_result(work / "out", outcomes())
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),), parents=(dataset.digest,),
        licence=dataset.licence, recipe={"similar": len(similar), "of": len(load_problems(tasks))},
    )  # fmt: skip
