"""The filter stage: keeps the documents of highest educational value; each records its score and the threshold.

A sample is labelled by the `rubric`, or comes labelled from a dataset (`annotate`); a `classifier` learns the
labels and scores all documents. Memory holds the labelled texts and 24 bytes of each document.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evals import encoders
from training.data.build import Built, Counts, MadeDataset, find, folder_of, make, write_result
from training.data.document import Document, document_files, drop_document, read_documents, read_file
from training.data.quality import classifier, rubric
from training.data.quality.classifier import Head, LabelledSample
from training.data.shards import each_shard
from zoo.digest import whole_file, write_json
from zoo.errors import ZooError
from zoo.records import Dataset, Record

VERSION = 3
LABELLED = 4_000
LOW = "educational value below the threshold"
TFIDF = "tfidf"
MODEL = "model.npz"


class FilterChoice(Record, frozen=True):
    """How many documents to keep: a share, a number of tokens, or as many as reach a precision."""

    keep: float | None = None
    tokens: int | None = None
    precision: float | None = None


class FilterJob(Record, frozen=True):
    """One file of documents to label or score."""

    documents: str
    model: str = ""
    seed: int = 0
    chosen: tuple[int, ...] = ()


class LabelledDocument(Record, frozen=True):
    """One labelled document of the sample."""

    id: str
    text: str
    project: str
    points: int
    reasons: tuple[str, ...]


class FileOutline(Record, frozen=True):
    """The hash and size of each document of a file, for choosing the sample and the cut."""

    marks: bytes
    tokens: bytes


def filter_dataset(
    source: str, name: str, choice: FilterChoice, seed: int, labels: str = "", embedding: str = TFIDF,
    head: Head = "forest",
) -> MadeDataset:  # fmt: skip
    """Makes the dataset of the best documents: a share (30% by default), a token budget, or those above a precision.

    labels     a dataset made by `annotate`; "": label a sample by the rubric
    embedding  `tfidf`, `minilm`, a registered checkpoint or a folder
    """
    given = find(source, ("documents",))
    if given.documents == 0:
        raise ZooError(f"{source} holds no documents to filter. All: phizoo data list")
    if choice == FilterChoice():
        choice = FilterChoice(keep=0.3)
    labelled = find(labels, ("documents",)) if labels else None
    if labelled is not None and not (labelled.recipe or {}).get("educational"):
        raise ZooError(f"{labels} holds no labels; they come from: phizoo data annotate {source} --name NAME")
    encoder = None if embedding == TFIDF else encoders.find_encoder(embedding)
    recipe = {
        "stage": "filter", "version": VERSION, "source": given.digest, "keep": choice.keep, "tokens": choice.tokens,
        "precision": choice.precision, "seed": seed, "head": head,
        "annotator": labelled.digest if labelled else f"rubric {rubric.VERSION}", "labelled": LABELLED,
        "features": "tf-idf svd + characters" if encoder is None else f"{encoder.name} {encoder.digest}",
    }  # fmt: skip
    return make(name, recipe, None, lambda work: FilterRun(work, given, seed, labelled, encoder, head).build(choice))


def outline_file(job: FilterJob) -> FileOutline:
    """Computes the hash (with the seed) and the size of each document of a file."""
    import numpy as np

    marks, tokens = bytearray(), []
    for document in read_file(Path(job.documents)):
        marks += hashlib.sha256(f"{job.seed}:{document.id}".encode()).digest()[:8]
        tokens.append(document.tokens)
    return FileOutline(marks=bytes(marks), tokens=np.array(tokens, dtype="<u4").tobytes())


def label_file(job: FilterJob) -> list[LabelledDocument]:
    """Labels the chosen documents of a file by the rubric."""
    chosen = set(job.chosen)
    labelled = []
    for place, document in enumerate(read_file(Path(job.documents))):
        if place in chosen:
            label = rubric.label_by_rubric(document.text)
            labelled.append(
                LabelledDocument(
                    id=document.id, text=document.text, project=document.project, points=label.points,
                    reasons=label.reasons,
                )
            )  # fmt: skip
    return labelled


def score_file(job: FilterJob) -> bytes:
    """Scores a file's documents, float64, rounded to 4 places."""
    import numpy as np

    fitted = classifier.read_classifier(Path(job.model))
    texts = [document.text for document in read_file(Path(job.documents))]
    scores = classifier.score_texts(texts, fitted) if texts else np.zeros(0)
    return np.round(scores.astype("<f8"), 4).tobytes()


def choose_sample(work: Path, paths: Sequence[Path], seed: int, size: int) -> tuple[list[tuple[int, ...]], Any]:
    """Chooses a sample by hash: the chosen positions in each file, and all documents' sizes, shape (documents,)."""
    import numpy as np

    jobs = [FilterJob(documents=str(path), seed=seed) for path in paths]
    outlines = list(each_shard(work, f"outline {seed}", jobs, outline_file, FileOutline))
    marks = [np.frombuffer(outline.marks, dtype=">u8") for outline in outlines]
    sizes = np.concatenate([np.zeros(0, "<u4"), *(np.frombuffer(outline.tokens, dtype="<u4") for outline in outlines)])
    first = np.sort(np.concatenate([np.zeros(0, ">u8"), *marks]), kind="stable")[:size]
    last = first[-1] if len(first) else 0
    chosen = [tuple(np.flatnonzero(outline <= last).tolist()) if len(first) else () for outline in marks]
    return chosen, sizes


