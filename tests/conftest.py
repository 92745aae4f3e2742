"""Fixtures shared by all tests: a zoo of its own for each test, a tiny Phi, the shared data where it is."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray on the loopback address alone; read at import
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
settings.register_profile("phizoo", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("phizoo")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: its children would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

TEXT = '''def add(a, b):
    """Return the sum of a and b."""
    return a + b


def last(items):
    """Return the last of the items, or None."""
    if not items:
        return None
    return items[-1]


Question: What is the answer to the first of the questions?
Answer: the number seven
'''


@pytest.fixture(autouse=True)
def _own_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own zoo."""
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "home"))
    for name in ("PHIZOO_DB", "PHIZOO_STORE", "PHIZOO_DATA"):
        monkeypatch.delenv(name, raising=False)
    if "selftest" not in request.node.name:  # eight seconds a home; tests/evals/sandbox runs it for real
        monkeypatch.setattr("evals.sandbox.selftest.require", lambda tier, workers=None: None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the shared data folder is not beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def overflowing_phi(tiny_phi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Phi with finite weights so large that its activations overflow: every logit is NaN."""
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("overflow") / "phi"
    shutil.copytree(tiny_phi, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.fc2.weight"].fill_(3e38)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def tiny_phi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Phi of 2 layers, width 32, context 128, and a byte-level BPE of its own."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PhiConfig, PhiForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-phi")
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([TEXT] * 4, vocab_size=330, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, eos_token="<|endoftext|>", bos_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    config = PhiConfig(
        vocab_size=352,  # more rows than tokens, as in the released models
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        partial_rotary_factor=0.5,
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=0.3,  # wide, so that greedy choices are clear and not ties
    )
    PhiForCausalLM(config).save_pretrained(folder)
    return folder
