"""Gathers documents from this machine's Python files, or from a folder, a table or a dataset on the Hub.

Every file and row is counted as kept or dropped; `rules` holds the rules for one file. Across files it drops exact
duplicates by sha256 and near duplicates by folded word 5-grams at Jaccard 0.8. Memory holds the texts of one shard, and
about 50 bytes of each file and piece to find duplicates.
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

from evals.contamination.fold import fold_case
from training.data.build import Built, Counts, MadeDataset, make, slices, write_result
from training.data.columns import Columns
from training.data.dedup import minhash, shingles
from training.data.dedup.duplicates import Duplicates, find_repeats, pair_with_drops, resolve_chains
from training.data.dedup.shingles import Grams
from training.data.document import Document, drop_document, make_document
from training.data.gather import rules, sources
from training.data.gather.rules import CutFile, SourceFile
from training.data.gather.sources import Block, Form
from training.data.shards import each_shard
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Record

VERSION = 5
SHARD_FILES = 400
CUT = "read and cut"
REASONS = rules.EXACT, rules.NEAR
PYTHON, PROSE = "python", "prose"


class GatherShard(Record, frozen=True):
    """The input of one job: some files, or one block of rows."""

    files: tuple[SourceFile, ...] = ()
    block: Block | None = None


class PackedFile(Record, frozen=True):
    """A gzip file of rows, and the path it is unpacked to."""

    block: Block
    path: str


def gather(
    source: str, name: str, limit: int | None = None, column: str = "", form: Form = "", split: str = ""
) -> MadeDataset:
    """Makes a dataset of documents from `python` or `prose`, a folder, a file of rows, or `hf:NAME@REVISION`.

    limit   the number of files to take, spread by hash; of rows: the number of blocks
    column  the column of a table that holds the text
    form    "python" cuts each row as a Python file, "text" cuts only a long one; "" decides by the column
    split   the split of a dataset on the Hub
    """
    from zoo.registry import check_writable

    check_writable()  # before anything is fetched
    if source in (PYTHON, PROSE):
        files, state = python_files(limit) if source == PYTHON else machine_files(limit, sources.PROSE)
        recipe: dict[str, Any] = {"stage": "gather", "version": VERSION, "source": source, "limit": limit}
        blocks: list[Block] = []
    else:
        files, blocks, state, place = _read_source(source, limit, column, form, split)
        recipe = {
            "stage": "gather", "version": VERSION, "source": place, "limit": limit, "column": column, "form": form,
        }  # fmt: skip
    shards = [GatherShard(files=tuple(part)) for part in slices(files, SHARD_FILES)] + [
        GatherShard(block=block) for block in blocks
    ]
    if not shards:
        raise ZooError(f"{source} holds no readable files: *.py, {', '.join((*sources.PROSE, *sources.ROWS))}")
    return make(name, recipe, state, lambda work: _build(work, _unpack_shards(work, shards, limit), len(files)))


def _read_source(
    source: str, limit: int | None, column: str, form: Form, split: str
) -> tuple[list[SourceFile], list[Block], str, str]:
    """The files and blocks of a source, a digest of their state, and the source's name in the recipe."""
    if source.startswith("hf:"):
        data_files, commit = sources.hub_files(source[3:], split)
        blocks = [block for path, name in data_files for block in sources.plan_blocks(path, name, column, form)]
        place = f"hf:{source[3:].partition('@')[0]}@{commit}" + (f"/{split}" if split else "")
        return [], blocks[:limit], commit, place
    path = Path(source)
    if not path.exists():
        raise ZooError(f'no source "{source}"; give {PYTHON}, {PROSE}, a folder, a file of rows, or hf:NAME@REVISION')
    if not path.is_dir() and sources.why_unfit(path):
        raise ZooError(f"{source} is a pipe, socket or device; write its content to a file and give that")
    root, every = (path, _walk(str(path), False, (".py", *sources.PROSE, *sources.ROWS))) if path.is_dir() else (
        path.parent, [(str(path), path.stat())]
    )  # fmt: skip
    files, blocks, state = list[SourceFile](), list[Block](), list[list[Any]]()
    for name, status in every:
        relative = rules.printable_name(Path(name).relative_to(root).as_posix())
        size, when = (status.st_size, status.st_mtime_ns) if status else (0, 0)
        state.append([relative, size, when])
        if sources.is_rows(Path(name)):
            blocks += sources.plan_blocks(name, relative, column, form)
            continue
        project = relative.split("/")[0] if "/" in relative else rules.printable_name(root.name)
        files.append(SourceFile(path=name, relative=relative, project=project, licence="unknown", bytes=size))
    return _limit_files(files, limit), blocks[:limit], digest(state), f"folder {path.name}"


