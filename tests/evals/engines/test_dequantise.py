"""A GGUF written as full weights is the same model: the same numbers, tokens and ends, in files that may enter."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from evals.engines.dequantise import write_dequantised
from evals.engines.local.load import load_model
from evals.engines.tokens import folder_tokens
from tests.gguf_files import tiny_llama
from zoo.errors import ZooError

pytestmark = [
    pytest.mark.skipif(find_spec("gguf") is None, reason="an extra: pip install 'phi-zoo[gguf]'"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_numbers_are_those_that_the_engine_reads(dtype: str, tiny_phi: Path, tmp_path: Path) -> None:
    import torch

    source, target = tmp_path / "gguf", tmp_path / "full"
    source.mkdir()
    target.mkdir()
    tiny_llama(source / "tiny.gguf", tiny_phi)
    write_dequantised(source, target, dtype)
    written = load_model(target, dtype=dtype).state_dict()
    for name, tensor in load_model(source).state_dict().items():
        assert torch.equal(written.pop(name), tensor.to(getattr(torch, dtype))), name
    assert not written
    assert not hasattr(load_model(target).config, "quantization_config")


def test_prompts_and_ends_are_those_of_the_file(tiny_phi: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "gguf", tmp_path / "full"
    source.mkdir()
    target.mkdir()
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    # the end of a turn is a token that only the file's own key names
    turn = {"tokenizer.ggml.eot_token_id": (4, 7), "tokenizer.chat_template": (8, template)}
    tiny_llama(source / "tiny.gguf", tiny_phi, **turn)
    write_dequantised(source, target)
    before, after = folder_tokens(source), folder_tokens(target)
    assert (after.ends, after.prefix, after.size) == (before.ends, before.prefix, before.size)
    assert 7 in after.ends
    text = "def add(a, b):\n    return a + 12345 é\n\n"
    assert after.encode(text) == before.encode(text)
    assert after.tokenizer.chat_template == template


def test_a_folder_without_gguf_is_refused(tiny_phi: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="no GGUF"):
        write_dequantised(tiny_phi, tmp_path)
