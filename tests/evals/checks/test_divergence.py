"""The divergence of two models over a text: zero from itself, the sum over the vocabulary by hand, refused where undefined."""

import json
from pathlib import Path
from typing import Any

import pytest

from evals.checks.divergence import WINDOW_TOKENS, measure_divergence
from zoo.cli import root
from zoo.errors import ZooError
from zoo.registry import open_registry

TEXT = "def add(a, b):\n    return a + b\n\nQuestion: What is the answer?\n" * 40


@pytest.fixture
def other(tiny_phi: Path, tmp_path: Path) -> Path:
    """The tiny Phi with other weights and the same vocabulary."""
    import torch
    from transformers import AutoTokenizer, PhiConfig, PhiForCausalLM

    torch.manual_seed(9)
    config = PhiConfig.from_pretrained(tiny_phi)
    config.initializer_range = 0.2
    PhiForCausalLM(config).save_pretrained(tmp_path / "other")
    AutoTokenizer.from_pretrained(tiny_phi).save_pretrained(tmp_path / "other")
    return tmp_path / "other"


def by_hand(before: Path, after: Path) -> list[float]:
    """KL at each token, one loop over the vocabulary, windows of the context (128)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(before)
    ids, size = tokenizer(TEXT)["input_ids"], len(tokenizer)
    models: list[Any] = [AutoModelForCausalLM.from_pretrained(path).eval() for path in (before, after)]
    values = []
    for begin in range(0, len(ids), 128):
        window = torch.tensor([ids[begin : begin + 128]])
        with torch.inference_mode():
            p, q = (model(window).logits[0, :, :size].double().softmax(-1) for model in models)
        values += [float(sum(a * (a / b).log() for a, b in zip(*rows, strict=True))) for rows in zip(p, q, strict=True)]
    return values


def test_the_mean_is_the_sum_over_the_vocabulary(tiny_phi: Path, other: Path) -> None:
    measured, expected = measure_divergence(tiny_phi, other, TEXT, "text"), by_hand(tiny_phi, other)
    assert measured.n == len(expected)
    assert measured.mean == pytest.approx(sum(expected) / len(expected), rel=1e-4)
    assert measured.largest == pytest.approx(max(expected), rel=1e-4)
    assert 0 < measured.low < measured.mean < measured.high
    back = measure_divergence(other, tiny_phi, TEXT, "text")
    assert back.mean != pytest.approx(measured.mean, rel=1e-2)
    assert WINDOW_TOKENS > 128


def test_a_model_does_not_diverge_from_itself(tiny_phi: Path) -> None:
    measured = measure_divergence(tiny_phi, tiny_phi, TEXT, "text")
    assert (measured.mean, measured.low, measured.high, measured.same_best) == (0.0, 0.0, 0.0, 1.0)


def test_a_short_text_and_other_tokens_are_refused(tiny_phi: Path, other: Path) -> None:
    with pytest.raises(ZooError, match="of at least 385"):
        measure_divergence(tiny_phi, other, "def add", "text")
    path = other / "tokenizer.json"
    parts = json.loads(path.read_text())
    parts["model"]["merges"] = parts["model"]["merges"][:10]
    path.write_text(json.dumps(parts))
    with pytest.raises(ZooError, match="different tokens"):
        measure_divergence(tiny_phi, other, TEXT, "text")


def test_models_diff_says_it(tiny_phi: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "one")
        registry.add(other, "two")
    (tmp_path / "text.txt").write_text(TEXT)
    assert root.run(["models", "diff", "one", "two", "--text", str(tmp_path / "text.txt"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["divergence"]
    assert measured["n"] > 384 and measured["mean"] > 0 and measured["text"] == "text.txt"
    assert root.run(["models", "diff", "one", "two"]) == 0
    assert "divergence" not in capsys.readouterr().out
    assert root.run(["models", "diff", "one", "two", "--text", str(tmp_path / "none")]) == 2
