"""Orders the documents of a packing, which are columns of numbers.

A document takes about 60 bytes, so one process can order millions; a selection is an array of document numbers.
Shape legend: N documents, K of a selection.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from zoo.errors import ZooError


class DocumentRows:
    """Documents in the order of their sources and files.

    source, file, place  each document's location, shape (N,)
    marks                the first 16 bytes of the sha256 of each text, as two big-endian numbers, shape (N, 2)
    sizes                characters or tokens of each, shape (N,)
    """

    def __init__(self, source: Any, file: Any, place: Any, marks: Any, sizes: Any) -> None:
        self.source, self.file, self.place, self.marks, self.sizes = source, file, place, marks, sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def sized(self, sizes: Any) -> "DocumentRows":
        """The same documents with other sizes."""
        return DocumentRows(self.source, self.file, self.place, self.marks, sizes)


def gather_rows(files: Iterator[tuple[int, int, Sequence[bytes], Sequence[int]]]) -> DocumentRows:
    """Makes rows from (source, file, marks, sizes) of each file of documents."""
    import numpy as np

    columns: list[tuple[Any, ...]] = [(np.zeros(0, "<u2"), np.zeros(0, "<u4"), np.zeros(0, "<u4"),
                                       np.zeros((0, 2), "<u8"), np.zeros(0, "<i8"))]  # fmt: skip
    for source, file, marks, sizes in files:
        number = len(sizes)
        columns.append((
            np.full(number, source, "<u2"), np.full(number, file, "<u4"), np.arange(number, dtype="<u4"),
            np.frombuffer(b"".join(marks), ">u8").reshape(number, 2).astype("<u8"), np.array(sizes, "<i8"),
        ))  # fmt: skip
    return DocumentRows(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def split_validation(rows: DocumentRows, held: Any) -> tuple[Any, Any, int]:
    """Splits into training documents and validation texts; also gives the number of documents held out.

    held  the documents that are for validation, shape (N,), bool; if there are none, the text of the least mark is
    """
    import numpy as np

    chosen = np.array(held, bool)
    if not chosen.any() and len(rows):
        least = np.lexsort((rows.marks[:, 1], rows.marks[:, 0]))[0]
        alike = (rows.marks == rows.marks[least]).all(1)
        chosen = alike if not alike.all() else chosen
    validation = np.flatnonzero(chosen)[::-1]  # of a text that occurs several times, the last
    validation = validation[np.lexsort((rows.marks[validation, 1], rows.marks[validation, 0]))]
    first = np.ones(len(validation), np.bool_)
    first[1:] = (rows.marks[validation[1:]] != rows.marks[validation[:-1]]).any(1)
    train = np.flatnonzero(~chosen)
    if not len(train):
        raise ZooError("nothing to pack: the sources hold no documents. What they hold: phizoo data list")
    return train, validation[first], len(rows) - len(train)


def _order_keys(seed: int, epoch: int, rows: DocumentRows, chosen: Any) -> Any:
    """The first 16 bytes of a hash of seed, epoch and content for each document, shape (K, 2)."""
    import numpy as np

    head = f"{seed}:{epoch}:".encode()
    marks = rows.marks[chosen].astype(">u8").tobytes()
    keys = bytearray()
    for start in range(0, len(marks), 16):
        keys += hashlib.sha256(head + marks[start : start + 16]).digest()[:16]
    return np.frombuffer(bytes(keys), ">u8").reshape(-1, 2).astype("<u8")


def _shuffle(seed: int, epoch: int, rows: DocumentRows, chosen: Any) -> Any:
    """The chosen documents sorted by their keys, equal contents by location."""
    import numpy as np

    keys = _order_keys(seed, epoch, rows, chosen)
    where = (rows.place[chosen], rows.file[chosen], rows.source[chosen])
    return chosen[np.lexsort((*where, keys[:, 1], keys[:, 0]))]


def mix_order(rows: DocumentRows, chosen: Any, weights: Sequence[float | None], budget: int | None, seed: int) -> Any:
    """Puts the chosen documents into training order: a permutation by content hash, cut at the budget of sizes.

    With weights each source gives its share of the budget. A source that is too small is repeated in another
    order, and the sources are spread evenly over the whole length.
    """
    import numpy as np

    if all(weight is None for weight in weights):
        return take_until(rows, _shuffle(seed, 0, rows, chosen), budget)
    by_source = [chosen[rows.source[chosen] == number] for number in range(len(weights))]
    sizes = [int(rows.sizes[documents].sum()) for documents in by_source]
    if not all(sizes):
        raise ZooError("a source with a weight holds no documents. What they hold: phizoo data list")
    total = sum(weight or 0.0 for weight in weights)
    shares = [(weight or 0.0) / total for weight in weights]
    wanted = budget if budget is not None else int(min(size / share for size, share in zip(sizes, shares, strict=True)))
    columns: list[tuple[Any, ...]] = []
    for number, (documents, share) in enumerate(zip(by_source, shares, strict=True)):
        done = 0
        for epoch in count():
            if done >= wanted * share:
                break
            order = _shuffle(seed, epoch, rows, documents)
            ends = done + np.cumsum(rows.sizes[order])
            begins = ends - rows.sizes[order]
            taken = begins < wanted * share
            order, begins = order[taken], begins[taken]
            middles = (begins + rows.sizes[order] / 2) / (wanted * share)
            columns.append((middles, np.full(len(order), number), np.full(len(order), epoch), order))
            done = int(ends[-1])
    places, numbers, epochs, every = (np.concatenate(column) for column in zip(*columns, strict=True))
    marks = rows.marks[every]
    return every[np.lexsort((rows.file[every], marks[:, 1], marks[:, 0], epochs, numbers, places))]


def take_until(rows: DocumentRows, order: Any, budget: int | None) -> Any:
    """The first documents that together reach the budget; all documents if there is no budget."""
    import numpy as np

    if budget is None:
        return order
    sizes = rows.sizes[order]
    return order[: int(np.searchsorted(np.cumsum(sizes) - sizes, budget))]


def first_uses(order: Any) -> Any:
    """Each document of an order once, at its first occurrence."""
    import numpy as np

    return order[np.sort(np.unique(order, return_index=True)[1])]


def has_enough(rows: DocumentRows, wanted: Any, train: Any, weights: Sequence[float | None], tokens: int) -> bool:
    """Whether each source that was not read completely has the tokens of its share."""
    if all(weight is None for weight in weights):
        return len(wanted) == len(train) or int(rows.sizes[wanted].sum()) >= tokens
    total = sum(weight or 0.0 for weight in weights)
    for number, weight in enumerate(weights):
        have = wanted[rows.source[wanted] == number]
        all_in = len(have) == int((rows.source[train] == number).sum())
        if not all_in and int(rows.sizes[have].sum()) < tokens * (weight or 0.0) / total:
            return False
    return True
