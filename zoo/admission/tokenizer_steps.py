"""Reads the steps of a tokenizer.json: how much each may add, and the expressions in them. Nothing is run.

Source: the tokenizers library, its serialised normalizers, pre-tokenizers, models, post-processors and decoders.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

STEPS = 64
GROWTH = 16  # times that all replacements of one part may lengthen a letter
INSERTED = 64  # characters that one step may insert
PATTERN_CHARACTERS = 4_000
PADDING = 65_536
CHARSMAP_BYTES = 64  # of one replacement; the longest of NFKC has 33
MODELS = ("BPE", "Unigram", "WordPiece", "WordLevel")
INSERTING = ("content", "prepend", "prefix", "suffix", "replacement", "continuing_subword_prefix", "end_of_word_suffix",
             "pad_token", "word_delimiter_token", "unk_token")  # fmt: skip
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
ESCAPED = re.compile(r"\\[xu]\{?([0-9A-Fa-f]{2,6})\}?")
CLASSES = {"w": "aé", "s": " \n", "d": "1", "p": "aA1.", "P": "1.", "S": "a", "W": ".", "D": "a", "h": "a", "R": "\n"}
MOST_LETTERS = 48


def find_fault(content: Any) -> str:
    """The first step of a tokenizer.json that may not enter; "" if all may."""
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        return "it is not a tokenizer of the tokenizers library"
    model = content["model"]
    if model.get("type", "BPE") not in MODELS:
        return f"its model {str(model.get('type'))[:40]!r} is not one of {', '.join(MODELS)}"
    if model.get("dropout"):
        return "its model drops merges at random (dropout), so a text would have other tokens each time"
    for part in PARTS:
        if fault := _find_in_part(part, content.get(part)):
            return fault
    for key, value in model.items():
        if key in INSERTING and isinstance(value, str) and len(value) > INSERTED:
            return f"its model has a {key} of {len(value):,} characters"
    padding = content.get("padding")
    if isinstance(padding, dict):
        strategy = padding.get("strategy")
        sizes = (padding.get("pad_to_multiple_of"), strategy.get("Fixed") if isinstance(strategy, dict) else None)
        if any(isinstance(size, int) and size > PADDING for size in sizes):
            return f"it pads every text to more than {PADDING:,} tokens"
    return ""


def _find_in_part(part: str, steps: Any) -> str:
    growth, count = 1, 0
    for step in _walk(steps):
        count += "type" in step
        for key, value in step.items():
            if key in INSERTING and isinstance(value, str) and len(value) > INSERTED:
                return f"its {part} inserts {len(value):,} characters"
        if step.get("type") == "Replace":
            growth *= max(1, len(str(step.get("content", ""))))
        if step.get("type") == "Precompiled" and _longest_replacement(step) > CHARSMAP_BYTES:
            return f"its {part} makes over {CHARSMAP_BYTES} bytes of a letter"
        if step.get("type") == "TemplateProcessing" and _template_tokens(step) > INSERTED:
            return f"its {part} adds more than {INSERTED} tokens to each text"
    if growth > GROWTH:
        return f"its {part} lengthens a letter {growth:,} times"
    if count > STEPS:
        return f"its {part} has {count:,} steps; expected at most {STEPS}"
    long = next((pattern for pattern in find_patterns({part: steps}) if len(pattern) > PATTERN_CHARACTERS), "")
    return f"its {part} has an expression of {len(long):,} characters" if long else ""


def _walk(content: Any) -> Iterator[dict[str, Any]]:
    """Every object inside some steps."""
    if isinstance(content, dict):
        yield content
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for value in inner:
        yield from _walk(value)


def _longest_replacement(step: dict[str, Any]) -> int:
    """The bytes of the longest text in a SentencePiece map: behind its trie, separated by NUL."""
    try:
        data = base64.b64decode(str(step.get("precompiled_charsmap", "")), validate=True)
    except ValueError:
        return CHARSMAP_BYTES + 1
    texts = data[4 + int.from_bytes(data[:4], "little") :]
    return max(map(len, texts.split(b"\0")), default=0)


def _template_tokens(step: dict[str, Any]) -> int:
    lists = [mark.get("ids") for mark in _walk(step.get("special_tokens"))] + [step.get("single"), step.get("pair")]
    return sum(len(part) for part in lists if isinstance(part, list))


def find_patterns(content: dict[str, Any]) -> list[str]:
    """The expressions and texts that a tokenizer's steps look for, in order."""
    patterns = []
    for part in PARTS:
        for step in _walk(content.get(part)):
            pattern = step.get("pattern")
            if isinstance(pattern, dict):
                patterns += [text for text in pattern.values() if isinstance(text, str)]
    return patterns


def growth_letters(patterns: Sequence[str]) -> list[str]:
    """Letters that some expressions match, by which repeats of them can be tried.

    >>> growth_letters([r"(x+\\x{3b1}?)+#"])
    ['x', 'α', '#']
    """
    letters: list[str] = []
    for pattern in patterns:
        for escape in re.findall(r"\\([A-Za-z])", pattern):
            letters += CLASSES.get(escape, "")
        plain = ESCAPED.sub(lambda match: chr(min(int(match[1], 16), 0x10FFFF)), pattern)
        letters += [letter for letter in re.sub(r"\\[A-Za-z](\{[^}]*\})?", "", plain) if letter not in "()[]{}|?*+^$\\"]
    return [letter for letter in dict.fromkeys(letters) if not "\ud800" <= letter <= "\udfff"][:MOST_LETTERS]