def _unpack_shards(work: Path, shards: Sequence[GatherShard], limit: int | None) -> list[GatherShard]:
    """Unpacks gzip files into the work folder; returns the shards with blocks of the unpacked files in their place."""
    packed = [shard.block for shard in shards if shard.block and sources.is_packed(shard.block)]
    jobs = [
        PackedFile(block=shard, path=str(work / f"unpacked-{number:05d}.jsonl")) for number, shard in enumerate(packed)
    ]
    unpacked = iter(list(each_shard(work, "unpack", jobs, _unpack, list[Block]))) if jobs else iter(())
    files = [shard for shard in shards if not shard.block]
    blocks = [block for shard in shards if shard.block
              for block in (next(unpacked) if sources.is_packed(shard.block) else [shard.block])]  # fmt: skip
    return [*files, *(GatherShard(block=shard) for shard in blocks[:limit])]


def _unpack(job: PackedFile) -> list[Block]:
    return sources.unpack(job.block, Path(job.path))


def _limit_files(files: list[SourceFile], limit: int | None) -> list[SourceFile]:
    """The files sorted by name; with a limit, those with the smallest hashes of their names."""
    chosen = sorted(files, key=lambda file: (file.relative, file.path))
    if limit is None or limit >= len(chosen):
        return chosen
    spread = sorted(chosen, key=lambda file: hashlib.sha256(file.relative.encode("utf-8", "surrogateescape")).digest())
    return sorted(spread[:limit], key=lambda file: (file.relative, file.path))


def python_files(limit: int | None = None) -> tuple[list[SourceFile], str]:
    """The Python files of this machine."""
    return machine_files(limit, (".py",))


def machine_files(limit: int | None, ends: tuple[str, ...]) -> tuple[list[SourceFile], str]:
    """All files with these ends below the stdlib, purelib and platlib folders, and a digest of names, sizes and times.

    Nested folders are walked once. Files are sorted by their path inside the root, the same order everywhere.
    """
    paths = sysconfig.get_paths()
    roots = sorted({os.path.realpath(paths[key]) for key in ("stdlib", "purelib", "platlib")})
    origins: dict[str, SourceFile] = {}
    times: dict[str, int] = {}
    for root in roots:
        owners = _owners(Path(root))
        stdlib = root == os.path.realpath(paths["stdlib"])
        for path, status in _walk(root, stdlib, ends):
            size, when = (status.st_size, status.st_mtime_ns) if status else (0, 0)
            relative = os.path.relpath(path, root).replace(os.sep, "/")
            owner = ("cpython", "PSF-2.0") if stdlib else owners.get(relative, (relative.split("/")[0], "unknown"))
            origin = SourceFile(
                path=path, relative=rules.printable_name(relative), project=rules.printable_name(owner[0]),
                licence=owner[1], bytes=size,
            )  # fmt: skip
            origins.setdefault(path, origin)
            times.setdefault(path, when)
    chosen = _limit_files(list(origins.values()), limit)
    return chosen, digest([[os.fsencode(o.relative).hex(), o.bytes, times[o.path]] for o in chosen])


