"""SentencePiece models and vocab.json with merges.txt are tried in the child: crafted ones are refused, others enter."""

import base64
import contextlib
import json
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from tests.zoo.admission.changes import check_tokenizer_refused
from zoo.admission.tokenizer import check_tokenizer
from zoo.admission.tokenizer_files import PIECE_CHARACTERS, read_byte_pairs, read_sentencepiece
from zoo.errors import ZooError
from zoo.registry import open_registry

ROWS = 512
Piece = tuple[str | bytes, float, int]
BYTES: list[Piece] = [
    ("<unk>", 0.0, 2),
    ("<s>", 0.0, 3),
    ("</s>", 0.0, 3),
    *[(f"<0x{n:02X}>", 0.0, 6) for n in range(256)],
]
WORDS: list[Piece] = [(word, -float(n), 1) for n, word in enumerate(["\u2581", "a", "b", "ab", "\u2581ab", "\u2581a"])]


def varint(value: int) -> bytes:
    made = b""
    while value >= 0x80:
        made, value = made + bytes([value & 0x7F | 0x80]), value >> 7
    return made + bytes([value])


def field(number: int, value: int | float | bytes) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def sentencepiece(
    kind: int = 2,
    words: Sequence[Piece] = WORDS,
    unknown: int = 0,
    letters: bytes = b"",
    before: Sequence[Piece] = BYTES,
) -> bytes:
    made = b""
    for text, score, type_ in (*before, *words):
        name = text.encode() if isinstance(text, str) else text
        made += field(1, field(1, name) + field(2, score) + field(3, type_))
    trainer = field(3, kind) + field(35, 1) + field(40, unknown)
    return made + field(2, trainer) + (field(3, field(2, letters)) if letters else b"")


def byte_pairs(**more: int) -> dict[str, int]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return {letter: number for number, letter in enumerate(letters)} | more


def ranks(*more: bytes) -> bytes:
    names = [*(bytes([number]) for number in range(256)), *more]
    return b"".join(base64.b64encode(name) + f" {number}\n".encode() for number, name in enumerate(names))


