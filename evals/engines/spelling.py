"""The bytes of a tokenizer's tokens, as its own decoder spells them, never guessed from their characters.

Each token is decoded behind another one, since SentencePiece drops the first space of a text. Where the decoder gives
U+FFFD, the token is a part of a character, and its bytes come from the decoder's own parts: GPT-2's table of a
byte-level decoder, `<0x0A>` under byte fallback. A text is then the tokens' bytes in a row. A decoder whose text
depends on later tokens (`</w>` suffixes, CTC, clean-up) has no such bytes: its texts are decoded whole.
"""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

REPLACEMENT = "\ufffd"
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# parts of decoders that spell a token without regard to those behind it
SINGLE = ("ByteLevel", "ByteFallback", "Metaspace", "WordPiece", "Fuse", "Replace", "Strip")
FIRST_TRIED = 4096  # ids among which a token to stand before the others is looked for


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


class Spelling:
    """The decoder of a tokenizer. size: token ids from 0 on; ids above it spell nothing."""

    def __init__(self, tokenizer: Any, size: int) -> None:
        self.tokenizer, self.size = tokenizer, size
        self.fast: Any = getattr(tokenizer, "backend_tokenizer", None)
        self.parts = _decoder_parts(self.fast)

    @cached_property
    def joins(self) -> bool:
        """Whether a text is the bytes of its tokens in a row."""
        if self.fast is None:
            return False
        cleans = bool(getattr(self.tokenizer, "clean_up_tokenization_spaces", False))
        if cleans and type(self.fast.model).__name__ != "BPE":  # transformers ignores the setting for BPE
            return False
        fused = False
        for part in self.parts:
            kind = part["type"]
            if kind not in SINGLE or (fused and kind == "Replace") or (fused and kind == "Strip" and part.get("stop")):
                return False
            fused = fused or kind == "Fuse"
        return True

    @cached_property
    def table(self) -> list[bytes]:
        """The bytes of each token id inside a text; none for special tokens."""
        kinds = {part["type"] for part in self.parts}
        letters = byte_of_character()
        names = self.tokenizer.convert_ids_to_tokens(list(range(self.size)))
        before = [] if self._before is None else [self._before]
        head = self._decode([before])[0]
        pieces = []
        for name, whole in zip(names, self._decode([[*before, token] for token in range(self.size)]), strict=True):
            text = whole.removeprefix(head)
            if REPLACEMENT not in text or name is None:
                pieces.append(text.encode())
            elif "ByteLevel" in kinds:
                is_bytes = all(character in letters for character in name)
                pieces.append(bytes(letters[character] for character in name) if is_bytes else name.encode())
            elif "ByteFallback" in kinds and (match := BYTE.fullmatch(name)):
                pieces.append(bytes([int(match[1], 16)]))
            else:
                pieces.append(text.encode())
        return pieces

    @cached_property
    def _before(self) -> int | None:
        """A token with visible text of its own, which stands before the others while they are decoded."""
        words: list[list[int]] = [self.tokenizer(word, add_special_tokens=False)["input_ids"][-1:] for word in "ax1"]
        tried: list[int] = [*(token for ids in words for token in ids), *range(min(self.size, FIRST_TRIED))]
        names = self.tokenizer.convert_ids_to_tokens(tried)
        for token, text in zip(tried, self._decode([[token] for token in tried]), strict=True):
            if text.isascii() and text.isalnum() and not BYTE.fullmatch(names[token] or ""):
                return token
        return None

    def _decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        if self.fast is not None:
            texts: list[str] = self.fast.decode_batch(sequences, skip_special_tokens=True)
            return texts
        return [self._whole(sequence) for sequence in sequences]

    def _whole(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def of(self, token: int, *, first: bool = False) -> bytes:
        """The bytes of one token. first: no text stands before it, so that it may lose its space."""
        if token >= self.size:
            return b""
        piece = self.table[token]
        if not first or not piece:
            return piece
        alone = self._decode([[token]])[0]
        return piece if REPLACEMENT in alone else alone.encode()

    def text(self, tokens: Sequence[int], *, before: Sequence[int] | None = None) -> bytes:
        """The bytes of the tokens behind others. before: those others; by default some text."""
        if not self.joins:
            if before is None:
                before = [] if self._before is None else [self._before]
            known = [token for token in (*before, *tokens) if token < self.size]
            return self._whole(known).removeprefix(self._whole(before) if before else "").encode()
        first = before is not None and not any(map(self.of, before))
        pieces = []
        for token in tokens:
            pieces.append(self.of(token, first=first))
            first = first and not self.of(token)
        return b"".join(pieces)


def _decoder_parts(fast: Any) -> list[dict[str, Any]]:
    """The decoder's parts in order, as the tokenizers library writes them; empty where it has none."""
    decoder = getattr(fast, "decoder", None)
    if decoder is None:
        return []
    spec: dict[str, Any] = json.loads(decoder.__getstate__())
    return list(spec["decoders"]) if spec["type"] == "Sequence" else [spec]
