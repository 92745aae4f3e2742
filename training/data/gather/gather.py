"""Gathers documents: this machine's Python files, or the files and rows of a folder, a table, a hub's dataset.

Every file and row that was looked at is accounted for; what each must be stands in `rules`.
Corpus rules: exact duplicates by sha256, near duplicates by word 5-grams at Jaccard 0.8. In memory are
the texts of one shard, and some 50 bytes of each file and piece for finding twins.
"""

import hashlib
import os
import re
import sysconfig
from collections.abc import Iterator, Sequence
from email.parser import HeaderParser
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from training.data.build import Built, Counts, Made, make, parts, write_result
from training.data.columns import Stored
from training.data.dedup import minhash as dedup
from training.data.dedup import shingles
from training.data.dedup.duplicates import Twins, followed, repeats, settled
from training.data.dedup.shingles import Grams
from training.data.document import Document, document, dropped
from training.data.gather import rules, sources
from training.data.gather.rules import Cut, Origin
from training.data.gather.sources import Block, Form
from training.data.shards import each_shard
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Record

VERSION = 4
SHARD_FILES = 400
CUT = "read and cut"
REASONS = rules.EXACT, rules.NEAR
PYTHON = "python"


class Shard(Record, frozen=True):
    """What a worker reads: some files, or one block of rows."""

    files: tuple[Origin, ...] = ()
    block: Block | None = None


class Packed(Record, frozen=True):
    """A gzip file of rows, and where it is unpacked to."""

    block: Block
    path: str


def gather(
    source: str, name: str, limit: int | None = None, column: str = "", form: Form = "", split: str = ""
) -> Made:
    """Makes the documents of a source: `python`, a folder, a file of rows, or `hf:NAME@REVISION`.

    limit   takes that many files, spread by hash (of rows: that many blocks)
    column  the column of a table that holds the text
    form    "python" cuts each row as a Python file, "text" keeps it whole; "" decides by the column
    split   of a hub's dataset
    """
    if source == PYTHON:
        files, state = python_files(limit)
        recipe: dict[str, Any] = {"stage": "gather", "version": VERSION, "source": "python", "limit": limit}
        blocks: list[Block] = []
    else:
        files, blocks, state, place = _of_source(source, limit, column, form, split)
        recipe = {
            "stage": "gather", "version": VERSION, "source": place, "limit": limit, "column": column, "form": form,
        }  # fmt: skip
    shards = [Shard(files=tuple(part)) for part in parts(files, SHARD_FILES)] + [Shard(block=one) for one in blocks]
    if not shards:
        raise ZooError(f"{source} holds nothing that is read: *.py, {', '.join((*sources.PROSE, *sources.ROWS))}")
    return make(name, recipe, state, lambda work: _build(work, _unpacked(work, shards, limit), len(files)))


def _of_source(
    source: str, limit: int | None, column: str, form: Form, split: str
) -> tuple[list[Origin], list[Block], str, str]:
    """Files, blocks, a digest of their state, and what the recipe calls the source."""
    if source.startswith("hf:"):
        found, commit = sources.hub_files(source[3:], split)
        blocks = [block for path, name in found for block in sources.plan(path, name, column, form)]
        place = f"hf:{source[3:].partition('@')[0]}@{commit}" + (f"/{split}" if split else "")
        return [], blocks[:limit], commit, place
    path = Path(source)
    if not path.exists():
        raise ZooError(f'no source "{source}"; give {PYTHON}, a folder, a file of rows, or hf:NAME@REVISION')
    if not path.is_dir() and sources.unfit(path):
        raise ZooError(f"{source} is a pipe, socket or device; give a file or a folder: write what it gives to a file")
    root, every = (path, _walk(str(path), False, (".py", *sources.PROSE, *sources.ROWS))) if path.is_dir() else (
        path.parent, [(str(path), path.stat())]
    )  # fmt: skip
    files, blocks, told = list[Origin](), list[Block](), list[list[Any]]()
    for name, status in every:
        relative = rules.printable(Path(name).relative_to(root).as_posix())
        size, when = (status.st_size, status.st_mtime_ns) if status else (0, 0)
        told.append([relative, size, when])
        if sources.is_rows(Path(name)):
            blocks += sources.plan(name, relative, column, form)
            continue
        project = relative.split("/")[0] if "/" in relative else rules.printable(root.name)
        files.append(Origin(path=name, relative=relative, project=project, licence="unknown", bytes=size))
    return _spread(files, limit), blocks[:limit], digest(told), f"folder {path.name}"