class FilterRun:
    """One run of the filter over a dataset."""

    def __init__(self, work: Path, given: Dataset, seed: int, labelled: Dataset | None,
                 encoder: encoders.Encoder | None, head: Head) -> None:  # fmt: skip
        self.work, self.given, self.seed = work, given, seed
        self.labelled, self.encoder, self.head = labelled, encoder, head
        self.paths = document_files(folder_of(given))

    def build(self, choice: FilterChoice) -> Built:
        """Labels, fits, scores, chooses and writes."""
        import numpy as np

        chosen, sizes = choose_sample(self.work, self.paths, self.seed, LABELLED)
        rows = self._labels(chosen)
        least = int((self.labelled.recipe or {})["educational"]) if self.labelled else rubric.EDUCATIONAL
        labels = LabelledSample(
            [row.text for row in rows], [row.points for row in rows], [row.project for row in rows], least
        )
        fitted = self._fitted(labels)
        model = str(self.work / MODEL)
        jobs = [FilterJob(documents=str(path), model=model) for path in self.paths]
        parts = [np.frombuffer(part, dtype="<f8") for part in each_shard(self.work, "score", jobs, score_file, bytes)]
        scores = np.concatenate([np.zeros(0), *parts])
        if choice.precision is not None:
            threshold = round(classifier.threshold_for(choice.precision, fitted, labels), 4)
            kept = scores >= threshold
        else:
            kept, threshold = choose_best(scores, sizes, choice.keep, choice.tokens)
        counts = Counts("educational value")
        outcomes = self._outcomes(scores, kept, threshold, {row.id: row for row in rows}, counts)
        number, size = write_result(self.work / "out", outcomes)
        write_json(self.work / "out" / "quality.json", fitted.quality)
        quality = fitted.quality
        recipe = {"threshold": threshold, "f1": quality.f1, "f1_95": [quality.f1_low, quality.f1_high]}
        return Built(
            kind="documents", documents=number, tokens=size, stages=(counts.stage(),), licence=self.given.licence,
            parents=(self.given.digest, *([self.labelled.digest] if self.labelled else [])), recipe=recipe,
        )  # fmt: skip

    def _labels(self, chosen: Sequence[tuple[int, ...]]) -> list[LabelledDocument]:
        if self.labelled is not None:
            return [
                LabelledDocument(
                    id=document.id, text=document.text, project=document.project, points=document.facts["label"],
                    reasons=tuple(document.facts.get("label_reasons", ())),
                )
                for document in read_documents(folder_of(self.labelled))
            ]  # fmt: skip
        jobs = [FilterJob(documents=str(path), chosen=places) for path, places in zip(self.paths, chosen, strict=True)]
        return [
            document
            for part in each_shard(self.work, "label", jobs, label_file, list[LabelledDocument])
            for document in part
        ]

    def _fitted(self, labels: LabelledSample) -> classifier.FittedClassifier:
        model = self.work / MODEL
        if not model.is_file():
            with whole_file(model) as file:
                classifier.write_classifier(file, classifier.fit_classifier(labels, self.seed, self.encoder, self.head))
        return classifier.read_classifier(model)

    def _outcomes(
        self, scores: Any, kept: Any, threshold: float, labels: dict[str, LabelledDocument], counts: Counts
    ) -> Iterator[Document]:
        annotator = (self.labelled.recipe or {})["annotator"] if self.labelled else "rubric"
        for number, document in enumerate(document for path in self.paths for document in read_file(path)):
            facts: dict[str, Any] = {"score": float(scores[number]), "threshold": threshold}
            if label := labels.get(document.id):
                facts |= {"label": label.points, "label_reasons": list(label.reasons), "annotator": annotator}
            if kept[number]:
                counts.keep()
                yield msgspec.structs.replace(document, facts={**document.facts, **facts})
            else:
                counts.drop(LOW)
                yield drop_document(document, "filter", LOW, **facts)


def choose_best(scores: Any, sizes: Any, keep: float | None, tokens: int | None) -> tuple[Any, float]:
    """Marks the best documents, shape (documents,), and gives their lowest score; ties go to the earlier document.

    >>> import numpy as np
    >>> scores, sizes = np.array([0.1, 0.9, 0.5, 0.9]), np.array([10, 10, 10, 10])
    >>> choose_best(scores, sizes, keep=0.5, tokens=None)[0].tolist()
    [False, True, False, True]
    >>> choose_best(scores, sizes, keep=None, tokens=25)[1]
    0.9
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    if keep is not None:
        number = max(1, round(keep * len(order)))
    else:
        number = max(1, int(np.searchsorted(np.cumsum(sizes[order], dtype=np.int64), tokens or 0, side="right")))
    kept = np.zeros(len(order), dtype=bool)
    kept[order[:number]] = True
    return kept, float(scores[kept].min())
