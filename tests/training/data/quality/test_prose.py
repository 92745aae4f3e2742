"""Prose: advertising is not educational, explanations are; a long list of hand labels agrees with the classifier."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from training.cli.data_make import filter_documents
from training.data.build import folder_of
from training.data.document import read_documents
from training.data.gather.gather import gather
from training.data.quality import classifier, published
from training.data.quality.filter import FilterChoice, filter_dataset
from training.data.quality.labels import HAND, hand_sample, prose_labels
from training.data.quality.prose import EDUCATIONAL, NAMES, label_prose, measure_prose
from zoo.errors import ZooError


def test_the_labels_are_two_hundred_of_many_sources_under_free_licences() -> None:
    labels = prose_labels()
    assert len(labels) == len({label.text for label in labels}) == 200
    assert sum(label.educational for label in labels) == 69
    assert len({label.project for label in labels}) >= 50
    assert all(label.licence and label.licence != "unknown" for label in labels)


def test_the_classifier_of_prose_agrees_with_the_hand_labels_out_of_fold() -> None:
    fitted = classifier.fit_classifier(hand_sample(), seed=0)
    assert fitted.quality
    assert (fitted.quality.labelled, fitted.quality.split, fitted.kind) == (200, "project", "text")
    # the figure of docs/training-data.md
    assert fitted.quality.f1 >= 0.85
    assert 0.65 < fitted.quality.f1_low < fitted.quality.f1 < fitted.quality.f1_high


def test_the_rubric_of_prose_is_better_than_chance_and_says_why() -> None:
    labels = prose_labels()
    called = np.array([label_prose(label.text).points >= EDUCATIONAL for label in labels])
    truth = np.array([label.educational for label in labels])
    assert 2 * (called & truth).sum() / (called.sum() + truth.sum()) == pytest.approx(0.797, abs=0.001)
    reasons = label_prose("BUY NOW!!! Click here to order. Free shipping on all orders this weekend!!!").reasons
    assert {"not: sells or asks to click", "not: shouts"} <= set(reasons)


@given(st.text(max_size=300))
def test_any_text_is_measured(text: str) -> None:
    measures = measure_prose(text)
    assert len(measures) == len(NAMES)
    assert all(np.isfinite(measures))
    assert 0 <= label_prose(text).points <= 5


@pytest.fixture
def web(tmp_path: Path) -> str:
    """A dataset of the passages, some Python files, and one long text, one row each."""
    with (tmp_path / "web.jsonl").open("w") as file:
        for number, label in enumerate(prose_labels()):
            file.write(json.dumps({"text": label.text, "url": f"site{number % 20}", "good": label.educational}) + "\n")
    gather(str(tmp_path / "web.jsonl"), "web")
    return "web"


def test_text_is_filtered_and_its_f1_is_said(web: str) -> None:
    told = CliRunner().invoke(filter_documents, [web, "--name", "best", "--keep", "0.3"])
    assert told.exit_code == 0, told.exception
    assert "text: F1 0." in told.output
    assert "on 200 passages labelled by hand" in told.output
    good = {" ".join(label.text.split()): label.educational for label in prose_labels()}
    from training.data.build import find

    kept = [good[" ".join(one.text.split())] for one in read_documents(folder_of(find("best")))]
    assert len(kept) == round(0.3 * find("web").documents)
    assert np.mean(kept) >= 0.75  # 0.345 by chance
    by_hand = filter_dataset(web, "by-hand", FilterChoice(precision=0.8), 0, labels=HAND)
    head = (by_hand.dataset.recipe or {})["heads"]["text"]
    assert head["split"] == "project"
    assert "hand_f1" not in head  # it learned from them


def test_code_and_text_have_a_head_each(tmp_path: Path) -> None:
    good = "def area(width, height):\n    # the area of a rectangle with these sides\n    return width * height + {n} - 1\n"
    bad = "import a{n}\nimport b\nimport c\nimport d\nimport e_long_name\nimport f_long_name_{n}\n"
    for number in range(24):
        (tmp_path / f"code{number}.py").write_text((good if number % 2 else bad).format(n=number))
    for number, label in enumerate(prose_labels()[::4]):
        (tmp_path / f"text{number}.txt").write_text(label.text)
    gather(str(tmp_path), "mixed")
    made = filter_dataset("mixed", "best", FilterChoice(keep=0.5), 0)
    heads = (made.dataset.recipe or {})["heads"]
    assert set(heads) == {"code", "text"}
    kept = [document.source for document in read_documents(folder_of(made.dataset))]
    assert sum(source.endswith(".py") for source in kept) == round(0.5 * heads["code"]["documents"])
    assert sum(source.endswith(".txt") for source in kept) == round(0.5 * heads["text"]["documents"])
    with pytest.raises(ZooError, match="no weights of fineweb-edu at"):
        filter_dataset("mixed", "best", FilterChoice(), 0, by="fineweb-edu", weights=str(tmp_path))


def test_fineweb_edus_classifier_is_a_named_filter(web: str, tmp_path: Path) -> None:
    """A tiny model of its form with known weights: the logit is what it adds, and 2.5 points are the threshold."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path / "edu"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *["because", "the", "of", "a", "is", "you", "and", "to"]]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                       num_labels=1, initializer_range=1.0)  # fmt: skip
    model = BertForSequenceClassification(shape)
    texts = [label.text for label in prose_labels()]
    given_ = tokenizer(texts, truncation=True, max_length=512, padding=True, return_tensors="pt")
    with torch.no_grad():
        model.eval().classifier.weight.mul_(1)
        model.classifier.bias.fill_(2.5 - float(model(**given_).logits.median()))
        points = model(**given_).logits.squeeze(-1).clamp(0, 5)
    model.save_pretrained(folder)
    made = filter_dataset(web, "edu", FilterChoice(), 0, by="fineweb-edu", weights=str(folder))
    documents = [*read_documents(folder_of(made.dataset)), *read_documents(folder_of(made.dataset), "dropped")]
    assert {document.facts["threshold"] for document in documents} == {0.5}
    assert all((document.facts["score"] >= 0.5) != bool(document.reason) for document in documents)
    assert 0 < made.dataset.documents < len(documents)
    scores = {document.id: document.facts["score"] for document in documents}
    assert sorted(scores.values()) == pytest.approx(sorted(float(one) / 5 for one in points), abs=2e-4)
    assert (made.dataset.recipe or {})["classifier"] == "fineweb-edu"


def test_dclms_classifier_reads_one_line_and_its_label(
    web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        def predict(self, text: str, k: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
            assert "\n" not in text
            share = 0.02 if "because" in text else 0.01
            return ("__label__cc", "__label__hq"), (1 - share, share)

    weights = tmp_path / "model.bin"
    weights.write_bytes(b"weights")
    with pytest.raises(ZooError, match="pip install fasttext-predict"):
        published.find_published("dclm", str(weights))
    monkeypatch.setattr(published.importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(
        published.importlib, "import_module", lambda _name: SimpleNamespace(load_model=lambda _path: Model())
    )
    made = filter_dataset(web, "dclm", FilterChoice(), 0, by="dclm", weights=str(weights))
    kept = list(read_documents(folder_of(made.dataset)))
    assert kept
    assert all("because" in document.text for document in kept)
    with pytest.raises(ZooError, match="no weights of dclm at"):
        published.find_published("dclm", str(tmp_path / "none.bin"))
