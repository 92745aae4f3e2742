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

from training.data.build import Built, Counts, MadeDataset, find, folder_of, make, slices
from training.data.columns import Columns
from training.data.document import document_files, read_file
from training.data.shards import each_shard
from training.data.tokens.order import (
    VALIDATION_EVERY,
    DocumentRows,
    first_uses,
    gather_rows,
    has_enough,
    mix_order,
    split_validation,
    take_until,
)
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


class PackSource(Record, frozen=True):
    """One dataset of a mixture: its folder's digest, its weight (None: as it is)."""

    name: str
    weight: float | None = None


def parse_sources(given: Sequence[str]) -> list[PackSource]:
    """`NAME` or `NAME=WEIGHT`, weights for all or for none.

    >>> parse_sources(["code=0.4", "textbooks=0.6"])
    [Source(name='code', weight=0.4), Source(name='textbooks', weight=0.6)]
    """
    sources = []
    for text in given:
        name, mark, weight = text.partition("=")
        try:
            value = float(weight) if mark else None
        except ValueError:
            value = -1.0
        if value is not None and not 0 < value < float("inf"):
            raise ZooError(f'"{text}" has no weight: give NAME or NAME=WEIGHT with a number above 0, as code=0.4')
        sources.append(PackSource(name=name, weight=value))
    if len({text.weight is None for text in sources}) > 1:
        raise ZooError("give every source a weight or none: phizoo data pack code=0.4 textbooks=0.6 --name NAME")
    if len({text.name for text in sources}) < len(sources):
        raise ZooError("a source is named twice; give each once, with a larger weight to repeat it")
    return sources


class FileMeasure(Record, frozen=True):
    """What one file of documents holds: content mark and characters of each."""

    marks: list[bytes]
    characters: list[int]


class PackJob(Record, frozen=True):
    """What a worker encodes, and where it puts the tokens: the documents at these places in the file."""

    documents: str
    tokenizer: str
    data: str
    places: bytes  # uint32


class EncodedFile(Record, frozen=True):
    """The number of tokens of each encoded document; the tokens lie in `data`."""

    lengths: bytes  # uint32
    data: str


def measure_file(path: str) -> FileMeasure:
    """Mark and size of each document of a file."""
    texts = [document.text for document in read_file(Path(path))]
    marks = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in texts]
    return FileMeasure(marks=marks, characters=[len(text) for text in texts])


