"""Near-deduplication against datasketch and datatrove, and tokenise+pack against datatrove, on this machine's files.

All sides read the same JSON lines and run in one process on one core, one after the other, several rounds; the
ratio is of the medians of CPU seconds, in which other programs on the machine do not count. The peers need a Python of their own (PEERS_PYTHON) with datasketch and datatrove:
`pip install datatrove datasketch orjson tokenizers nltk "xxhash<4"`. Files: 20,000, or BENCH_FILES.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rows import row

FILES = int(os.environ.get("BENCH_FILES", "20000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PEERS = os.environ.get("PEERS_PYTHON", "")


def corpus(folder: Path) -> int:
    """Writes the texts of this machine's files; gives their characters."""
    from training.data.gather import python_files
    from training.data.rules import plain, refused

    found, _ = python_files(FILES)
    (folder / "texts").mkdir()
    size = 0
    with (folder / "texts" / "00000.jsonl").open("w") as file:
        for number, one in enumerate(found):
            data = Path(one.path).read_bytes()
            if not refused(data):
                text = plain(data)
                size += len(text)
                file.write(json.dumps({"id": str(number), "text": text}) + "\n")
    return size


def rows(folder: Path) -> list[dict[str, Any]]:
    with (folder / "texts" / "00000.jsonl").open() as file:
        return [json.loads(line) for line in file]


def our_dedup(folder: Path) -> dict[str, Any]:
    """Exact and near, in batches as the stage has them: what is kept of the first pass is the signatures."""
    import numpy as np

    from training.data import dedup

    began = time.process_time()
    names, matrix = [], []
    batch = rows(folder)
    for start in range(0, len(batch), 400):
        part = batch[start : start + 400]
        names += [row["id"] for row in part]
        matrix.append(dedup.signatures([row["text"] for row in part]))
    twins = dedup.near_twins(np.concatenate(matrix))
    return {"seconds": time.process_time() - began, "dropped": [names[twin.item] for twin in twins]}


def our_tokens(folder: Path) -> dict[str, Any]:
    """Documents to an ordered token file with its validation part, as `phizoo data pack` makes it."""
    from training.data.document import document
    from training.data.make import Built, Counts, make, write_result
    from training.data.pack import pack
    from training.data.shards import running_on

    def build(work: Path) -> Built:
        every = (document(row["text"], row["id"], "p", "MIT", "file") for row in rows(folder))
        number, tokens = write_result(work / "out", every)
        counts = Counts("all")
        counts.keep(number)
        return Built(kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),))

    os.environ["PHIZOO_HOME"] = str(folder / "home")
    make("texts", {"stage": "texts"}, None, build)
    with running_on(1, ""):
        began = time.process_time()
        made = pack(["texts"], str(folder / "tokenizer"), f"tokens-{time.time_ns()}", seed=time.time_ns() % 10**9)
        return {"seconds": time.process_time() - began, "tokens": made.dataset.tokens}


def tokenizer(folder: Path) -> None:
    """A tokenizer of 1,024 tokens, the same file for both sides."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from training.data.tokens import EOS, save_tokenizer

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1024, special_tokens=[EOS], initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator((row["text"] for row in rows(folder)[:500]), trainer)
    save_tokenizer(made, folder / "tokenizer")


def peer(what: str) -> Callable[[Path], dict[str, Any]]:
    def run(folder: Path) -> dict[str, Any]:
        script = Path(__file__).with_name("peers_data.py")
        done = subprocess.run([PEERS, str(script), what, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def compare(
    what: str, folder: Path, ours: Callable[[Path], dict[str, Any]], sides: dict[str, Callable[[Path], Any]]
) -> None:
    seconds: dict[str, list[float]] = {}
    last: dict[str, dict[str, Any]] = {}
    for _ in range(ROUNDS):
        for name, side in {"phi-zoo": ours, **sides}.items():
            last[name] = side(folder)
            seconds.setdefault(name, []).append(last[name]["seconds"])
    mine = statistics.median(seconds["phi-zoo"])
    for name, values in seconds.items():
        if name != "phi-zoo":
            turns = [theirs / own for own, theirs in zip(seconds["phi-zoo"], values, strict=True)]
            row(f"{what}, CPU time of one core", peer=name, ratios=turns, figure=f"{mine:.2f} CPU s")
        median = statistics.median(values)
        spread = f"[{min(values):.2f}-{max(values):.2f}]"
        print(f"  {name}: {median:.2f} CPU s {spread} n={len(values)}, {median / mine:.1f} times ours", end="")
        if "dropped" in last[name]:
            own, other = set(last["phi-zoo"]["dropped"]), set(last[name]["dropped"])
            print(f"; {len(other):,} dropped, {len(own & other):,} of them as ours", end="")
        print(f"; {last[name]['tokens']:,} tokens" if "tokens" in last[name] else "")


def main() -> None:
    if not PEERS:
        sys.exit("PEERS_PYTHON names no Python with datasketch and datatrove")
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = corpus(folder)
        count = len(rows(folder))
        print(f"near-deduplication of {count:,} files, {size:,} characters, one core")
        compare(
            f"near-deduplication of {count:,} files",
            folder,
            our_dedup,
            {what: peer(what) for what in ("datasketch", "datatrove")},
        )
        tokenizer(folder)
        print("tokenise and pack the same, one core")
        compare(f"tokenise and pack {count:,} files", folder, our_tokens, {"datatrove": peer("datatrove-tokens")})


if __name__ == "__main__":
    main()
