"""The pack stage: turns documents into uint16 tokens, each document ended by EOS, in an order set by the seed.

The trainer cuts these files into sequences. About 1% of the documents are for validation, apart from the rest (`held`).
Source: phi-1 section 2.3 (concatenate, separate by <|endoftext|>, slice).
"""

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.data.build import Built, Counts, MadeDataset, find, folder_of, make, slices
from training.data.columns import Columns
from training.data.document import Document, document_files, read_file
from training.data.shards import each_shard
from training.data.tokens.held import VALIDATION_EVERY, ApartJob, apart_file, is_held, write_held
from training.data.tokens.order import (
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

VERSION = 2
SHARD_TOKENS = 64_000_000  # 128 MB a file
CHARACTERS_A_TOKEN = 4  # first guess of the text that a token budget needs; a 1,024-token BPE has 2.2 on code
FILE_DOCUMENTS = 4_000  # documents in a job
ENCODED = 100  # encoded at once: 1,500 took a tenth longer and 0.8 GB more
BEYOND, VALIDATION, APART = "beyond the token budget", "held for validation", "like a validation text"


class PackSource(Record, frozen=True):
    """One dataset of a mixture and its weight (None: take it once as it is)."""

    name: str
    weight: float | None = None


def parse_sources(given: Sequence[str]) -> list[PackSource]:
    """Parses `NAME` or `NAME=WEIGHT`; all sources have weights or none.

    >>> parse_sources(["code=0.4", "textbooks=0.6"])
    [PackSource(name='code', weight=0.4), PackSource(name='textbooks', weight=0.6)]
    """
    sources = []
    for text in given:
        name, mark, weight = text.partition("=")
        try:
            value = float(weight) if mark else None
        except ValueError:
            value = -1.0
        if value is not None and not 0 < value < float("inf"):
            raise ZooError(f'"{text}" has no valid weight; give NAME or NAME=WEIGHT with a number above 0, as code=0.4')
        sources.append(PackSource(name=name, weight=value))
    if len({source.weight is None for source in sources}) > 1:
        raise ZooError("give every source a weight or none: phizoo data pack code=0.4 textbooks=0.6 --name NAME")
    if len({source.name for source in sources}) < len(sources):
        raise ZooError("a source is named twice; give each once, with a larger weight to repeat it")
    return sources


class FileMeasure(Record, frozen=True):
    """The content mark and number of characters of each document of a file, and whether it is for validation."""

    marks: list[bytes]
    characters: list[int]
    held: list[bool]


class PackJob(Record, frozen=True):
    """The documents of one file to encode, by position, and the file for their tokens."""

    documents: str
    tokenizer: str
    data: str
    places: bytes  # uint32


class EncodedFile(Record, frozen=True):
    """The number of tokens of each encoded document; the tokens are in the file `data`."""

    lengths: bytes  # uint32
    data: str


def measure_file(path: str) -> FileMeasure:
    """Computes mark and size of each document of a file."""
    documents = list(read_file(Path(path)))
    marks = [hashlib.sha256(one.text.encode("utf-8", "surrogatepass")).digest()[:16] for one in documents]
    held = [is_held(document, mark) for document, mark in zip(documents, marks, strict=True)]
    return FileMeasure(marks=marks, characters=[len(one.text) for one in documents], held=held)


@lru_cache(maxsize=1)
def _load_tokenizer(path: str, written: int) -> Any:
    """Loads the process's one tokenizer; its word cache, about 3 MB, is never freed (tokenizers 0.23).

    written  the file's modification time, so that a changed file is loaded again
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode_file(job: PackJob) -> EncodedFile:
    """Encodes the chosen documents of one file, each ended by EOS. EOS spelt out in a text stays text."""
    import numpy as np

    tokenizer = _load_tokenizer(job.tokenizer, os.stat(job.tokenizer).st_mtime_ns)
    eos = tokenizer.token_to_id(EOS)
    places = set(np.frombuffer(job.places, "<u4").tolist())
    texts = [document.text for place, document in enumerate(read_file(Path(job.documents))) if place in places]
    lengths = list[int]()
    with whole_file(Path(job.data)) as file:
        for batch in slices(texts, ENCODED):
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                tokens = np.array([*encoding.ids, eos], "<u2")
                lengths.append(len(tokens))
                file.write(tokens.tobytes())
    return EncodedFile(lengths=np.array(lengths, "<u4").tobytes(), data=job.data)


def pack(given: Sequence[str], tokenizer: str, name: str, tokens: int | None = None, seed: int = 0) -> MadeDataset:
    """Makes token files from one or several datasets, mixed by weight.

    tokens  the total number to take; None takes everything once (with weights: as many as need no repeats)
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
    held = list[bool]()

    def measures() -> Iterator[tuple[int, int, Sequence[bytes], Sequence[int]]]:
        measured = each_shard(work, "measure", [str(path) for _, path in paths], measure_file, FileMeasure)
        for file, source in enumerate(measured):
            held.extend(source.held)
            yield paths[file][0], file, source.marks, source.characters

    rows = gather_rows(measures())
    train, validation_texts, held_in_all = split_validation(rows, held)
    train, apart = _keep_apart(work, [path for _, path in paths], rows, train, validation_texts)
    store, order, validation = _encode(work, paths, folder, rows, train, validation_texts, weights, tokens, seed)
    counts = Counts("pack")
    used = len(first_uses(order))
    counts.keep(used)
    counts.drop(VALIDATION, held_in_all)
    if apart:
        counts.drop(APART, apart)
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
    # no training document shares a template with a validation text, or is a near duplicate of one
    apartness = {"texts": len(validation_texts), "alike_left_out": apart}
    return Built(
        kind="tokens", documents=used, tokens=sum(share.values()), stages=(counts.stage(),),
        recipe={"tokens_by_source": share, "validation": apartness},
        parents=(*(source.digest for source in sources), *parents),
        licence="; ".join(sorted({part for source in sources for part in source.licence.split("; ")})),
    )  # fmt: skip


def _keep_apart(work: Path, paths: Sequence[Path], rows: DocumentRows, train: Any, validation: Any) -> tuple[Any, int]:
    """The training documents that are unlike every validation text, and the number of the others."""
    import numpy as np

    held = list[Document]()
    for file in np.unique(rows.file[validation]).tolist():
        places = set(rows.place[validation[rows.file[validation] == file]].tolist())
        held += [document for place, document in enumerate(read_file(paths[file])) if place in places]
    path = work / "held.npz"
    write_held(path, held)
    jobs = [ApartJob(documents=str(one), held=str(path)) for one in paths]
    flags = [np.frombuffer(part, "u1") for part in each_shard(work, "keep validation apart", jobs, apart_file, bytes)]
    alike = np.concatenate([np.zeros(0, "u1"), *flags]).astype(bool)[train]
    if alike.all():  # a few texts that are all alike: better a validation that is not apart than nothing to train on
        return train, 0
    return train[~alike], int(alike.sum())


def _encode(
    work: Path, paths: Sequence[tuple[int, Path]], folder: Path, rows: DocumentRows, train: Any, validation_texts: Any,
    weights: Sequence[float | None], tokens: int | None, seed: int,
) -> tuple["TokenStore", Any, Any]:  # fmt: skip
    """Encodes only the documents that the order needs: a budget of 2 million tokens does not encode the corpus.

    The order does not depend on how much is encoded: if the guess is too small, it is repeated with a larger one.
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
    """The location of each document's tokens: its first token over all files, and their number (0: not encoded)."""

    def __init__(self, documents: int) -> None:
        import numpy as np

        self.start, self.lengths = np.zeros(documents, "<i8"), np.zeros(documents, "<i8")
        self.files: list[Path] = []
        self.encoded = 0

    def add(self, path: str, part: Any, lengths: Any) -> None:
        """Adds a file with the tokens of these documents, one after the other."""
        import numpy as np

        ends = self.encoded + np.cumsum(lengths)
        self.start[part], self.lengths[part] = ends - lengths, lengths
        self.files.append(Path(path))
        self.encoded += int(lengths.sum())

    def tokens(self, chosen: Any) -> int:
        """The number of tokens of these documents, EOS included."""
        return int(self.lengths[chosen].sum())


class _Jobs(Sequence[PackJob]):
    """The encoding jobs, each at most FILE_DOCUMENTS documents of one file; a job is built on demand."""

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
        """The documents of a job, as row numbers."""
        return self.wanted[slice(*self.slices[number])]


def _encode_jobs(
    work: Path, label: str, paths: Sequence[tuple[int, Path]], folder: Path, rows: DocumentRows, wanted: Any,
    tested: Any,
) -> TokenStore:  # fmt: skip
    import numpy as np

    jobs = _Jobs(work, label, paths, folder, rows, np.union1d(wanted, tested))
    store = TokenStore(len(rows))
    for job, encoded in enumerate(each_shard(work, label, jobs, encode_file, EncodedFile)):
        store.add(encoded.data, jobs.documents(job), np.frombuffer(encoded.lengths, "<u4").astype("<i8"))
    return store


def _write(out: Path, stem: str, order: Any, store: TokenStore, coded: Columns) -> list[dict[str, Any]]:
    """Writes the documents' tokens in order, in files of about SHARD_TOKENS; returns the list of files."""
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
