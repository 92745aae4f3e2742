"""Packing: documents -> uint16 tokens, separated and ended by EOS, in an order that only the seed decides.

The trainer slices these files to its context length. Source: phi-1 section 2.3 (concatenate,
separate by <|endoftext|>, slice). About 1% of the documents, chosen by content, are for validation.
"""

import hashlib
import itertools
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.data.build import Built, Counts, Made, find, folder_of, make, parts
from training.data.columns import Stored
from training.data.document import document_files, read_file
from training.data.shards import each_shard
from training.data.tokens.order import VALIDATION_EVERY, Rows, enough, gathered, mixed, once, split, until
from training.data.tokens.tokenizer import EOS, copy_tokenizer, tokenizer_folder
from zoo.digest import file_sha256, whole_file, write_json
from zoo.errors import ZooError
from zoo.records import Dataset, Record

VERSION = 1
SHARD_TOKENS = 64_000_000  # 128 MB a file
CHARACTERS_A_TOKEN = 4  # first guess of how much text the budget needs; a 1,024-token BPE gives 2.2 on code
FILE_DOCUMENTS = 4_000  # documents of a job
ENCODED = 100  # encoded at once: 1,500 took a tenth longer and 0.8 GB more
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
    places: bytes  # uint32


class Encoded(Record, frozen=True):
    """The number of tokens of each encoded document; the tokens lie in `data`."""

    lengths: bytes  # uint32
    data: str


def measure_file(path: str) -> Measured:
    """Mark and size of each document of a file."""
    texts = [one.text for one in read_file(Path(path))]
    marks = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in texts]
    return Measured(marks=marks, characters=[len(text) for text in texts])