def _walk(root: str, stdlib: bool, ends: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Each path with one of these suffixes and its status, or None.

    Dangling links and unreadable folders are listed so that they are counted. Links to folders are not followed.
    """
    closed = list[str]()
    for folder, folders, files in os.walk(root, onerror=lambda error: closed.append(error.filename)):
        skip = {"__pycache__"} | ({"site-packages", "dist-packages"} if stdlib else set())
        folders[:] = sorted(name for name in folders if name not in skip)
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
    """Maps a file's path inside the root to its distribution and licence, from each RECORD and METADATA."""
    owners: dict[str, tuple[str, str]] = {}
    for info in sorted(root.glob("*.dist-info")):
        record, metadata = info / "RECORD", info / "METADATA"
        if not record.is_file() or not metadata.is_file():
            continue
        headers = HeaderParser().parsestr(metadata.read_text("utf-8", "replace"))
        owner = ((headers["Name"] or info.name).lower(), licence_of(headers))
        for line in record.read_text("utf-8", "replace").splitlines():
            path = line.rsplit(",", 2)[0].strip('"')
            if path.endswith((".py", *sources.PROSE)):
                owners[path] = owner
    return owners


def licence_of(headers: Any) -> str:
    """A distribution's licence: its SPDX expression, else its classifiers, else the start of its text.

    >>> from email.message import Message
    >>> headers = Message(); headers["Classifier"] = "License :: OSI Approved :: MIT License"
    >>> licence_of(headers)
    'MIT License'
    """
    if headers["License-Expression"]:
        return str(headers["License-Expression"])
    classifiers = [c.rsplit(" :: ", 1)[1] for c in headers.get_all("Classifier", []) if c.startswith("License :: ")]
    if classifiers:
        return ", ".join(sorted(classifiers))
    text = re.sub(r"\s+", " ", str(headers["License"] or "")).strip()
    return text[:60] if text and text.upper() != "UNKNOWN" else "unknown"


class SourceRepeats(NamedTuple):
    """The result of the first pass: files that repeat an earlier one, and pieces seen before.

    files   duplicates, whose reasons are indices into REASONS
    pieces  for each piece in order, whether its text occurred in an earlier kept piece, shape (pieces,), bool
    """

    files: Duplicates
    pieces: Any


def _build(work: Path, shards: Sequence[GatherShard], number_of_files: int) -> Built:
    files, cuts = Counts("files"), Counts("cut")
    licences: set[str] = set()
    repeats = _find_repeats(work, shards)

    def outcomes() -> Iterator[Document]:
        again = map(bool, repeats.pieces)
        every = (
            cut for shard in each_shard(work, CUT, shards, cut_shard, list[CutFile], title="write") for cut in shard
        )
        for cut, twin in pair_with_drops(every, repeats.files, lambda cut: cut.origin.relative):
            licences.add(cut.origin.licence)
            reason, facts = cut.reason, {}
            if twin is not None:
                reason = REASONS[twin.reason]
                facts = {"twin": twin.kept, "jaccard": round(twin.like, 4)}
            seen = list(islice(again, len(cut.pieces)))
            if reason:
                files.drop(reason, cut.rows)
                yield _drop_file(cut, reason, facts)
                continue
            files.keep()
            for piece in cut.dropped:
                cuts.drop(piece.reason)
                yield piece
            for piece, twice in zip(cut.pieces, seen, strict=True):
                if twice:
                    cuts.drop(rules.TWICE)
                    yield drop_document(piece, "cut", rules.TWICE)
                else:
                    cuts.keep()
                    yield piece

    number, tokens = write_result(work / "out", outcomes())
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(files.stage(), cuts.stage()),
        licence="; ".join(sorted(licences)), recipe={"files": number_of_files or len(shards)},
    )  # fmt: skip


