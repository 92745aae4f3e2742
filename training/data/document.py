"""Documents and their files: gzipped JSON lines, the same bytes for the same content.

A dropped document is the same record with `stage` and `reason` set; it keeps its text only if no parent dataset
holds it. This file does not decide which documents are kept.
"""

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import msgspec

from zoo import gz
from zoo.digest import whole_file
from zoo.errors import ZooError
from zoo.records import Record

Kind = Literal["file", "function", "class", "script", "text", "textbook", "exercise"]

SHARD_DOCUMENTS = 20_000  # about 20 MB of code: memory holds many such shards
SHARD_BYTES = 64_000_000  # with long texts a file holds fewer documents
LEXEMES = re.compile(r"\w+|[^\w\s]")


class Document(Record, frozen=True):
    """A piece of training text with its origin and the results of the stages.

    id       16 hexadecimal characters from source, part and text: stable across runs and machines
    source   its origin: path inside its root and the part, "heapq.py::merge"
    project  the unit that a split must keep together: a file's distribution, a teacher's family
    tokens   words and punctuation marks, the size before there is a tokenizer
    facts    results of the stages: score, threshold, twin, prompt, tests
    stage, reason  the stage that dropped it and why; empty in a kept document
    """

    id: str
    text: str
    source: str
    project: str
    licence: str
    kind: Kind
    tokens: int
    facts: dict[str, Any] = {}
    stage: str = ""
    reason: str = ""


def make_document(
    text: str, source: str, project: str, licence: str, kind: Kind, facts: dict[str, Any] | None = None
) -> Document:
    """Makes a document with its id and size.

    >>> make_document("x = 1", "a.py", "demo", "MIT", "file").tokens
    3
    """
    mark = hashlib.sha256(f"{source}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Document(
        id=mark, text=text, source=source, project=project, licence=licence, kind=kind,
        tokens=len(LEXEMES.findall(text)), facts=facts or {},
    )  # fmt: skip


def drop_document(kept: Document, stage: str, reason: str, with_text: bool = False, **facts: Any) -> Document:
    """Marks a document as dropped, with the stage, the reason and the facts behind it."""
    text = kept.text if with_text else ""
    return msgspec.structs.replace(kept, text=text, stage=stage, reason=reason, facts={**kept.facts, **facts})


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Document)


class DocumentFiles:
    """Writes documents as `stem-00000.jsonl.gz` and so on; at least one file, each whole or absent.

    A thread compresses one file while the next is filled, so memory holds the documents of two files at most.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder, self.stem = folder, stem
        self._files, self._bytes, self._batch = 0, 0, list[bytes]()
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> "DocumentFiles":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                if self._batch or not self._files:
                    self._flush()
                self._wait()
        finally:
            self._writer.shutdown()

    def add(self, document: Document) -> None:
        """Adds a document; starts writing when a file is full."""
        self._batch.append(_ENCODER.encode(document) + b"\n")
        self._bytes += len(self._batch[-1])
        if len(self._batch) == SHARD_DOCUMENTS or self._bytes >= SHARD_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._wait()
        path = self.folder / f"{self.stem}-{self._files:05d}.jsonl.gz"
        self._writing = self._writer.submit(_write, path, self._batch)
        self._files, self._bytes, self._batch = self._files + 1, 0, []

    def _wait(self) -> None:
        """Waits until the previous file is written. Raises its error."""
        if self._writing is not None:
            self._writing.result()


def _write(path: Path, lines: list[bytes]) -> None:
    with whole_file(path) as file:
        file.write(gz.compress(b"".join(lines)))


def read_file(path: Path) -> Iterator[Document]:
    """Reads the documents of one file, in order. Raises ZooError if the file is damaged."""
    try:
        for line in gz.lines(path):
            yield _DECODER.decode(line)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ZooError(
            f"{path} is damaged ({str(error)[:80]}); remove its folder and run the command that made it again"
        ) from None


def document_files(folder: Path, stem: str = "documents") -> list[Path]:
    """The document files of a dataset folder (with `stem` "dropped": of its dropped documents), in order.

    Raises ZooError if a file is missing: both kinds are numbered from 0 without gaps.
    """
    paths = sorted(folder.glob(f"{stem}-*.jsonl.gz"))
    wanted = [f"{stem}-{number:05d}.jsonl.gz" for number in range(len(paths))]
    if [path.name for path in paths] != wanted or (not paths and any(folder.glob("*-00000.jsonl.gz"))):
        raise ZooError(
            f"files {stem}-*.jsonl.gz are missing in {folder}; remove it and run the command that made it again"
        )
    return paths


def read_documents(folder: Path, stem: str = "documents") -> Iterator[Document]:
    """Reads all documents of a dataset folder, in order, one at a time."""
    for path in document_files(folder, stem):
        yield from read_file(path)
