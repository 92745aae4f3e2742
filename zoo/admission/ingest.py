"""From where a checkpoint is added: a local folder or an fsspec URL, copied and hashed in one pass.

Everything is looked at before it is copied (names, kinds, headers), so that bad input is refused
early; the caller looks again at what was copied, since the source may change meanwhile.
"""

import fcntl
import hashlib
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from zoo.admission import gate
from zoo.digest import CHUNK_BYTES
from zoo.errors import ZooError
from zoo.plain_file import open_inside, open_plain
from zoo.progress import progress
from zoo.records import File
from zoo.store.store import Advance, copy_hashed

CLONE = 0x40049409  # FICLONE: the target shares the source's blocks until either is written
TELL_BYTES = 200_000_000  # smaller ones are copied in under a second: no bar


def copy_source(source: str | Path, target: Path, own: Path | None = None, link: bool = False) -> tuple[File, ...]:
    """The files of a source in a new local folder.

    own     the store's folder of checkpoints: a folder in it consists of hard links, and may
    link    the folder is handed over: its files become the store's by hard links, where the disk allows
    Raises  ZooError when something in it may not enter
    """
    text = str(source)
    if "://" in text:
        scheme, _, rest = text.partition("://")
        if scheme.lower() not in ("file", "local"):
            return _bring_url(text, target)
        text = rest
    folder = Path(text).expanduser()
    linked = link or (own is not None and own in folder.absolute().parents)
    paths = gate.inspect_folder(folder, linked, gate.BESIDE).paths
    total = sum((folder / path).stat().st_size for path in paths)
    with progress(f"adding {folder.name}", total, "bytes") if total >= TELL_BYTES else nullcontext() as bar:
        advance = bar.advance if bar else None
        return tuple(_bring_file(folder, target, path, link, advance) for path in paths)


def hash_files(folder: Path, paths: Sequence[str]) -> tuple[File, ...]:
    """The files of a folder that is already where it belongs, each read once for its sha256."""
    found = [(path, *_hashed(folder / path, None)) for path in paths]
    return tuple(File(path=path, sha256=sha256, bytes=size) for path, sha256, size in found)


def _bring_file(folder: Path, target: Path, path: str, link: bool, advance: Advance | None) -> File:
    place = target / path
    place.parent.mkdir(parents=True, exist_ok=True)
    reading = open_inside(folder, path)
    if (link and _linked(folder / path, place)) or cloned(reading, place):
        reading.close()
        sha256, size = _hashed(place, advance)
    else:
        sha256, size = copy_hashed(reading, place, advance)
    return File(path=path, sha256=sha256, bytes=size)


def _linked(source: Path, target: Path) -> bool:
    """Whether the target could be made as another name of the source (same disk, and it knows how)."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def cloned(reading: BinaryIO, target: Path) -> bool:
    """Whether the target could be made as a copy-on-write clone (same disk, and it knows how)."""
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
    from zoo.store.bucket import filesystem, translate_faults

    fs, root = filesystem(url)
    with translate_faults(url):
        listed: dict[str, Any] = fs.find(root, detail=True)
    found = {name[len(root) :].lstrip("/"): info.get("size") for name, info in listed.items()}
    found = {path: size for path, size in found.items() if path}
    if not found:
        raise ZooError(f"{url}: nothing is there; expected a folder with config.json and *.safetensors.")
    if len(found) > gate.FILES:
        raise ZooError(f"{url}: holds more than {gate.FILES:,} files; a checkpoint has few.")
    for path, size in found.items():
        gate.check_path(path)
        gate.check_name(path, f"{url}/{path}")
        gate.check_bytes(path, int(size or 0), f"{url}/{path}")
    with (
        translate_faults(url),
        progress(f"adding {url}", sum(int(size or 0) for size in found.values()), "bytes") as bar,
    ):
        return tuple(_bring_object(fs, f"{root}/{path}", path, target / path, bar.advance) for path in sorted(found))


def _bring_object(fs: Any, remote: str, path: str, place: Path, advance: Advance) -> File:
    """One file of an address, copied while it is hashed, and never more of it than may enter."""
    place.parent.mkdir(parents=True, exist_ok=True)
    sha, size = hashlib.sha256(), 0
    with fs.open(remote, "rb") as reading, place.open("xb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            writing.write(chunk)
            sha.update(chunk)
            size += len(chunk)
            gate.check_bytes(path, size, remote)
            advance(len(chunk))
        writing.flush()
        os.fsync(writing.fileno())
    return File(path=path, sha256=sha.hexdigest(), bytes=size)
