"""Gathers this machine's Python files: the standard library and the installed packages, of very mixed quality.

Every file that was looked at is accounted for; what a file must be stands in `rules`.
Corpus rules: exact duplicates by sha256, near duplicates by 5-gram MinHash at Jaccard 0.8.
"""

import hashlib
import os
import re
import sysconfig
from collections.abc import Iterator, Sequence
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import msgspec

from training.data import dedup, rules
from training.data.document import Document, document, dropped
from training.data.make import Built, Counts, Made, each_shard, make, parts, write_result
from training.data.rules import Cut, Origin
from zoo.digest import digest

VERSION = 2
SHARD_FILES = 400
CUT = "read and cut"


def gather_python(name: str, limit: int | None = None) -> Made:
    """Makes the documents of this machine's Python files; `limit` takes that many files, spread by hash."""
    origins, state = python_files(limit)
    recipe = {"stage": "gather", "version": VERSION, "source": "python", "limit": limit}
    return make(name, recipe, state, lambda work: _build(work, origins))


def python_files(limit: int | None = None) -> tuple[list[Origin], str]:
    """All `*.py` files below the stdlib, purelib and platlib folders, and a digest of names, sizes and times.

    A folder inside another is walked once. Order: by path inside the root, so it is the same everywhere.
    """
    paths = sysconfig.get_paths()
    roots = sorted({os.path.realpath(paths[key]) for key in ("stdlib", "purelib", "platlib")})
    found: dict[str, tuple[Origin, int]] = {}
    for root in roots:
        owners = _owners(Path(root))
        stdlib = root == os.path.realpath(paths["stdlib"])
        for path, status in _walk(root, stdlib):
            relative = os.path.relpath(path, root).replace(os.sep, "/")
            owner = ("cpython", "PSF-2.0") if stdlib else owners.get(relative, (relative.split("/")[0], "unknown"))
            origin = Origin(path=path, relative=relative, project=owner[0], licence=owner[1], bytes=status.st_size)
            found.setdefault(path, (origin, status.st_mtime_ns))
    chosen = sorted(found.values(), key=lambda one: (one[0].relative, one[0].path))
    if limit is not None and limit < len(chosen):
        spread = sorted(
            chosen, key=lambda one: hashlib.sha256(one[0].relative.encode("utf-8", "surrogateescape")).digest()
        )
        chosen = sorted(spread[:limit], key=lambda one: (one[0].relative, one[0].path))
    state = digest([[os.fsencode(o.relative).hex(), o.bytes, time] for o, time in chosen])
    return [origin for origin, _ in chosen], state


def _walk(root: str, stdlib: bool) -> Iterator[tuple[str, os.stat_result]]:
    for folder, folders, files in os.walk(root):
        skip = {"__pycache__"} | ({"site-packages", "dist-packages"} if stdlib else set())
        folders[:] = sorted(one for one in folders if one not in skip)
        for file in sorted(files):
            path = os.path.join(folder, file)
            if file.endswith(".py") and os.path.isfile(path):
                yield path, os.stat(path)


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


def _build(work: Path, origins: Sequence[Origin]) -> Built:
    files, cuts = Counts("files"), Counts("cut")
    lost: list[Document] = []
    shards = parts(origins, SHARD_FILES)
    twins = _twins(work, shards)

    def kept() -> Iterator[Document]:
        seen: set[bytes] = set()
        number = 0
        for shard in each_shard(work, CUT, shards, cut_shard, list[Cut], told="write"):
            for one in shard:
                reason, facts = twins.get(number, (one.reason, {}))
                number += 1
                if reason:
                    files.drop(reason)
                    lost.append(_lost_file(one, reason, facts))
                    continue
                files.keep()
                for piece in one.dropped:
                    cuts.drop(piece.reason)
                    lost.append(piece)
                for piece in one.pieces:
                    mark = hashlib.sha256(piece.text.encode()).digest()
                    if mark in seen:
                        cuts.drop(rules.TWICE)
                        lost.append(dropped(piece, "cut", rules.TWICE))
                        continue
                    seen.add(mark)
                    cuts.keep()
                    yield piece

    number, tokens = write_result(work / "out", kept(), lost)
    licences = sorted({origin.licence for origin in origins})
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(files.stage(), cuts.stage()),
        licence="; ".join(licences), recipe={"files": len(origins)},
    )  # fmt: skip


def _twins(work: Path, shards: Sequence[Sequence[Origin]]) -> dict[int, tuple[str, dict[str, Any]]]:
    """File number -> why it is a duplicate, of which file, for exact and near ones."""
    import numpy as np

    shas: dict[str, int] = {}
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    names: list[str] = []
    rows, signed = [], []
    for shard in each_shard(work, CUT, shards, cut_shard, list[Cut]):
        for one in shard:
            number = len(names)
            names.append(one.origin.relative)
            if one.reason:
                continue
            if one.sha256 in shas:
                found[number] = (rules.EXACT, {"twin": names[shas[one.sha256]], "jaccard": 1.0})
                continue
            shas[one.sha256] = number
            if one.signature:
                signed.append(number)
                rows.append(np.frombuffer(one.signature, dtype=np.uint32))
    if rows:
        for twin in dedup.near_twins(np.stack(rows)):
            facts = {"twin": names[signed[twin.kept]], "jaccard": round(twin.jaccard, 4)}
            found[signed[twin.item]] = (rules.NEAR, facts)
    return found


def cut_shard(origins: Sequence[Origin]) -> list[Cut]:
    """The files of one shard, read and cut, with their MinHash signatures."""
    import gc

    gc.disable()  # a syntax tree is many objects without cycles: 30% faster, given back file by file
    try:
        cuts, texts = [], []
        for origin in origins:
            try:
                data = Path(origin.path).read_bytes()
            except OSError:
                cuts.append(Cut(origin=origin, sha256="", reason=rules.UNREADABLE))
                texts.append("")
                continue
            cuts.append(rules.cut(origin, data))
            texts.append("" if cuts[-1].reason else rules.plain(data))
        matrix = dedup.signatures(texts)
        return [
            one if one.reason or not text.strip() else msgspec.structs.replace(one, signature=row.tobytes())
            for one, text, row in zip(cuts, texts, matrix, strict=True)
        ]
    finally:
        gc.enable()


def _lost_file(one: Cut, reason: str, facts: dict[str, Any]) -> Document:
    origin = one.origin
    empty = document("", f"{origin.relative}#{one.sha256[:12]}", origin.project, origin.licence, "file")
    return dropped(empty, "files", reason, bytes=origin.bytes, **facts)
