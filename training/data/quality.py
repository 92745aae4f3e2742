"""The classifier behind the filter: a random forest that learns labels from vectors, checked out of fold by project.

Source: phi-1 (arXiv 2306.11644), section 2.1. The number of trees is not published; 100 here.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from training.data import embed
from zoo.checkpoint import Record
from zoo.errors import ZooError

TREES = 100
FOLDS = 5
LEAF = 4


class Quality(Record, frozen=True):
    """How well the forest finds the labels on projects it has not seen.

    f1, f1_low, f1_high  F1 of "educational" with its 95% bootstrap interval over projects
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
    calibration: tuple[tuple[float, float, int], ...]


class Fitted(NamedTuple):
    """Embedding and forest, and what they were measured to be worth."""

    embedding: embed.Embedding
    forest: Any
    quality: Quality


def fit(texts: Sequence[str], labels: Sequence[bool], projects: Sequence[str], seed: int) -> Fitted:
    """Embedding, forest and its out-of-fold quality, split by project and never by document."""
    import numpy as np
    from sklearn.model_selection import GroupKFold

    truth = np.array(labels, dtype=bool)
    if truth.all() or not truth.any():
        raise ZooError(
            f"all {len(truth)} labelled documents are {'' if truth.any() else 'not '}educational by the rubric: "
            "there is nothing to learn; gather more kinds of documents"
        )
    embedding = embed.fit(texts, seed)
    found = embed.vectors(texts, embedding)
    folds = min(FOLDS, len(set(projects)))
    scores = np.full(len(truth), truth.mean())
    if folds > 1:
        for train, test in GroupKFold(folds).split(found, truth, projects):
            if truth[train].any() and not truth[train].all():
                scores[test] = _forest(seed).fit(found[train], truth[train]).predict_proba(found[test])[:, 1]
    forest = _forest(seed).fit(found, truth)
    return Fitted(embedding, forest, measured(scores, truth, np.array(projects), seed))


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, min_samples_leaf=LEAF, max_features="sqrt", random_state=seed, n_jobs=1)


def score(texts: Sequence[str], fitted: Fitted) -> Any:
    """Probability of "educational" of each text, shape (texts,), float64."""
    return fitted.forest.predict_proba(embed.vectors(texts, fitted.embedding))[:, 1]


def measured(scores: Any, truth: Any, projects: Any, seed: int, draws: int = 500) -> Quality:
    """F1 at a half with a bootstrap over projects, and the calibration by tenths."""
    import numpy as np

    said = scores >= 0.5
    names, group = np.unique(projects, return_inverse=True)
    hit, false, missed = (
        np.bincount(group, weights=part, minlength=len(names)) for part in (said & truth, said & ~truth, ~said & truth)
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
    return Quality(
        labelled=len(truth), educational=int(truth.sum()), projects=len(names),
        f1=round(float(_f1(hit.sum(), false.sum(), missed.sum())), 4), f1_low=round(float(low), 4),
        f1_high=round(float(high), 4), precision=round(float(hit.sum() / max(1.0, hit.sum() + false.sum())), 4),
        recall=round(float(hit.sum() / max(1.0, hit.sum() + missed.sum())), 4), calibration=calibration,
    )  # fmt: skip


def _f1(hit: Any, false: Any, missed: Any) -> Any:
    import numpy as np

    return 2 * hit / np.maximum(1, 2 * hit + false + missed)
