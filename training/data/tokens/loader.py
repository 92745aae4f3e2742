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
Validation reads held-out tokens in the same way, so that its loss is comparable with training's.
Shape legend: B sequences, T tokens.
"""

import bisect
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.data.tokens.bins import Bins, pack_documents
from training.recipe import Data
from zoo.errors import ZooError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

IGNORED = -100
ANSWER, END = 1, 2  # the bits of a token's mark in a dataset of conversations
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
    """The shards of one dataset as one array of token ids (or marks of tokens), read from disk on demand."""

    def __init__(self, files: list[Path], kind: str = "<u2") -> None:
        self.shards = [np.memmap(file, dtype=kind, mode="r") for file in files if file.stat().st_size]
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


class ConversationEnds:
    """1 at each token that ends a conversation, 0 elsewhere: a turn's EOS inside one does not cut it."""

    def __init__(self, marks: TokenArray) -> None:
        self.marks = marks

    def __len__(self) -> int:
        return len(self.marks)

    def read(self, start: int, count: int) -> "Ints":
        """The `count` numbers from `start`."""
        return (self.marks.read(start, count) & END) // END


@dataclass(frozen=True)
class TokenDataset:
    """An open token dataset: its name and digest, its tokenizer's EOS and vocabulary, its arrays.

    answers  the mark of each token of train and validation (training.data.tokens.chats); None without
    """

    name: str
    digest: str
    folder: Path
    eos: int
    vocabulary: int
    train: TokenArray
    validation: TokenArray
    answers: tuple[TokenArray, TokenArray] | None = None


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
        if marks := shard.get("answers"):
            file = folder / marks
            if not file.is_file() or file.stat().st_size != tokens:
                raise ZooError(f"dataset {name}: {marks} is damaged; make it again with: phizoo data chats")
    parts = (listing["shards"], listing["validation"])
    train, held = (TokenArray([folder / s["file"] for s in part]) for part in parts)
    answers = None
    if all("answers" in s for part in parts for s in part):
        marked = [TokenArray([folder / s["answers"] for s in part], "u1") for part in parts]
        answers = (marked[0], marked[1])
    return TokenDataset(name, digest, folder, listing["eos"], listing["vocabulary"], train, held, answers)


@dataclass(frozen=True)
class TokenBatch:
    """inputs_BT and targets_BT (IGNORED for positions not predicted); positions_BT restart at each document.

    source  the number of the dataset, in a validation batch
    """

    inputs_BT: "Ints"
    targets_BT: "Ints"
    positions_BT: "Ints | None"
    source: int = 0


class TokenRow(NamedTuple):
    """The T+1 ids of a sequence; positions inside documents (-1: padding) if documents are packed; answers' marks."""

    ids: Any  # arrays of int64
    positions: Any
    answers: Any


