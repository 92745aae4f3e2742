"""The dedup stage: drops documents that repeat an earlier one exactly, nearly, or in meaning.

The earlier document stays, and each dropped one names it. Texts are compared folded, as leaks are searched for: full
width, letter case, invisible characters and look-alikes make no difference (`evals.contamination.fold`). Exact
duplicates are found by sha256, near ones by MinHash, semantic ones by vectors: within clusters of similar documents, a
high cosine with an earlier kept one (SemDeDup, Abbas et al. 2023, arXiv:2303.09540). Memory holds the texts of one file
and about 50 bytes of each document; its signature, its keys and 8 bytes a word for the exact comparison are on disk
meanwhile.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evals import encoders
from evals.contamination.fold import fold_case
from evals.encoders import Encoder
from training.data.build import Built, Counts, MadeDataset, find, folder_of, make, write_result
from training.data.columns import Columns
from training.data.dedup import minhash, shingles
from training.data.dedup.duplicates import Duplicates, find_repeats, make_duplicates, pair_with_drops, resolve_chains
from training.data.dedup.shingles import Grams, offsets
from training.data.document import Document, document_files, drop_document, read_file
from training.data.shards import each_shard
from zoo.digest import whole_file
from zoo.records import Dataset, Record

VERSION = 4
REASONS = EXACT, NEAR, SEMANTIC = "exact duplicate", "near duplicate", "semantic duplicate"
SIGNATURES, GRAMS, VECTORS = ".signatures", ".grams", ".vectors"
CLUSTER = 1_000  # documents in a cluster on average; pairs are compared within one cluster
FITTED = 20_000  # vectors to which the clusters are fitted


class DedupJob(Record, frozen=True):
    """One file of documents, the path prefix of its columns, and the encoder if vectors are needed."""

    documents: str
    out: str
    encoder: Encoder | None = None


class FileMarks(Record, frozen=True):
    """For each document of a file: 16 bytes of its folded text's sha256, and its number of n-grams (uint32)."""

    texts: bytes
    numbers: bytes


def mark_file(job: DedupJob) -> FileMarks:
    """Computes what deduplication needs of a file's documents.

    Files beside `job.out` get their MinHash signatures (uint32), n-grams (uint64) and vectors (float16).
    """
    import numpy as np

    texts = [document.text for document in read_file(Path(job.documents))]
    folded = [fold_case(text) for text in texts]
    marks = b"".join(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in folded)
    grams = shingles.grams(folded)
    columns = {SIGNATURES: minhash.minhash(grams).astype("<u4"), GRAMS: grams.flat.astype("<u8", copy=False)}
    if job.encoder is not None and texts:
        vectors = encoders.encode(texts, job.encoder)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        columns[VECTORS] = (vectors / lengths).astype("<f2")
    for name, column in columns.items():
        with whole_file(Path(job.out + name)) as file:
            file.write(column.data)
    return FileMarks(texts=marks, numbers=np.diff(grams.offsets).astype("<u4").tobytes())


def dedup_dataset(
    source: str, name: str, jaccard: float = minhash.THRESHOLD, cosine: float | None = None,
    embedding: str = encoders.MINILM,
) -> MadeDataset:  # fmt: skip
    """Makes the dataset without repeats; with `cosine`, semantic duplicates at or above it are dropped too."""
    given = find(source, ("documents",))
    encoder = None if cosine is None else encoders.find_encoder(embedding)
    recipe: dict[str, Any] = {
        "stage": "dedup", "version": VERSION, "source": given.digest, "jaccard": jaccard, "ngram": shingles.NGRAM,
        "permutations": minhash.PERMUTATIONS, "folded": True,
    }  # fmt: skip
    if encoder is not None:
        recipe |= {"cosine": cosine, "embedding": encoder.name, "embedding_digest": encoder.digest}
    return make(name, recipe, None, lambda work: _build(work, given, jaccard, cosine, encoder))


