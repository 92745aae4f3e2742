"""The filter stage: keeps the documents of highest educational value; each records its score and the threshold.

Code and text have a classifier each, since what teaches in one is noise in the other. A sample of each kind is labelled
by its rubric (`labels`), by hand, or in a dataset (`annotate`); the `classifier` learns the labels and scores all
documents of the kind. A `published` classifier may score text instead. Memory holds the labelled texts and 25 bytes of
each document.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evals import encoders
from training.data.build import Built, Counts, MadeDataset, find, folder_of, make, write_result
from training.data.document import Document, document_files, drop_document, read_documents, read_file
from training.data.quality import classifier
from training.data.quality.classifier import Head, LabelledSample, TextKind
from training.data.quality.labels import (
    ANNOTATOR,
    EDUCATIONAL,
    HAND,
    compare_with_hand,
    hand_sample,
    label_by_kind,
    prose_labels,
    text_kind,
)
from training.data.quality.published import PublishedClassifier, find_published
from training.data.shards import each_shard
from zoo.digest import digest, whole_file, write_json
from zoo.errors import ZooError
from zoo.records import Dataset, Record

VERSION = 4
LABELLED = 4_000
LOW = "educational value below the threshold"
TFIDF = "tfidf"
KINDS: tuple[TextKind, ...] = ("code", "text")


class FilterChoice(Record, frozen=True):
    """How many documents to keep: a share, a number of tokens, or as many as reach a precision."""

    keep: float | None = None
    tokens: int | None = None
    precision: float | None = None


class FilterJob(Record, frozen=True):
    """One file of documents to label or score."""

    documents: str
    models: dict[TextKind, str] = {}
    seed: int = 0
    chosen: tuple[int, ...] = ()
    published: PublishedClassifier | None = None


class LabelledDocument(Record, frozen=True):
    """One labelled document of the sample."""

    id: str
    text: str
    kind: TextKind
    project: str
    points: int
    reasons: tuple[str, ...]


class FileOutline(Record, frozen=True):
    """The hash, size and kind (an index into KINDS) of each document of a file, for choosing the sample and the cut."""

    marks: bytes
    tokens: bytes
    kinds: bytes


def filter_dataset(
    source: str, name: str, choice: FilterChoice, seed: int, labels: str = "", embedding: str = TFIDF,
    head: Head = "forest", by: str = "", weights: str = "",
) -> MadeDataset:  # fmt: skip
    """Makes the dataset of the best documents: a share (30% by default), a token budget, or those above a precision.

    labels     a dataset made by `annotate`; "hand": the passages labelled by hand, for text; "": label a sample by the
               rubrics
    embedding  `tfidf`, `minilm`, a registered checkpoint or a folder
    by         a published classifier of text, which keeps what is above its own threshold unless `choice` says more
    weights    the folder or file of its weights; "": the hub's
    """
    given = find(source, ("documents",))
    if given.documents == 0:
        raise ZooError(f"{source} holds no documents to filter. All: phizoo data list")
    published = find_published(by, weights) if by else None
    if choice == FilterChoice() and published is None:
        choice = FilterChoice(keep=0.3)
    labelled = find(labels, ("documents",)) if labels and labels != HAND else None
    if labelled is not None and not (labelled.recipe or {}).get("educational"):
        raise ZooError(f"{labels} holds no labels; they come from: phizoo data annotate {source} --name NAME")
    encoder = None if embedding == TFIDF else encoders.find_encoder(embedding)
    recipe: dict[str, Any] = {
        "stage": "filter", "version": VERSION, "source": given.digest, "keep": choice.keep, "tokens": choice.tokens,
        "precision": choice.precision, "seed": seed,
    }  # fmt: skip
    if published is not None:
        recipe |= {"classifier": published.name, "weights": published.digest}
    else:
        own = digest([msgspec.structs.astuple(label) for label in prose_labels()]) if labels == HAND else ""
        recipe |= {
            "annotator": labelled.digest if labelled else f"hand {own}; {ANNOTATOR}" if own else ANNOTATOR,
            "labelled": LABELLED, "head": head,
            "features": "tf-idf svd + characters" if encoder is None else f"{encoder.name} {encoder.digest}",
        }  # fmt: skip
    run = FilterRun(given, seed, labelled, labels == HAND, encoder, head, published)
    return make(name, recipe, None, lambda work: run.build(work, choice))


def outline_file(job: FilterJob) -> FileOutline:
    """Computes the hash (with the seed), the size and the kind of each document of a file."""
    import numpy as np

    marks, tokens, kinds = bytearray(), [], bytearray()
    for document in read_file(Path(job.documents)):
        marks += hashlib.sha256(f"{job.seed}:{document.id}".encode()).digest()[:8]
        tokens.append(document.tokens)
        kinds.append(KINDS.index(text_kind(document)))
    return FileOutline(marks=bytes(marks), tokens=np.array(tokens, dtype="<u4").tobytes(), kinds=bytes(kinds))


def label_file(job: FilterJob) -> list[LabelledDocument]:
    """Labels the chosen documents of a file by the rubric of their kind."""
    chosen = set(job.chosen)
    labelled = []
    for place, document in enumerate(read_file(Path(job.documents))):
        if place in chosen:
            label = label_by_kind(document)
            labelled.append(
                LabelledDocument(
                    id=document.id, text=document.text, kind=text_kind(document), project=document.project,
                    points=label.points, reasons=label.reasons,
                )
            )  # fmt: skip
    return labelled


def score_file(job: FilterJob) -> bytes:
    """Scores a file's documents, each by its kind, float64, rounded to 4 places.

    A kind without a model is scored by its rubric, a fifth of the points.
    """
    import numpy as np

    documents = list(read_file(Path(job.documents)))
    scores = np.zeros(len(documents))
    for kind in KINDS:
        places = [place for place, document in enumerate(documents) if text_kind(document) == kind]
        texts = [documents[place].text for place in places]
        if not texts:
            continue
        if job.published is not None:
            scores[places] = job.published.scores(texts)
        elif model := job.models[kind]:
            scores[places] = classifier.score_texts(texts, classifier.read_classifier(Path(model)))
        else:
            scores[places] = [label_by_kind(documents[place]).points / classifier.MOST_POINTS for place in places]
    return np.round(scores, 4).tobytes()


def choose_sample(
    work: Path, paths: Sequence[Path], seed: int, size: int, by_kind: bool = False
) -> tuple[list[tuple[int, ...]], Any, Any]:
    """Chooses a sample by hash, of all documents or of each kind: the chosen positions in each file.

    Returns them, and all documents' sizes and kinds (indices into KINDS), each of shape (documents,).
    """
    import numpy as np

    jobs = [FilterJob(documents=str(path), seed=seed) for path in paths]
    outlines = list(each_shard(work, f"outline {seed}", jobs, outline_file, FileOutline))
    marks = np.concatenate([np.zeros(0, ">u8"), *(np.frombuffer(one.marks, dtype=">u8") for one in outlines)])
    sizes = np.concatenate([np.zeros(0, "<u4"), *(np.frombuffer(one.tokens, dtype="<u4") for one in outlines)])
    kinds = np.concatenate([np.zeros(0, "u1"), *(np.frombuffer(one.kinds, dtype="u1") for one in outlines)])
    chosen = np.zeros(len(marks), bool)
    for part in [kinds == number for number in range(len(KINDS))] if by_kind else [np.ones(len(kinds), bool)]:
        first = np.sort(marks[part], kind="stable")[:size]
        if len(first):
            chosen |= part & (marks <= first[-1])
    bounds = np.cumsum([0, *(len(one.kinds) for one in outlines)])
    places = [tuple(np.flatnonzero(chosen[a:b]).tolist()) for a, b in itertools.pairwise(bounds)]
    return places, sizes, kinds


class FilterRun(NamedTuple):
    """One run of the filter over a dataset."""

    given: Dataset
    seed: int
    labelled: Dataset | None
    by_hand: bool
    encoder: encoders.Encoder | None
    head: Head
    published: PublishedClassifier | None

    def build(self, work: Path, choice: FilterChoice) -> Built:
        """Labels, fits, scores, chooses and writes, each kind of document by itself."""
        import numpy as np

        paths = document_files(folder_of(self.given))
        places, sizes, kinds = choose_sample(work, paths, self.seed, LABELLED, by_kind=True)
        present = [kind for number, kind in enumerate(KINDS) if (kinds == number).any()]
        if self.published is not None and "code" in present:
            raise ZooError(
                f"{self.published.name} judges text, and {self.given.name} holds code; filter it without --by"
            )
        rows = self._labels(work, paths, places) if self.published is None else []
        samples = {kind: self._sample(rows, kind) for kind in present}
        fitted = {} if self.published else {kind: self._fitted(work, kind, samples[kind], present) for kind in present}
        models: dict[TextKind, str] = {
            kind: str(_model_path(work, kind)) if fitted.get(kind) else "" for kind in present
        }
        jobs = [FilterJob(documents=str(path), models=models, published=self.published) for path in paths]
        parts = [np.frombuffer(part, dtype="<f8") for part in each_shard(work, "score", jobs, score_file, bytes)]
        scores = np.concatenate([np.zeros(0), *parts])
        kept, thresholds = np.zeros(len(scores), bool), np.zeros(len(scores))
        described: dict[str, Any] = {}
        for kind in present:
            own = kinds == KINDS.index(kind)
            part, threshold = self._choose(choice, scores[own], sizes[own], sizes, fitted.get(kind), samples[kind])
            kept[own], thresholds[own] = part, threshold
            described[kind] = {"documents": int(own.sum()), "threshold": threshold, **self._measures(fitted.get(kind))}
        counts = Counts("educational value")
        outcomes = self._outcomes(paths, scores, kept, thresholds, {row.id: row for row in rows}, counts)
        number, size = write_result(work / "out", outcomes)
        write_json(work / "out" / "quality.json", {kind: one.quality if one else None for kind, one in fitted.items()})
        return Built(
            kind="documents", documents=number, tokens=size, stages=(counts.stage(),), licence=self.given.licence,
            parents=(self.given.digest, *([self.labelled.digest] if self.labelled else [])),
            recipe={"heads": described},
        )  # fmt: skip

    def _labels(self, work: Path, paths: Sequence[Path], chosen: Sequence[tuple[int, ...]]) -> list[LabelledDocument]:
        if self.labelled is not None:
            return [
                LabelledDocument(
                    id=document.id, text=document.text, kind=text_kind(document), project=document.project,
                    points=document.facts["label"], reasons=tuple(document.facts.get("label_reasons", ())),
                )
                for document in read_documents(folder_of(self.labelled))
            ]  # fmt: skip
        jobs = [FilterJob(documents=str(path), chosen=places) for path, places in zip(paths, chosen, strict=True)]
        labelled = each_shard(work, "label", jobs, label_file, list[LabelledDocument])
        return [document for part in labelled for document in part]

    def _sample(self, rows: Sequence[LabelledDocument], kind: TextKind) -> LabelledSample:
        if self.by_hand and kind == "text":
            return hand_sample()
        own = [row for row in rows if row.kind == kind]
        least = (self.labelled.recipe or {})["educational"] if self.labelled else EDUCATIONAL
        least = least[kind] if isinstance(least, dict) else least  # the rubrics have a scale each, a model one
        return LabelledSample(
            [row.text for row in own], [row.points for row in own], [row.project for row in own], int(least), kind
        )

    def _fitted(
        self, work: Path, kind: TextKind, sample: LabelledSample, present: Sequence[TextKind]
    ) -> classifier.FittedClassifier | None:
        """The classifier of a kind; None: the rubric scores it, because beside the other kind it has too few labels."""
        path = _model_path(work, kind)
        if not path.is_file():
            try:
                fitted = classifier.fit_classifier(sample, self.seed, self.encoder, self.head)
            except ZooError:
                if len(present) == 1:
                    raise
                return None
            with whole_file(path) as file:
                classifier.write_classifier(file, fitted)
        return classifier.read_classifier(path)

    def _choose(
        self, choice: FilterChoice, scores: Any, sizes: Any, every: Any, fitted: classifier.FittedClassifier | None,
        sample: LabelledSample,
    ) -> tuple[Any, float]:  # fmt: skip
        """Marks the documents of a kind that are kept, and their threshold; a budget is shared by size."""
        if self.published is not None and choice == FilterChoice():
            return scores >= self.published.threshold, self.published.threshold
        if choice.precision is not None:
            if fitted is None:
                raise ZooError(
                    "the precision of a kind without a classifier cannot be measured; use --keep or --tokens"
                )
            threshold = round(classifier.threshold_for(choice.precision, fitted, sample), 4)
            return scores >= threshold, threshold
        budget = None if choice.tokens is None else int(choice.tokens * (int(sizes.sum()) / max(1, int(every.sum()))))
        return choose_best(scores, sizes, choice.keep, budget)

    def _measures(self, fitted: classifier.FittedClassifier | None) -> dict[str, Any]:
        """F1 out of fold; of a text classifier that did not learn from the hand-labelled passages, also on these."""
        if fitted is None:
            return {"classifier": self.published.name if self.published else "rubric"}
        measures: dict[str, Any] = {"f1": None}
        if quality := fitted.quality:
            measures = {"f1": quality.f1, "f1_95": [quality.f1_low, quality.f1_high], "split": quality.split}
        if fitted.kind == "text" and not self.by_hand:
            hand = compare_with_hand(fitted, self.seed)
            measures |= {"hand_f1": hand.f1, "hand_f1_95": [hand.f1_low, hand.f1_high]}
        return measures

    def _outcomes(
        self, paths: Sequence[Path], scores: Any, kept: Any, thresholds: Any, labels: dict[str, LabelledDocument],
        counts: Counts,
    ) -> Iterator[Document]:  # fmt: skip
        annotator = (self.labelled.recipe or {})["annotator"] if self.labelled else "rubric"
        for number, document in enumerate(document for path in paths for document in read_file(path)):
            facts: dict[str, Any] = {"score": float(scores[number]), "threshold": float(thresholds[number])}
            if label := labels.get(document.id):
                facts |= {"label": label.points, "label_reasons": list(label.reasons), "annotator": annotator}
            if kept[number]:
                counts.keep()
                yield msgspec.structs.replace(document, facts={**document.facts, **facts})
            else:
                counts.drop(LOW)
                yield drop_document(document, "filter", LOW, **facts)


def _model_path(work: Path, kind: TextKind) -> Path:
    return work / f"model-{kind}.npz"


def read_quality(dataset: Dataset, kind: TextKind) -> classifier.ClassifierQuality | None:
    """The out-of-fold quality of a filtered dataset's classifier of a kind; None if there is none."""
    data = (folder_of(dataset) / "quality.json").read_bytes()
    if "heads" not in (dataset.recipe or {}):  # before version 4 one classifier scored all
        return msgspec.json.decode(data, type=classifier.ClassifierQuality)
    return msgspec.json.decode(data, type=dict[str, classifier.ClassifierQuality | None]).get(kind)


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
