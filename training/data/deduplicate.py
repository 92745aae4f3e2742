"""Drops documents that repeat an earlier one: the same text, nearly the same words, or the same meaning.

The earlier document stays, and each dropped one names it. Exact by sha256; near by MinHash (`dedup`);
semantic by vectors: in clusters of like documents, those whose cosine with an earlier kept one is high
(SemDeDup, Abbas et al. 2023, arXiv:2303.09540). In memory: the texts of one file, and an index of
the documents; on disk meanwhile the signatures, and 8 bytes a word for comparing exactly.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from training.data import dedup, encoders, shingle
from training.data.document import Document, document_files, dropped, read_file
from training.data.encoders import Encoder
from training.data.make import Built, Counts, Made, find, folder_of, make, write_result
from training.data.shards import each_shard
from training.data.shingle import Grams
from zoo.checkpoint import Dataset, Record

VERSION = 2
EXACT, NEAR, SEMANTIC = "exact duplicate", "near duplicate", "semantic duplicate"
CLUSTER = 1_000  # documents a cluster on average: pairs are looked at within one
FITTED = 20_000  # vectors that the clusters are fitted to


class Job(Record, frozen=True):
    """One file of documents, and the model of the vectors if they are asked for."""

    documents: str
    encoder: Encoder | None = None


class Marks(Record, frozen=True):
    """Of each document of a file: 16 bytes of its sha256, its MinHash (uint32), n-grams (uint64), vector (float16).

    grams  the n-grams of all documents one after the other; numbers says how many each has (uint32)
    """

    texts: bytes
    signatures: bytes
    grams: bytes
    numbers: bytes
    vectors: bytes


def mark_file(job: Job) -> Marks:
    """What deduplication needs to know of a file's documents."""
    import numpy as np

    texts = [one.text for one in read_file(Path(job.documents))]
    marks = b"".join(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in texts)
    grams = shingle.grams(texts)
    signatures = dedup.minhash(grams) if texts else np.zeros((0, dedup.PERMUTATIONS), np.uint32)
    vectors = b""
    if job.encoder is not None and texts:
        found = encoders.encoded(texts, job.encoder)
        lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        vectors = (found / lengths).astype("<f2").tobytes()
    return Marks(
        texts=marks, signatures=signatures.astype("<u4").tobytes(), grams=grams.flat.astype("<u8").tobytes(),
        numbers=np.diff(grams.offsets).astype("<u4").tobytes(), vectors=vectors,
    )  # fmt: skip


def dedup_dataset(
    source: str, name: str, jaccard: float = dedup.THRESHOLD, cosine: float | None = None,
    embedding: str = encoders.MINILM,
) -> Made:  # fmt: skip
    """The documents without their repeats; `cosine` also drops semantic ones at or above it."""
    given = find(source, ("documents",))
    encoder = None if cosine is None else encoders.find_encoder(embedding)
    recipe: dict[str, Any] = {
        "stage": "dedup", "version": VERSION, "source": given.digest, "jaccard": jaccard, "ngram": shingle.NGRAM,
        "permutations": dedup.PERMUTATIONS,
    }  # fmt: skip
    if encoder is not None:
        recipe |= {"cosine": cosine, "embedding": encoder.name, "embedding_digest": encoder.digest}
    return make(name, recipe, None, lambda work: _build(work, given, jaccard, cosine, encoder))


def _build(work: Path, given: Dataset, jaccard: float, cosine: float | None, encoder: Encoder | None) -> Built:
    paths = document_files(folder_of(given))
    twins = _twins(work, paths, jaccard, cosine, encoder)
    names = {kept: "" for _, kept, _ in twins.values()}
    counts = Counts("dedup")

    def outcomes() -> Iterator[Document]:
        for number, one in enumerate(one for path in paths for one in read_file(path)):
            if number in names:
                names[number] = one.id
            if number not in twins:
                counts.keep()
                yield one
                continue
            reason, kept, value = twins[number]
            counts.drop(reason)
            like = "cosine" if reason == SEMANTIC else "jaccard"
            facts: dict[str, Any] = {"twin": names[kept], like: round(value, 4)}
            yield dropped(one, "dedup", reason, **facts)

    number, tokens = write_result(work / "out", outcomes())
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),), parents=(given.digest,),
        licence=given.licence,
    )  # fmt: skip


