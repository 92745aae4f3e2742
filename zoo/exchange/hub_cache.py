"""Reads a repository from the hub's own cache, which huggingface_hub has filled, before any network.

In the cache a snapshot is a folder of links to blobs, and a blob's name is the sha256 of a large file or the git blob
id of a small one. A link is followed only to a blob of the same repository, and the bytes must have the blob's digest.

Source: huggingface_hub, "Understand caching" (layout; HF_HUB_CACHE, HF_HOME).
"""

import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

from zoo.admission import gate
from zoo.admission.plain_file import open_plain
from zoo.digest import CHUNK_BYTES, SHA256
from zoo.errors import ZooError
from zoo.exchange.hub import COMMIT, REPOSITORY, HubFile, Snapshot, select_files
from zoo.jsonl import parse_json
from zoo.store.store import copy_hashed

FOLDER = re.compile(r"models--([A-Za-z0-9][\w.\-]*?)--([A-Za-z0-9][\w.\-]*)")
REVISION = re.compile(r"[A-Za-z0-9][\w.\-]{0,127}")
LICENCE = re.compile(r"^license:\s*['\"]?([A-Za-z0-9][A-Za-z0-9.+\-]{0,63})['\"]?\s*$", re.MULTILINE)
CARD_BYTES = 20_000  # the front matter of a card is at its beginning


class CachedSnapshot(NamedTuple):
    """A repository at one commit in the cache. folder: its links."""

    repository: str
    commit: str
    folder: Path

    @property
    def source(self) -> str:
        """The address that is recorded as its source."""
        return f"hf://{self.repository}@{self.commit}"


def cache_folder() -> Path:
    """The hub's cache: HF_HUB_CACHE, or `hub` below HF_HOME or the user's own cache."""
    if folder := os.environ.get("HF_HUB_CACHE"):
        return Path(folder).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "hub"


def find_cached(repository: str, revision: str | None) -> CachedSnapshot | None:
    """A repository's snapshot at a revision (default: main), if all its weights are in the cache."""
    if not REPOSITORY.fullmatch(repository):
        return None
    root = cache_folder() / f"models--{repository.replace('/', '--')}"
    commit = revision or "main"
    if not COMMIT.fullmatch(commit):
        reference = root / "refs" / commit
        if not REVISION.fullmatch(commit) or not reference.is_file():
            return None
        commit = reference.read_text(encoding="utf-8", errors="replace").strip()
    snapshot = CachedSnapshot(repository, commit, root / "snapshots" / commit)
    return snapshot if COMMIT.fullmatch(commit) and _is_complete(snapshot.folder) else None


def snapshot_of(folder: Path) -> CachedSnapshot | None:
    """The snapshot that a folder is, if it lies in a cache of the hub."""
    if folder.parent.name != "snapshots" or not COMMIT.fullmatch(folder.name):
        return None
    match = FOLDER.fullmatch(folder.parents[1].name)
    if match is None or not (folder.parents[1] / "blobs").is_dir():
        return None
    return CachedSnapshot(f"{match[1]}/{match[2]}", folder.name, folder)


def _is_complete(folder: Path) -> bool:
    """Whether a snapshot has its config and all its weights: the cache also keeps parts of a repository."""
    index = folder / gate.INDEX
    if not (folder / "config.json").is_file():
        return False
    if not index.is_file():
        return any(path.is_file() for path in folder.glob("*.safetensors"))
    try:
        shards = set(parse_json(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(shards) and all((folder / os.path.basename(str(shard))).is_file() for shard in shards)


def read_cached(snapshot: CachedSnapshot, target: Path) -> str:
    """Copies the files that may enter into a new folder, each checked; the licence that the card states.

    Raises  ZooError for no safetensors, a link out of the repository's blobs, or bytes that are not of their digest
    """
    paths = (path for path in sorted(snapshot.folder.rglob("*")) if not path.is_dir())
    files = tuple(HubFile(path.relative_to(snapshot.folder).as_posix(), 0, "", "") for path in paths)
    for file in select_files(Snapshot(snapshot.repository, snapshot.commit, files, "")):
        copy_blob(snapshot, file.path, target / file.path)
    card = target / "README.md"
    front = card.read_bytes()[:CARD_BYTES].decode("utf-8", "replace").split("\n---", 1)[0] if card.is_file() else ""
    match = LICENCE.search(front) if front.startswith("---") else None
    return match[1] if match else "unknown"


def copy_blob(snapshot: CachedSnapshot, name: str, target: Path) -> None:
    """Copies one file of a snapshot, checked by the digest that is its blob's name.

    Raises  ZooError as `read_cached` does
    """
    path, blobs = snapshot.folder / name, Path(os.path.realpath(snapshot.folder.parents[1] / "blobs"))
    target.parent.mkdir(parents=True, exist_ok=True)
    real = Path(os.path.realpath(path)) if path.is_symlink() else path
    if path.is_symlink() and real.parent != blobs:
        raise ZooError(f"{path}: is a link out of the cache's own blobs; fetch the repository again.")
    with open_plain(real) as reading:
        gate.check_bytes(path.name, os.fstat(reading.fileno()).st_size, path)
        blob = _git_blob(reading) if COMMIT.fullmatch(real.name) else ""
        sha256, _ = copy_hashed(reading, target)
    stated = real.name if path.is_symlink() else ""
    if (SHA256.fullmatch(stated) and stated != sha256) or (COMMIT.fullmatch(stated) and stated != blob):
        raise ZooError(f"{path}: its bytes are not those of its digest {stated[:12]}; fetch the repository again.")


def _git_blob(reading: BinaryIO) -> str:
    """The git blob id of an open file, which is at its beginning again afterwards."""
    size = os.fstat(reading.fileno()).st_size
    sha = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    while chunk := reading.read(CHUNK_BYTES):
        sha.update(chunk)
    reading.seek(0)
    return sha.hexdigest()
