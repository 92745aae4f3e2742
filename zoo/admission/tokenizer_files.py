"""Reads the tokenizers that are no tokenizer.json as one: SentencePiece models, and vocab.json with merges.txt.

Their loaders add the steps themselves, so these files are data alone: pieces, scores, merges, a map of letters. What
is made of them here is tried as any tokenizer.json (`zoo.admission.tokenizer`), in the same child. It encodes as the
loader's tokenizer does, but for the expression that cuts a text and for marks around it.

Source: sentencepiece_model.proto of SentencePiece 0.2; transformers 5.23, `convert_slow_tokenizer.py`, for the merges.
"""

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterator
from typing import Any

PIECES, MERGES = 2_000_000, 6_000_000  # the largest vocabularies of today have a million pieces
PIECE_CHARACTERS = 1_000
UNIGRAM, BPE = 1, 2  # of ModelProto.trainer_spec.model_type
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # of a piece's type; these two are tokens beside the model
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SPACE = "\u2581"
NUMBER, TEXT, SINGLE = 0, 2, 5  # kinds of fields
Field = tuple[tuple[int, int], int | bytes]  # (its number, its kind), its value


def read_sentencepiece(data: bytes, rows: int) -> dict[str, Any]:
    """The tokenizer.json of a *.model file. rows: of the embedding, 0 if not known.

    Raises  ValueError with the fault
    """
    if _is_ranks(data):
        return read_ranks(data, rows)
    whole, trainer, normalizer = [], b"", b""
    for field, value in _read_fields(data):
        if field == (1, TEXT) and isinstance(value, bytes):
            whole.append(value)
            if len(whole) > (rows or PIECES):
                raise ValueError(f"it has more than {rows or PIECES:,} pieces, the rows of the model")
        trainer += value if field == (2, TEXT) and isinstance(value, bytes) else b""
        normalizer += value if field == (3, TEXT) and isinstance(value, bytes) else b""
    if not whole:
        raise ValueError("it is no SentencePiece model with pieces")
    pieces = [_read_piece(piece) for piece in whole]
    _check_names([name for name, _, _ in pieces])
    settings, letters = dict(_read_fields(trainer)), dict(_read_fields(normalizer)).get((2, TEXT), b"")
    kind, unknown = _read_int(settings, 3, UNIGRAM), _read_int(settings, 40, 0)
    if kind not in (UNIGRAM, BPE):
        raise ValueError(f"its model is of kind {kind!r}, neither Unigram nor BPE")
    if unknown >= len(pieces):
        raise ValueError("its unknown piece is none of its pieces")
    model: dict[str, Any] = {"byte_fallback": bool(settings.get((35, NUMBER), 0))}
    if kind == UNIGRAM:
        model |= {"type": "Unigram", "unk_id": unknown, "vocab": [[name, score] for name, score, _ in pieces]}
    else:
        vocabulary = {name: number for number, (name, _, _) in enumerate(pieces)}
        model |= {"type": "BPE", "vocab": vocabulary, "unk_token": pieces[unknown][0], "fuse_unk": True}
        model["merges"] = _make_merges(vocabulary)
    steps: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    if isinstance(letters, bytes) and letters:
        steps.insert(0, {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(letters).decode()})
    decoders = [{**steps[-1], "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    added = [
        {**_flags(), "id": number, "content": name, "special": kind == CONTROL}
        for number, (name, _, kind) in enumerate(pieces) if kind in (CONTROL, USER_DEFINED)
    ]  # fmt: skip
    return _make(model, {"type": "Sequence", "normalizers": steps}, None,
                 {"type": "Sequence", "decoders": decoders}, added)  # fmt: skip


def read_byte_pairs(vocabulary: bytes, merges: bytes, rows: int) -> dict[str, Any]:
    """The tokenizer.json of vocab.json and merges.txt. Raises ValueError with the fault."""
    names = json.loads(vocabulary.decode("utf-8"))
    if not isinstance(names, dict) or not names:
        raise ValueError("it is not an object of tokens and their numbers")
    if len(names) > (rows or PIECES):
        raise ValueError(f"it has {len(names):,} tokens, the model {rows or PIECES:,} rows")
    if not all(type(number) is int and 0 <= number < (rows or PIECES) for number in names.values()):
        raise ValueError(f"it has a token that is none of 0 to {(rows or PIECES) - 1:,}, the rows of the model")
    if len(set(names.values())) < len(names):
        raise ValueError("two of its tokens have the same number")
    _check_names(names)
    pairs = []
    for line in merges.decode("utf-8").split("\n"):
        if line.startswith("#version") or not line.strip():
            continue
        pair = line.rstrip("\r").split(" ")
        if len(pair) != 2 or any(name not in names for name in (*pair, "".join(pair))):
            raise ValueError(f"the merge {line[:40]!a} is not of two tokens that make a third")
        pairs.append(pair)
        if len(pairs) > MERGES:
            raise ValueError(f"there are more than {MERGES:,} merges")
    return _make({"type": "BPE", "vocab": names, "merges": pairs}, None, BYTE_LEVEL, BYTE_LEVEL, [])


def read_ranks(data: bytes, rows: int) -> dict[str, Any]:
    """The tokenizer.json of a *.model that lists bytes in base64 with their ranks, as tiktoken does.

    Its tokens are kept as letters of their own; growth cannot come from bytes that are in a text.
    Raises  ValueError with the fault
    """
    ranks: dict[bytes, int] = {}
    lines = data.split(b"\n")
    if len(lines) > (rows or PIECES) + 1:
        raise ValueError(f"it has {len(lines):,} tokens, the model {rows or PIECES:,} rows")
    for line in filter(bytes.strip, lines):
        name, _, rank = line.strip().partition(b" ")
        piece = base64.b64decode(name, validate=True)
        if not rank.isdigit() or int(rank[:12]) >= (rows or PIECES) or piece in ranks:
            raise ValueError(f"its token {line[:40]!a} has no rank of its own below {rows or PIECES:,}")
        if not 0 < len(piece) <= PIECE_CHARACTERS:
            raise ValueError(f"a token is none of 1 to {PIECE_CHARACTERS:,} bytes")
        ranks[piece] = int(rank)
    if len(set(ranks.values())) < len(ranks):
        raise ValueError("two of its tokens have the same rank")
    names = {piece.decode("latin-1"): rank for piece, rank in ranks.items()}
    return _make({"type": "BPE", "vocab": names, "merges": []}, None, None, None, [])


def _is_ranks(data: bytes) -> bool:
    """Whether a file is of tiktoken's form: its first line is base64, a space and a number."""
    name, _, rank = data[: 4 * PIECE_CHARACTERS].partition(b"\n")[0].strip().partition(b" ")
    try:
        return rank.isdigit() and bool(base64.b64decode(name, validate=True))
    except binascii.Error:
        return False


def _make(model: Any, normalizer: Any, cut: Any, decoder: Any, added: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": "1.0", "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": cut, "post_processor": None,
        "decoder": decoder, "model": {"dropout": None, **model},
    }  # fmt: skip


def _flags() -> dict[str, bool]:
    return dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)


