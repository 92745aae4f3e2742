"""One document and the files that hold documents: gzipped JSON lines, the same bytes for the same content.

A dropped document is the same record with `stage` and `reason` set; it keeps its text only when no
parent dataset holds it. Nothing here decides what is kept.
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

Kind = Literal["file", "function", "class", "text", "textbook", "exercise"]

SHARD_DOCUMENTS = 20_000  # about 20 MB of code: one shard fits in memory many times over
SHARD_BYTES = 64_000_000  # of longer texts a file holds fewer
LEXEMES = re.compile(r"\w+|[^\w\s]")


class Document(Record, frozen=True):
    """A piece of training text and what is known of it.

    id       16 hexadecimal characters from source, part and text: stable across runs and machines
    source   where it is from: path inside its root and the part, "heapq.py::merge"
    project  what a split must not cut: the distribution a file belongs to, a teacher's family
    tokens   words and punctuation marks, the size before there is a tokenizer
    facts    what the stages found: score, threshold, twin, prompt, tests
    stage, reason  empty in a kept document; who dropped it and why otherwise
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
    """A document with its id and size.

    >>> make_document("x = 1", "a.py", "demo", "MIT", "file").tokens
    3
    """
    mark = hashlib.sha256(f"{source}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Document(
        id=mark, text=text, source=source, project=project, licence=licence, kind=kind,
        tokens=len(LEXEMES.findall(text)), facts=facts or {},
    )  # fmt: skip


def drop_document(kept: Document, stage: str, reason: str, with_text: bool = False, **facts: Any) -> Document:
    """The same document as a dropped one: the stage, the reason, what led to it."""
    text = kept.text if with_text else ""
    return msgspec.structs.replace(kept, text=text, stage=stage, reason=reason, facts={**kept.facts, **facts})


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Document)


class DocumentFiles:
    """Writes documents as `stem-00000.jsonl.gz` and so on; at least one file, each whole or absent.

    A file is packed beside the making of the next one, which takes as long: two files' documents are in memory at most.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder, self.stem = folder, stem
        self._files, self._bytes, self._batch = 0, 0, list[bytes]()
        self._beside = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> "DocumentFiles":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                if self._batch or not self._files:
                    self._flush()
                self._written()
        finally:
            self._beside.shutdown()

    def add(self, document: Document) -> None:
        """One more document; a full file is written at once."""
        self._batch.append(_ENCODER.encode(document) + b"\n")
        self._bytes += len(self._batch[-1])
        if len(self._batch) == SHARD_DOCUMENTS or self._bytes >= SHARD_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._written()
        path = self.folder / f"{self.stem}-{self._files:05d}.jsonl.gz"
        self._writing = self._beside.submit(_write, path, self._batch)
        self._files, self._bytes, self._batch = self._files + 1, 0, []

    def _written(self) -> None:
        """Waits for the file before; raises what kept it from being written."""
        if self._writing is not None:
            self._writing.result()


def _write(path: Path, lines: list[bytes]) -> None:
    with whole_file(path) as file:
        file.write(gz.compress(b"".join(lines)))


def read_file(path: Path) -> Iterator[Document]:
    """The documents of one file, in order. Raises ZooError when the file is damaged."""
    try:
        for line in gz.lines(path):
            yield _DECODER.decode(line)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ZooError(
            f"{path} is damaged ({str(error)[:80]}); remove its folder and run the command that made it again"
        ) from None


def document_files(folder: Path, stem: str = "documents") -> list[Path]:
    """The files of a dataset folder that hold documents (`stem` "dropped": the dropped ones), in order.

    Raises ZooError when one is missing: those there are have numbers from 0 on, and both kinds begin at 0.
    """
    paths = sorted(folder.glob(f"{stem}-*.jsonl.gz"))
    wanted = [f"{stem}-{number:05d}.jsonl.gz" for number in range(len(paths))]
    if [path.name for path in paths] != wanted or (not paths and any(folder.glob("*-00000.jsonl.gz"))):
        raise ZooError(
            f"files {stem}-*.jsonl.gz are missing in {folder}; remove it and run the command that made it again"
        )
    return paths


def read_documents(folder: Path, stem: str = "documents") -> Iterator[Document]:
    """All documents of a dataset folder, in order, one at a time."""
    for path in document_files(folder, stem):
        yield from read_file(path)
