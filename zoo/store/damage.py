"""Reads stored objects against their digests: several at once, since a bucket answers each after some milliseconds."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from zoo.progress import progress
from zoo.records import File
from zoo.store.store import Store

FEW = 8  # so many are asked for one by one; for more the store is listed first


def find_damage(store: Store, files: Sequence[File]) -> dict[str, str]:
    """sha256 -> fault of each object, "" for a whole one. Missing ones are known from the list, before any is read."""
    sizes = dict(store.objects()) if len(files) > FEW else {file.sha256: file.bytes for file in files}
    wrong = [file for file in files if sizes.get(file.sha256) != file.bytes]
    faults = {file.sha256: store.damage(file) for file in wrong}
    rest = sorted((file for file in files if file.sha256 not in faults), key=lambda file: -file.bytes)
    if not rest:
        return faults
    total = sum(file.bytes for file in rest)
    with progress("verifying", total, "bytes") as bar, ThreadPoolExecutor(store.readers) as pool:
        reading = {pool.submit(store.damage, file): file for file in rest}
        try:
            for number, done in enumerate(as_completed(reading), 1):
                faults[reading[done].sha256] = done.result()
                bar.advance(reading[done].bytes, note=f"{number:,} of {len(rest):,} files")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return faults
