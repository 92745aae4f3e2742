"""What a Python file must be to enter, and how it is cut into documents.

Cut at top-level functions and classes; a file under 4 kB stays whole. The reasons for dropping a
file or a piece are named here and nowhere else. Quality is not judged here.
"""

import ast
import hashlib
import warnings

from training.data.document import Document, document
from zoo.checkpoint import Record

FILE_BYTES = 200_000  # larger files are tables and bundles: 0.3% of the files, a quarter of the bytes
WHOLE_BYTES = 4_000
PIECE_CHARACTERS = (60, 24_000)  # under: one-line wrappers; over: classes longer than any context here

UNREADABLE, NOT_UTF8, TOO_BIG, EMPTY, NUL, NOT_PARSING = (
    "unreadable",
    "undecodable",
    "too big",
    "empty",
    "NUL bytes",
    "does not parse",
)
EXACT, NEAR, SHORT, LONG, TWICE = "exact duplicate", "near duplicate", "too short", "too long", "duplicate piece"


class Origin(Record, frozen=True):
    """A file on disk: where it is, its path inside its root, whose it is."""

    path: str
    relative: str
    project: str
    licence: str
    bytes: int


class Cut(Record, frozen=True):
    """One file looked at: the reason it is dropped, or its pieces; its digest and minhash either way."""

    origin: Origin
    sha256: str
    reason: str = ""
    signature: bytes = b""
    pieces: tuple[Document, ...] = ()
    dropped: tuple[Document, ...] = ()


def refused(data: bytes) -> str:
    """Why these bytes cannot be a Python document, or "" when they can.

    >>> refused(b""), refused(b"x = 1"), refused(b"\\xff"), refused(b"def f(:")
    ('empty', '', 'undecodable', 'does not parse')
    """
    if len(data) > FILE_BYTES:
        return TOO_BIG
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return NOT_UTF8
    if not text.strip():
        return EMPTY
    if "\0" in text:
        return NUL
    return "" if parsed(text) is not None else NOT_PARSING


def parsed(text: str) -> ast.Module | None:
    """The syntax tree, or None. Deep nesting and strange escapes are the file's fault, not a crash."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def plain(data: bytes) -> str:
    """The text of a file: byte order mark removed, line ends as newlines."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def cut(origin: Origin, data: bytes) -> Cut:
    """A file's pieces, or why it is dropped (duplicates among files are found later)."""
    sha = hashlib.sha256(data).hexdigest()
    if len(data) > FILE_BYTES:
        return Cut(origin=origin, sha256=sha, reason=TOO_BIG)
    try:
        text = plain(data)
    except UnicodeDecodeError:
        return Cut(origin=origin, sha256=sha, reason=NOT_UTF8)
    if not text.strip():
        return Cut(origin=origin, sha256=sha, reason=EMPTY)
    tree = None if "\0" in text else parsed(text)
    if tree is None:
        return Cut(origin=origin, sha256=sha, reason=NUL if "\0" in text else NOT_PARSING)
    kept: list[Document] = []
    out: list[Document] = []
    for piece in _pieces(origin, text, tree):
        reason = (
            SHORT if len(piece.text) < PIECE_CHARACTERS[0] else LONG if len(piece.text) > PIECE_CHARACTERS[1] else ""
        )
        if reason:
            from training.data.document import dropped

            out.append(dropped(piece, "cut", reason))
        else:
            kept.append(piece)
    return Cut(origin=origin, sha256=sha, pieces=tuple(kept), dropped=tuple(out))


def _pieces(origin: Origin, text: str, tree: ast.Module) -> list[Document]:
    if len(text) < WHOLE_BYTES:
        return [document(text.strip() + "\n", origin.relative, origin.project, origin.licence, "file")]
    lines = text.split("\n")
    pieces = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1
        body = "\n".join(lines[first : node.end_lineno]).rstrip() + "\n"
        kind = "class" if isinstance(node, ast.ClassDef) else "function"
        source = f"{origin.relative}::{node.name}"
        pieces.append(document(body, source, origin.project, origin.licence, kind))  # type: ignore[arg-type]
    return pieces
