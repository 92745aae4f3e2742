"""Turns text into tokens and back: prompts, pairs, the bytes of tokens, healed prompts.

A byte-pair tokenizer merges a newline with the indentation after it, so the end of a prompt is
part of the protocol (`Decoding.boundary`). Every engine encodes through this file.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from evals.engines.gguf import gguf_ends, gguf_tokenizer
from evals.engines.spelling import Spelling
from evals.engines.spelling import byte_of_character as byte_of_character  # its former place
from evals.records import ChoiceRequest, Decoding
from evals.scoring.thought import ThoughtTags
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


def cut_pieces(pair: Pair, context_tokens: int) -> list[Pair]:
    """A pair as windows that the context holds, in which each token of the continuation is read once.

    A continuation that fits is one window, with as much of the context before it as fits. A longer one is read in
    pieces of half the context's length, each after as many of the tokens before it as fit.

    >>> pair = Pair(tokens=(1, 2, 3, 4, 5, 6, 7), start=2)
    >>> [(piece.tokens, piece.start) for piece in cut_pieces(pair, 5)]
    [((2, 3, 4, 5, 6, 7), 1)]
    >>> [(piece.tokens, piece.start) for piece in cut_pieces(pair, 4)]
    [((1, 2, 3, 4), 2), ((2, 3, 4, 5, 6), 3), ((3, 4, 5, 6, 7), 4)]
    """
    end = len(pair.tokens)
    step = end - pair.start if end - pair.start <= context_tokens else max(1, context_tokens // 2)
    pieces = []
    for begin in range(pair.start, end, step):
        last = min(begin + step, end)
        cut = max(0, last - (context_tokens + 1))
        truncated = cut if begin == pair.start else 0
        pieces.append(Pair(tokens=pair.tokens[cut:last], start=begin - cut, truncated=truncated))
    return pieces


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


def folder_ends(path: Path) -> frozenset[int]:
    """The tokens that end a text by a folder's config.json and generation_config.json; each may name several.

    Chat models end a turn with a token that only these files name: `<|end|>` of Phi-3, `<|eot_id|>` of Llama 3.
    """
    if file := gguf_file(path):
        return gguf_ends(file)
    ends: set[int] = set()
    for name in ("config.json", "generation_config.json"):
        file = path / name
        settings = json.loads(file.read_bytes()) if file.is_file() else {}
        for part in (settings, settings.get("text_config") or {}):
            ends.update(listed_ids(part.get("eos_token_id")))
    return frozenset(ends)


def find_marks(tokenizer: Any, tags: Iterable[ThoughtTags]) -> dict[int, bytes]:
    """The special tokens that are a part of a tag, which have no text otherwise: token -> its text."""
    texts = [text for each in tags for text in (each.begin, each.end, each.close, *sum(each.wraps, ())) if text]
    return {
        number: token.content.encode()
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special and len(token.content) > 2 and any(token.content in text for text in texts)
    }


def listed_ids(stated: Any) -> tuple[int, ...]:
    """Token ids as a configuration states them: one, a list of them, or none.

    >>> listed_ids(2), listed_ids([1, 106]), listed_ids(None)
    ((2,), (1, 106), ())
    """
    values = stated if isinstance(stated, list) else [stated]
    return tuple(value for value in values if type(value) is int and value >= 0)


def folder_tokens(path: Path) -> "Tokens":
    """The tokenizer of a checkpoint's folder with every end of text that the folder names."""
    return Tokens(folder_tokenizer(path), folder_ends(path))


