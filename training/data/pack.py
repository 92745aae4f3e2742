"""Packing: documents -> uint16 tokens, separated and ended by EOS, in an order that only the seed decides.

The trainer slices these files to its context length. Source: phi-1 section 2.3 (concatenate,
separate by <|endoftext|>, slice). About 1% of the documents, chosen by content, are for validation.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from training.data.document import document_files, read_file
from training.data.make import Built, Counts, Made, find, folder_of, make, parts
from training.data.shards import each_shard
from training.data.tokens import EOS, copy_tokenizer, tokenizer_folder
from zoo.checkpoint import Dataset, Record
from zoo.digest import file_sha256, whole_file, write_json
from zoo.errors import ZooError

VERSION = 1
SHARD_TOKENS = 64_000_000  # 128 MB a file
VALIDATION_EVERY = 100  # one document of a hundred, by its content: the same in every dataset
CHARACTERS_A_TOKEN = 4  # first guess of how much text the budget needs; a 1,024-token BPE gives 2.2 on code
FILE_DOCUMENTS = 4_000  # documents a worker encodes at once
BEYOND, VALIDATION = "beyond the token budget", "held for validation"


class Source(Record, frozen=True):
    """One dataset of a mixture: its folder's digest, its weight (None: as it is)."""

    name: str
    weight: float | None = None


def parse_sources(given: Sequence[str]) -> list[Source]:
    """`NAME` or `NAME=WEIGHT`, weights for all or for none.

    >>> parse_sources(["code=0.4", "textbooks=0.6"])
    [Source(name='code', weight=0.4), Source(name='textbooks', weight=0.6)]
    """
    sources = []
    for one in given:
        name, mark, weight = one.partition("=")
        try:
            value = float(weight) if mark else None
        except ValueError:
            value = -1.0
        if value is not None and not 0 < value < float("inf"):
            raise ZooError(f'"{one}" has no weight: give NAME or NAME=WEIGHT with a number above 0, as code=0.4')
        sources.append(Source(name=name, weight=value))
    if len({one.weight is None for one in sources}) > 1:
        raise ZooError("give every source a weight or none: phizoo data pack code=0.4 textbooks=0.6 --out NAME")
    if len({one.name for one in sources}) < len(sources):
        raise ZooError("a source is named twice; give each once, with a larger weight to repeat it")
    return sources


class Measured(Record, frozen=True):
    """What one file of documents holds: content mark and characters of each."""

    marks: list[bytes]
    characters: list[int]


class Job(Record, frozen=True):
    """What a worker encodes, and where it puts the tokens: the documents at these places in the file."""

    documents: str
    tokenizer: str
    data: str
    places: list[int]


class Encoded(Record, frozen=True):
    """The number of tokens of each encoded document; the tokens lie in `data`."""

    lengths: list[int]
    data: str


class Row(NamedTuple):
    """One document's place: its source, file, place in the file, content mark, size in characters or tokens."""

    source: int
    file: int
    place: int
    mark: bytes
    size: int


def measure_file(path: str) -> Measured:
    """Mark and size of each document of a file."""
    texts = [one.text for one in read_file(Path(path))]
    marks = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in texts]
    return Measured(marks=marks, characters=[len(text) for text in texts])