def _unpacked(work: Path, shards: Sequence[Shard], limit: int | None) -> list[Shard]:
    """The shards with gzip files in blocks of what they hold, unpacked into the work folder."""
    packed = [one.block for one in shards if one.block and sources.packed(one.block)]
    jobs = [Packed(block=one, path=str(work / f"unpacked-{number:05d}.jsonl")) for number, one in enumerate(packed)]
    found = iter(list(each_shard(work, "unpack", jobs, _unpack, list[Block]))) if jobs else iter(())
    files = [one for one in shards if not one.block]
    blocks = [block for one in shards if one.block
              for block in (next(found) if sources.packed(one.block) else [one.block])]  # fmt: skip
    return [*files, *(Shard(block=one) for one in blocks[:limit])]


def _unpack(job: Packed) -> list[Block]:
    return sources.unpacked(job.block, Path(job.path))


def _spread(files: list[Origin], limit: int | None) -> list[Origin]:
    """The files in the order of their names; with a limit those whose name's hash is smallest."""
    chosen = sorted(files, key=lambda one: (one.relative, one.path))
    if limit is None or limit >= len(chosen):
        return chosen
    spread = sorted(chosen, key=lambda one: hashlib.sha256(one.relative.encode("utf-8", "surrogateescape")).digest())
    return sorted(spread[:limit], key=lambda one: (one.relative, one.path))


def python_files(limit: int | None = None) -> tuple[list[Origin], str]:
    """All `*.py` files below the stdlib, purelib and platlib folders, and a digest of names, sizes and times.

    A folder inside another is walked once. Order: by path inside the root, so it is the same everywhere.
    """
    paths = sysconfig.get_paths()
    roots = sorted({os.path.realpath(paths[key]) for key in ("stdlib", "purelib", "platlib")})
    found: dict[str, Origin] = {}
    times: dict[str, int] = {}
    for root in roots:
        owners = _owners(Path(root))
        stdlib = root == os.path.realpath(paths["stdlib"])
        for path, status in _walk(root, stdlib, (".py",)):
            size, when = (status.st_size, status.st_mtime_ns) if status else (0, 0)
            relative = os.path.relpath(path, root).replace(os.sep, "/")
            owner = ("cpython", "PSF-2.0") if stdlib else owners.get(relative, (relative.split("/")[0], "unknown"))
            origin = Origin(
                path=path, relative=rules.printable(relative), project=rules.printable(owner[0]), licence=owner[1],
                bytes=size,
            )  # fmt: skip
            found.setdefault(path, origin)
            times.setdefault(path, when)
    chosen = _spread(list(found.values()), limit)
    return chosen, digest([[os.fsencode(o.relative).hex(), o.bytes, times[o.path]] for o in chosen])


