"""Compares a filter with 200 documents labelled by hand: F1 with its interval over projects.

The documents are a random sample of 20,000 Python files of one machine (40 of the standard library, at most 3 of
any other project). One reader labelled them before seeing any score: educational if a student of basic coding
could learn from the piece as it is. Of longer documents the reader saw the beginning and a part of the middle.
Only ids, paths and labels are stored; a dataset is compared on the documents that it holds.
"""

import csv
from importlib.resources import files
from pathlib import Path

import msgspec

from training.data.build import folder_of
from training.data.document import read_documents
from training.data.gather.rules import PART
from training.data.quality.classifier import ClassifierQuality, measure_quality
from training.data.quality.filter import read_quality
from zoo.errors import ZooError
from zoo.records import Dataset, Record

FEWEST = 20  # documents of both kinds; with fewer, an F1 is meaningless


class HandLabel(Record, frozen=True):
    """The label of one document."""

    id: str
    project: str
    source: str
    educational: bool


class LabelAgreement(Record, frozen=True):
    """The agreement: F1 of keeping, which depends on the dataset's threshold, and measures that do not.

    called   F1 of calling documents educational above the filter's own cut, chosen out of fold on its own labels
    ranked   how often an educational document scores above another one (area under ROC)
    average  average precision; random scores give the share of educational documents
    """

    kept: ClassifierQuality
    called: ClassifierQuality
    ranked: float
    ranked_low: float
    ranked_high: float
    average: float
    average_low: float
    average_high: float
    labels: int
    matched: int = msgspec.field(name="found")  # the name in --json


def hand_labels() -> list[HandLabel]:
    """Reads the committed labels."""
    path = Path(str(files("training.data.quality"))) / "hand_labels.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        return msgspec.convert(list(csv.DictReader(file, delimiter="\t")), list[HandLabel], strict=False)


def measure_agreement(dataset: Dataset, seed: int = 0, draws: int = 500) -> LabelAgreement:
    """Measures how a filtered dataset agrees with the labels of the documents that it kept or dropped."""
    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    labels = {label.id: label for label in hand_labels()}
    scores: dict[str, float] = {}
    threshold = 0.5
    for stem in ("documents", "dropped"):
        for label in read_documents(folder_of(dataset), stem):
            mark = label.facts.get(PART, label.id)  # a piece was labelled without its imports
            if mark in labels and "score" in label.facts:
                scores[mark], threshold = label.facts["score"], label.facts["threshold"]
    scored = [label for label in labels.values() if label.id in scores]
    truth = np.array([label.educational for label in scored], dtype=bool)
    if len(scored) < FEWEST or truth.all() or not truth.any():
        raise ZooError(
            f"{dataset.name} has scores for {len(scored)} of the {len(labels)} documents labelled by hand, too few to "
            "compare: this machine has other versions of their packages, or phizoo data filter did not make the dataset"
        )
    values = np.array([scores[label.id] for label in scored])
    projects = np.array([label.project for label in scored])
    kept = measure_quality(values, truth, projects, seed, threshold, draws)
    own = read_quality(dataset, "code")
    called = measure_quality(values, truth, projects, seed, own.cut if own else 0.5, draws)
    names, group = np.unique(projects, return_inverse=True)
    picks = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
    drawn = []
    for pick in picks:
        weight = np.bincount(pick, minlength=len(names))[group]
        if weight[truth].sum() and weight[~truth].sum():
            drawn.append([measure(truth, values, sample_weight=weight)
                          for measure in (roc_auc_score, average_precision_score)])  # fmt: skip
    (low, average_low), (high, average_high) = np.quantile(drawn, [0.025, 0.975], axis=0).round(4).tolist()
    return LabelAgreement(
        kept=kept, called=called, ranked=round(float(roc_auc_score(truth, values)), 4), ranked_low=low,
        ranked_high=high, average=round(float(average_precision_score(truth, values)), 4), average_low=average_low,
        average_high=average_high, labels=len(labels), matched=len(scored),
    )  # fmt: skip
