"""Heads and embeddings behind one interface: each learns, each is checked by project, thresholds hold their word."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from evals import encoders
from evals.encoders import encode, find_encoder
from training.cli.data_inspect import show
from training.cli.data_make import filter_documents, refine
from training.data.build import MadeDataset
from training.data.quality import agreement as agree
from training.data.quality import classifier
from training.data.quality.classifier import LabelledSample
from training.data.quality.filter import FilterChoice, filter_dataset
from zoo.errors import ZooError

GOOD = ("sum", "mean", "largest", "sorted", "reversed")
BAD = ("config", "widget", "registry", "handler", "layout")


@pytest.fixture(scope="module")
def labels() -> LabelledSample:
    random_ = random.Random(0)
    texts, points, projects = [], [], []
    for n in range(80):
        good = n % 2 == 0
        word = random_.choice(GOOD if good else BAD)
        told = f"The {word} of a list of numbers." if good else ""
        texts.append(f'def {word}_{n}(values):\n    """{told}"""\n    return {word}(values)\n')
        points.append(5 if good else random_.choice((0, 1)))
        projects.append(f"p{n // 2 % 10}")
    return LabelledSample(texts, points, projects, 4)


@pytest.mark.parametrize("head", ["forest", "regression"])
@pytest.mark.parametrize("embedding", ["tfidf", "minilm"])
def test_each_head_learns_from_each_embedding(labels: LabelledSample, head: classifier.Head, embedding: str) -> None:
    encoder = None if embedding == "tfidf" else find_encoder(embedding)
    fitted = classifier.fit_classifier(labels, 0, encoder, head)
    found = fitted.quality
    assert found
    assert found.split == "project"
    assert found.f1 > 0.9
    assert found.f1_low <= found.f1 <= found.f1_high
    assert found.projects == 10
    again = classifier.score_texts(labels.texts[:4], fitted)
    assert again[0] > found.cut > again[1]


def test_the_real_minilm_reads_meaning() -> None:
    encoder = find_encoder("minilm")
    vectors = encode(["A cat sits on the mat.", "There is a cat on a rug.", "def f(x): return x ** 2", ""], encoder)
    assert vectors.shape == (4, 384)
    assert vectors[0] @ vectors[1] > 0.6 > vectors[0] @ vectors[2]
    alone = encode(["There is a cat on a rug."], encoder)
    assert np.allclose(alone[0], vectors[1], atol=1e-5)


def test_a_causal_checkpoint_gives_its_mean_last_state(tmp_path: object, made_phi: SimpleNamespace) -> None:
    encoder = find_encoder(made_phi.folder)
    vectors = encode(["x = 1", "x = 1 + 2 + 3"], encoder)
    assert vectors.shape[0] == 2
    assert not np.allclose(vectors[0], vectors[1])
    with pytest.raises(ZooError, match="no checkpoint"):
        find_encoder("no-such-checkpoint")


@pytest.fixture
def made_phi(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A tiny Phi with a byte-level tokenizer, as a folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PhiConfig, PhiForCausalLM

    from training.data.tokens.tokenizer import EOS, save_tokenizer

    folder = tmp_path_factory.mktemp("phi")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={one: n for n, one in enumerate([*letters, EOS])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    save_tokenizer(tokenizer, folder)
    config = PhiConfig(vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                       num_attention_heads=2, max_position_embeddings=64, bos_token_id=256, eos_token_id=256)  # fmt: skip
    PhiForCausalLM(config).save_pretrained(folder)
    return SimpleNamespace(folder=str(folder))


def test_a_threshold_holds_its_precision(labels: LabelledSample) -> None:
    fitted = classifier.fit_classifier(labels, 0)
    truth = np.array(labels.points) >= labels.educational
    noisy = fitted._replace(scores=np.linspace(0, 1, len(truth)))
    with pytest.raises(ZooError, match=r"the best is 0\.\d+"):
        classifier.threshold_for(0.9, noisy, labels)
    threshold = classifier.threshold_for(0.9, fitted, labels)
    assert truth[fitted.scores >= threshold].mean() >= 0.9


def test_the_filter_takes_a_precision_and_shows_both_ends(code: MadeDataset) -> None:
    told = CliRunner().invoke(filter_documents, ["code", "--out", "best", "--keep", "0.3", "--explain"])
    assert told.exit_code == 0, told.exception
    # one document alone is not educational: no fold could learn it and be tested on it
    assert "code: F1 cannot be measured" in told.output
    assert " | " in told.output
    with pytest.raises(ZooError, match="the precision cannot be measured: 63 labels are too few"):
        filter_dataset("code", "none", FilterChoice(precision=1.0), 0)


def test_one_project_is_split_by_document(labels: LabelledSample) -> None:
    """A table without a repository column: the same texts twice, and no word of the label left to a fold's own texts."""
    one = labels._replace(projects=["table"] * len(labels.texts))
    fitted = classifier.fit_classifier(one, 0)
    assert fitted.quality
    assert (fitted.quality.split, fitted.quality.projects) == ("document", 80)
    assert fitted.quality.f1_low <= fitted.quality.f1 <= 1
    assert len(set(fitted.scores.tolist())) > 2
    assert classifier.threshold_for(0.8, fitted, one) < 1
    rng = random.Random(1)
    words = [" ".join(rng.choice("abcdefgh") for _ in range(9)) for _ in range(30)]
    noise = LabelledSample([word for word in words for _ in range(2)], [rng.randint(0, 1) * 5 for _ in words for _ in "ab"],
                           ["table"] * 60, 4)  # fmt: skip
    twice = noise._replace(points=[noise.points[n - n % 2] for n in range(60)])
    again = classifier.fit_classifier(twice, 0)
    assert again.quality
    assert again.quality.projects == len(set(words))  # both copies of a text are in one fold
    assert again.quality.f1 < 0.9


