"""The peers' side of bench_data, run by a Python that has them: near-deduplication and tokenising, one process each.

Usage: python peers_data.py WHAT FOLDER; FOLDER/texts holds JSON lines of {"id", "text"}. Prints one JSON line.
Their words and 5-grams are ours, cut in the fastest way of several tried; an id is the text's number.
"""

import json
import re
import shutil
import struct
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

WORD = re.compile(rb"[0-9A-Za-z_\x80-\xff]+")
BATCH = 100  # texts whose n-grams are held at once: fewer fit the cache, and all at once took a third longer
BUFFER = 1 << 20  # bytes read at once, as on our side
LEAST = 0.66  # four standard errors below 0.8, as on our side: an estimate under it is not looked at exactly


def rows(folder: Path) -> list[str]:
    """The texts, read from the file as our side reads them."""
    import orjson

    with (folder / "texts" / "00000.jsonl").open("rb", buffering=BUFFER) as file:
        return [orjson.loads(line)["text"] for line in file]


def grams(text: str) -> list[bytes]:
    """The word 5-grams of a text, repeats included; all its words if it has fewer."""
    words = WORD.findall(text.encode("utf-8", "surrogatepass"))
    if len(words) < 5:
        return [b" ".join(words)] if words else []
    return list(map(b" ".join, zip(words, words[1:], words[2:], words[3:], words[4:], strict=False)))


def datasketch_dedup(folder: Path, bands: tuple[int, int] | None, fast: bool = True) -> dict[str, Any]:
    """128 permutations in bulk, its LSH; what it finds compared exactly; the first of a pair kept.

    fast  hashes by xxhash, as its manual advises, and not by SHA-1, as it does itself
    """
    import xxhash
    from datasketch import MinHash, MinHashLSH

    began = time.perf_counter()
    texts = rows(folder)
    lsh: Any = MinHashLSH(threshold=0.8, num_perm=128, params=bands)
    kept: dict[int, Any] = {}
    dropped = []

    @lru_cache(maxsize=256)
    def of_one(number: int) -> frozenset[bytes]:
        return frozenset(grams(texts[number]))

    def twin(number: int, other: int) -> bool:
        one, two = of_one(number), of_one(other)
        both = len(one & two)
        return 10 * both >= 8 * (len(one) + len(two) - both)

    for start in range(0, len(texts), BATCH):
        part = [grams(text) for text in texts[start : start + BATCH]]
        signed = MinHash.bulk(part, num_perm=128, **({"hashfunc": xxhash.xxh32_intdigest} if fast else {}))
        for number, (held, signature) in enumerate(zip(part, signed, strict=True), start):
            if not held:
                continue
            near = [other for other in lsh.query(signature) if signature.jaccard(kept[other]) >= LEAST]
            if any(twin(number, other) for other in near):
                dropped.append(number)
            else:
                kept[number] = signature
                lsh.insert(number, signature)
    return {"seconds": time.perf_counter() - began, "dropped": dropped, "bands": [lsh.b, lsh.r]}


class _Words:
    """Our words for datatrove, whose own tokenizer is a language model's and takes ten times as long."""

    def word_tokenize(self, text: str) -> list[str]:
        return [word.decode("utf-8", "surrogatepass") for word in WORD.findall(text.encode("utf-8", "surrogatepass"))]


def datatrove_dedup(folder: Path) -> dict[str, Any]:
    """Its three stages with one task and its own 14 buckets of 8, without its normalising of English; 64-bit hashes."""
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.text import TextNormConfig
    from loguru import logger

    logger.remove()
    work = folder / "datatrove"
    shutil.rmtree(work, ignore_errors=True)
    plain = TextNormConfig(False, False, False, False, False)
    config = MinhashConfig(
        hash_config=HashConfig(precision=64), n_grams=5, num_buckets=14, hashes_per_bucket=8, norm_config=plain
    )
    signature = MinhashDedupSignature(output_folder=str(work / "signatures"), config=config)
    signature.word_tokenizer = _Words()
    began = time.perf_counter()
    signature.run(JsonlReader(str(folder / "texts")).run(None, 0, 1), 0, 1)
    for bucket in range(config.num_buckets):
        MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config, lines_to_buffer=-1).run(
            None, bucket, config.num_buckets
        )
    MinhashDedupCluster(str(work / "buckets"), str(work / "remove"), config=config, lines_to_buffer=-1).run(None, 0, 1)
    data = b"".join(path.read_bytes() for path in (work / "remove").glob("*.remove"))
    dropped = [number for (number,) in struct.iter_unpack("<I", data)]
    return {"seconds": time.perf_counter() - began, "dropped": dropped, "bands": [14, 8]}


def datatrove_tokens(folder: Path) -> dict[str, Any]:
    """Its tokenizer stage with its batches, then its merger that shuffles and joins: what our pack does."""
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from loguru import logger

    logger.remove()
    work = folder / "datatrove-tokens"
    shutil.rmtree(work, ignore_errors=True)
    began = time.perf_counter()
    stage = DocumentTokenizer(
        output_folder=str(work), tokenizer_name_or_path=str(folder / "tokenizer" / "tokenizer.json"),
        eos_token="<|endoftext|>", batch_size=10_000, shuffle_documents=True, save_index=True,
    )  # fmt: skip
    stage.run(JsonlReader(str(folder / "token-texts")).run(None, 0, 1), 0, 1)
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in work.rglob("*.ds"))
    return {"seconds": seconds, "tokens": size // 2}


SIDES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "datasketch": lambda folder: datasketch_dedup(folder, None),
    "datasketch-32x4": lambda folder: datasketch_dedup(folder, (32, 4)),
    "datasketch-sha1": lambda folder: datasketch_dedup(folder, (32, 4), fast=False),
    "datatrove": datatrove_dedup,
    "datatrove-tokens": datatrove_tokens,
}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]](Path(sys.argv[2]))))
