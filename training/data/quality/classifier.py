"""The filter's classifier: learns labels from vectors and is tested out of fold, by project if there are several.

A random forest predicts the probability of "educational" (phi-1, arXiv 2306.11644, section 2.1; the number of
trees is not published, 100 here); a ridge regression predicts the points, as FineWeb-Edu's head does. Either
learns from TF-IDF with SVD or from a language model's vectors.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple
from zipfile import BadZipFile

import msgspec

from evals import encoders
from evals.contamination.fold import fold
from evals.encoders import Encoder
from training.data.quality import heads, tfidf
from training.data.quality.heads import ForestHead, LinearHead
from training.data.quality.prose import prose_vectors
from zoo.errors import ZooError
from zoo.records import Record

Head = Literal["forest", "regression"]
Split = Literal["project", "document"]
TextKind = Literal["code", "text"]

TREES = 100
FOLDS = 5
LEAF = 4
MOST_POINTS = 5
FEWEST = 20  # documents above a threshold before its precision is trusted


class ClassifierQuality(Record, frozen=True):
    """How well the head predicts the labels on projects that it has not seen, or on documents if there is one project.

    projects             projects or documents, by `split`
    f1, f1_low, f1_high  F1 of "educational" with its 95% bootstrap interval over them
    cut                  the lowest score that counts as educational: the cut with the highest F1 out of fold, which
                         makes that F1 slightly optimistic (for a few thousand labels)
    calibration          (mean score, share labelled educational, documents) by tenth of the score
    """

    labelled: int
    educational: int
    projects: int
    f1: float
    f1_low: float
    f1_high: float
    precision: float
    recall: float
    cut: float
    calibration: tuple[tuple[float, float, int], ...]
    split: Split = "project"


class LabelledSample(NamedTuple):
    """The labelled sample: texts, points 0..5, projects, how many points count as educational, and the kind of text."""

    texts: Sequence[str]
    points: Sequence[int]
    projects: Sequence[str]
    educational: int
    kind: TextKind = "code"


class FittedClassifier(NamedTuple):
    """Embedding and head, their measured quality, and the sample's out-of-fold scores.

    quality  None: the labels are too few for folds that each have both kinds, so nothing can be measured
    """

    embedding: tfidf.Embedding | Encoder
    head: ForestHead | LinearHead
    quality: ClassifierQuality | None
    scores: Any
    kind: TextKind = "code"


def fit_classifier(
    labels: LabelledSample, seed: int, encoder: Encoder | None = None, head: Head = "forest"
) -> FittedClassifier:
    """Fits embedding and head, and measures their quality out of fold: by project, or by text if that cannot be."""
    import numpy as np

    points = np.array(labels.points)
    truth = points >= labels.educational
    if truth.all() or not truth.any():
        raise ZooError(
            f"all {len(truth)} labelled documents are {'' if truth.any() else 'not '}educational by their labels: "
            "a classifier needs both; gather more kinds of documents"
        )
    embedding = encoder or tfidf.fit(labels.texts, seed)
    features = embed(labels.texts, embedding, labels.kind)
    wanted = truth if head == "forest" else points / MOST_POINTS
    scores, quality = np.full(len(truth), float(np.mean(wanted))), None
    texts = [fold(text).casefold() for text in labels.texts]  # a text that occurs twice is in one fold
    splits: tuple[tuple[Split, Sequence[str]], ...] = (("project", labels.projects), ("document", texts))
    for split, groups in splits:
        folds = _folds(truth, groups, split)
        if folds is not None:
            for train, test in folds:
                fitted = _make_head(head, seed).fit(features[train], wanted[train])
                scores[test] = _score_vectors(fitted, features[test])
            quality = msgspec.structs.replace(
                measure_quality(scores, truth, np.array(groups), seed, best_cut(scores, truth)), split=split
            )
            break
    fitted = _make_head(head, seed).fit(features, wanted)
    whole = heads.from_forest(fitted) if head == "forest" else heads.from_regression(fitted)
    return FittedClassifier(embedding, whole, quality, scores, labels.kind)


def _folds(truth: Any, groups: Sequence[str], split: str) -> list[tuple[Any, Any]] | None:
    """Up to FOLDS folds that split no group, each with both kinds of labels to learn from; None if there are none."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    fewest = min(len({group for group, value in zip(groups, truth, strict=True) if value == kind}) for kind in (0, 1))
    folds = min(FOLDS, len(set(groups)), fewest if split == "document" else FOLDS)
    if folds < 2:
        return None
    splitter = GroupKFold(folds) if split == "project" else StratifiedGroupKFold(folds)
    parts = list(splitter.split(truth, truth, groups))
    return parts if all(truth[train].any() and not truth[train].all() for train, _ in parts) else None


