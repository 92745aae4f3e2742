"""Small token datasets, a zoo of their own and jobs, for the tests of training."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from training.recipe import Recipe, from_plain

EOS = 0


def joined(documents: list[list[int]]) -> list[int]:
    """The ids of all documents, one after the other."""
    return [token for document in documents for token in document]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """One thread: small tensors are faster so, and a busy machine does not slow them tenfold."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def token_folder(tmp_path: Path) -> Callable[..., Any]:
    """Writes a token dataset of seeded documents and opens it, without registry or tokenizer."""
    from training.data.tokens.loader import open_tokens

    def make(name: str = "tiny", documents: int = 40, seed: int = 0, vocabulary: int = 50, shards: int = 1) -> Any:
        rng = random.Random(seed)
        texts = [[rng.randrange(1, vocabulary) for _ in range(rng.randint(3, 30))] + [EOS] for _ in range(documents)]
        folder = tmp_path / name
        folder.mkdir()
        kept, held = joined(texts[4:]), joined(texts[:4])
        cuts = [len(kept) * number // shards for number in range(shards + 1)]
        listed = []
        for number in range(shards):
            part = np.array(kept[cuts[number] : cuts[number + 1]], dtype="<u2")
            part.tofile(folder / f"tokens-{number:05d}.bin")
            listed.append({"file": f"tokens-{number:05d}.bin", "tokens": len(part), "sha256": ""})
        np.array(held, dtype="<u2").tofile(folder / "validation-00000.bin")
        told = {
            "eos": EOS,
            "vocabulary": vocabulary,
            "context": None,
            "shards": listed,
            "validation": [{"file": "validation-00000.bin", "tokens": len(held), "sha256": ""}],
        }
        (folder / "shards.json").write_text(json.dumps(told))
        return open_tokens(folder, name, f"{seed:064d}")

    return make


@pytest.fixture
def small_recipe() -> Callable[..., Recipe]:
    """A recipe of seconds; keyword arguments are tables merged over it."""

    def make(**tables: Any) -> Recipe:
        plain: dict[str, Any] = {
            "name": "small",
            "model": {"layers": 2, "width": 64, "heads": 2, "mlp": 128, "rotary_dim": 16, "context_tokens": 64},
            "data": {"sources": [{"name": "tiny"}], "sequence_tokens": 16},
            "training": {"steps": 12, "batch_sequences": 4},
            "schedule": {"kind": "linear", "peak_learning_rate": 3e-3, "warmup_steps": 2},
            "states": {"every_seconds": 0.0, "every_steps": 3},
        }
        for key, value in tables.items():
            plain[key] = {**plain.get(key, {}), **value} if isinstance(value, dict) else value
        return from_plain(plain)

    return make


@pytest.fixture
def small_job(token_folder: Any, small_recipe: Any, tmp_path: Path) -> Callable[..., Any]:
    """A Job of a small recipe on its own data; `folder` names its run, so that two can be compared."""
    from training import model
    from training.trainer import TrainJob

    opened: dict[str, Any] = {}

    def make(folder: str = "run", stop_after: int | None = None, **tables: Any) -> Any:
        recipe = small_recipe(**tables)
        for number, source in enumerate(recipe.data.sources):
            if source.name not in opened:
                opened[source.name] = token_folder(source.name, documents=20 + 20 * number, seed=number)
        sources = [opened[source.name] for source in recipe.data.sources]
        place = tmp_path / "runs" / folder
        place.mkdir(parents=True, exist_ok=True)
        assert recipe.model is not None
        settings = model.config(recipe.model, sources[0].vocabulary, EOS, EOS)
        identity = {"recipe": msgspec.to_builtins(recipe.training)}
        return TrainJob(recipe, settings, sources, place, identity, stop_after=stop_after)

    return make


@pytest.fixture
def registered_tokens() -> Callable[..., Any]:
    """Registers a token dataset with a real tokenizer, as `phizoo data pack` leaves it."""

    def make(name: str = "tiny-tokens", documents: int = 200, seed: int = 0) -> Any:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        from zoo import settings
        from zoo.digest import digest, write_json
        from zoo.records import Dataset
        from zoo.registry import open_registry

        rng = random.Random(seed)
        words = ["value", "item", "total", "count", "number"]
        texts = [
            f'def add({(word := rng.choice(words))}):\n    """Add {(k := rng.randint(1, 99))} to {word}."""\n'
            f"    return {word} + {k}\n"
            for _ in range(documents)
        ]
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        bpe.train_from_iterator(
            texts,
            trainers.BpeTrainer(
                vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
            ),
        )
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=bpe,
            eos_token="<|endoftext|>",
            bos_token="<|endoftext|>",
            clean_up_tokenization_spaces=False,
        )
        ids = [[*bpe.encode(text).ids, tokenizer.eos_token_id] for text in texts]
        kept, held = joined(ids[20:]), joined(ids[:20])
        record = Dataset(
            name=name, digest=digest([name, kept, held]), kind="tokens", documents=documents, tokens=len(kept)
        )
        folder = settings.datasets_dir() / record.digest
        folder.mkdir(parents=True)
        np.array(kept, dtype="<u2").tofile(folder / "tokens-00000.bin")
        np.array(held, dtype="<u2").tofile(folder / "validation-00000.bin")
        tokenizer.save_pretrained(folder / "tokenizer")
        told = {
            "eos": tokenizer.eos_token_id,
            "vocabulary": len(tokenizer),
            "context": None,
            "shards": [{"file": "tokens-00000.bin", "tokens": len(kept), "sha256": ""}],
            "validation": [{"file": "validation-00000.bin", "tokens": len(held), "sha256": ""}],
        }
        write_json(folder / "shards.json", told)
        write_json(folder / "dataset.json", msgspec.to_builtins(record))
        with open_registry() as registry:
            registry.add_dataset(record)
        return record

    return make