def _build(work: Path, given: Dataset, jaccard: float, cosine: float | None, encoder: Encoder | None) -> Built:
    paths = document_files(folder_of(given))
    duplicates = _find_duplicates(work, paths, jaccard, cosine, encoder)
    counts = Counts("dedup")

    def outcomes() -> Iterator[Document]:
        every = (document for path in paths for document in read_file(path))
        for document, twin in pair_with_drops(every, duplicates, lambda document: document.id):
            if twin is None:
                counts.keep()
                yield document
                continue
            reason = REASONS[twin.reason]
            counts.drop(reason)
            like = "cosine" if reason == SEMANTIC else "jaccard"
            facts: dict[str, Any] = {"twin": twin.kept, like: round(twin.like, 4)}
            yield drop_document(document, "dedup", reason, **facts)

    number, tokens = write_result(work / "out", outcomes())
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),), parents=(given.digest,),
        licence=given.licence,
    )  # fmt: skip


def _find_duplicates(
    work: Path, paths: Sequence[Path], jaccard: float, cosine: float | None, encoder: Encoder | None
) -> Duplicates:  # fmt: skip
    """Each dropped document with the kept one; reasons are indices into REASONS."""
    import numpy as np

    label = "mark" if encoder is None else "mark and encode"
    outs = [str(work / f"{label}-{number:05d}") for number in range(len(paths))]
    jobs = [DedupJob(documents=str(path), out=out, encoder=encoder) for path, out in zip(paths, outs, strict=True)]
    texts, numbers = bytearray(), bytearray()
    for marks in each_shard(work, label, jobs, mark_file, FileMarks):
        texts += marks.texts
        numbers += marks.numbers
    counts = np.frombuffer(numbers, dtype="<u4")
    parts = [find_repeats(np.frombuffer(texts, dtype="<u8").reshape(-1, 2), reason=REASONS.index(EXACT))]
    del texts
    left = np.ones(len(counts), np.bool_)
    left[parts[0].item] = False

    def stored(name: str, dtype: str, width: int = 0) -> Columns:
        return Columns([Path(out + name) for out in outs], dtype, width)

    with stored(SIGNATURES, "<u4", minhash.PERMUTATIONS) as matrix, stored(GRAMS, "<u8") as grams:
        exact = minhash.exact_jaccard(Grams(grams, offsets(counts)))
        items = np.flatnonzero(left & (counts > 0))
        parts.append(minhash.near_duplicates(matrix, exact, jaccard, items, work, REASONS.index(NEAR)))
    left[parts[-1].item] = False
    if cosine is not None and left.any():
        width = sum(Path(out + VECTORS).stat().st_size for out in outs) // 2 // len(counts)
        with stored(VECTORS, "<f2", width) as rows:
            parts.append(semantic_duplicates(rows, cosine, np.flatnonzero(left), REASONS.index(SEMANTIC)))
    return resolve_chains(parts)


def semantic_duplicates(vectors: Any, cosine: float, items: Any = None, reason: int = 0) -> Duplicates:
    """Finds items whose vector is close to that of an earlier kept item of their cluster.

    vectors  of length 1, shape (rows, width): an array, or `Columns` of a file
    items    the rows to consider, ascending; None: all
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    items = np.arange(len(vectors)) if items is None else items
    rows: list[tuple[int, int, float]] = []
    with threadpool_limits(1):  # the same order of sums on any machine
        for places in _clusters(vectors, items):
            own = vectors[places].astype(np.float32)
            kept: list[int] = []
            for row in range(len(places)):
                near = own[kept] @ own[row] if kept else np.zeros(0)
                best = int(near.argmax()) if len(near) else -1
                if best >= 0 and near[best] >= cosine:
                    rows.append((int(places[row]), int(places[kept[best]]), min(1.0, float(near[best]))))
                else:
                    kept.append(row)
    item, kept_, like = zip(*rows, strict=True) if rows else ((), (), ())
    return make_duplicates(item, kept_, like, reason)


def _clusters(vectors: Any, items: Any) -> Iterator[Any]:
    """Clusters the items; yields the items of each cluster, ascending."""
    import numpy as np
    from sklearn.cluster import MiniBatchKMeans

    number = max(1, len(items) // CLUSTER)
    if number == 1:
        yield items
        return
    means = MiniBatchKMeans(number, random_state=0, n_init=1, batch_size=4096)
    means.fit(vectors[items[:: max(1, len(items) // FITTED)]].astype(np.float32))
    cluster = np.concatenate([
        means.predict(vectors[items[start : start + FITTED]].astype(np.float32))
        for start in range(0, len(items), FITTED)
    ])  # fmt: skip
    order = np.argsort(cluster, kind="stable")
    yield from np.split(items[order], np.cumsum(np.bincount(cluster, minlength=number))[:-1])