def test_refine_prints_the_table(code: MadeDataset) -> None:
    told = CliRunner().invoke(refine, ["code", "--out", "fine", "--keep", "0.5", "--against", "humaneval"])
    assert told.exit_code == 0, told.exception
    rows = [line for line in told.output.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0][2:] for row in rows[2:6]] == [
        "unfiltered",
        "filtered",
        "deduplicated",
        "decontaminated",
    ]
    assert "100.0%" in rows[2]


def test_the_hand_labels_are_two_hundred_of_many_projects(code: MadeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = agree.hand_labels()
    assert len(labels) == len({one.id for one in labels}) == 200
    assert len({one.project for one in labels}) >= 50
    assert 10 < sum(one.educational for one in labels) < 100
    made = filter_dataset("code", "best", FilterChoice(keep=0.3), 0)
    with pytest.raises(ZooError, match="too few to compare"):
        agree.measure_agreement(made.dataset)
    from training.data.build import folder_of
    from training.data.document import read_documents

    folder = folder_of(made.dataset)
    every = [(one, True) for one in read_documents(folder)] + [
        (one, False) for one in read_documents(folder, "dropped")
    ]
    best = max(one.facts["score"] for one, _ in every)  # some of that score may be dropped: the share asked for is full
    own = [agree.HandLabel(id=one.id, project=str(n % 7), source=one.source, educational=one.facts["score"] == best)
           for n, (one, _) in enumerate(every)]  # fmt: skip
    assert 1 < sum(one.educational for one in own) < len(every)
    monkeypatch.setattr(agree, "hand_labels", lambda: own)
    found = agree.measure_agreement(made.dataset)
    assert found.ranked == found.average == found.average_high == 1.0
    assert found.kept.recall == 1.0
    told = CliRunner().invoke(show, ["--agreement", "best"])
    assert f"{len(every)} of {len(every)} labelled documents" in told.output
    monkeypatch.setattr(agree, "hand_labels", lambda: [
        agree.HandLabel(id=one.id, project=one.project, source=one.source, educational=not one.educational)
        for one in own
    ])  # fmt: skip
    turned = agree.measure_agreement(made.dataset)
    assert turned.ranked == pytest.approx(1 - found.ranked, abs=1e-3)
    assert turned.average_low <= turned.average <= turned.average_high < 1


def test_an_unknown_encoder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "PACKAGE", "no_such_package")
    with pytest.raises(ZooError, match="minilm needs its package"):
        find_encoder("minilm")
