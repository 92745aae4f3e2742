"""Keeps the documents of the highest educational value; each dropped one says its score and the threshold.

A share is labelled by the rubric (`annotate`), a forest learns the labels (`quality`), all are scored.
"""

import hashlib
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from training.data import annotate, quality
from training.data.document import Document, document_files, dropped, read_file
from training.data.make import Built, Counts, Made, each_shard, find, folder_of, make, write_result
from zoo.checkpoint import Dataset, Record
from zoo.digest import whole_file, write_json
from zoo.errors import ZooError

VERSION = 1
LABELLED = 4_000
LOW = "educational value below the threshold"


class Job(Record, frozen=True):
    """What a worker labels or scores."""

    documents: str
    model: str = ""
    chosen: tuple[str, ...] = ()


class Labelled(Record, frozen=True):
    """One labelled document of the sample."""

    id: str
    text: str
    project: str
    points: int
    reasons: tuple[str, ...]


class Outline(Record, frozen=True):
    """What choosing the sample and the threshold needs to know of a file's documents."""

    ids: list[str]
    tokens: list[int]


class Scores(Record, frozen=True):
    """The scores of one file's documents, in order, rounded to 4 places."""

    scores: list[float]


def filter_dataset(source: str, name: str, keep: float | None, tokens: int | None, seed: int) -> Made:
    """The best part of a dataset: a share of its documents, or up to so many tokens; the best 30% by default."""
    given = find(source, ("documents",))
    if given.documents == 0:
        raise ZooError(f"{source} holds no documents, so there is nothing to filter. All: phizoo data list")
    share = 0.3 if keep is None and tokens is None else keep
    recipe = {
        "stage": "filter", "version": VERSION, "source": given.digest, "keep": share, "tokens": tokens, "seed": seed,
        "annotator": f"rubric {annotate.VERSION}", "labelled": LABELLED, "features": "tf-idf svd + characters",
    }  # fmt: skip
    return make(name, recipe, None, lambda work: _build(work, given, share, tokens, seed))


def outline_file(job: Job) -> Outline:
    """Ids and sizes of a file's documents."""
    read = list(read_file(Path(job.documents)))
    return Outline(ids=[one.id for one in read], tokens=[one.tokens for one in read])


def label_file(job: Job) -> list[Labelled]:
    """The rubric's labels of the chosen documents of a file."""
    chosen = set(job.chosen)
    found = []
    for one in read_file(Path(job.documents)):
        if one.id in chosen:
            label = annotate.rubric(one.text)
            found.append(
                Labelled(id=one.id, text=one.text, project=one.project, points=label.points, reasons=label.reasons)
            )
    return found


def score_file(job: Job) -> Scores:
    """The scores of a file's documents. The model is a file of this very run, never a stranger's."""
    fitted = pickle.loads(Path(job.model).read_bytes())  # noqa: S301
    texts = [one.text for one in read_file(Path(job.documents))]
    return Scores(scores=[round(float(one), 4) for one in quality.score(texts, fitted)] if texts else [])


def _build(work: Path, given: Dataset, keep: float | None, tokens: int | None, seed: int) -> Built:
    paths = document_files(folder_of(given))
    outlines = list(each_shard(work, "outline", [Job(documents=str(path)) for path in paths], outline_file, Outline))
    labels = _labels(work, paths, outlines, seed)
    model = work / "model.pickle"
    if not model.is_file():
        fitted = quality.fit(
            [one.text for one in labels], [one.points >= annotate.EDUCATIONAL for one in labels],
            [one.project for one in labels], seed,
        )  # fmt: skip
        with whole_file(model) as file:
            pickle.dump(fitted, file)
    found: quality.Quality = pickle.loads(model.read_bytes()).quality  # noqa: S301
    jobs = [Job(documents=str(path), model=str(model)) for path in paths]
    scores = [one for part in each_shard(work, "score", jobs, score_file, Scores) for one in part.scores]
    sizes = [size for one in outlines for size in one.tokens]
    chosen, threshold = best(scores, sizes, keep, tokens)
    points = {one.id: one for one in labels}
    counts, lost = Counts("educational value"), list[Document]()

    def kept() -> Iterator[Document]:
        for number, one in enumerate(one for path in paths for one in read_file(path)):
            facts: dict[str, Any] = {"score": scores[number], "threshold": threshold}
            if label := points.get(one.id):
                facts |= {"label": label.points, "label_reasons": list(label.reasons), "annotator": "rubric"}
            if number in chosen:
                counts.keep()
                yield _with(one, facts)
            else:
                counts.drop(LOW)
                lost.append(dropped(one, "filter", LOW, **facts))

    number, size = write_result(work / "out", kept(), lost)
    write_json(work / "out" / "quality.json", found)
    return Built(
        kind="documents", documents=number, tokens=size, stages=(counts.stage(),), parents=(given.digest,),
        licence=given.licence, recipe={"threshold": threshold, "f1": found.f1, "f1_95": [found.f1_low, found.f1_high]},
    )  # fmt: skip


def _with(one: Document, facts: dict[str, Any]) -> Document:
    import msgspec

    return msgspec.structs.replace(one, facts={**one.facts, **facts})


def _labels(work: Path, paths: Sequence[Path], outlines: Sequence[Outline], seed: int) -> list[Labelled]:
    """The labelled sample: the documents whose hash with the seed is smallest."""
    every = [name for one in outlines for name in one.ids]
    mark = {name: hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in every}
    chosen = set(sorted(mark, key=mark.__getitem__)[:LABELLED])
    jobs = [
        Job(documents=str(path), chosen=tuple(sorted(chosen & set(one.ids))))
        for path, one in zip(paths, outlines, strict=True)
    ]
    return [one for part in each_shard(work, "label", jobs, label_file, list[Labelled]) for one in part]


def best(
    scores: Sequence[float], sizes: Sequence[int], keep: float | None, tokens: int | None
) -> tuple[set[int], float]:
    """Numbers of the best documents and the lowest score among them; ties go to the earlier document.

    >>> best([0.1, 0.9, 0.5, 0.9], [10, 10, 10, 10], keep=0.5, tokens=None)
    ({1, 3}, 0.9)
    >>> best([0.1, 0.9, 0.5, 0.9], [10, 10, 10, 10], keep=None, tokens=25)
    ({1, 3}, 0.9)
    """
    order = sorted(range(len(scores)), key=lambda number: (-scores[number], number))
    if keep is not None:
        chosen = order[: max(1, round(keep * len(order)))]
    else:
        chosen, total = [], 0
        for number in order:
            if chosen and total + sizes[number] > (tokens or 0):
                break
            chosen.append(number)
            total += sizes[number]
    return set(chosen), min(scores[number] for number in chosen)
