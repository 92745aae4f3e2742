"""Opens the store of a path or an fsspec URL."""

from pathlib import Path

from zoo.store.disk import DiskStore
from zoo.store.filesystem import check_address
from zoo.store.store import Store


def open_store(url: str) -> Store:
    """Opens the store at a path or an fsspec URL."""
    if "://" not in check_address(url):
        return DiskStore(Path(url).expanduser().absolute())
    if url.startswith("file://"):
        return DiskStore(Path(url.removeprefix("file://")))
    from zoo.store.bucket import BucketStore  # imported here: a lookup on a local disk does not need it

    return BucketStore(url)