MODELS: dict[str, tuple[bytes, str]] = {
    "more pieces than rows": (sentencepiece(words=[(f"w{n}", 0.0, 1) for n in range(300)]), "more than 512 pieces"),
    "a long piece": (sentencepiece(words=[("a" * (PIECE_CHARACTERS + 1), 0.0, 1)]), "no text of 1 to 1,000"),
    "an empty piece": (sentencepiece(words=[("", 0.0, 1)]), "no text of 1 to 1,000"),
    "a piece twice": (sentencepiece(words=[*WORDS, ("a", 0.0, 1)]), "twice"),
    "a piece that is not UTF-8": (sentencepiece(words=[(b"\xff", 0.0, 1)]), "utf-8"),
    "a score that is no number": (sentencepiece(words=[("a", float("nan"), 1)]), "score of a piece is nan"),
    "an infinite score": (sentencepiece(1, words=[("a", float("inf"), 1)]), "score of a piece is inf"),
    "no unknown piece": (sentencepiece(unknown=9999), "unknown piece"),
    "another kind": (sentencepiece(3), "neither Unigram nor BPE"),
    "a map with a long text": (sentencepiece(letters=bytes(4) + b"a" * 10**6), "bytes of a letter"),
    "a map behind a field of another kind": (
        sentencepiece() + field(3, field(2, bytes(4) + b"a" * 10**6) + field(2, 7)), "bytes of a letter"
    ),
    "a map in two parts": (
        sentencepiece() + field(3, field(2, bytes(4) + b"a" * 10**6)) + field(3, field(1, b"name")), "bytes of a letter"
    ),
    "a map that is none": (sentencepiece(1, letters=b"\xff\xff\xff\x7fabc"), "cannot be loaded"),
    "cut short": (sentencepiece()[:-3], "cut short"),
    "no protobuf": (b"\xff" * 64, "no SentencePiece model"),
    "empty": (b"", "no SentencePiece model"),
    "a page": (b"<html><body>Sign in</body></html>", "no SentencePiece model"),
    "a letter that grows": (sentencepiece(words=[("a", 0.0, 1)]), "makes 6,000 tokens of 2,000 characters"),
    "ranks above the rows": (ranks(*(b"a%d" % number for number in range(300))), "the model 512 rows"),
    "a rank twice": (ranks() + b"YWI= 5\n", "same rank"),
    "ranks of a long token": (ranks(b"a" * 1001), "none of 1 to 1,000 bytes"),
}  # fmt: skip
PAIRS: dict[str, tuple[Any, str, str]] = {
    "a number above the rows": (byte_pairs(ab=512), "", "none of 0 to 511"),
    "a negative number": (byte_pairs(ab=-1), "", "none of 0 to 511"),
    "a number that is a text": (byte_pairs() | {"ab": "256"}, "", "none of 0 to 511"),
    "a number twice": (byte_pairs(ab=5), "", "same number"),
    "more tokens than rows": ({f"w{number}": number for number in range(600)}, "", "600 tokens, the model 512 rows"),
    "a long token": (byte_pairs(**{"a" * 1001: 300}), "", "no text of 1 to 1,000"),
    "a list": ([], "", "not an object"),
    "a merge of nothing known": (byte_pairs(), "a b\n", "the merge 'a b' is not of two tokens"),
    "a merge of three": (byte_pairs(abc=256), "a b c\n", "is not of two tokens"),
    "half a surrogate pair": (byte_pairs(**{"\ud800": 300}), "", "surrogate|utf-8|cannot be loaded"),
    "deep": ("[" * 100_000, "", "recursion|depth|Expecting"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_crafted_model_is_refused_with_its_reason(name: str, tmp_path: Path) -> None:
    data, reason = MODELS[name]
    (tmp_path / "tokenizer.model").write_bytes(data)
    check_tokenizer_refused(tmp_path, "tokenizer.model", ROWS, reason, seconds=30)


@pytest.mark.parametrize("name", PAIRS)
def test_crafted_byte_pairs_are_refused_with_their_reason(name: str, tmp_path: Path) -> None:
    vocabulary, merges, reason = PAIRS[name]
    text = vocabulary if isinstance(vocabulary, str) else json.dumps(vocabulary)
    (tmp_path / "vocab.json").write_text(text)
    (tmp_path / "merges.txt").write_text(merges)
    check_tokenizer_refused(tmp_path, "vocab.json", ROWS, reason, seconds=30)


@pytest.mark.parametrize("kind", [1, 2])
def test_a_sentencepiece_model_enters_and_its_rows_must_fit(kind: int, tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(sentencepiece(kind))
    check_tokenizer(tmp_path, {"vocab_size": ROWS})
    check_tokenizer(tmp_path, {})
    with pytest.raises(ZooError, match=r"spiece.model: it has more than 200 pieces"):
        check_tokenizer(tmp_path, {"vocab_size": 200})


def test_byte_pairs_and_ranks_enter(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(ranks(b"ab"))
    (tmp_path / "vocab.json").write_text(json.dumps(byte_pairs(ab=256)))
    check_tokenizer(tmp_path, {"vocab_size": ROWS})
    (tmp_path / "merges.txt").write_text("#version: 0.2\r\na b\r\n")
    check_tokenizer(tmp_path, {"vocab_size": ROWS})
    check_tokenizer(tmp_path, {})


def test_a_model_is_read_as_its_loader_reads_it() -> None:
    """Merges by rank, bytes for letters without a piece, and texts that come back."""
    core = Tokenizer.from_str(json.dumps(read_sentencepiece(sentencepiece(), ROWS)))
    assert core.encode("ab ab").tokens == ["ab", "\u2581ab"]
    assert core.encode("é").tokens == ["<0xC3>", "<0xA9>"]
    assert core.decode(core.encode("ab é a").ids) == "ab é a"


@pytest.mark.parametrize("name", ["vocab.txt", "qwen.tiktoken"])
def test_a_form_that_cannot_be_tried_does_not_enter_alone(name: str, tiny_phi: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_phi, tmp_path / "model")
    (tmp_path / "model" / name).write_text("a\nb\n")
    check_tokenizer(tmp_path / "model", {"vocab_size": 512})  # its loader reads tokenizer.json
    (tmp_path / "model" / "tokenizer.json").unlink()
    with pytest.raises(ZooError, match=rf"{name}: a tokenizer in this form cannot be tried .* tokenizer.json"):
        check_tokenizer(tmp_path / "model", {"vocab_size": 512})


def test_the_files_beside_a_tokenizer_json_are_not_read(tiny_phi: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((tiny_phi / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer.model").write_bytes(b"")
    check_tokenizer(tmp_path, {})


@pytest.mark.parametrize("name", ["tokenizer.model", "vocab.json"])
def test_a_checkpoint_with_such_a_tokenizer_does_not_enter(name: str, tiny_phi: Path, tmp_path: Path) -> None:
    folder = tmp_path / "crafted"
    shutil.copytree(tiny_phi, folder, ignore=shutil.ignore_patterns("tokenizer.json", "vocab.json", "merges.txt"))
    (folder / name).write_bytes(sentencepiece(unknown=9999) if name.endswith("model") else b'{"a": 999999999}')
    with open_registry(f"sqlite:///{tmp_path}/zoo.db", str(tmp_path / "store")) as registry:
        with pytest.raises(ZooError, match=name):
            registry.add(folder, "crafted")
        assert registry.list() == []


@given(st.binary(max_size=200), st.integers(0, 6), st.integers(0, 500))
@example(b"", 0, 0)
def test_any_bytes_are_a_tokenizer_or_a_fault(data: bytes, cut: int, place: int) -> None:
    valid = sentencepiece(words=WORDS, before=BYTES[:3])
    place %= len(valid)
    for made in (data, valid[:place] + data + valid[place + cut :]):
        for read in (lambda made: read_sentencepiece(made, ROWS), lambda made: read_byte_pairs(made, data, ROWS)):
            with contextlib.suppress(ValueError):
                assert read(made)["model"]
