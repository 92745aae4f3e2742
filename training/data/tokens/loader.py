"""Reads a step's tokens: a pure function of (seed, step), the same on any machine and after any kill.

So no data position needs to be saved. Step s reads sequences s*B .. s*B+B-1 of one endless order; a
sequence has a source (by weight), an epoch of that source and an index in the epoch, and a keyed permutation
(a Feistel network, without a table in memory) maps the index to a slice. Each slice is read once an epoch.
Packing:
  slices     the documents of a dataset form one array separated by the EOS token and cut every
             `sequence_tokens`, as in the papers (P1 section 2.3)
  shifted    the same, but each epoch cuts at another offset, so that a small dataset is not always
             cut at the same positions
  documents  whole documents are combined by best fit; the rest is padded and not predicted.
             `document_mask` also hides the other documents from attention
Shape legend: B sequences, T tokens.
"""

import bisect
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.recipe import Data
from zoo.errors import ZooError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

IGNORED = -100
PERIOD = 1024  # sequences over which the sources' shares are exact; a weight is rounded to 1/1024
ROUNDS = 6


def mix(*parts: int) -> int:
    """Mixes integers into 64 bits, to derive seeds.

    >>> mix(1, 2) == mix(1, 2), mix(1, 2) == mix(2, 1)
    (True, False)
    """
    state = 0x243F6A8885A308D3
    for part in parts:
        state = (state ^ (part & 0xFFFFFFFFFFFFFFFF)) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state


def permute(index: int, size: int, key: int) -> int:
    """The image of `index` under the permutation of 0..size-1 given by `key`, in constant memory.

    A balanced Feistel network over the next power of four, repeated until the result is below `size`.

    >>> sorted(permute(i, 10, key=7) for i in range(10)) == list(range(10))
    True
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for number in range(ROUNDS):
            left, right = right, left ^ (mix(key, number, right) & mask)
        index = left << half | right
        if index < size:
            return index


class TokenArray:
    """The shards of one dataset as one array of token ids, read from disk on demand."""

    def __init__(self, files: list[Path]) -> None:
        self.shards = [np.memmap(file, dtype="<u2", mode="r") for file in files if file.stat().st_size]
        self.ends = np.cumsum([len(shard) for shard in self.shards]).tolist()

    def __len__(self) -> int:
        return int(self.ends[-1]) if self.ends else 0

    def read(self, start: int, count: int) -> "Ints":
        """Reads `count` ids from `start`, across shards."""
        parts = []
        while count > 0:
            shard = bisect.bisect_right(self.ends, start)
            inside = start - (self.ends[shard] - len(self.shards[shard]))
            part = self.shards[shard][inside : inside + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class TokenDataset:
    """An open token dataset: its name and digest, its tokenizer's EOS and vocabulary, its arrays."""

    name: str
    digest: str
    folder: Path
    eos: int
    vocabulary: int
    train: TokenArray
    validation: TokenArray


