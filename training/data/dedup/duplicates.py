"""Duplicates as columns of numbers: which item repeats which earlier one, in 25 bytes for each dropped item.

Finds exact repeats of marks; near and semantic duplicates are found by `minhash` and `dedup`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from zoo.records import Record

Item = TypeVar("Item")
PART = 1 << 21  # marks sorted at once


class Duplicates(NamedTuple):
    """Dropped items, ascending; columns of one length.

    item    its number, shape (T,), int64
    kept    the number of the earlier item that it repeats
    like    the similarity of the two, float64
    reason  why it is dropped: an index into the caller's list of reasons, uint8
    """

    item: Any
    kept: Any
    like: Any
    reason: Any


class DropReason(Record, frozen=True):
    """Why an item is dropped: an index into the caller's reasons, the name of the kept item, their similarity."""

    reason: int
    kept: str
    like: float


def make_duplicates(item: Any, kept: Any, like: Any = 1.0, reason: int = 0) -> Duplicates:
    """Makes Duplicates from columns in any order of the items; a single value applies to all."""
    import numpy as np

    items = np.asarray(item, np.int64)
    order = np.argsort(items)
    likes = np.broadcast_to(np.asarray(like, np.float64), items.shape)
    return Duplicates(
        items[order], np.asarray(kept, np.int64)[order], likes[order], np.full(len(items), reason, np.uint8)
    )


def resolve_chains(parts: Sequence[Duplicates]) -> Duplicates:
    """Merges duplicates and follows chains, so that each names an item that is kept in the end.

    >>> result = resolve_chains([make_duplicates([2], [1]), make_duplicates([1], [0], 0.9)])
    >>> result.item.tolist(), result.kept.tolist(), result.like.tolist()
    ([1, 2], [0, 0], [0.9, 0.9])
    """
    import numpy as np

    item, kept, like, reason = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(item)
    item, kept, like, reason = item[order], kept[order], like[order], reason[order]
    while len(item):
        place = np.minimum(np.searchsorted(item, kept), len(item) - 1)
        lost = item[place] == kept
        if not lost.any():
            break
        like = np.where(lost, np.minimum(like, like[place]), like)
        kept = np.where(lost, kept[place], kept)
    return Duplicates(item, kept, like, reason)


def find_repeats(marks: Any, counted: Any = None, reason: int = 0) -> Duplicates:
    """Finds the items whose mark occurred earlier, each with the first item of that mark; their similarity is 1.

    marks    shape (N, 2), uint64, evenly distributed as hashes are; about PART of them are sorted at once
    counted  the items to consider, shape (N,), bool; None: all

    >>> import numpy as np
    >>> result = find_repeats(np.array([[5, 0], [7, 0], [5, 0], [5, 1], [5, 0]], np.uint64))
    >>> result.item.tolist(), result.kept.tolist()
    ([2, 4], [0, 0])
    """
    import numpy as np

    parts = np.uint64(len(marks) // PART + 1)
    pairs = [np.zeros((0, 2), np.int64)]
    for part in range(int(parts)):
        chosen = marks[:, 0] % parts == part
        places = np.flatnonzero(chosen if counted is None else chosen & counted)
        own = marks[places]
        order = np.lexsort((own[:, 1], own[:, 0]))
        again = (own[order[1:]] == own[order[:-1]]).all(1)
        begins = np.flatnonzero(np.concatenate([[True], ~again])[: len(order)])
        firsts = np.repeat(order[begins], np.diff(np.append(begins, len(order))))
        later = order != firsts
        pairs.append(np.stack([places[order[later]], places[firsts[later]]], axis=1))
    every = np.concatenate(pairs)
    return make_duplicates(every[:, 0], every[:, 1], reason=reason)


def pair_with_drops(
    items: Iterable[Item], duplicates: Duplicates, name: Callable[[Item], str]
) -> Iterator[tuple[Item, DropReason | None]]:  # fmt: skip
    """Yields each item in order with the reason why it is dropped, or None if it is kept.

    name  gives the name of a kept item; memory holds the names of those with duplicates
    """
    import numpy as np

    names = dict.fromkeys(np.unique(duplicates.kept).tolist(), "")
    place, rows = 0, len(duplicates.item)
    following = int(duplicates.item[0]) if rows else -1
    for number, item in enumerate(items):
        if number in names:
            names[number] = name(item)
        if number != following:
            yield item, None
            continue
        kept = names[int(duplicates.kept[place])]
        yield item, DropReason(reason=int(duplicates.reason[place]), kept=kept, like=float(duplicates.like[place]))
        place += 1
        following = int(duplicates.item[place]) if place < rows else -1