@lru_cache(maxsize=1)
def _coder(path: str, written: int) -> Any:
    """A process's one tokenizer: what it remembers of words, some 3 MB, is not given back with it (tokenizers 0.23).

    written  when the file was: another one is read anew
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode_file(job: Job) -> Encoded:
    """The chosen documents of one file, each ended by EOS. EOS spelt out in a text stays text."""
    import numpy as np

    tokenizer = _coder(job.tokenizer, os.stat(job.tokenizer).st_mtime_ns)
    eos = tokenizer.token_to_id(EOS)
    places = set(np.frombuffer(job.places, "<u4").tolist())
    texts = [one.text for place, one in enumerate(read_file(Path(job.documents))) if place in places]
    lengths = list[int]()
    with whole_file(Path(job.data)) as file:
        for batch in parts(texts, ENCODED):
            for one in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                tokens = np.array([*one.ids, eos], "<u2")
                lengths.append(len(tokens))
                file.write(tokens.tobytes())
    return Encoded(lengths=np.array(lengths, "<u4").tobytes(), data=job.data)


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
    rows = gathered((paths[file][0], file, one.marks, one.characters) for file, one in enumerate(measured))
    train, held, held_in_all = split(rows)
    store, order, validation = _encode(work, paths, folder, rows, train, held, weights, tokens, seed)
    counts = Counts("pack")
    used = len(once(order))
    counts.keep(used)
    counts.drop(VALIDATION, held_in_all)
    if len(train) > used:
        counts.drop(BEYOND, len(train) - used)
    out = work / "out"
    copy_tokenizer(folder, out / "tokenizer")
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(folder / "tokenizer.json"))
    told: dict[str, Any] = {"eos": loaded.token_to_id(EOS), "vocabulary": loaded.get_vocab_size(), "context": None}
    with Stored(store.files, "<u2") as coded:
        told["shards"] = _write(out, "tokens", order, store, coded)
        told["validation"] = _write(out, "validation", validation, store, coded)
    write_json(out / "shards.json", told)
    share = {one.name: store.tokens(order[rows.source[order] == n]) for n, one in enumerate(sources)}
    return Built(
        kind="tokens", documents=used, tokens=sum(share.values()), stages=(counts.stage(),),
        recipe={"tokens_by_source": share}, parents=(*(one.digest for one in sources), *parents),
        licence="; ".join(sorted({part for one in sources for part in one.licence.split("; ")})),
    )  # fmt: skip


def _encode(work: Path, paths: Sequence[tuple[int, Path]], folder: Path, rows: Rows, train: Any, held: Any,
            weights: Sequence[float | None], tokens: int | None, seed: int) -> tuple["Store", Any, Any]:  # fmt: skip
    """Encodes what the order needs and no more: a budget of 2 million tokens reads 2 million, not the corpus.

    The order does not depend on how much was encoded: too short a guess is repeated with a longer one.
    """
    guess = CHARACTERS_A_TOKEN
    while True:
        budget = None if tokens is None else tokens * guess
        wanted = train if budget is None else once(mixed(rows, train, weights, budget, seed))
        tested = until(rows, held, None if budget is None else max(1, budget // VALIDATION_EVERY))
        store = _encoded(work, f"tokens {guess}", paths, folder, rows, wanted, tested)
        sized = rows.sized(store.lengths)
        if tokens is None or enough(sized, wanted, train, weights, tokens):
            return store, mixed(sized, wanted, weights, tokens, seed), tested
        guess *= 2


class Store:
    """Where the tokens of each document lie: its first token of those in all files, and how many (0: not encoded)."""

    def __init__(self, documents: int) -> None:
        import numpy as np

        self.start, self.lengths = np.zeros(documents, "<i8"), np.zeros(documents, "<i8")
        self.files: list[Path] = []
        self.encoded = 0

    def add(self, path: str, part: Any, lengths: Any) -> None:
        """A file that holds the tokens of these documents, one after the other."""
        import numpy as np

        ends = self.encoded + np.cumsum(lengths)
        self.start[part], self.lengths[part] = ends - lengths, lengths
        self.files.append(Path(path))
        self.encoded += int(lengths.sum())

    def tokens(self, chosen: Any) -> int:
        """Number of tokens of documents, EOS included."""
        return int(self.lengths[chosen].sum())


class _Jobs(Sequence[Job]):
    """What is to be encoded, FILE_DOCUMENTS at most of one file each; a job is made when it is asked for."""

    def __init__(self, work: Path, label: str, paths: Sequence[tuple[int, Path]], folder: Path, rows: Rows,
                 wanted: Any) -> None:  # fmt: skip
        import numpy as np

        self.work, self.label, self.paths, self.folder, self.rows, self.wanted = (
            work,
            label,
            paths,
            folder,
            rows,
            wanted,
        )
        files = np.append(np.flatnonzero(np.diff(rows.file[wanted], prepend=-1)), len(wanted)).tolist()
        self.slices = [
            (begin, min(begin + FILE_DOCUMENTS, end))
            for first, end in itertools.pairwise(files)
            for begin in range(first, end, FILE_DOCUMENTS)
        ]

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, number: Any) -> Any:
        part = self.documents(number)
        return Job(
            documents=str(self.paths[int(self.rows.file[part[0]])][1]),
            tokenizer=str(self.folder / "tokenizer.json"),
            data=str(self.work / f"{self.label}-{number:05d}.bin"),
            places=self.rows.place[part].tobytes(),
        )

    def documents(self, number: int) -> Any:
        """The documents of a job, as numbers of rows."""
        return self.wanted[slice(*self.slices[number])]


def _encoded(work: Path, label: str, paths: Sequence[tuple[int, Path]], folder: Path, rows: Rows, wanted: Any,
             tested: Any) -> Store:  # fmt: skip
    import numpy as np

    jobs = _Jobs(work, label, paths, folder, rows, np.union1d(wanted, tested))
    store = Store(len(rows))
    for job, one in enumerate(each_shard(work, label, jobs, encode_file, Encoded)):
        store.add(one.data, jobs.documents(job), np.frombuffer(one.lengths, "<u4").astype("<i8"))
    return store


def _write(out: Path, stem: str, order: Any, store: Store, coded: Stored) -> list[dict[str, Any]]:
    """Writes the documents' tokens one after the other, in files of about SHARD_TOKENS."""
    written: list[dict[str, Any]] = []
    place = 0
    while place < len(order) or not written:
        path = out / f"{stem}-{len(written):05d}.bin"
        done = 0
        with path.open("wb") as file:
            while place < len(order) and done < SHARD_TOKENS:
                start, length = int(store.start[order[place]]), int(store.lengths[order[place]])
                file.write(coded[start : start + length].data)
                done += length
                place += 1
        written.append({"file": path.name, "tokens": done, "sha256": file_sha256(path)})
    return written
