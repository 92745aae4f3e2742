"""Copies a checkpoint from a local folder or an fsspec URL, and hashes it in the same pass.

Everything is inspected before it is copied (names, kinds, headers), so that bad input is refused early;
the caller inspects the copy again, since the source may change meanwhile.
"""

import fcntl
import hashlib
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from zoo.admission import gate
from zoo.admission.complete import check_complete
from zoo.admission.gguf import inspect_gguf
from zoo.admission.plain_file import open_inside, open_plain
from zoo.digest import CHUNK_BYTES
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.records import File
from zoo.store.store import Advance, copy_hashed

CLONE = 0x40049409  # FICLONE: the target shares the source's blocks until either is written
NAMED = 5  # files that stayed outside and are named; the rest is counted
PROGRESS_BYTES = 200_000_000  # smaller ones are copied in under a second: no bar


class Copied(NamedTuple):
    """The files that were copied, the paths of those that stayed outside, and a line on what was not checked."""

    files: tuple[File, ...]
    left_out: tuple[str, ...] = ()
    unchecked: str = ""

    def note(self) -> str:
        """What the user should know of it, for the record's notes."""
        if not self.left_out:
            return self.unchecked
        shown, more = self.left_out[:NAMED], len(self.left_out) - NAMED
        rest = f" and {more} more" if more > 0 else ""
        return f"Left out: {', '.join(shown)}{rest} (no part of a checkpoint). {self.unchecked}".strip()


def copy_source(source: str | Path, target: Path, own: Path | None = None, link: bool = False) -> Copied:
    """Copies the files of a source into a new local folder, if they are a whole checkpoint.

    own     the store's folder of checkpoints: a folder in it may consist of hard links
    link    the folder is handed over: its files become the store's by hard links, if the disk allows
    Raises  ZooError if a file may not enter
    """
    text = str(source)
    if "://" in text:
        scheme, _, rest = text.partition("://")
        if scheme.lower() not in ("file", "local"):
            return _copy_url(text, target)
        text = rest
    folder = Path(text).expanduser()
    if folder.suffix == ".gguf" and folder.is_file():
        return Copied((_copy_gguf(folder, target, link),))
    linked = link or (own is not None and own in folder.absolute().parents)
    inspected = gate.inspect_folder(folder, linked, gate.BESIDE)
    unchecked = check_complete(folder, inspected.config, inspected.headers)
    paths = inspected.paths
    total = sum((folder / path).stat().st_size for path in paths)
    with progress(f"adding {folder.name}", total, "bytes") if total >= PROGRESS_BYTES else nullcontext() as bar:
        advance = bar.advance if bar else None
        files = tuple(_copy_file(folder, target, path, link, advance) for path in paths)
    return Copied(files, inspected.left_out, unchecked)


def _copy_gguf(path: Path, target: Path, link: bool) -> File:
    """Copies a GGUF file, which is a whole checkpoint, as the only file of its folder."""
    gate.check_path(path.name)
    gate.check_content(path.parent, path.name)
    if not link:
        gate.check_links(path, path.lstat().st_nlink)
    inspect_gguf(path)
    return _copy_file(path.parent, target, path.name, link, None)


def hash_files(folder: Path, paths: Sequence[str]) -> tuple[File, ...]:
    """The files of a folder that needs no copy, each read once for its sha256."""
    hashed = [(path, *_hash(folder / path, None)) for path in paths]
    return tuple(File(path=path, sha256=sha256, bytes=size) for path, sha256, size in hashed)


def _copy_file(folder: Path, target: Path, path: str, link: bool, advance: Advance | None) -> File:
    copy = target / path
    copy.parent.mkdir(parents=True, exist_ok=True)
    reading = open_inside(folder, path)
    if (link and _link(folder / path, copy)) or clone(reading, copy):
        reading.close()
        sha256, size = _hash(copy, advance)
    else:
        sha256, size = copy_hashed(reading, copy, advance)
    return File(path=path, sha256=sha256, bytes=size)


def _link(source: Path, target: Path) -> bool:
    """Makes the target a hard link of the source; False if the disk cannot (another disk, no hard links)."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def clone(reading: BinaryIO, target: Path) -> bool:
    """Makes the target a copy-on-write clone of an open file; False if the disk cannot."""
    with target.open("xb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), CLONE, reading.fileno())
        except OSError:
            pass
        else:
            os.fsync(writing.fileno())
            return True
    target.unlink()
    return False


def _hash(path: Path, advance: Advance | None) -> tuple[str, int]:
    sha, size = hashlib.sha256(), 0
    with open_plain(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            sha.update(chunk)
            size += len(chunk)
            if advance:
                advance(len(chunk))
    return sha.hexdigest(), size


def list_address(url: str) -> tuple[Any, str, dict[str, int]]:
    """The file system of an address, its root there, and path -> bytes of the files below; 0 where none are told.

    Raises ZooError where nothing is there, or nothing answers
    """
    from zoo.store.filesystem import filesystem, translate_faults

    fs, root = filesystem(url)
    with translate_faults(url):
        listing: dict[str, Any] = fs.find(root, detail=True)
    sizes = {name[len(root) :].lstrip("/"): int(info.get("size") or 0) for name, info in listing.items()}
    if set(sizes) == {""} and root.endswith(".gguf"):  # the address of one file, which is a whole checkpoint
        with translate_faults(url):
            size = sizes[""] or int(fs.info(root).get("size") or 0)  # a web server's listing has none
        root, _, file = root.rpartition("/")
        sizes = {file: size}
    sizes.pop("", None)
    if not sizes:
        raise ZooError(
            f"{url}: nothing is there, or nothing answers; expected a folder with safetensors, or a GGUF file."
        )
    return fs, root, sizes


def _copy_url(url: str, target: Path) -> Copied:
    from zoo.store.filesystem import translate_faults

    fs, root, sizes = list_address(url)
    if len(sizes) > gate.FILES:
        raise ZooError(f"{url}: contains more than {gate.FILES:,} files; a checkpoint has few.")
    left_out = gate.find_left_out(list(sizes))
    for path, size in sizes.items():
        gate.check_path(path)
        if path in left_out:
            continue
        gate.check_name(path, f"{url}/{path}")
        gate.check_bytes(path, size, f"{url}/{path}")
    with translate_faults(url), progress(f"adding {url}", sum(sizes.values()), "bytes") as bar:
        paths = sorted(sizes.keys() - set(left_out))
        files = tuple(_copy_object(fs, f"{root}/{path}", path, target / path, bar.advance) for path in paths)
    inspected = gate.inspect_folder(target)
    return Copied(files, left_out, check_complete(url, inspected.config, inspected.headers))


def _copy_object(fs: Any, remote: str, path: str, target: Path, advance: Advance) -> File:
    """Copies and hashes one file of an address, never more bytes than may enter."""
    target.parent.mkdir(parents=True, exist_ok=True)
    received = 0

    def count(size: float) -> None:
        nonlocal received
        received += int(size)
        gate.check_bytes(path, received, remote)
        advance(size)

    sha256, size = copy_hashed(fs.open(remote, "rb"), target, count)
    return File(path=path, sha256=sha256, bytes=size)