def _twins(
    work: Path, paths: Sequence[Path], jaccard: float, cosine: float | None, encoder: Encoder | None
) -> dict[int, tuple[str, int, float]]:
    """Number of each dropped document -> reason, number of the kept one, how alike."""
    import numpy as np

    jobs = [Job(documents=str(path), encoder=encoder) for path in paths]
    label = "mark" if encoder is None else "mark and encode"
    texts, numbers = bytearray(), bytearray()
    signature_file, gram_file, vector_file = (work / f"{stem}.bin" for stem in ("signatures", "grams", "vectors"))
    with signature_file.open("wb") as signatures, gram_file.open("wb") as grams, vector_file.open("wb") as vectors:
        for one in each_shard(work, label, jobs, mark_file, Marks):
            texts += one.texts
            numbers += one.numbers
            signatures.write(one.signatures)
            grams.write(one.grams)
            vectors.write(one.vectors)
    marks = np.frombuffer(texts, dtype="V16")
    twins: dict[int, tuple[str, int, float]] = {item: (EXACT, first, 1.0) for item, first in dedup.repeats(marks)}
    left = np.setdiff1d(np.arange(len(marks)), np.fromiter(twins, np.int64, len(twins)))
    if gram_file.stat().st_size:
        matrix = np.memmap(signature_file, dtype="<u4", mode="r", shape=(len(marks), dedup.PERMUTATIONS))
        counts = np.frombuffer(numbers, dtype="<u4")
        stored = Grams(np.memmap(gram_file, dtype="<u8", mode="r"), np.cumsum([0, *counts], dtype=np.int64))
        filled = left[counts[left] > 0]
        for twin in dedup.near_twins(matrix, dedup.exact_jaccard(stored), jaccard, filled):
            twins[twin.item] = (NEAR, twin.kept, twin.jaccard)
    if cosine is not None and len(left):
        left = np.setdiff1d(left, np.fromiter(twins, np.int64, len(twins)))
        width = vector_file.stat().st_size // 2 // len(marks)
        vectors_ = np.memmap(vector_file, dtype="<f2", mode="r", shape=(len(marks), width))[left]
        for item, kept, value in semantic_twins(vectors_, cosine):
            twins[int(left[item])] = (SEMANTIC, int(left[kept]), value)
    return dedup.settled(twins)


def semantic_twins(vectors: Any, cosine: float) -> Iterator[tuple[int, int, float]]:
    """(item, kept one, cosine) of each vector that is near an earlier kept one of its cluster.

    vectors  of length 1, shape (documents, width)
    """
    import numpy as np
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    number = max(1, len(vectors) // CLUSTER)
    with threadpool_limits(1):  # sums of the same numbers in the same order, on any machine
        if number == 1:
            cluster = np.zeros(len(vectors), dtype=np.int64)
        else:
            every = max(1, len(vectors) // FITTED)
            means = MiniBatchKMeans(number, random_state=0, n_init=1, batch_size=4096)
            means.fit(vectors[::every].astype(np.float32))
            cluster = np.concatenate([
                means.predict(vectors[start : start + FITTED].astype(np.float32))
                for start in range(0, len(vectors), FITTED)
            ])  # fmt: skip
        for one in range(number):
            places = np.flatnonzero(cluster == one)
            own = vectors[places].astype(np.float32)
            kept: list[int] = []
            for row in range(len(places)):
                near = own[kept] @ own[row] if kept else np.zeros(0)
                best = int(near.argmax()) if len(near) else -1
                if best >= 0 and near[best] >= cosine:
                    yield int(places[row]), int(places[kept[best]]), min(1.0, float(near[best]))
                else:
                    kept.append(row)
