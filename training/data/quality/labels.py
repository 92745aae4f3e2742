"""The rubric of each kind of document, and the 200 passages of prose that are labelled by hand.

107 passages are chunks of READMEs, licences, manual pages and docstrings of installed packages with free licences,
drawn at random by kind; 93 were written for this list. One reader labelled all before any classifier saw them, by one
question: would a student learn a subject from it? The rubric was written with the labels in view, so its own agreement
with them is optimistic; the classifier's is out of fold.
"""

from importlib.resources import files
from pathlib import Path

import msgspec

from training.data.document import Document
from training.data.quality import prose, rubric
from training.data.quality.classifier import (
    ClassifierQuality,
    FittedClassifier,
    LabelledSample,
    TextKind,
    measure_quality,
    score_texts,
)
from training.data.quality.rubric import RubricLabel
from zoo.records import Record

HAND = "hand"  # the name of these labels in commands
EDUCATIONAL: dict[TextKind, int] = {"code": rubric.EDUCATIONAL, "text": prose.EDUCATIONAL}
ANNOTATOR = f"rubric {rubric.VERSION}, prose {prose.VERSION}"


class ProseLabel(Record, frozen=True):
    """One passage, where it comes from, its licence, and its label."""

    source: str
    project: str
    licence: str
    educational: bool
    text: str


def text_kind(document: Document) -> TextKind:
    """The kind of a document by which it is judged: passages of textbooks are text, all else but text is code."""
    return "text" if document.kind in ("text", "textbook") else "code"


def label_by_kind(document: Document) -> RubricLabel:
    """Labels a document by the rubric of its kind."""
    return (prose.label_prose if text_kind(document) == "text" else rubric.label_by_rubric)(document.text)


def prose_labels() -> list[ProseLabel]:
    """Reads the committed passages."""
    path = Path(str(files("training.data.quality"))) / "prose_labels.jsonl"
    return [msgspec.json.decode(line, type=ProseLabel) for line in path.read_bytes().splitlines()]


def hand_sample() -> LabelledSample:
    """The passages as a sample to learn from."""
    labels = prose_labels()
    return LabelledSample(
        [label.text for label in labels], [5 * label.educational for label in labels],
        [label.project for label in labels], EDUCATIONAL["text"], "text",
    )  # fmt: skip


def compare_with_hand(fitted: FittedClassifier, seed: int) -> ClassifierQuality:
    """How a classifier that did not learn from the passages agrees with their labels, at its own cut."""
    import numpy as np

    sample = hand_sample()
    truth = np.array(sample.points) > 0
    cut = fitted.quality.cut if fitted.quality else 0.5
    return measure_quality(score_texts(sample.texts, fitted), truth, np.array(sample.projects), seed, cut)
