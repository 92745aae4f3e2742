"""The peers' side of bench_data, run by a Python that has them: near-deduplication and tokenising, one process each.

Usage: python peers_data.py WHAT FOLDER; FOLDER/texts holds JSON lines of {"id", "text"}. Prints one JSON line.
"""

import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any


def rows(folder: Path) -> list[dict[str, Any]]:
    """The texts, read from the file as our side reads them."""
    with (folder / "texts" / "00000.jsonl").open() as file:
        return [json.loads(line) for line in file]


def datasketch_dedup(folder: Path) -> dict[str, Any]:
    """128 permutations of word 5-grams, its LSH at 0.8 and its estimate checked, the first of a pair kept."""
    from datasketch import MinHash, MinHashLSH

    began = time.process_time()
    word = re.compile(r"[0-9A-Za-z_\x80-\U0010ffff]+")
    lsh, dropped, kept = MinHashLSH(threshold=0.8, num_perm=128), [], {}
    sets = []
    for row in rows(folder):
        words = word.findall(row["text"])
        width = min(5, len(words))
        grams = {" ".join(words[n : n + width]).encode() for n in range(len(words) - width + 1)} if words else set()
        sets.append((row["id"], grams))
    # its fastest way: all signatures at once
    hashes = MinHash.bulk([grams for _, grams in sets], num_perm=128)
    for (name, grams), signature in zip(sets, hashes, strict=True):
        if not grams:
            continue
        near = [other for other in lsh.query(signature) if signature.jaccard(kept[other]) >= 0.8]
        if near:
            dropped.append(name)
        else:
            kept[name] = signature
            lsh.insert(name, signature)
    return {"seconds": time.process_time() - began, "dropped": dropped}


def datatrove_dedup(folder: Path) -> dict[str, Any]:
    """Its four stages with one task, its settings but for 5-grams of our words; 64-bit hashes."""
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig
    from loguru import logger

    logger.remove()
    work = folder / "datatrove"
    shutil.rmtree(work, ignore_errors=True)
    config = MinhashConfig(hash_config=HashConfig(precision=64), n_grams=5, num_buckets=14, hashes_per_bucket=8)
    read = JsonlReader(str(folder / "texts"))
    began = time.process_time()
    signature = MinhashDedupSignature(output_folder=str(work / "signatures"), config=config)
    for _ in _through(read, signature):
        pass
    for bucket in range(config.num_buckets):
        MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config).run(None, bucket, 14)
    MinhashDedupCluster(str(work / "buckets"), str(work / "remove"), config=config).run(None, 0, 1)
    out = JsonlWriter(str(work / "out"), compression=None)
    lost = JsonlWriter(str(work / "lost"), compression=None)
    filtered = MinhashDedupFilter(str(work / "remove"), exclusion_writer=lost)
    for _ in out.run(filtered.run(read.run(None, 0, 1), 0, 1), 0, 1):
        pass
    seconds = time.process_time() - began
    found = [json.loads(line)["id"] for path in (work / "lost").rglob("*.jsonl") for line in path.open()]
    return {"seconds": seconds, "dropped": found}


def _through(read: Any, stage: Any) -> Any:
    given = stage.run(read.run(None, 0, 1), 0, 1)
    return given if given is not None else ()


def datatrove_tokens(folder: Path) -> dict[str, Any]:
    """Its tokenizer stage with its batches, then its merger that shuffles and joins: what our pack does."""
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from loguru import logger

    logger.remove()
    work = folder / "datatrove-tokens"
    shutil.rmtree(work, ignore_errors=True)
    began = time.process_time()
    stage = DocumentTokenizer(
        output_folder=str(work), tokenizer_name_or_path=str(folder / "tokenizer" / "tokenizer.json"),
        eos_token="<|endoftext|>", batch_size=10_000, shuffle_documents=True, save_index=True,
    )  # fmt: skip
    stage.run(JsonlReader(str(folder / "texts")).run(None, 0, 1), 0, 1)
    seconds = time.process_time() - began
    size = sum(path.stat().st_size for path in work.rglob("*.ds"))
    return {"seconds": seconds, "tokens": size // 2}


SIDES = {"datasketch": datasketch_dedup, "datatrove": datatrove_dedup, "datatrove-tokens": datatrove_tokens}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]](Path(sys.argv[2]))))
