"""`phizoo eval text`: the numbers of a plain forward over the harness's windows, files, datasets, and wrong use."""

import json
import shutil
from math import exp, log
from pathlib import Path
from typing import Any

import pytest

from evals.engines.tokens import folder_tokens
from evals.text import rolling_windows
from tests.evals.engines.test_likelihoods import plain_nats
from zoo.cli.root import run as phizoo

TEXTS = ["def add(a, b):\n    return a + b\n" * 20, "What is the answer?  Seven.\n", "é – the last of the items"]


@pytest.fixture
def zoo(tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert phizoo(["models", "add", str(tiny_phi), "--name", "one"]) == 0
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*TEXTS[:2], "", TEXTS[2]]))
    capsys.readouterr()
    return file


def plain(tiny_phi: Path, room: int) -> float:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(tiny_phi).eval()
    tokens = folder_tokens(tiny_phi)
    assert tokens.prefix is not None
    windows = [window for text in TEXTS for window in rolling_windows(tokens.encode(text), tokens.prefix, room)]
    return sum(plain_nats(model, *window) for window in windows)


@pytest.mark.parametrize("room", [128, 32])
def test_figures_are_those_of_a_plain_forward(
    zoo: Path, tiny_phi: Path, room: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert phizoo(["eval", "text", str(zoo), "one", "--window", str(room), "--json"]) == 0
    (score,) = json.loads(capsys.readouterr().out)
    nats, size, words = plain(tiny_phi, room), sum(len(text.encode()) for text in TEXTS), (20 * 7 + 1) + 6 + 7
    assert (score["documents"], score["empty"], score["bytes"], score["words"]) == (3, 1, size, words)
    assert score["window"] == room
    assert score["bits_per_byte"]["value"] == pytest.approx(nats / log(2) / size, rel=1e-4)
    assert score["byte_perplexity"]["value"] == pytest.approx(exp(nats / size), rel=1e-3)
    assert score["word_perplexity"]["value"] == pytest.approx(exp(min(nats / words, 700)), rel=1e-2)
    assert score["bits_per_byte"]["low"] < score["bits_per_byte"]["value"] < score["bits_per_byte"]["high"]


def test_the_table_names_texts_models_and_intervals(
    zoo: Path, tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    other = shutil.copytree(tiny_phi, tmp_path / "two")
    weights = load_file(other / "model.safetensors")
    weights["model.final_layernorm.bias"] += 0.1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    assert phizoo(["models", "add", str(other), "--name", "two"]) == 0
    capsys.readouterr()
    assert phizoo(["eval", "text", str(zoo), "one", "two"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "3 documents" in lines[0]
    assert "1 empty ones left out" in lines[0]
    assert "bits_per_byte ↓ [95%]" in lines[1]
    assert [line.split()[0] for line in lines[2:]] == ["one:1", "two:1"]
    assert all("n=3" in line and "window 128" in line for line in lines[2:])
    assert phizoo(["eval", "text", str(zoo), "one", "--limit", "1"]) == 0
    assert "no interval" in capsys.readouterr().out.splitlines()[-1]


def test_what_was_read_is_not_read_again(
    zoo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert phizoo(["eval", "text", str(zoo), "one", "--json"]) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr(
        "evals.engines.transformers_local.TransformersLocal.choose", lambda self, requests: pytest.fail("read again")
    )
    assert phizoo(["eval", "text", str(zoo), "one", "--json"]) == 0
    assert capsys.readouterr().out == first


def test_a_file_of_text_is_one_document(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "book.txt"
    book.write_text(TEXTS[0], encoding="utf-8")
    assert phizoo(["eval", "text", str(book), "one", "--json"]) == 0
    (score,) = json.loads(capsys.readouterr().out)
    assert (score["documents"], score["bits_per_byte"]["low"]) == (1, None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("{zoo}",), "name a checkpoint"),
        (("{zoo}", "three"), "three"),
        (("nowhere", "one"), 'no dataset "nowhere"'),
        (("{zoo}", "one", "--window", "129"), "--window 129: the model reads 1 to 128"),
        (("{empty}", "one"), "no document with text in it"),
    ],
)
def test_wrong_use_is_one_line(
    zoo: Path, tmp_path: Path, asked: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n')
    places = {"zoo": zoo, "empty": tmp_path / "empty.jsonl"}
    assert phizoo(["eval", "text", *(word.format(**places) for word in asked)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