def _walk(root: str, stdlib: bool, ends: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Each path with such an end, with its status if it has one: a dangling link, and a folder that may not be
    entered, stand there too, to be counted. Links to folders are not followed, so none leads in a circle."""
    closed = list[str]()
    for folder, folders, files in os.walk(root, onerror=lambda error: closed.append(error.filename)):
        skip = {"__pycache__"} | ({"site-packages", "dist-packages"} if stdlib else set())
        folders[:] = sorted(one for one in folders if one not in skip)
        for file in sorted(files):
            path = os.path.join(folder, file)
            if file.endswith(ends):
                yield path, _status(path)
    yield from ((path, None) for path in closed if os.path.isdir(path))


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _owners(root: Path) -> dict[str, tuple[str, str]]:
    """File path inside the root -> distribution and licence, from each RECORD and METADATA."""
    owners: dict[str, tuple[str, str]] = {}
    for info in sorted(root.glob("*.dist-info")):
        record, metadata = info / "RECORD", info / "METADATA"
        if not record.is_file() or not metadata.is_file():
            continue
        told = HeaderParser().parsestr(metadata.read_text("utf-8", "replace"))
        owner = ((told["Name"] or info.name).lower(), licence_of(told))
        for line in record.read_text("utf-8", "replace").splitlines():
            path = line.rsplit(",", 2)[0].strip('"')
            if path.endswith(".py"):
                owners[path] = owner
    return owners


def licence_of(told: Any) -> str:
    """The licence a distribution states: the SPDX expression, else its classifiers, else a short text.

    >>> from email.message import Message
    >>> told = Message(); told["Classifier"] = "License :: OSI Approved :: MIT License"
    >>> licence_of(told)
    'MIT License'
    """
    if told["License-Expression"]:
        return str(told["License-Expression"])
    classifiers = [c.rsplit(" :: ", 1)[1] for c in told.get_all("Classifier", []) if c.startswith("License :: ")]
    if classifiers:
        return ", ".join(sorted(classifiers))
    text = re.sub(r"\s+", " ", str(told["License"] or "")).strip()
    return text[:60] if text and text.upper() != "UNKNOWN" else "unknown"


class Repeats(NamedTuple):
    """What the first pass finds: files that repeat an earlier one, and pieces seen before.

    files   reasons are places in REASONS
    pieces  of each piece in order, whether its text stood in an earlier kept one, shape (pieces,), bool
    """

    files: Twins
    pieces: Any


def _build(work: Path, shards: Sequence[Shard], number_of_files: int) -> Built:
    files, cuts = Counts("files"), Counts("cut")
    licences: set[str] = set()
    found = _repeats(work, shards)

    def outcomes() -> Iterator[Document]:
        again = map(bool, found.pieces)
        every = (one for shard in each_shard(work, CUT, shards, cut_shard, list[Cut], told="write") for one in shard)
        for one, twin in followed(every, found.files, lambda one: one.origin.relative):
            licences.add(one.origin.licence)
            reason, facts = one.reason, {}
            if twin is not None:
                reason = REASONS[twin.reason]
                facts = {"twin": twin.kept, "jaccard": round(twin.like, 4)}
            seen = list(islice(again, len(one.pieces)))
            if reason:
                files.drop(reason, one.rows)
                yield _lost_file(one, reason, facts)
                continue
            files.keep()
            for piece in one.dropped:
                cuts.drop(piece.reason)
                yield piece
            for piece, twice in zip(one.pieces, seen, strict=True):
                if twice:
                    cuts.drop(rules.TWICE)
                    yield dropped(piece, "cut", rules.TWICE)
                else:
                    cuts.keep()
                    yield piece

    number, tokens = write_result(work / "out", outcomes())
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(files.stage(), cuts.stage()),
        licence="; ".join(sorted(licences)), recipe={"files": number_of_files or len(shards)},
    )  # fmt: skip


def _repeats(work: Path, shards: Sequence[Shard]) -> Repeats:
    """Which files and pieces repeat earlier ones. Signatures and n-grams lie on disk; in memory are some 40 bytes
    of each file and 20 of each piece."""
    import numpy as np

    good, shas, numbers, pieces, texts = bytearray(), bytearray(), bytearray(), bytearray(), bytearray()
    signature_path, gram_path = work / "signatures.bin", work / "grams.bin"
    with signature_path.open("wb") as signatures, gram_path.open("wb") as grams:
        for shard in each_shard(work, CUT, shards, cut_shard, list[Cut]):
            for one in shard:
                good.append(not one.reason)
                shas += bytes.fromhex(one.sha256)[:16] if not one.reason else bytes(16)
                signed = one.signature and not one.reason
                signatures.write(one.signature if signed else bytes(4 * dedup.PERMUTATIONS))
                grams.write(one.grams if signed else b"")
                numbers += (len(one.grams) // 8 if signed else 0).to_bytes(4, "little")
                pieces += len(one.pieces).to_bytes(4, "little")
                for piece in one.pieces:
                    texts += hashlib.sha256(piece.text.encode()).digest()[:16]
            del shard  # before the next is made
    left = np.frombuffer(good, np.bool_).copy()
    counts = np.frombuffer(numbers, "<u4")
    found = [repeats(np.frombuffer(shas, "<u8").reshape(-1, 2), left, REASONS.index(rules.EXACT))]
    del shas
    left[found[0].item] = False
    with Stored([signature_path], "<u4", dedup.PERMUTATIONS) as rows, Stored([gram_path], "<u8") as stored:
        exact = dedup.exact_jaccard(Grams(stored, shingles.offsets(counts)))
        items = np.flatnonzero(left & (counts > 0))
        found.append(dedup.near_twins(rows, exact, items=items, folder=work, reason=REASONS.index(rules.NEAR)))
    files = settled(found)
    kept = np.ones(len(counts), np.bool_)
    kept[files.item] = False
    alive = np.repeat(kept, np.frombuffer(pieces, "<u4"))
    again = np.zeros(len(alive), np.bool_)
    again[repeats(np.frombuffer(texts, "<u8").reshape(-1, 2), alive).item] = True
    return Repeats(files, again)


def cut_shard(shard: Shard) -> list[Cut]:
    """The files or rows of one shard, read and cut, with their MinHash signatures."""
    import gc

    import numpy as np

    gc.disable()  # a syntax tree is many objects without cycles: 30% faster, given back file by file
    try:
        read = sources.cut_block(shard.block) if shard.block else map(_cut_file, shard.files)
        cuts, texts = [], []
        for one, text in read:
            # a path is this machine's, and may be no UTF-8: documents go by their name inside the root
            cuts.append(msgspec.structs.replace(one, origin=msgspec.structs.replace(one.origin, path="")))
            texts.append(text)
        if not cuts:  # a block within one long line
            return []
        grams = shingles.grams(texts)
        of_texts = np.split(grams.flat.astype("<u8"), grams.offsets[1:-1])
        return [
            msgspec.structs.replace(one, signature=row.astype("<u4").tobytes(), grams=part.tobytes())
            if len(part) else one
            for one, part, row in zip(cuts, of_texts, dedup.minhash(grams), strict=True)
        ]  # fmt: skip
    finally:
        gc.enable()


def _cut_file(origin: Origin) -> tuple[Cut, str]:
    """One file cut, and its text; too large a one is not read into memory."""
    try:
        if reason := sources.unfit(Path(origin.path)):
            return Cut(origin=origin, sha256="", reason=reason), ""
        if origin.bytes > rules.FILE_BYTES:
            from zoo.digest import file_sha256

            return Cut(origin=origin, sha256=file_sha256(Path(origin.path)), reason=rules.TOO_BIG), ""
        data = Path(origin.path).read_bytes()
    except OSError:
        return Cut(origin=origin, sha256="", reason=rules.UNREADABLE), ""
    found = rules.cut(origin, data) if origin.relative.endswith(".py") else rules.whole(origin, data)
    return found, "" if found.reason else rules.plain(data)


def _lost_file(one: Cut, reason: str, facts: dict[str, Any]) -> Document:
    origin = one.origin
    empty = document("", f"{origin.relative}#{one.sha256[:12]}", origin.project, origin.licence, "file")
    if one.rows > 1:
        facts = {**facts, "rows": one.rows}
    return dropped(empty, "files", reason, bytes=origin.bytes, **facts)