@lru_cache(maxsize=1)
def _load_tokenizer(path: str, written: int) -> Any:
    """A process's one tokenizer: what it remembers of words, some 3 MB, is not given back with it (tokenizers 0.23).

    written  when the file was: another one is read anew
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode_file(job: PackJob) -> EncodedFile:
    """The chosen documents of one file, each ended by EOS. EOS spelt out in a text stays text."""
    import numpy as np

    tokenizer = _load_tokenizer(job.tokenizer, os.stat(job.tokenizer).st_mtime_ns)
    eos = tokenizer.token_to_id(EOS)
    places = set(np.frombuffer(job.places, "<u4").tolist())
    texts = [encoding.text for place, encoding in enumerate(read_file(Path(job.documents))) if place in places]
    lengths = list[int]()
    with whole_file(Path(job.data)) as file:
        for batch in slices(texts, ENCODED):
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                tokens = np.array([*encoding.ids, eos], "<u2")
                lengths.append(len(tokens))
                file.write(tokens.tobytes())
    return EncodedFile(lengths=np.array(lengths, "<u4").tobytes(), data=job.data)


def pack(given: Sequence[str], tokenizer: str, name: str, tokens: int | None = None, seed: int = 0) -> MadeDataset:
    """Token files of one or several datasets, mixed by weight.

    tokens  how many to take in all; None takes everything once (with weights: as many as need no repeat)
    """
    wanted = parse_sources(given)
    sources = [find(source.name, ("documents",)) for source in wanted]
    weights = [source.weight for source in wanted]
    folder, coder, parents = tokenizer_folder(tokenizer)
    recipe = {
        "stage": "pack", "version": VERSION, "sources": [source.digest for source in sources], "weights": weights,
        "tokenizer": coder, "tokens": tokens, "seed": seed,
    }  # fmt: skip
    return make(name, recipe, None, lambda work: _build(work, sources, weights, folder, parents, tokens, seed))


def _build(work: Path, sources: Sequence[Dataset], weights: Sequence[float | None], folder: Path,
           parents: tuple[str, ...], tokens: int | None, seed: int) -> Built:  # fmt: skip
    paths = [(number, path) for number, source in enumerate(sources) for path in document_files(folder_of(source))]
    measured = each_shard(work, "measure", [str(path) for _, path in paths], measure_file, FileMeasure)
    rows = gather_rows((paths[file][0], file, source.marks, source.characters) for file, source in enumerate(measured))
    train, validation_texts, held_in_all = split_validation(rows)
    store, order, validation = _encode(work, paths, folder, rows, train, validation_texts, weights, tokens, seed)
    counts = Counts("pack")
    used = len(first_uses(order))
    counts.keep(used)
    counts.drop(VALIDATION, held_in_all)
    if len(train) > used:
        counts.drop(BEYOND, len(train) - used)
    out = work / "out"
    copy_tokenizer(folder, out / "tokenizer")
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(folder / "tokenizer.json"))
    listing: dict[str, Any] = {"eos": loaded.token_to_id(EOS), "vocabulary": loaded.get_vocab_size(), "context": None}
    with Columns(store.files, "<u2") as coded:
        listing["shards"] = _write(out, "tokens", order, store, coded)
        listing["validation"] = _write(out, "validation", validation, store, coded)
    write_json(out / "shards.json", listing)
    share = {source.name: store.tokens(order[rows.source[order] == n]) for n, source in enumerate(sources)}
    return Built(
        kind="tokens", documents=used, tokens=sum(share.values()), stages=(counts.stage(),),
        recipe={"tokens_by_source": share}, parents=(*(source.digest for source in sources), *parents),
        licence="; ".join(sorted({part for source in sources for part in source.licence.split("; ")})),
    )  # fmt: skip


def _encode(
    work: Path, paths: Sequence[tuple[int, Path]], folder: Path, rows: DocumentRows, train: Any, validation_texts: Any,
    weights: Sequence[float | None], tokens: int | None, seed: int,
) -> tuple["TokenStore", Any, Any]:  # fmt: skip
    """Encodes what the order needs and no more: a budget of 2 million tokens reads 2 million, not the corpus.

    The order does not depend on how much was encoded: too short a guess is repeated with a longer one.
    """
    guess = CHARACTERS_A_TOKEN
    while True:
        budget = None if tokens is None else tokens * guess
        wanted = train if budget is None else first_uses(mix_order(rows, train, weights, budget, seed))
        tested = take_until(rows, validation_texts, None if budget is None else max(1, budget // VALIDATION_EVERY))
        store = _encode_jobs(work, f"tokens {guess}", paths, folder, rows, wanted, tested)
        sized = rows.sized(store.lengths)
        if tokens is None or has_enough(sized, wanted, train, weights, tokens):
            return store, mix_order(sized, wanted, weights, tokens, seed), tested
        guess *= 2


class TokenStore:
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


class _Jobs(Sequence[PackJob]):
    """What is to be encoded, FILE_DOCUMENTS at most of one file each; a job is made when it is asked for."""

    def __init__(self, work: Path, label: str, paths: Sequence[tuple[int, Path]], folder: Path, rows: DocumentRows,
                 wanted: Any) -> None:  # fmt: skip
        import numpy as np

        self.work, self.label, self.paths, self.folder = work, label, paths, folder
        self.rows, self.wanted = rows, wanted
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
        return PackJob(
            documents=str(self.paths[int(self.rows.file[part[0]])][1]),
            tokenizer=str(self.folder / "tokenizer.json"),
            data=str(self.work / f"{self.label}-{number:05d}.bin"),
            places=self.rows.place[part].tobytes(),
        )

    def documents(self, number: int) -> Any:
        """The documents of a job, as numbers of rows."""
        return self.wanted[slice(*self.slices[number])]


def _encode_jobs(
    work: Path,
    label: str,
    paths: Sequence[tuple[int, Path]],
    folder: Path,
    rows: DocumentRows,
    wanted: Any,
    tested: Any,
) -> TokenStore:
    import numpy as np

    jobs = _Jobs(work, label, paths, folder, rows, np.union1d(wanted, tested))
    store = TokenStore(len(rows))
    for job, encoded in enumerate(each_shard(work, label, jobs, encode_file, EncodedFile)):
        store.add(encoded.data, jobs.documents(job), np.frombuffer(encoded.lengths, "<u4").astype("<i8"))
    return store


def _write(out: Path, stem: str, order: Any, store: TokenStore, coded: Columns) -> list[dict[str, Any]]:
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
