"""Gold answers and rolling windows on engines: equal to a plain forward's, however long, and only once read."""

from collections.abc import Sequence
from importlib.util import find_spec
from math import log
from pathlib import Path
from typing import Any

import pytest

from evals.engines import connect
from evals.engines.tokens import Pair, Tokens, cut_pieces, folder_tokens
from evals.records import ChoiceRequest
from evals.scoring.likelihood import bits_per_byte
from evals.tasks import task
from evals.text import rolling_windows
from tests.gguf_files import tiny_llama
from zoo.errors import ZooError

RELATIVE = 1e-4
CONTEXT = 128  # of the tiny Phi


def plain_nats(model: Any, tokens: Sequence[int], start: int) -> float:
    """The negative log-probability of the tokens from `start` on, by one forward pass over these tokens alone."""
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([tokens[:-1]])).logits[0].double()
    logprobs = torch.log_softmax(logits, dim=-1)
    return -float(sum(logprobs[place - 1, tokens[place]] for place in range(start, len(tokens))))


@pytest.fixture(scope="module")
def model(tiny_phi: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_phi).eval()


@pytest.fixture(scope="module")
def tokens(tiny_phi: Path) -> Tokens:
    return folder_tokens(tiny_phi)


def cases() -> list[tuple[str, str]]:
    """Pairs of some samples of every kind of set, cut short, and of answers longer than the context."""
    pairs = [("def add(a, b):\n", "    return a + b"), ("", "no context"), ("x" * 400, " é"), ("q", " answer " * 60)]
    pairs.append(("Question: " * 30, "word " * 100))
    for name in ("humaneval_bpb", "gsm8k_bpb", "drop_bpb", "math_algebra_bpb", "mbpp_rust_bpb", "lambada_bpb"):
        try:
            one = task(name)
            sample = next(iter(one.samples()))
        except ZooError:  # the package with the set is not installed
            continue
        assert one.pairs is not None
        ((context, answer),) = one.pairs(sample)
        pairs.append((context[-150:], answer))
    return pairs


def test_bits_are_those_of_a_plain_forward(tiny_phi: Path, model: Any, tokens: Tokens) -> None:
    engine = connect("transformers", tiny_phi, device="cpu")
    asked = [ChoiceRequest(sample=str(n), pairs=(pair,), whole=True) for n, pair in enumerate(cases())]
    read = {scores.sample: scores for scores in engine.choose(asked)}
    engine.close()
    assert len(read) == len(asked)
    for request in asked:
        pieces = tokens.pairs(request, CONTEXT)
        wanted = sum(plain_nats(model, piece.tokens, piece.start) for piece in pieces)
        scores = read[request.sample]
        nats, size = -sum(piece.logprob for piece in scores.choices), len(request.pairs[0][1].encode())
        assert bits_per_byte(nats, size) == pytest.approx(wanted / log(2) / size, rel=RELATIVE)
        whole = tokens.pair(*request.pairs[0], 10**9)
        assert sum(piece.tokens for piece in scores.choices) == len(whole.tokens) - whole.start  # none is left out
    assert max(len(scores.choices) for scores in read.values()) > 2


def test_windows_are_read_as_a_plain_forward_reads_them(tiny_phi: Path, model: Any, tokens: Tokens) -> None:
    engine = connect("transformers", tiny_phi, device="cpu")
    text = "def add(a, b):\n    return a + b\n\n\nWhat is the answer to the first of the questions?\n" * 12
    assert tokens.prefix is not None
    for room in (CONTEXT, 20, 1):
        windows = list(rolling_windows(tokens.encode(text), tokens.prefix, room))
        asked = [ChoiceRequest(sample=str(n), windows=(window,)) for n, window in enumerate(windows)]
        nats = -sum(scores.choices[0].logprob for scores in engine.choose(asked))
        assert nats == pytest.approx(sum(plain_nats(model, *window) for window in windows), rel=RELATIVE)
    engine.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["transformers", "llama_cpp"])
def test_a_gguf_is_read_alike_by_both_engines(name: str, tiny_phi: Path, tmp_path: Path) -> None:
    for package in {"gguf", name} - {"transformers"}:
        if find_spec(package) is None:
            pytest.skip(f"{package} is an extra: pip install 'phi-zoo[gguf,llama-cpp]'")
    model = tiny_llama(tmp_path / "tiny.gguf", tiny_phi)
    engine: Any = connect(name, tmp_path)
    own = folder_tokens(tmp_path)
    assert own.prefix is not None
    asked = [ChoiceRequest(sample=str(n), pairs=(pair,), whole=True) for n, pair in enumerate(cases())]
    windows = list(rolling_windows(own.encode("add the first to the last of the items " * 20), own.prefix, CONTEXT))
    asked += [ChoiceRequest(sample=f"w{n}", windows=(window,)) for n, window in enumerate(windows)]
    read = {scores.sample: scores for scores in engine.choose(asked)}
    engine.close()
    for request in asked:
        wanted = sum(plain_nats(model, piece.tokens, piece.start) for piece in own.pairs(request, CONTEXT))
        nats = -sum(piece.logprob for piece in read[request.sample].choices)
        assert nats == pytest.approx(wanted, rel=RELATIVE)


def test_pieces_cover_an_answer_once_with_as_much_before_as_fits() -> None:
    for length in range(1, 40):
        for start in (1, 3, 12):
            pair = Pair(tokens=tuple(range(start + length)), start=start)
            pieces = cut_pieces(pair, 10)
            assert [token for piece in pieces for token in piece.tokens[piece.start :]] == list(pair.tokens[start:])
            assert all(len(piece.tokens) <= 11 and piece.start >= 1 for piece in pieces)
            assert len(pieces) == 1 or length > 10
            assert all(len(piece.tokens) == 11 or piece.tokens[0] == 0 for piece in pieces)


def test_an_answer_that_fits_is_one_pair_as_choices_are(tokens: Tokens) -> None:
    for pair in cases():
        whole = tokens.pairs(ChoiceRequest(sample="s", pairs=(pair,), whole=True), 10**6)
        assert whole == tokens.pairs(ChoiceRequest(sample="s", pairs=(pair,)), 10**6)