class Loader:
    """Reads any step's batch of a recipe's data. Its only state is the open files.

    begin_step, read_before  for a branch: its first step, and the sequences of each source that the run before it has
                             read, so that no sequence is read again before its epoch ends
    """

    def __init__(
        self, data: Data, sources: list[TokenDataset], batch_sequences: int, seed: int, begin_step: int = 0,
        read_before: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        self.data, self.sources, self.batch, self.seed = data, sources, batch_sequences, seed
        self.length = data.sequence_tokens
        self.bins = [self._pack(tokens.train, tokens, 0) for tokens in sources]
        self.sizes = [self._size(number) for number in range(len(sources))]
        self.weights = [source.weight for source in data.sources]
        self.shares = _shares(self.weights)
        self.shift = [0] * len(sources)
        if data.loss == "answers" and (plain := [tokens.name for tokens in sources if tokens.answers is None]):
            raise ZooError(
                f"data.loss answers needs answers that are marked, and {plain[0]} has none; make it with: phizoo data "
                "chats, or --set data.loss=all"
            )
        if read_before is not None:
            counts = sequences_by_source(self.weights, seed, begin_step * batch_sequences)
            self.shift = [before - count for before, count in zip(read_before, counts, strict=True)]

    def _pack(self, array: TokenArray, tokens: TokenDataset, part: int) -> Bins | None:
        """The packing of a dataset's training (part 0) or validation tokens; a conversation is one document."""
        if self.data.packing != "documents":
            return None
        if tokens.answers is not None:
            return pack_documents(ConversationEnds(tokens.answers[part]), 1, self.length, tokens.folder)
        return pack_documents(array, tokens.eos, self.length, tokens.folder)

    def _size(self, number: int) -> int:
        """The number of sequences in one epoch of a source."""
        if (bins := self.bins[number]) is not None:
            size = len(bins)
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
        epoch, turn = divmod(before + self.shift[source], self.sizes[source])
        return source, epoch, permute(turn, self.sizes[source], mix(self.seed, 1, source, epoch))

    def _turn(self, sequence: int) -> tuple[int, int]:
        """The source of a sequence, and the number of sequences of that source before it."""
        period, inside = divmod(sequence, PERIOD)
        if len(self.shares) == 1:
            return 0, sequence
        order = _pattern(tuple(self.shares), mix(self.seed, 2, period))
        source = int(order[inside])
        return source, period * self.shares[source] + int(np.count_nonzero(order[:inside] == source))

    def row(self, sequence: int) -> TokenRow:
        """The tokens of a sequence."""
        source, epoch, which = self.place(sequence)
        tokens = self.sources[source]
        answers = tokens.answers[0] if tokens.answers and self.data.loss == "answers" else None
        offset = mix(self.seed, 3, source, epoch) % self.length if self.data.packing == "shifted" else 0
        return self._read(tokens.train, answers, tokens.eos, self.bins[source], which, offset)

    def _read(
        self, array: TokenArray, answers: TokenArray | None, eos: int, bins: Bins | None, which: int, offset: int
    ) -> TokenRow:
        if bins is not None:
            return self._packed(array, answers, eos, bins[which])
        start = offset + which * self.length
        marks = None if answers is None else answers.read(start, self.length + 1) & ANSWER
        return TokenRow(array.read(start, self.length + 1), None, marks)

    def _packed(
        self, array: TokenArray, answers: TokenArray | None, eos: int, pieces: list[tuple[int, int]]
    ) -> TokenRow:
        ids = np.full(self.length + 1, eos, dtype=np.int64)
        positions = np.full(self.length + 1, -1, dtype=np.int64)
        marks = None if answers is None else np.zeros(self.length + 1, dtype=np.int64)
        place = 0
        for start, count in pieces:
            ids[place : place + count] = array.read(start, count)
            positions[place : place + count] = np.arange(count)
            if answers is not None and marks is not None:
                marks[place : place + count] = answers.read(start, count) & ANSWER
            place += count
        return TokenRow(ids, positions, marks)

    def batch_at(self, step: int, rank: int = 0, world: int = 1) -> TokenBatch:
        """The batch of one step; with `world` processes, the part of its rows for process `rank`."""
        share, rest = divmod(self.batch, world)
        if rest:
            raise ValueError(f"{world} processes do not divide a batch of {self.batch} sequences")
        first = step * self.batch + rank * share
        return self._batch([self.row(sequence) for sequence in range(first, first + share)])

    def _batch(self, rows: list[TokenRow], source: int = 0) -> TokenBatch:
        ids = np.stack([row.ids for row in rows])
        targets = ids[:, 1:].copy()
        if rows[0].positions is None:
            positions = _document_positions(ids, self.sources[0].eos) if self.data.document_mask else None
        else:
            positions = np.stack([row.positions for row in rows if row.positions is not None])
            targets[positions[:, 1:] < 0] = IGNORED
        if rows[0].answers is not None:
            targets[np.stack([row.answers for row in rows if row.answers is not None])[:, 1:] == 0] = IGNORED
        if self.data.document_mask and positions is not None:
            # the first token of a document cannot be predicted from the document before
            targets[positions[:, 1:] == 0] = IGNORED
        shown = np.maximum(positions[:, :-1], 0) if positions is not None and self.data.document_mask else None
        return TokenBatch(ids[:, :-1], targets, shown, source)

    def sequences_seen(self, steps: int) -> list[int]:
        """Sequences read from each source before a step, with those of the run before a branch; shape (sources,)."""
        counts = sequences_by_source(self.weights, self.seed, steps * self.batch)
        return [count + shift for count, shift in zip(counts, self.shift, strict=True)]

    def tokens_seen(self, steps: int) -> list[int]:
        """Tokens read from each source in the first `steps` steps, with repeats; shape (sources,)."""
        return [count * self.length for count in self.sequences_seen(steps)]

    def validation(self, sequences: int) -> list[TokenBatch]:
        """Fixed held-out batches with at most `sequences` rows of each source, evenly spread; never trained on."""
        batches = []
        for number, tokens in enumerate(self.sources):
            held = tokens.validation
            bins = self._pack(held, tokens, 1)
            whole = (len(held) - 1) // self.length if bins is None else len(bins)
            answers = tokens.answers[1] if tokens.answers and self.data.loss == "answers" else None
            chosen = np.unique(np.linspace(0, whole - 1, min(sequences, max(whole, 0))).astype(np.int64))
            rows = [self._read(held, answers, tokens.eos, bins, i, 0) for i in chosen.tolist()]
            cuts = range(0, len(rows), self.batch)
            batches += [self._batch(rows[start : start + self.batch], number) for start in cuts]
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


def sequences_by_source(weights: list[float], seed: int, sequences: int) -> list[int]:
    """The number of sequences of each source among the first ones of a mixture."""
    shares = _shares(weights)
    if len(shares) == 1:
        return [sequences]
    period, inside = divmod(sequences, PERIOD)
    order = _pattern(tuple(shares), mix(seed, 2, period))[:inside]
    return [period * share + int(np.count_nonzero(order == source)) for source, share in enumerate(shares)]


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
