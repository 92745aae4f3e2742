"""Crafted tokenizer.json files are refused with a reason and in bounded time; ordinary ones enter."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from tests.zoo.admission.changes import check_tokenizer_refused
from zoo.admission.tokenizer import check_tokenizer
from zoo.admission.tokenizer_steps import _longest_replacement
from zoo.errors import ZooError
from zoo.registry import open_registry

ROWS = 512
# how known tokenizers cut text
CUTS = {
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama 3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "deepseek": r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def byte_level(**parts: Any) -> dict[str, Any]:
    """A byte-level tokenizer of 256 tokens with parts of it replaced."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return json.loads(core.to_str()) | parts


def replace(letter: str, count: int) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": letter}, "content": letter * count}


def split(expression: str) -> dict[str, Any]:
    cut = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, byte_level()["pre_tokenizer"]]}


def added(count: int, content: str = "<{}>") -> list[dict[str, Any]]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return [{"id": 256 + n, "content": content.format(n), "special": True, **flags} for n in range(count)]


def sequence(kind: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", kind: list(steps)}


MARK = {"a": {"id": "a", "ids": [1], "tokens": ["a"]}}
TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a", "type_id": 0}}] * 9_000, "pair": []}
CRAFTED: dict[str, tuple[dict[str, Any], str]] = {
    "a letter of 10^12 bytes": (byte_level(normalizer=sequence("normalizers", *[replace("a", 1000)] * 4)), "inserts"),
    "in small steps": (byte_level(normalizer=sequence("normalizers", *[replace("ж", 10)] * 9)), "lengthens a letter"),
    "a long prefix": (byte_level(normalizer={"type": "Prepend", "prepend": "a" * 10**6}), "inserts 1,000,000"),
    "a map with a long text": (
        byte_level(normalizer={"type": "Precompiled", "precompiled_charsmap": base64.b64encode(bytes(4) + b"a" * 10**6).decode()}),
        "bytes of a letter",
    ),
    "an expression that backtracks": (byte_level(pre_tokenizer=split("(x+x+)+y")), "cannot encode short texts|too much time"),
    "on words": (byte_level(pre_tokenizer=split(r"(\w|\w\w)+$")), "cannot encode short texts|too much time"),
    "on other letters": (byte_level(pre_tokenizer=split(r"([\x{3b1}-\x{3c9}]+)+#")), "cannot encode short texts|too much time"),
    "400,000 added tokens": (byte_level(added_tokens=added(400_000)), "more than 20,000 tokens"),
    "added tokens that do not fit": (byte_level(added_tokens=added(300)), "the model 512 rows"),
    "an added token without text": (byte_level(added_tokens=added(1, "")), "no text"),
    "a decoder that grows": (byte_level(decoder=sequence("decoders", *[replace("a", 60)] * 3)), "lengthens a letter"),
    "a template of 9,000 marks": (byte_level(post_processor=TEMPLATE | {"special_tokens": MARK}), "adds more than 64 tokens"),
    "padding": (
        byte_level(padding={"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}),
        "pads every text",
    ),
    "random merges": ({**byte_level(), "model": {**byte_level()["model"], "dropout": 0.5}}, "dropout"),
    "no model": ({"version": "1.0"}, "not a tokenizer"),
    "another model": ({"model": {"type": "Shell"}}, "'Shell' is not one of"),
    "broken": ({"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}}, "cannot be loaded"),
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_tokenizer_is_refused_in_time(name: str, tmp_path: Path) -> None:
    content, reason = CRAFTED[name]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    check_tokenizer_refused(tmp_path, "tokenizer.json", ROWS, reason, seconds=60)


@pytest.mark.parametrize("name", CUTS)
def test_known_expressions_enter(name: str, tmp_path: Path) -> None:
    parts = {"pre_tokenizer": split(CUTS[name]), "normalizer": {"type": "NFKC"}, "added_tokens": added(40)}
    (tmp_path / "tokenizer.json").write_text(json.dumps(byte_level(**parts)))
    check_tokenizer(tmp_path, {"vocab_size": ROWS})
    check_tokenizer(tmp_path, {})


def test_a_tokenizer_as_sentencepiece_makes_them_enters(tmp_path: Path) -> None:
    vocabulary = {"<unk>": 0, **{f"<0x{byte:02X}>": byte + 1 for byte in range(256)}, "\u2581": 257}
    core: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    core.save(str(tmp_path / "tokenizer.json"))
    check_tokenizer(tmp_path, {"text_config": {"vocab_size": ROWS}})
    with pytest.raises(ZooError, match="has the token 257, the model 200 rows"):
        check_tokenizer(tmp_path, {"text_config": {"vocab_size": 200}})


@pytest.mark.parametrize(
    "decoder", [{"512": {"content": "<a>"}}, {"１": {"content": "a"}}, {"-1": {"content": "a"}}, {"5": {"content": ""}}, {"5": {"content": "a" * 1001}}, {"5": {}}, {"9" * 5000: {"content": "a"}}, []]
)  # fmt: skip
def test_tokens_that_the_settings_add_must_fit(decoder: Any, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    if decoder:
        with pytest.raises(ZooError, match=r"added_tokens_decoder|adds the token|added token"):
            check_tokenizer(tmp_path, {"vocab_size": ROWS})
    else:
        check_tokenizer(tmp_path, {"vocab_size": ROWS})


def test_the_longest_text_of_a_map_stands_behind_its_trie() -> None:
    data = (8).to_bytes(4, "little") + b"triebyte" + b"a\0bcd\0ef\0"
    assert _longest_replacement({"precompiled_charsmap": base64.b64encode(data).decode()}) == 3


def test_a_checkpoint_with_such_a_tokenizer_does_not_enter(tiny_phi: Path, tmp_path: Path) -> None:
    folder = tmp_path / "crafted"
    shutil.copytree(tiny_phi, folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"] = sequence("normalizers", *[replace("a", 1000)] * 4)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with open_registry(f"sqlite:///{tmp_path}/zoo.db", str(tmp_path / "store")) as registry:
        with pytest.raises(ZooError, match=r"tokenizer.json: its normalizer inserts 1,000"):
            registry.add(folder, "crafted")
        assert registry.list() == []
        assert registry.add(tiny_phi, "plain").name == "plain"