def _check_names(names: Any) -> None:
    """Raises ValueError for a token without text, with too much of it, or that is there twice."""
    if any(not 0 < len(name) <= PIECE_CHARACTERS for name in names):
        raise ValueError(f"a token is no text of 1 to {PIECE_CHARACTERS:,} characters")
    if len(set(names)) < len(names):
        raise ValueError("it has a token twice")


def _read_piece(data: bytes) -> tuple[str, float, int]:
    """(text, score, type) of a piece. Raises ValueError."""
    fields = dict(_read_fields(data))
    name, score, kind = fields.get((1, TEXT), b""), fields.get((2, SINGLE), bytes(4)), _read_int(fields, 3, 1)
    assert isinstance(name, bytes) and isinstance(score, bytes)  # by the kinds of their fields
    (value,) = struct.unpack("<f", score)
    if not math.isfinite(value):
        raise ValueError(f"the score of a piece is {value}")
    return name.decode("utf-8"), value, kind


def _read_fields(data: bytes) -> Iterator[Field]:
    """The fields of a protobuf message: whole numbers, or bytes. Raises ValueError.

    A field of another kind than its number has is another field, as for protobuf's own readers; the last one counts.
    """
    place = 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        number, wire = tag >> 3, tag & 7
        if wire == NUMBER:
            value, place = _read_varint(data, place)
            yield (number, NUMBER), value
            continue
        if wire == TEXT:
            size, place = _read_varint(data, place)
        elif wire in (1, SINGLE):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("it is no SentencePiece model")
        if not 0 < number < 1 << 29 or size > len(data) - place:
            raise ValueError("it is no SentencePiece model, or it is cut short")
        yield (number, wire), data[place : place + size]
        place += size


def _read_int(fields: dict[tuple[int, int], int | bytes], number: int, default: int) -> int:
    """The 32 bits of a whole number; the others are not read."""
    value = fields.get((number, NUMBER), default)
    assert isinstance(value, int)
    return value & 0xFFFFFFFF


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("it is cut short")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it is no SentencePiece model")


def _make_merges(vocabulary: dict[str, int]) -> list[list[str]]:
    """The merges of a SentencePiece BPE, which has none in its file: all pairs of pieces that make a piece."""
    merges: list[tuple[int, int, int, str, str]] = []
    for name, number in vocabulary.items():
        for cut in range(1, len(name)):
            first, second = vocabulary.get(name[:cut]), vocabulary.get(name[cut:])
            if first is not None and second is not None:
                merges.append((number, first, second, name[:cut], name[cut:]))
        if len(merges) > MERGES:
            raise ValueError(f"its pieces make more than {MERGES:,} merges")
    return [[first, second] for *_, first, second in sorted(merges)]
