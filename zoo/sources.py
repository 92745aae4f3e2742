"""From where a checkpoint is added: a local folder or an fsspec URL, copied and hashed in one pass.

Everything is looked at before it is copied (names, kinds, headers), so that bad input is refused
early; the caller looks again at what was copied, since the source may change meanwhile.
"""

import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo import safety
from zoo.checkpoint import File
from zoo.digest import CHUNK_BYTES
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.safetensors_header import open_plain
from zoo.store import Advance, copy_hashed

CLONE = 0x40049409  # FICLONE: the target shares the source's blocks until either is written
TELL_BYTES = 200_000_000  # smaller ones are copied in under a second: no bar


def bring(source: str | Path, target: Path) -> tuple[File, ...]:
    """The files of a source, copied into a new local folder.

    Raises ZooError when something in it may not enter
    """
    text = str(source)
    if "://" in text and not text.startswith("file://"):
        return _bring_url(text, target)
    folder = Path(text.removeprefix("file://")).expanduser()
    paths = safety.inspect_folder(folder).paths
    total = sum((folder / path).stat().st_size for path in paths)
    if total < TELL_BYTES:
        return tuple(_bring_file(folder, target, path, None) for path in paths)
    with progress(f"adding {folder.name}", total, "bytes") as bar:
        return tuple(_bring_file(folder, target, path, bar.advance) for path in paths)


def listed(folder: Path, paths: Sequence[str]) -> tuple[File, ...]:
    """The files of a folder that is already where it belongs, each read once for its sha256."""
    found = [(path, *_hashed(folder / path, None)) for path in paths]
    return tuple(File(path=path, sha256=sha256, bytes=size) for path, sha256, size in found)


def _bring_file(folder: Path, target: Path, path: str, advance: Advance | None) -> File:
    place = target / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if cloned(folder / path, place):
        sha256, size = _hashed(place, advance)
    else:
        sha256, size = copy_hashed(folder / path, place, advance)
    return File(path=path, sha256=sha256, bytes=size)


def cloned(source: Path, target: Path) -> bool:
    """Whether the target could be made as a copy-on-write clone (same disk, and it knows how)."""
    with open_plain(source) as reading, target.open("xb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), CLONE, reading.fileno())
        except OSError:
            pass
        else:
            os.fsync(writing.fileno())
            return True
    target.unlink()
    return False


def _hashed(path: Path, advance: Advance | None) -> tuple[str, int]:
    sha, size = hashlib.sha256(), 0
    with open_plain(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            sha.update(chunk)
            size += len(chunk)
            if advance:
                advance(len(chunk))
    return sha.hexdigest(), size


def _bring_url(url: str, target: Path) -> tuple[File, ...]:
    from zoo.bucket import filesystem, told

    fs, root = filesystem(url)
    with told(url):
        listed: dict[str, Any] = fs.find(root, detail=True)
    if not listed:
        raise ZooError(f"{url}: nothing is there; expected a folder with config.json and *.safetensors.")
    sizes = {name[len(root) :].lstrip("/"): int(info["size"]) for name, info in listed.items()}
    if len(sizes) > safety.FILES:
        raise ZooError(f"{url}: holds more than {safety.FILES:,} files; a checkpoint has few.")
    for path in sizes:
        safety.check_path(path)
        safety.check_name(path, Path(path))
    files = []
    with told(url), progress(f"adding {url}", sum(sizes.values()), "bytes") as bar:
        for path in sorted(sizes):
            place = target / path
            place.parent.mkdir(parents=True, exist_ok=True)
            sha, size = hashlib.sha256(), 0
            with fs.open(f"{root}/{path}", "rb") as reading, place.open("xb") as writing:
                while chunk := reading.read(CHUNK_BYTES):
                    writing.write(chunk)
                    sha.update(chunk)
                    size += len(chunk)
                    bar.advance(len(chunk))
                writing.flush()
                os.fsync(writing.fileno())
            files.append(File(path=path, sha256=sha.hexdigest(), bytes=size))
    return tuple(files)