def open_tokens(folder: Path, name: str, digest: str) -> TokenDataset:
    """Opens the token dataset of a folder and checks its files against the sizes in its shard list.

    Raises ZooError if a file is missing or truncated, with the command that makes it again.
    """
    try:
        listing: dict[str, Any] = json.loads((folder / "shards.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ZooError(f"dataset {name} cannot be read ({error}); make it again with: phizoo data pack") from error
    for shard in [*listing["shards"], *listing["validation"]]:
        file = folder / shard["file"]
        tokens = file.stat().st_size // 2 if file.is_file() else 0
        if tokens != shard["tokens"]:
            raise ZooError(
                f"dataset {name}: {shard['file']} has {tokens:,} tokens, expected {shard['tokens']:,}; "
                "make it again with: phizoo data pack"
            )
    arrays = [TokenArray([folder / s["file"] for s in listing[part]]) for part in ("shards", "validation")]
    return TokenDataset(name, digest, folder, listing["eos"], listing["vocabulary"], arrays[0], arrays[1])


@dataclass(frozen=True)
class TokenBatch:
    """inputs_BT and targets_BT (IGNORED for positions not predicted); positions_BT restart at each document."""

    inputs_BT: "Ints"
    targets_BT: "Ints"
    positions_BT: "Ints | None"


class Loader:
    """Reads any step's batch of a recipe's data. Its only state is the open files."""

    def __init__(self, data: Data, sources: list[TokenDataset], batch_sequences: int, seed: int) -> None:
        self.data, self.sources, self.batch, self.seed = data, sources, batch_sequences, seed
        self.length = data.sequence_tokens
        self.bins = [_bins(tokens, self.length) if data.packing == "documents" else [] for tokens in sources]
        self.sizes = [self._size(number) for number in range(len(sources))]
        self.shares = _shares([source.weight for source in data.sources])

    def _size(self, number: int) -> int:
        """The number of sequences in one epoch of a source."""
        if self.data.packing == "documents":
            size = len(self.bins[number])
        else:
            spare = self.length if self.data.packing == "shifted" else 1
            size = (len(self.sources[number].train) - spare) // self.length
        if size < 1:
            tokens = len(self.sources[number].train)
            raise ZooError(
                f"dataset {self.sources[number].name} has {tokens:,} tokens, too few for one sequence of "
                f"{self.length}; lower data.sequence_tokens or pack more data"
            )
        return size

    def place(self, sequence: int) -> tuple[int, int, int]:
        """(source, epoch, slice) of a sequence; sequences are numbered from 0 over the whole run."""
        source, before = self._turn(sequence)
        epoch, turn = divmod(before, self.sizes[source])
        return source, epoch, permute(turn, self.sizes[source], mix(self.seed, 1, source, epoch))

    def _turn(self, sequence: int) -> tuple[int, int]:
        """The source of a sequence, and the number of sequences of that source before it."""
        period, inside = divmod(sequence, PERIOD)
        if len(self.shares) == 1:
            return 0, sequence
        order = _pattern(tuple(self.shares), mix(self.seed, 2, period))
        source = int(order[inside])
        return source, period * self.shares[source] + int(np.count_nonzero(order[:inside] == source))

    def row(self, sequence: int) -> "tuple[Ints, Ints | None]":
        """The T+1 token ids of a sequence, and positions inside documents if the packing is by documents."""
        source, epoch, which = self.place(sequence)
        tokens = self.sources[source]
        if self.data.packing == "documents":
            return self._packed(tokens, self.bins[source][which])
        offset = mix(self.seed, 3, source, epoch) % self.length if self.data.packing == "shifted" else 0
        return tokens.train.read(offset + which * self.length, self.length + 1), None

    def _packed(self, tokens: TokenDataset, pieces: list[tuple[int, int]]) -> "tuple[Ints, Ints]":
        ids = np.full(self.length + 1, tokens.eos, dtype=np.int64)
        positions = np.zeros(self.length + 1, dtype=np.int64)
        place = 0
        for start, count in pieces:
            ids[place : place + count] = tokens.train.read(start, count)
            positions[place : place + count] = np.arange(count)
            place += count
        positions[place:] = -1
        return ids, positions

    def batch_at(self, step: int, rank: int = 0, world: int = 1) -> TokenBatch:
        """The batch of one step; with `world` processes, the part of its rows for process `rank`."""
        share = self.batch // world
        first = step * self.batch + rank * share
        rows = [self.row(sequence) for sequence in range(first, first + share)]
        ids = np.stack([ids for ids, _ in rows])
        targets = ids[:, 1:].copy()
        if rows[0][1] is None:
            positions = _document_positions(ids, self.sources[0].eos) if self.data.document_mask else None
        else:
            positions = np.stack([p for _, p in rows if p is not None])
            targets[positions[:, 1:] < 0] = IGNORED
        if self.data.document_mask and positions is not None:
            # the first token of a document cannot be predicted from the document before
            targets[positions[:, 1:] == 0] = IGNORED
        shown = np.maximum(positions[:, :-1], 0) if positions is not None and self.data.document_mask else None
        return TokenBatch(ids[:, :-1], targets, shown)

    def tokens_seen(self, steps: int) -> list[int]:
        """Tokens read from each source in the first `steps` steps, with repeats; shape (sources,)."""
        total = steps * self.batch
        if len(self.shares) == 1:
            return [total * self.length]
        period, inside = divmod(total, PERIOD)
        order = _pattern(tuple(self.shares), mix(self.seed, 2, period))[:inside]
        return [
            (period * share + int(np.count_nonzero(order == source))) * self.length
            for source, share in enumerate(self.shares)
        ]

    def validation(self, sequences: int) -> list[TokenBatch]:
        """Fixed held-out batches with at most `sequences` rows of each source, evenly spread; never trained on."""
        batches = []
        for tokens in self.sources:
            whole = (len(tokens.validation) - 1) // self.length
            chosen = np.unique(np.linspace(0, whole - 1, min(sequences, max(whole, 0))).astype(np.int64))
            rows = [tokens.validation.read(i * self.length, self.length + 1) for i in chosen.tolist()]
            for start in range(0, len(rows), self.batch):
                ids = np.stack(rows[start : start + self.batch])
                batches.append(TokenBatch(ids[:, :-1], ids[:, 1:].copy(), None))
        return batches


def _shares(weights: list[float]) -> list[int]:
    """The number of sequences of each source in a period, by largest remainder, at least one each.

    >>> _shares([3.0, 1.0])
    [768, 256]
    """
    exact = [weight / sum(weights) * PERIOD for weight in weights]
    shares = [max(1, int(value)) for value in exact]
    order = sorted(range(len(exact)), key=lambda i: (int(exact[i]) - exact[i], i))
    for number in range(PERIOD - sum(shares)):
        shares[order[number % len(order)]] += 1
    while sum(shares) > PERIOD:
        shares[shares.index(max(shares))] -= 1
    return shares


@functools.lru_cache(maxsize=4)
def _pattern(shares: tuple[int, ...], key: int) -> "Ints":
    """The source of each sequence in a period, shuffled by the key; shape (PERIOD,)."""
    order = np.repeat(np.arange(len(shares)), shares)
    return order[[permute(index, PERIOD, key) for index in range(PERIOD)]]


def _document_positions(ids_BT: "Ints", eos: int) -> "Ints":
    """Each token's index in its document, where EOS ends a document; same shape as the ids."""
    count = ids_BT.shape[1]
    index = np.broadcast_to(np.arange(count), ids_BT.shape)
    begins = np.zeros_like(ids_BT, dtype=bool)
    begins[:, 1:] = ids_BT[:, :-1] == eos
    return np.asarray(index - np.maximum.accumulate(np.where(begins, index, 0), axis=1))


def _bins(tokens: TokenDataset, length: int) -> list[list[tuple[int, int]]]:
    """Packs whole documents, (start, count) each, into sequences by best fit, longest first.

    A document longer than a sequence is cut; the parts share one token, so that every token is predicted.
    """
    ids = tokens.train.read(0, len(tokens.train))
    ends = np.flatnonzero(ids == tokens.eos) + 1
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    pieces = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        while end - start > length + 1:
            pieces.append((start, length + 1))
            start += length
        if end - start > 1:
            pieces.append((start, end - start))
    pieces.sort(key=lambda piece: (-piece[1], piece[0]))
    bins: list[list[tuple[int, int]]] = []
    open_by_room: dict[int, list[int]] = {}
    rooms: list[int] = []
    for piece in pieces:
        slot = bisect.bisect_left(rooms, piece[1])
        if slot == len(rooms):
            number, room = len(bins), length + 1
            bins.append([])
        else:
            room = rooms[slot]
            number = open_by_room[room].pop()
            if not open_by_room[room]:
                del open_by_room[room], rooms[slot]
        bins[number].append(piece)
        left = room - piece[1]
        if left > 1:
            if left not in open_by_room:
                bisect.insort(rooms, left)
            open_by_room.setdefault(left, []).append(number)
    return bins