def _find_repeats(work: Path, shards: Sequence[GatherShard]) -> SourceRepeats:
    """Finds the files and pieces that repeat earlier ones.

    Signatures and n-grams are on disk; memory holds about 40 bytes of each file and 20 of each piece.
    """
    import numpy as np

    good, shas, numbers, pieces, texts = bytearray(), bytearray(), bytearray(), bytearray(), bytearray()
    signature_path, gram_path = work / "signatures.bin", work / "grams.bin"
    with signature_path.open("wb") as signatures, gram_path.open("wb") as grams:
        for shard in each_shard(work, CUT, shards, cut_shard, list[CutFile]):
            for cut in shard:
                good.append(not cut.reason)
                shas += bytes.fromhex(cut.sha256)[:16] if not cut.reason else bytes(16)
                signed = cut.signature and not cut.reason
                signatures.write(cut.signature if signed else bytes(4 * minhash.PERMUTATIONS))
                grams.write(cut.grams if signed else b"")
                numbers += (len(cut.grams) // 8 if signed else 0).to_bytes(4, "little")
                pieces += len(cut.pieces).to_bytes(4, "little")
                for piece in cut.pieces:
                    texts += hashlib.sha256(fold_case(piece.text).encode()).digest()[:16]
            del shard  # free it before the next one is made
    left = np.frombuffer(good, np.bool_).copy()
    counts = np.frombuffer(numbers, "<u4")
    duplicates = [find_repeats(np.frombuffer(shas, "<u8").reshape(-1, 2), left, REASONS.index(rules.EXACT))]
    del shas
    left[duplicates[0].item] = False
    with Columns([signature_path], "<u4", minhash.PERMUTATIONS) as rows, Columns([gram_path], "<u8") as stored:
        exact = minhash.exact_jaccard(Grams(stored, shingles.offsets(counts)))
        items = np.flatnonzero(left & (counts > 0))
        duplicates.append(
            minhash.near_duplicates(rows, exact, items=items, folder=work, reason=REASONS.index(rules.NEAR))
        )
    files = resolve_chains(duplicates)
    kept = np.ones(len(counts), np.bool_)
    kept[files.item] = False
    alive = np.repeat(kept, np.frombuffer(pieces, "<u4"))
    again = np.zeros(len(alive), np.bool_)
    again[find_repeats(np.frombuffer(texts, "<u8").reshape(-1, 2), alive).item] = True
    return SourceRepeats(files, again)


def cut_shard(shard: GatherShard) -> list[CutFile]:
    """Reads and cuts the files or rows of one shard, and computes their MinHash signatures."""
    import gc

    import numpy as np

    gc.disable()  # syntax trees are many objects without cycles: 30% faster without the collector
    try:
        read = sources.cut_block(shard.block) if shard.block else map(_cut_file, shard.files)
        cuts, texts = [], []
        for cut, text in read:
            # the path depends on the machine and may not be UTF-8; documents are named by their path inside the root
            cuts.append(msgspec.structs.replace(cut, origin=msgspec.structs.replace(cut.origin, path="")))
            texts.append(text)
        if not cuts:  # the block lies inside one long line
            return []
        grams = shingles.grams([fold_case(text) for text in texts])
        of_texts = np.split(grams.flat.astype("<u8"), grams.offsets[1:-1])
        return [
            msgspec.structs.replace(cut, signature=row.astype("<u4").tobytes(), grams=part.tobytes())
            if len(part) else cut
            for cut, part, row in zip(cuts, of_texts, minhash.minhash(grams), strict=True)
        ]  # fmt: skip
    finally:
        gc.enable()


def _cut_file(origin: SourceFile) -> tuple[CutFile, str]:
    """Cuts one file and returns its text too; a file that is too large is not read into memory."""
    try:
        if reason := sources.why_unfit(Path(origin.path)):
            return CutFile(origin=origin, sha256="", reason=reason), ""
        python = origin.relative.endswith(".py")
        if origin.bytes > (rules.FILE_BYTES if python else rules.TEXT_BYTES):
            from zoo.digest import file_sha256

            return CutFile(origin=origin, sha256=file_sha256(Path(origin.path)), reason=rules.TOO_BIG), ""
        data = Path(origin.path).read_bytes()
    except OSError:
        return CutFile(origin=origin, sha256="", reason=rules.UNREADABLE), ""
    cut = rules.cut_file(origin, data) if python else rules.cut_prose(origin, data)
    return cut, "" if cut.reason else rules.plain_text(data)


def _drop_file(cut: CutFile, reason: str, facts: dict[str, Any]) -> Document:
    origin = cut.origin
    empty = make_document("", f"{origin.relative}#{cut.sha256[:12]}", origin.project, origin.licence, "file")
    if cut.rows > 1:
        facts = {**facts, "rows": cut.rows}
    return drop_document(empty, "files", reason, bytes=origin.bytes, **facts)