def best_cut(scores: Any, truth: Any) -> float:
    """The cut between two neighbouring scores with the highest F1; the highest of equal cuts.

    >>> import numpy as np
    >>> round(best_cut(np.array([0.9, 0.8, 0.6, 0.2]), np.array([True, True, False, False])), 3)
    0.7
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    f1 = 2 * np.cumsum(truth[order]) / (np.arange(1, len(order) + 1) + truth.sum())
    f1[:-1][ordered[:-1] == ordered[1:]] = -1  # a cut keeps all documents of one score or none
    best = int(np.argmax(f1))
    return float((ordered[best] + ordered[min(best + 1, len(ordered) - 1)]) / 2)


def _make_head(head: Head, seed: int) -> Any:
    if head == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(TREES, min_samples_leaf=LEAF, max_features="sqrt", random_state=seed, n_jobs=1)
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV((1.0, 10.0, 100.0, 1000.0)))


def _score_vectors(head: Any, features: Any) -> Any:
    """Scores in 0..1 of vectors, shape (documents,)."""
    import numpy as np

    if hasattr(head, "predict_proba"):
        return head.predict_proba(features)[:, 1]
    return np.clip(head.predict(features), 0.0, 1.0)


def embed(texts: Sequence[str], embedding: tfidf.Embedding | Encoder, kind: TextKind = "code") -> Any:
    """One vector for each text, shape (texts, width); of prose with its measures (`prose`)."""
    import numpy as np

    vectors = encoders.encode(texts, embedding) if isinstance(embedding, Encoder) else tfidf.vectors(texts, embedding)
    return np.hstack([vectors, prose_vectors(texts)]) if kind == "text" else vectors


def score_texts(texts: Sequence[str], fitted: FittedClassifier) -> Any:
    """Scores how educational each text is, in 0..1, shape (texts,), float64."""
    return heads.score_vectors(fitted.head, embed(texts, fitted.embedding, fitted.kind))


def write_classifier(file: BinaryIO, fitted: FittedClassifier) -> None:
    """Writes a fitted classifier as arrays of numbers and JSON, in NumPy's npz form."""
    import numpy as np

    embedding = fitted.embedding
    words = embedding._asdict() if isinstance(embedding, tfidf.Embedding) else {"encoder": _packed(embedding)}
    np.savez(file, allow_pickle=False, scores=fitted.scores, quality=_packed(fitted.quality),
             kind=np.frombuffer(fitted.kind.encode(), np.uint8), **words,
             **heads.arrays(fitted.head))  # fmt: skip


def read_classifier(path: Path) -> FittedClassifier:
    """Reads a fitted classifier. Raises ZooError if the file is not one: nothing in it is ever run."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as kept:
            embedding: tfidf.Embedding | Encoder
            if "encoder" in kept:
                embedding = msgspec.json.decode(kept["encoder"].tobytes(), type=Encoder)
            else:
                embedding = tfidf.Embedding(kept["idf"], kept["projection"])
            quality = msgspec.json.decode(kept["quality"].tobytes(), type=ClassifierQuality | None)
            kind: TextKind = "text" if kept["kind"].tobytes() == b"text" else "code"
            return FittedClassifier(embedding, heads.from_arrays(kept), quality, kept["scores"], kind)
    except (ValueError, KeyError, EOFError, AttributeError, TypeError, BadZipFile, zlib.error, msgspec.MsgspecError):
        raise ZooError(f"{path}: is no classifier of this version; delete it and run the command again") from None


def _packed(record: Record | None) -> Any:
    import numpy as np

    return np.frombuffer(msgspec.json.encode(record), dtype=np.uint8)


def threshold_for(precision: float, fitted: FittedClassifier, labels: LabelledSample) -> float:
    """The lowest score above which, out of fold, at least this share is educational.

    Raises ZooError with the best precision that can be reached.
    """
    import numpy as np

    if fitted.quality is None:
        raise ZooError(
            f"the precision cannot be measured: {len(labels.points)} labels are too few for folds with both kinds; "
            "choose by --keep or --tokens"
        )
    truth = np.array(labels.points) >= labels.educational
    order = np.argsort(-fitted.scores, kind="stable")
    reached = np.cumsum(truth[order]) / np.arange(1, len(truth) + 1)
    # a threshold keeps all documents of one score or none
    last = np.append(np.diff(fitted.scores[order]) != 0, True)
    enough = np.flatnonzero(last & (reached >= precision) & (np.arange(len(truth)) + 1 >= min(FEWEST, len(truth))))
    if not len(enough):
        best = float(reached[last][FEWEST - 1 :].max(initial=0.0))
        raise ZooError(
            f"no threshold reaches precision {precision:g} on unseen {fitted.quality.split}s; the best is {best:.2f}"
        )
    return float(fitted.scores[order][enough[-1]])


def measure_quality(
    scores: Any, truth: Any, projects: Any, seed: int, cut: float = 0.5, draws: int = 500
) -> ClassifierQuality:
    """Measures F1 at the cut, with a bootstrap over projects, and the calibration by tenths."""
    import numpy as np

    called = scores >= cut
    names, group = np.unique(projects, return_inverse=True)
    hit, false, missed = (
        np.bincount(group, weights=part, minlength=len(names))
        for part in (called & truth, called & ~truth, ~called & truth)
    )
    picks = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
    drawn = _f1(hit[picks].sum(1), false[picks].sum(1), missed[picks].sum(1))
    low, high = np.quantile(drawn, [0.025, 0.975])
    tenth = np.minimum((scores * 10).astype(int), 9)
    calibration = tuple(
        (round(float(scores[tenth == t].mean()), 4), round(float(truth[tenth == t].mean()), 4), int((tenth == t).sum()))
        for t in range(10)
        if (tenth == t).any()
    )
    return ClassifierQuality(
        labelled=len(truth), educational=int(truth.sum()), projects=len(names),
        f1=round(float(_f1(hit.sum(), false.sum(), missed.sum())), 4), f1_low=round(float(low), 4),
        f1_high=round(float(high), 4), precision=round(float(hit.sum() / max(1.0, hit.sum() + false.sum())), 4),
        recall=round(float(hit.sum() / max(1.0, hit.sum() + missed.sum())), 4), cut=cut,
        calibration=calibration,
    )  # fmt: skip


def _f1(hit: Any, false: Any, missed: Any) -> Any:
    import numpy as np

    return 2 * hit / np.maximum(1, 2 * hit + false + missed)