def encode_file(job: Job) -> Encoded:
    """The chosen documents of one file, each ended by EOS. EOS spelt out in a text stays text."""
    import numpy as np
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(job.tokenizer)
    tokenizer.encode_special_tokens = True
    eos = tokenizer.token_to_id(EOS)
    places = set(job.places)
    texts = [one.text for place, one in enumerate(read_file(Path(job.documents))) if place in places]
    rows = [one.ids for one in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    with whole_file(Path(job.data)) as file:
        file.write(np.array([token for row in rows for token in (*row, eos)], dtype="<u2").tobytes())
    return Encoded(lengths=[len(row) + 1 for row in rows], data=job.data)


def pack(given: Sequence[str], tokenizer: str, name: str, tokens: int | None = None, seed: int = 0) -> Made:
    """Token files of one or several datasets, mixed by weight.

    tokens  how many to take in all; None takes everything once (with weights: as many as need no repeat)
    """
    wanted = parse_sources(given)
    sources = [find(one.name, ("documents",)) for one in wanted]
    weights = [one.weight for one in wanted]
    folder, coder, parents = tokenizer_folder(tokenizer)
    recipe = {
        "stage": "pack", "version": VERSION, "sources": [one.digest for one in sources], "weights": weights,
        "tokenizer": coder, "tokens": tokens, "seed": seed,
    }  # fmt: skip
    return make(name, recipe, None, lambda work: _build(work, sources, weights, folder, parents, tokens, seed))


def _build(work: Path, sources: Sequence[Dataset], weights: Sequence[float | None], folder: Path,
           parents: tuple[str, ...], tokens: int | None, seed: int) -> Built:  # fmt: skip
    paths = [(number, path) for number, one in enumerate(sources) for path in document_files(folder_of(one))]
    measured = each_shard(work, "measure", [str(path) for _, path in paths], measure_file, Measured)
    rows = [
        Row(paths[file][0], file, place, mark, size)
        for file, one in enumerate(measured)
        for place, (mark, size) in enumerate(zip(one.marks, one.characters, strict=True))
    ]
    train, held, held_in_all = _split(rows)
    store, order, validation = _encode(work, paths, folder, train, held, weights, tokens, seed)
    counts = Counts("pack")
    used = len({(row.file, row.place) for row in order})
    counts.keep(used)
    counts.drop(VALIDATION, held_in_all)
    if len(train) > used:
        counts.drop(BEYOND, len(train) - used)
    out = work / "out"
    copy_tokenizer(folder, out / "tokenizer")
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(folder / "tokenizer.json"))
    write_json(
        out / "shards.json",
        {"eos": loaded.token_to_id(EOS), "vocabulary": loaded.get_vocab_size(), "context": None,
         "shards": _write(out, "tokens", order, store), "validation": _write(out, "validation", validation, store)},
    )  # fmt: skip
    share = {one.name: sum(row.size for row in order if row.source == n) for n, one in enumerate(sources)}
    return Built(
        kind="tokens", documents=used, tokens=sum(share.values()), stages=(counts.stage(),),
        recipe={"tokens_by_source": share}, parents=(*(one.digest for one in sources), *parents),
        licence="; ".join(sorted({part for one in sources for part in one.licence.split("; ")})),
    )  # fmt: skip


def _split(rows: Sequence[Row]) -> tuple[list[Row], list[Row], int]:
    """Training documents, validation texts and the number of documents held for it.

    By content, so a text never stands in both.
    """
    chosen = {row.mark for row in rows if int.from_bytes(row.mark[:8], "big") % VALIDATION_EVERY == 0}
    if not chosen and len({row.mark for row in rows}) > 1:
        chosen = {min(row.mark for row in rows)}
    held = sorted({row.mark: row for row in rows if row.mark in chosen}.values(), key=lambda row: row.mark)
    train = [row for row in rows if row.mark not in chosen]
    if not train:
        raise ZooError("nothing to pack: the sources hold no documents. What they hold: phizoo data list")
    return train, held, len(rows) - len(train)


