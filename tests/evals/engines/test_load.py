"""Models that are loaded at the same time, as the Playground's sides are, are whole."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from evals.engines.local.load import load_model
from tests.evals.engines.tiny_families import tiny_config, tiny_model


def has_tied_head(folder: Path) -> bool:
    model: Any = load_model(folder)
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_models_loaded_in_threads_keep_their_tied_heads(tmp_path: Path) -> None:
    tiny_model(tiny_config("llama", tie_word_embeddings=True)).save_pretrained(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(has_tied_head, [tmp_path] * 12))
    assert has_tied_head(tmp_path)
