"""Published classifiers of text as named filters: FineWeb-Edu's and DCLM's, with their own thresholds.

Their weights are not part of this project: they are read from a folder or file, or from the hub at a pinned revision.
Source: FineWeb-Edu (arXiv 2406.17557): a regression on Snowflake's arctic-embed-m, 0 to 5 points, kept from 3; DCLM
(arXiv 2406.11794): fastText on words and pairs of words, the probability of "high quality", kept from 0.018112.
"""

import functools
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from zoo.digest import digest, file_sha256
from zoo.errors import ZooError, unknown
from zoo.records import Record

BATCH = 16
TOKENS = 512


class PublishedForm(Record, frozen=True):
    """A published classifier: its repository and file on the hub, its form, and its threshold on scores of 0..1."""

    repository: str
    file: str
    form: Literal["regression", "fasttext"]
    threshold: float
    label: str = ""


PUBLISHED = {
    "fineweb-edu": PublishedForm(
        repository="HuggingFaceFW/fineweb-edu-classifier", file="model.safetensors", form="regression", threshold=0.5
    ),  # 3 of 5 points after rounding: from 2.5
    "dclm": PublishedForm(
        repository="mlfoundations/fasttext-oh-eli5", file="openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train.bin",
        form="fasttext", threshold=0.018112, label="__label__hq",
    ),
}  # fmt: skip


class PublishedClassifier(Record, frozen=True):
    """A published classifier whose weights are here."""

    name: str
    path: str
    digest: str
    threshold: float

    def scores(self, texts: Sequence[str]) -> Any:
        """A score in 0..1 of each text, shape (texts,), float64."""
        form = PUBLISHED[self.name]
        return (_points if form.form == "regression" else _probabilities)(self.path, form.label, texts)


def find_published(name: str, weights: str = "") -> PublishedClassifier:
    """Finds a published classifier's weights. Raises ZooError with the remedy if they are not here."""
    if name not in PUBLISHED:
        raise unknown("published classifier", name, sorted(PUBLISHED), "phizoo data filter --help")
    form = PUBLISHED[name]
    if form.form == "fasttext" and importlib.util.find_spec("fasttext") is None:
        raise ZooError(f"{name} needs fastText: pip install fasttext-predict")
    path = Path(weights) if weights else _from_hub(name, form)
    file = path / form.file if path.is_dir() else path
    if not file.is_file():
        raise ZooError(f"no weights of {name} at {file}: give --weights, the folder or file of {form.repository}")
    where = file.parent if form.form == "regression" else file
    files = [*sorted(where.glob("*.json")), file] if where.is_dir() else [file]
    return PublishedClassifier(
        name=name, path=str(where), digest=digest([file_sha256(one) for one in files]), threshold=form.threshold
    )


def _from_hub(name: str, form: PublishedForm) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "vocab.txt", form.file] if form.form == "regression" else [form.file]
    try:
        return Path(snapshot_download(form.repository, allow_patterns=wanted))
    except Exception as error:
        if not isinstance(error, OSError | ValueError) and not type(error).__module__.startswith(("httpx", "hugging")):
            raise
        raise ZooError(
            f"the weights of {name} are not on this machine and the hub cannot be reached; fetch {form.repository} "
            "elsewhere and give its folder with --weights"
        ) from None


@functools.lru_cache(maxsize=1)
def _regression(path: str) -> tuple[Any, Any]:
    import torch

    from evals.engines.local.load import load_model
    from evals.engines.tokens import folder_tokenizer

    torch.set_num_threads(1)  # the same scores on any number of cores
    return folder_tokenizer(Path(path)), load_model(path, "AutoModelForSequenceClassification")


def _points(path: str, _label: str, texts: Sequence[str]) -> Any:
    """FineWeb-Edu's points, cut to 0..5, as a share of 5."""
    import numpy as np
    import torch

    tokenizer, model = _regression(path)
    scores = np.zeros(len(texts))
    for start in range(0, len(texts), BATCH):
        part = list(texts[start : start + BATCH])
        given = tokenizer(part, truncation=True, max_length=TOKENS, padding=True, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**given).logits
        scores[start : start + len(part)] = logits.float().squeeze(-1).clamp(0, 5).numpy() / 5
    return scores


@functools.lru_cache(maxsize=1)
def _fasttext(path: str) -> Any:
    return importlib.import_module("fasttext").load_model(path)


def _probabilities(path: str, label: str, texts: Sequence[str]) -> Any:
    """The probability of the label for each text, written as one line, as DCLM does."""
    import numpy as np

    model = _fasttext(path)
    scores = np.zeros(len(texts))
    for place, text in enumerate(texts):
        labels, values = model.predict(" ".join(text.split()), k=-1)
        found = dict(zip(labels, values, strict=True))
        scores[place] = min(1.0, float(found.get(label, 0.0)))
    return scores