class Tokens:
    """A tokenizer together with the bytes of its tokens. Keeps no file open.

    ends    tokens that end a text: the tokenizer's own, and those that its folder names
    prefix  the token before an empty text
    """

    def __init__(self, tokenizer: Any, ends: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.eos: int | None = tokenizer.eos_token_id
        self.ends = frozenset(ends) | frozenset(listed_ids(self.eos))
        bos = tokenizer.bos_token_id
        self.prefix: int | None = self.eos if bos is None else bos
        # ids from here on are padding rows of the embedding, never trained; a vocabulary may have gaps below
        self.size = 1 + max(tokenizer.get_vocab().values(), default=-1)
        self.spelling = Spelling(tokenizer, self.size)
        self._marks: dict[tuple[ThoughtTags, ...], dict[int, bytes]] = {}
        self._line = lru_cache(LINES_KEPT)(self._whole) if splits_by_line(tokenizer) else None

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids of a text, with the tokenizer's own first token if it has one and `special`.

        A text that begins with the prefix gets no second one, as in lm-evaluation-harness 0.4.13 (`tok_encode`).
        """
        if self._line is None:
            return list(self._whole(text, special and not (self._mark and text.startswith(self._mark))))
        return [token for line in LINE_END.split(text) for token in self._line(line)]

    @cached_property
    def _mark(self) -> str:
        return "" if self.prefix is None else str(self.tokenizer.decode([self.prefix]))

    def _whole(self, text: str, special: bool = True) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    @property
    def bytes_of(self) -> list[bytes]:
        """The bytes of each token id; empty for special tokens."""
        return self.spelling.table

    def marks_of(self, tags: tuple[ThoughtTags, ...]) -> dict[int, bytes]:
        """The text of the special tokens that are parts of a chat's tags of thought."""
        if tags not in self._marks:
            self._marks[tags] = find_marks(self.tokenizer, tags)
        return self._marks[tags]

    @cached_property
    def longest_bytes(self) -> int:
        """The bytes of the longest token; 0 where a text is not its tokens' bytes in a row."""
        return max(map(len, self.bytes_of), default=0) if self.spelling.joins else 0

    def text(self, tokens: Sequence[int]) -> str:
        """The text of new tokens behind a prompt; bytes that are not UTF-8 become U+FFFD."""
        return self.spelling.text(tokens).decode("utf-8", "replace")

    def prompt(self, text: str, decoding: Decoding, room: int) -> Prompt:
        """A prompt's tokens under its boundary, cut from the left to `room` tokens.

        An empty prompt becomes the tokenizer's beginning of text, or else its end, which the papers' models saw
        before each document.
        Raises  ZooError for a healed prompt where tokens have no bytes of their own
        """
        if decoding.boundary == "stripped":
            text = text.rstrip()
        ids = self.encode(text)
        heal = b""
        if decoding.boundary == "healed" and len(ids) > 1:
            if not self.spelling.joins:
                raise ZooError(
                    "this tokenizer's text is not its tokens in a row, so a prompt's last token cannot be healed; take "
                    "the @stripped protocol (phizoo eval tasks)"
                )
            heal = self.bytes_of[ids[-1]]
            ids = ids[:-1] if heal else ids
        if not ids and self.prefix is not None:
            ids = [self.prefix]
        cut = max(0, len(ids) - room)
        return Prompt(tokens=tuple(ids[cut:]), truncated=cut, heal=heal)

    def pair(self, context: str, continuation: str, context_tokens: int) -> Pair:
        """A pair's tokens, as lm-evaluation-harness 0.4.13 encodes them (api/model.py, `_encode_pair`).

        Spaces at the context's end move to the continuation; both are encoded together and split at
        the length of the context's own tokens. Before an empty context stands the prefix (`prefix_token_id`),
        unless the continuation begins with it. Too long a pair is cut from the left to
        context_tokens + 1 (its last token is read, never fed).
        """
        pair = self._pair(context, continuation)
        cut = max(0, len(pair.tokens) - (context_tokens + 1))
        return Pair(tokens=pair.tokens[cut:], start=max(pair.start - cut, 1), truncated=cut)

    def pairs(self, request: ChoiceRequest, context_tokens: int) -> list[Pair]:
        """The pairs of a request, each no longer than the context; a gold answer that is longer, in pieces."""
        if request.windows:
            return [Pair(tokens=window, start=start) for window, start in request.windows]
        if request.whole:
            return cut_pieces(self._pair(*request.pairs[0]), context_tokens)
        return [self.pair(context, text, context_tokens) for context, text in request.pairs]

    def _pair(self, context: str, continuation: str) -> Pair:
        spaces = len(context) - len(context.rstrip())
        if spaces:
            context, continuation = context[:-spaces], context[-spaces:] + continuation
        whole = self.encode(context + continuation, special=bool(context))
        start = len(self.encode(context)) if context else 0
        if not start and self.prefix is not None:
            whole = whole if whole[:1] == [self.prefix] else [self.prefix, *whole]
            start = 1
        # a continuation merged into the context's last token: score that one
        return Pair(tokens=tuple(whole), start=max(min(start, len(whole) - 1), 1))
