"""The head of the quality classifier as arrays: the same scores as scikit-learn's, and a file that runs nothing."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from training.data.quality import classifier, heads
from training.data.quality.classifier import Head, LabelledSample, fit_classifier, read_classifier, score_texts
from zoo.errors import ZooError


@pytest.mark.parametrize("trees_of", [40, 700])
def test_the_scores_are_those_of_scikit_learn_bit_for_bit(trees_of: int) -> None:
    random = np.random.default_rng(trees_of)
    features = random.normal(size=(trees_of, 66)).astype(np.float32)
    truth = features[:, 0] + random.normal(size=trees_of) > 0
    others = random.normal(size=(500, 66)).astype(np.float32)
    forest = classifier._make_head("forest", 0).fit(features, truth)
    assert np.array_equal(heads.score_vectors(heads.from_forest(forest), others), forest.predict_proba(others)[:, 1])
    ridge = classifier._make_head("regression", 0).fit(features, random.integers(0, 6, trees_of) / 5)
    assert np.array_equal(
        heads.score_vectors(heads.from_regression(ridge), others), np.clip(ridge.predict(others), 0.0, 1.0)
    )


@pytest.mark.parametrize("head", ["forest", "regression"])
def test_a_classifier_comes_back_from_its_file_as_it_was(head: Head, tmp_path: Path) -> None:
    texts = [f"def f{n}(x):\n    return x + {n}\n" if n % 2 else f"{n} " * 30 for n in range(60)]
    labels = LabelledSample(texts, [5 if n % 2 else 0 for n in range(60)], [f"p{n % 7}" for n in range(60)], 3)
    fitted = fit_classifier(labels, seed=0, head=head)
    with (tmp_path / "model.npz").open("wb") as file:
        classifier.write_classifier(file, fitted)
    again = read_classifier(tmp_path / "model.npz")
    assert again.quality == fitted.quality
    assert np.array_equal(again.scores, fitted.scores)
    assert np.array_equal(score_texts(texts, again), score_texts(texts, fitted))


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def test_a_pickle_in_place_of_the_file_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.npz"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ZooError, match="no classifier of this version"):
        read_classifier(path)
    with path.open("wb") as file:
        np.savez(file, idf=np.array([Bomb()], dtype=object), projection=np.zeros(1), allow_pickle=True)
    with pytest.raises(ZooError, match="no classifier of this version"):
        read_classifier(path)
    path.write_bytes(b"")
    with pytest.raises(ZooError, match="no classifier of this version"):
        read_classifier(path)
    assert not (tmp_path / "ran").exists()
