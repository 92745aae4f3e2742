"""Lays a repository out in a cache of the hub, as huggingface_hub does: a snapshot of links to blobs."""

import hashlib
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached_snapshot(cache: Path, files: dict[str, bytes], repository: str = "lab/tiny") -> Path:
    """The snapshot's folder. A large file's blob is named by its sha256, another's by its git blob id."""
    root = cache / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / COMMIT
    for folder in (root / "blobs", root / "refs", snapshot):
        folder.mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    for name, data in files.items():
        large = name.endswith((".safetensors", ".gguf"))
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        blob = root / "blobs" / (hashlib.sha256(data).hexdigest() if large else git)
        blob.write_bytes(data)
        (snapshot / name).symlink_to(f"../../blobs/{blob.name}")
    return snapshot