def _encode(work: Path, paths: Sequence[tuple[int, Path]], folder: Path, train: Sequence[Row], held: Sequence[Row],
            weights: Sequence[float | None], tokens: int | None,
            seed: int) -> tuple["Store", list[Row], list[Row]]:  # fmt: skip
    """Encodes what the order needs and no more: a budget of 2 million tokens reads 2 million, not the corpus.

    The order does not depend on how much was encoded: too short a guess is repeated with a longer one.
    """
    guess = CHARACTERS_A_TOKEN
    while True:
        budget = None if tokens is None else tokens * guess
        wanted = list(train) if budget is None else list(dict.fromkeys(mixed(train, weights, budget, seed)))
        tested = _until(held, None if budget is None else max(1, budget // VALIDATION_EVERY))
        store = _encoded(work, f"encode {guess}", paths, folder, {(row.file, row.place) for row in (*wanted, *tested)})
        sized = [row._replace(size=store.length(row)) for row in wanted]
        if tokens is None or enough(sized, train, weights, tokens):
            order = mixed(sized, weights, tokens, seed)
            return store, order, [row._replace(size=store.length(row)) for row in tested]
        guess *= 2


def enough(sized: Sequence[Row], train: Sequence[Row], weights: Sequence[float | None], tokens: int) -> bool:
    """Whether each source that was not read to its end has the tokens it must give."""
    if all(weight is None for weight in weights):
        return len(sized) == len(train) or sum(row.size for row in sized) >= tokens
    total = sum(weight or 0.0 for weight in weights)
    for number, weight in enumerate(weights):
        have = [row.size for row in sized if row.source == number]
        all_in = len(have) == sum(row.source == number for row in train)
        if not all_in and sum(have) < tokens * (weight or 0.0) / total:
            return False
    return True


class Store(NamedTuple):
    """Where the tokens of each encoded document lie: (file, place) -> data file, first token, number of tokens."""

    at: dict[tuple[int, int], tuple[int, int, int]]
    data: dict[int, Any]

    def length(self, row: Row) -> int:
        """Number of tokens of a document, EOS included."""
        return self.at[row.file, row.place][2]

    def bytes(self, row: Row) -> bytes:
        """A document's tokens."""
        number, start, length = self.at[row.file, row.place]
        tokens: bytes = self.data[number][start : start + length].tobytes()
        return tokens


def _encoded(work: Path, label: str, paths: Sequence[tuple[int, Path]], folder: Path,
             wanted: set[tuple[int, int]]) -> Store:  # fmt: skip
    import numpy as np

    places: dict[int, list[int]] = {}
    for file, place in sorted(wanted):
        places.setdefault(file, []).append(place)
    slices = [(file, part) for file, every in places.items() for part in parts(every, FILE_DOCUMENTS)]
    jobs = [
        Job(documents=str(paths[file][1]), tokenizer=str(folder / "tokenizer.json"),
            data=str(work / f"{label}-{number:05d}.bin"), places=list(part))
        for number, (file, part) in enumerate(slices)
    ]  # fmt: skip
    store = Store({}, {})
    for number, one in enumerate(each_shard(work, label, jobs, encode_file, Encoded)):
        store.data[number] = np.memmap(one.data, dtype="<u2", mode="r")
        start = 0
        for place, length in zip(jobs[number].places, one.lengths, strict=True):
            store.at[slices[number][0], place] = (number, start, length)
            start += length
    return store


def _key(seed: int, epoch: int, row: Row) -> bytes:
    return hashlib.sha256(f"{seed}:{epoch}:".encode() + row.mark).digest()


def mixed(rows: Sequence[Row], weights: Sequence[float | None], budget: int | None, seed: int) -> list[Row]:
    """The documents in training order: a permutation by content hash, cut at the budget of sizes.

    With weights each source gives its share of the budget, repeated from its start (in another order)
    when it has too little, and the sources are spread evenly over the whole length.
    """
    if all(weight is None for weight in weights):
        return _until(sorted(rows, key=lambda row: (_key(seed, 0, row), row)), budget)
    by_source = [[row for row in rows if row.source == number] for number in range(len(weights))]
    sizes = [sum(row.size for row in one) for one in by_source]
    if not all(sizes):
        raise ZooError("a source with a weight holds no documents. What they hold: phizoo data list")
    total = sum(weight or 0.0 for weight in weights)
    shares = [(weight or 0.0) / total for weight in weights]
    wanted = budget if budget is not None else int(min(size / share for size, share in zip(sizes, shares, strict=True)))
    placed: list[tuple[float, int, int, Row]] = []
    for number, (one, share) in enumerate(zip(by_source, shares, strict=True)):
        done = 0
        for epoch, row in _epochs(one, seed):
            if done >= wanted * share:
                break
            placed.append(((done + row.size / 2) / (wanted * share), number, epoch, row))
            done += row.size
    return [row for *_, row in sorted(placed, key=lambda one: (one[0], one[1], one[2], one[3].mark, one[3].file))]


def _epochs(rows: Sequence[Row], seed: int) -> Iterator[tuple[int, Row]]:
    """All documents again and again, each time in another order."""
    for epoch in count():
        for row in sorted(rows, key=lambda row: (_key(seed, epoch, row), row.file, row.place)):
            yield epoch, row


def _until(order: Sequence[Row], budget: int | None) -> list[Row]:
    """The first documents that together reach the budget; all of them without one."""
    taken, done = [], 0
    for row in order:
        if budget is not None and done >= budget:
            break
        taken.append(row)
        done += row.size
    return taken


def _write(out: Path, stem: str, order: Sequence[Row], store: Store) -> list[dict[str, Any]]:
    """Writes the documents' tokens one after the other, in files of about SHARD_TOKENS."""
    written: list[dict[str, Any]] = []
    place = 0
    while place < len(order) or not written:
        path = out / f"{stem}-{len(written):05d}.bin"
        done = 0
        with path.open("wb") as file:
            while place < len(order) and done < SHARD_TOKENS:
                file.write(store.bytes(order[place]))
                done += order[place].size
                place += 1
        written.append({"file": path.name, "tokens": done, "sha256": file_sha256(path)})
    return written
