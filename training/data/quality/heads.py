"""The classifier's head as plain arrays: kept in a file that holds numbers alone, and scoring without scikit-learn.

A pickle in a work folder would run whatever lies there. The scores equal those of scikit-learn's own `predict_proba`
and `predict`, bit for bit: the same sums in the same order. Not here: fitting (`classifier`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

BLOCK = 256  # documents scored at a time: with 100 trees, 3,000 take 0.06 s and all at once 0.15


class ForestHead(NamedTuple):
    """All nodes of a forest's trees, one after the other: shape (nodes,); `roots` has the first of each tree.

    left, right  the number of a node's children; a leaf's are itself
    share        the share of educational samples in a node
    """

    roots: Any
    left: Any
    right: Any
    feature: Any
    threshold: Any
    share: Any
    depth: Any


class LinearHead(NamedTuple):
    """A ridge regression on scaled features: mean, scale and weights of shape (features,), and the intercept."""

    mean: Any
    scale: Any
    weights: Any
    intercept: Any


def from_forest(forest: Any) -> ForestHead:
    """The arrays of a fitted random forest of two classes."""
    import numpy as np

    trees = [estimator.tree_ for estimator in forest.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
    left, right = (
        np.concatenate([_own_at_leaves(children) + root for children, root in zip(side, roots, strict=True)])
        for side in ([tree.children_left for tree in trees], [tree.children_right for tree in trees])
    )
    features = np.concatenate([np.maximum(tree.feature, 0) for tree in trees])
    thresholds = np.concatenate([tree.threshold for tree in trees])
    shares = np.concatenate([tree.value[:, 0, 1] for tree in trees])
    return ForestHead(roots, left, right, features, thresholds, shares, np.array(max(tree.max_depth for tree in trees)))


def _own_at_leaves(children: Any) -> Any:
    import numpy as np

    return np.where(children < 0, np.arange(len(children)), children)


def from_regression(pipeline: Any) -> LinearHead:
    """The arrays of a fitted pipeline of a scaler and a ridge regression."""
    import numpy as np

    scaler, ridge = (step for _, step in pipeline.steps)
    return LinearHead(scaler.mean_, scaler.scale_, ridge.coef_, np.array(ridge.intercept_))


def score_vectors(head: ForestHead | LinearHead, features: Any) -> Any:
    """Scores in 0..1 of vectors, shape (documents,)."""
    import numpy as np

    if isinstance(head, LinearHead):
        scaled = np.array(features)
        scaled -= head.mean.astype(scaled.dtype)
        scaled /= head.scale.astype(scaled.dtype)
        return np.clip(scaled @ head.weights + head.intercept, 0.0, 1.0)
    features = np.asarray(features, dtype=np.float32)
    blocks = (features[start : start + BLOCK] for start in range(0, len(features), BLOCK))
    return np.concatenate([np.zeros(0), *(_forest_scores(head, block) for block in blocks)])


def _forest_scores(head: ForestHead, features: Any) -> Any:
    """Takes every document through all trees at once; `walking` are the pairs of both that are not at a leaf yet."""
    import numpy as np

    inner, below = head.left != np.arange(len(head.left)), np.stack([head.right, head.left], axis=1).ravel()
    values, documents = features.ravel(), np.tile(np.arange(len(features)), len(head.roots))
    nodes = np.repeat(head.roots, len(features))
    walking = np.flatnonzero(inner.take(nodes))
    for _ in range(int(head.depth)):
        node = nodes.take(walking)
        value = values.take(documents.take(walking) * features.shape[1] + head.feature.take(node))
        nodes[walking] = node = below.take(2 * node + (value <= head.threshold.take(node)))
        walking = walking[inner.take(node)]
    total = np.zeros(len(features))
    for shares in head.share.take(nodes).reshape(len(head.roots), len(features)):
        total += shares  # one after the other, as scikit-learn does
    return total / len(head.roots)


def arrays(head: ForestHead | LinearHead) -> dict[str, Any]:
    """The arrays to keep, by name."""
    return {f"{type(head).__name__}.{name}": value for name, value in head._asdict().items()}


def from_arrays(kept: Mapping[str, Any]) -> ForestHead | LinearHead:
    """The head of kept arrays. Raises KeyError if one is missing."""
    kind = ForestHead if "ForestHead.roots" in kept else LinearHead
    return kind(*(kept[f"{kind.__name__}.{name}"] for name in kind._fields))
