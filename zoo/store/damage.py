"""Reads stored objects against their digests: several at once, since a bucket answers each after some milliseconds."""

from collections.abc import Sequence

from zoo.errors import ZooError
from zoo.progress import progress, transfer_bar
from zoo.records import Checkpoint, File
from zoo.store.store import Store

FEW = 8  # so many are asked for one by one; for more the store is listed first


def find_damage(store: Store, files: Sequence[File]) -> dict[str, str]:
    """sha256 -> fault of each object, "" for a whole one. Missing ones are known from the list, before any is read."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    sizes = dict(store.objects()) if len(files) > FEW else {file.sha256: file.bytes for file in files}
    wrong = [file for file in files if sizes.get(file.sha256) != file.bytes]
    faults = {file.sha256: store.damage(file) for file in wrong}
    rest = sorted((file for file in files if file.sha256 not in faults), key=lambda file: -file.bytes)
    if not rest:
        return faults
    total = sum(file.bytes for file in rest)
    # a few small files have no bar, but a line each ten seconds if the store is slow
    bar = progress("verifying", total, "bytes") if len(rest) > FEW else transfer_bar("verifying", total)
    with bar as shown, ThreadPoolExecutor(store.readers) as pool:
        advance = shown if callable(shown) else shown.advance
        reading = {pool.submit(store.damage, file): file for file in rest}
        try:
            for done in as_completed(reading):
                faults[reading[done].sha256] = done.result()
                advance(reading[done].bytes)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return faults


def find_problems(store: Store, checkpoints: Sequence[Checkpoint], repair: bool) -> list[str]:
    """A line for each fault in the bytes and the folders of checkpoints; each object is read once.

    repair  also removes damaged files from the store
    """
    faults = find_damage(store, list({file.sha256: file for one in checkpoints for file in one.files}.values()))
    for sha256, fault in faults.items():
        if repair and fault:
            store.set_aside(sha256)
    problems = []
    for checkpoint in checkpoints:
        bad = [file for file in checkpoint.files if faults[file.sha256]]
        problems += [f"{checkpoint.label}: {file.path}: {faults[file.sha256]}" for file in bad]
        strays = store.strays(checkpoint.digest, checkpoint.files)
        problems += [f"{checkpoint.label}: {stray} is not one of its files; delete it" for stray in strays]
    return problems


def unfinished_line(store: Store) -> str:
    """A line about uploads that were not completed, "" if there are none, or if these credentials may not ask."""
    try:
        found = store.leftovers()
    except ZooError:
        return ""
    size = sum(one.bytes for one in found)
    many = f"{len(found)} upload{'s' * (len(found) != 1)} not completed ({size / 1e6:,.1f} MB)"
    return f"{many}; to free them: phizoo models gc" if found else ""
