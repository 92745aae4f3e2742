"""Rules for one file: whether it is accepted, and how it is cut into documents.

A Python file is cut at its top-level functions and classes (`pieces`); a file under 4 kB stays whole. All reasons for
dropping a file or a piece are defined here. This file does not judge quality.
"""

import ast
import hashlib
from collections.abc import Iterator

from evals.contamination.syntax_trees import parsed
from training.data.document import Document, drop_document, make_document
from training.data.gather.pieces import cut_module, cut_text
from zoo.records import Record

FILE_BYTES = 200_000  # larger Python files are tables and bundles: 0.3% of the files, a quarter of the bytes
TEXT_BYTES = 16_000_000  # larger texts are not read into memory
WHOLE_BYTES = 4_000
PIECE_CHARACTERS = (60, 24_000)  # shorter: one-line wrappers; longer: classes longer than any context here

UNREADABLE, NOT_UTF8, TOO_BIG, EMPTY, NUL, NOT_PARSING = (
    "unreadable", "undecodable", "too big", "empty", "NUL bytes", "does not parse",
)  # fmt: skip
SURROGATES, NO_TEXT, NOT_JSON, BROKEN_GROUP = "lone surrogates", "no text", "not JSON", "broken row group"
NOT_A_FILE, ENDLESS = "not a regular file", "unpacks to over 200 times its size"
BROKEN = frozenset((BROKEN_GROUP,))  # one entry counts all rows that are lost with it
PART = "part"  # the fact that holds the id of a piece without its context
EXACT, NEAR, SHORT, LONG, TWICE = "exact duplicate", "near duplicate", "too short", "too long", "duplicate piece"


class SourceFile(Record, frozen=True):
    """A file on disk: its path, its path inside its root, its project and licence."""

    path: str
    relative: str
    project: str
    licence: str
    bytes: int


class CutFile(Record, frozen=True):
    """One file or row: the reason why it is dropped, or its pieces; with its digest, MinHash and n-grams.

    rows  the number of table rows that this entry counts, if they are lost together
    """

    origin: SourceFile
    sha256: str
    reason: str = ""
    signature: bytes = b""
    grams: bytes = b""
    rows: int = 1
    pieces: tuple[Document, ...] = ()
    dropped: tuple[Document, ...] = ()


def refusal(data: bytes, most: int = FILE_BYTES) -> str:
    """Why these bytes cannot be a document's text, or "" if they can.

    >>> refusal(b""), refusal(b"x = 1"), refusal(b"\\xff"), refusal(b"a\\0"), refusal(b"\\xed\\xa0\\x80")
    ('empty', '', 'undecodable', 'NUL bytes', 'lone surrogates')
    """
    if len(data) > most:
        return TOO_BIG
    try:
        text = plain_text(data)
    except UnicodeDecodeError:
        return SURROGATES if _holds_surrogates(data) else NOT_UTF8
    if not text.strip():
        return EMPTY
    return NUL if "\0" in text else ""


def _holds_surrogates(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def printable_name(name: str) -> str:
    """A name that can be written as UTF-8, whatever bytes a file system or a table holds.

    >>> printable_name("caf\\udce9.py")
    'caf\\\\udce9.py'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def plain_text(data: bytes) -> str:
    """The text of a file without byte order mark, with newlines as line ends."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def cut_file(origin: SourceFile, data: bytes) -> CutFile:
    """Cuts a Python file into pieces, or gives the reason to drop it; duplicates are found later."""
    sha = hashlib.sha256(data).hexdigest()
    if reason := refusal(data):
        return CutFile(origin=origin, sha256=sha, reason=reason)
    text = plain_text(data)
    tree = parsed(text)
    if tree is None:
        return CutFile(origin=origin, sha256=sha, reason=NOT_PARSING)
    kept: list[Document] = []
    out: list[Document] = []
    for piece, reason in _pieces(origin, text, tree):
        if reason:
            out.append(drop_document(piece, "cut", reason))
        else:
            kept.append(piece)
    return CutFile(origin=origin, sha256=sha, pieces=tuple(kept), dropped=tuple(out))


def cut_prose(origin: SourceFile, data: bytes) -> CutFile:
    """Cuts a text between paragraphs, if it is long, or gives the reason to drop it."""
    sha = hashlib.sha256(data).hexdigest()
    if reason := refusal(data, TEXT_BYTES):
        return CutFile(origin=origin, sha256=sha, reason=reason)
    parts = cut_text(plain_text(data).strip())
    pieces = [
        make_document(
            part, origin.relative if len(parts) == 1 else f"{origin.relative}::{number}", origin.project,
            origin.licence, "text",
        )
        for number, part in enumerate(parts, 1)
    ]  # fmt: skip
    short = tuple(drop_document(piece, "cut", SHORT) for piece in pieces if len(piece.text) < PIECE_CHARACTERS[0])
    kept = tuple(piece for piece in pieces if len(piece.text) >= PIECE_CHARACTERS[0])
    return CutFile(origin=origin, sha256=sha, pieces=kept, dropped=short)


def _pieces(origin: SourceFile, text: str, tree: ast.Module) -> Iterator[tuple[Document, str]]:
    """The documents of a file, each with the reason to drop it or ""."""
    if len(text) < WHOLE_BYTES:
        whole = make_document(text.strip() + "\n", origin.relative, origin.project, origin.licence, "file")
        yield whole, SHORT if len(whole.text) < PIECE_CHARACTERS[0] else ""
        return
    for piece in cut_module(text, tree):
        source = f"{origin.relative}::{piece.part}"
        own = make_document(piece.text, source, origin.project, origin.licence, piece.kind)  # type: ignore[arg-type]
        short, document = len(piece.text) < PIECE_CHARACTERS[0], own
        if piece.context:
            document = make_document(
                f"{piece.context}\n\n{piece.text}", source, origin.project, origin.licence, own.kind, {PART: own.id}
            )
        yield document, SHORT if short else LONG if len(document.text) > PIECE_CHARACTERS[1] else ""
