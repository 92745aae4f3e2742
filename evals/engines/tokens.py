"""Turns text into tokens and back: prompts, pairs, the bytes of tokens, healed prompts.

A byte-pair tokenizer merges a newline with the indentation after it, so the end of a prompt is
part of the protocol (`Decoding.boundary`). Every engine encodes through this file.
"""

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from evals.engines.gguf import gguf_tokenizer
from evals.records import Decoding
from zoo.admission.gguf import gguf_file
from zoo.errors import ZooError
from zoo.records import Record, has_tokenizer

LINE_END = re.compile(r"(?<=[!-~])(?=\n)")  # between a visible character and a newline
LINES_KEPT = 65536  # lines whose tokens are cached


class Prompt(Record, frozen=True, kw_only=True):
    """An encoded prompt. heal: bytes removed from its end, which the first new tokens must spell."""

    tokens: tuple[int, ...]
    truncated: int = 0
    heal: bytes = b""


class Pair(Record, frozen=True, kw_only=True):
    """A context and continuation as one token sequence; the continuation starts at `start`."""

    tokens: tuple[int, ...]
    start: int
    truncated: int = 0


def byte_of_character() -> dict[str, int]:
    """GPT-2's printable stand-ins back to bytes: byte-level BPE spells each byte as one character.

    Source: the byte table of GPT-2's tokenizer: printable bytes stand for themselves, the other 68
    follow from U+0100 on, in order.

    >>> byte_of_character()["Ġ"] == ord(" "), len(byte_of_character())
    (True, 256)
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + place): byte for place, byte in enumerate(others)})
    return table


def splits_by_line(tokenizer: Any) -> bool:
    """Whether a text may be encoded line by line, so that the few-shot examples of a task are encoded once.

    True for tokenizers like GPT-2's (Phi's, CodeGen's): bytes, cut by GPT-2's expression, in which no token has a
    newline after a visible character; no special tokens of its own, no added token with a newline in it.
    """
    fast: Any = getattr(tokenizer, "backend_tokenizer", None)
    cut: Any = getattr(fast, "pre_tokenizer", None)
    if type(cut).__name__ != "ByteLevel" or not cut.use_regex or cut.add_prefix_space or fast.normalizer is not None:
        return False
    if type(fast.model).__name__ != "BPE" or fast.model.dropout:
        return False
    if any(
        "\n" in token.content or token.lstrip or token.rstrip or token.single_word
        for token in tokenizer.added_tokens_decoder.values()
    ):
        return False
    return not tokenizer("")["input_ids"] and len(tokenizer("a")["input_ids"]) == len(
        tokenizer("a", add_special_tokens=False)["input_ids"]
    )


def folder_tokenizer(path: Path) -> Any:
    """The tokenizer of a checkpoint's folder, as transformers loads it.

    Raises  ZooError when the folder has none: transformers would then make one up without a vocabulary, and
            every prompt would be empty
    """
    from transformers import AutoTokenizer

    if file := gguf_file(path):
        return gguf_tokenizer(file)
    if not has_tokenizer(file.name for file in path.iterdir()):
        raise ZooError(
            f"{path} has no tokenizer (tokenizer.json, a *.model, or vocab.json with merges.txt): put its files beside "
            "the weights and add the folder again: phizoo models add FOLDER --name NAME"
        )
    return AutoTokenizer.from_pretrained(path, local_files_only=True)


class Tokens:
    """A tokenizer together with the bytes of its tokens. Keeps no file open."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.eos: int | None = tokenizer.eos_token_id
        self.size = len(tokenizer)  # ids from here on are padding rows of the embedding, never trained
        self._line = lru_cache(LINES_KEPT)(self._whole) if splits_by_line(tokenizer) else None

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids of a text, with the tokenizer's own first token if it has one and `special`."""
        if self._line is None:
            return list(self._whole(text, special))
        return [token for line in LINE_END.split(text) for token in self._line(line)]

    def _whole(self, text: str, special: bool = True) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    @cached_property
    def bytes_of(self) -> list[bytes]:
        """The bytes of each token id; empty for special tokens."""
        specials = set(self.tokenizer.all_special_ids)
        added = {int(i): token.content for i, token in self.tokenizer.added_tokens_decoder.items()}
        table = byte_of_character()
        spelled = self.tokenizer.convert_ids_to_tokens(list(range(self.size)))
        pieces = []
        for number, token in enumerate(spelled):
            if number in specials or token is None:
                pieces.append(b"")
            elif number in added:
                pieces.append(added[number].encode())
            elif all(character in table for character in token):
                pieces.append(bytes(table[character] for character in token))
            else:  # not byte-level (SentencePiece): a word piece, its space spelled U+2581
                pieces.append(token.replace("\u2581", " ").encode())
        return pieces

    def text(self, tokens: Sequence[int]) -> str:
        """The text of new tokens; bytes that are not UTF-8 become U+FFFD."""
        table = self.bytes_of
        return b"".join(table[token] if token < self.size else b"" for token in tokens).decode("utf-8", "replace")

    def prompt(self, text: str, decoding: Decoding, room: int) -> Prompt:
        """A prompt's tokens under its boundary, cut from the left to `room` tokens.

        An empty prompt becomes the end-of-text token, which the papers' models saw before each document.
        """
        if decoding.boundary == "stripped":
            text = text.rstrip()
        ids = self.encode(text)
        heal = b""
        if decoding.boundary == "healed" and len(ids) > 1:
            heal = self.bytes_of[ids[-1]]
            ids = ids[:-1] if heal else ids
        if not ids and self.eos is not None:
            ids = [self.eos]
        cut = max(0, len(ids) - room)
        return Prompt(tokens=tuple(ids[cut:]), truncated=cut, heal=heal)

    def pair(self, context: str, continuation: str, context_tokens: int) -> Pair:
        """A pair's tokens, as lm-evaluation-harness 0.4.13 encodes them (api/model.py, `_encode_pair`).

        Spaces at the context's end move to the continuation; both are encoded together and split at
        the length of the context's own tokens; too long a pair is cut from the left to
        context_tokens + 1 (its last token is read, never fed).
        """
        spaces = len(context) - len(context.rstrip())
        if spaces:
            context, continuation = context[:-spaces], context[-spaces:] + continuation
        if not context:
            whole = [*([self.eos] if self.eos is not None else []), *self.encode(continuation, special=False)]
            start = 1
        else:
            whole = self.encode(context + continuation)
            start = len(self.encode(context))
        start = min(start, len(whole) - 1)  # a continuation merged into the context's last token: score that one
        cut = max(0, len(whole) - (context_tokens + 1))
        return Pair(tokens=tuple(whole[cut:]), start=max(start - cut, 1), truncated=cut)
