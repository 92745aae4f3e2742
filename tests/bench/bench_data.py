"""Near-deduplication against datasketch and datatrove, and tokenise+pack against datatrove, on this machine's files.

All sides read the same JSON lines, cut the same words and run in one process on one core, in turns, several rounds;
the ratio is of the medians of wall seconds. One row has the stage itself, on every core. What each drops is judged
by all true pairs at Jaccard 0.8, which are found exactly (`exact_twins`). The peers need a Python of their own (PEERS_PYTHON):
`pip install datatrove datasketch orjson tokenizers nltk spacy "xxhash<4"`. Files: 20,000 (BENCH_FILES), of which the
tokens take every fifth; rounds: 3 (BENCH_ROUNDS). About an hour; `bench_data.py dedup` or `tokens` runs one of the two.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from rows import row

FILES = int(os.environ.get("BENCH_FILES", "20000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PEERS = os.environ.get("PEERS_PYTHON", "")
TOKENS_EVERY = 5
BATCH = 400
BUFFER = 1 << 20  # bytes read at once, on every side: lines are long
CHECKED = 1_000  # texts on which the exact pairs are compared with brute force
NAMES = {
    "datasketch": "datasketch, its bands of 0.8 (9 of 13)",
    "datasketch-sha1": "datasketch, our bands and its own hash",
    "datasketch-32x4": "datasketch, our bands (32 of 4)",
    "datatrove": "datatrove, its buckets (14 of 8)",
    "datatrove-tokens": "datatrove",
}

OURS = "--ours"  # WHAT FOLDER: our side of one turn, run by this script itself
Side = Callable[[Path], dict[str, Any]]


def corpus(folder: Path) -> int:
    """Writes the texts of this machine's files, each once; gives their characters."""
    from training.data.gather.gather import python_files
    from training.data.gather.rules import plain_text, refusal

    found, _ = python_files(FILES)
    texts: dict[str, None] = {}
    for one in found:
        data = Path(one.path).read_bytes()
        if not refusal(data):
            texts[plain_text(data)] = None
    for name, every in (("texts", 1), ("token-texts", TOKENS_EVERY)):
        (folder / name).mkdir()
        with (folder / name / "00000.jsonl").open("w") as file:
            for number, text in enumerate(texts):
                if number % every == 0:
                    file.write(json.dumps({"id": str(number), "text": text}) + "\n")
    return sum(map(len, texts))


class Row(msgspec.Struct):
    """What is read of a line."""

    text: str


def rows(folder: Path, name: str = "texts") -> list[str]:
    """The texts, in order."""
    return [row.text for row in msgspec.json.Decoder(Row).decode_lines((folder / name / "00000.jsonl").read_bytes())]


def our_dedup(folder: Path) -> dict[str, Any]:
    """In batches as the stage has them; the n-grams stay in memory, where the stage puts them on disk."""
    import numpy as np
    import rensa  # noqa: F401 - the peers' imports are not timed either

    from training.data.dedup import minhash as dedup
    from training.data.dedup import shingles

    began = time.perf_counter()
    grams, signatures, texts = [], [], list[str]()
    decode = msgspec.json.Decoder(Row).decode

    def mark() -> None:
        grams.append(shingles.grams(texts))
        signatures.append(dedup.minhash(grams[-1]))
        texts.clear()

    with (folder / "texts" / "00000.jsonl").open("rb", buffering=BUFFER) as file:
        for line in file:
            texts.append(decode(line).text)
            if len(texts) == BATCH:
                mark()
    mark()
    matrix = np.concatenate(signatures)
    filled = np.flatnonzero(np.concatenate([np.diff(one.offsets) > 0 for one in grams]))

    @lru_cache(maxsize=dedup.CACHED)
    def of_one(item: int) -> Any:
        flat, offsets = grams[item // BATCH]
        return shingles.sort_distinct(flat[offsets[item % BATCH] : offsets[item % BATCH + 1]])

    twins = dedup.near_duplicates(matrix, lambda one, other: dedup.jaccard(of_one(one), of_one(other)), items=filled)
    seconds = time.perf_counter() - began
    width = next(rows for least, rows in dedup.ROWS if least <= dedup.THRESHOLD)
    bands = [dedup.PERMUTATIONS // width, width]
    return {"seconds": seconds, "dropped": twins.item.tolist(), "bands": bands}


def our_command(folder: Path) -> dict[str, Any]:
    """The stage itself, as `phizoo data dedup` runs it: on every core, from documents to documents."""
    from training.data.build import folder_of
    from training.data.dedup.dedup import dedup_dataset
    from training.data.document import read_documents

    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    os.environ["PHIZOO_HOME"] = str(folder / f"home-{time.time_ns()}")
    make_texts(rows(folder))
    began = time.perf_counter()
    made = dedup_dataset("texts", "once")
    seconds = time.perf_counter() - began
    dropped = [int(one.source) for one in read_documents(folder_of(made.dataset), "dropped")]
    return {"seconds": seconds, "dropped": dropped, "bands": []}


def make_texts(texts: list[str]) -> None:
    """The texts as the dataset that the stages read."""
    from training.data.build import Built, Counts, make, write_result
    from training.data.document import make_document

    def build(work: Path) -> Built:
        every = (make_document(text, str(number), "p", "MIT", "file") for number, text in enumerate(texts))
        number, tokens = write_result(work / "out", every)
        counts = Counts("all")
        counts.keep(number)
        return Built(kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),))

    make("texts", {"stage": "texts"}, None, build)


def our_tokens(folder: Path) -> dict[str, Any]:
    """Documents to an ordered token file with its validation part, as `phizoo data pack` makes it."""
    from training.data.shards import use_workers
    from training.data.tokens.pack import pack

    os.environ["PHIZOO_HOME"] = str(folder / "home")
    make_texts(rows(folder, "token-texts"))
    with use_workers(1, ""):
        began = time.perf_counter()
        made = pack(["texts"], str(folder / "tokenizer"), f"tokens-{time.time_ns()}", seed=time.time_ns() % 10**9)
        return {"seconds": time.perf_counter() - began, "tokens": made.dataset.tokens}


def tokenizer(folder: Path) -> None:
    """A tokenizer of 1,024 tokens, the same file for both sides."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from training.data.tokens.tokenizer import EOS, save_tokenizer

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1024, special_tokens=[EOS], initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(rows(folder)[:500], trainer)
    save_tokenizer(made, folder / "tokenizer")


def side(python: str, script: str, *what: str) -> Side:
    """One side, each turn in a new process, whose memory is nobody else's."""

    def run(folder: Path) -> dict[str, Any]:
        command = [python, str(Path(__file__).with_name(script)), *what, str(folder)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def rounds(what: str, folder: Path, sides: dict[str, Side]) -> dict[str, dict[str, Any]]:
    """The last result of each side, after all rounds in turns; the first side's time is the measure."""
    seconds: dict[str, list[float]] = {}
    last: dict[str, dict[str, Any]] = {}
    for number in range(ROUNDS):
        for name, side in sides.items():
            last[name] = side(folder)
            seconds.setdefault(name, []).append(last[name]["seconds"])
            print(f"  round {number + 1}: {name} {last[name]['seconds']:.2f} s", file=sys.stderr, flush=True)
    mine = statistics.median(next(iter(seconds.values())))
    for name, values in seconds.items():
        if name != "phi-zoo":
            turns = [theirs / own for own, theirs in zip(seconds["phi-zoo"], values, strict=True)]
            row(what, peer=NAMES.get(name, name), ratios=turns, figure=f"{mine:.2f} s")
        median = statistics.median(values)
        told = f"{median:.2f} s [{min(values):.2f}-{max(values):.2f}] n={len(values)}, {median / mine:.1f} times ours"
        print(f"  {NAMES.get(name, name)}: {told}", end="")
        print(f"; {last[name]['tokens']:,} tokens" if "tokens" in last[name] else "", flush=True)
    return last


def near(folder: Path) -> None:
    """Times, and what each side dropped against the exact pairs."""
    import exact_twins
    import numpy as np

    from evals.stats.intervals import wilson

    names = ("datasketch", "datasketch-32x4", "datasketch-sha1", "datatrove")
    peers = {what: side(PEERS, "peers_data.py", what) for what in names}
    ours = side(sys.executable, "bench_data.py", OURS, "dedup")
    last = rounds("near-deduplication, end to end", folder, {"phi-zoo": ours, **peers})
    sets = exact_twins.sets_of(rows(folder))
    pairs = exact_twins.pairs_at(sets)
    some = sorted(np.random.default_rng(0).permutation(len(sets))[:CHECKED].tolist())
    # pairs are few: half of those looked at by brute force are texts that have one
    some = sorted({*some, *list(pairs)[:CHECKED]})
    brute = {some[one]: {some[other] for other in near} for one, near in
             exact_twins.brute_force([sets[item] for item in some]).items()}  # fmt: skip
    part = {one: near for one in some if (near := pairs.get(one, set()) & set(some))}
    print(f"  true pairs at 0.8 of {len(sets):,} texts: {sum(map(len, pairs.values())) // 2:,}, exactly; "
          f"brute force over {len(some):,} texts agrees: {brute == part} ({sum(map(len, part.values())) // 2:,} pairs)")  # fmt: skip
    mine = set(last["phi-zoo"]["dropped"])
    print("  | side | bands | dropped | as ours | with a kept twin | without one | missed | recall |\n"
          + "  | --- " * 8 + "|")  # fmt: skip
    for name, found in last.items():
        one = exact_twins.judged(set(found["dropped"]), pairs, len(sets))
        interval = wilson(one.founded, max(1, one.founded + one.missed))
        bands = f"{found['bands'][0]} of {found['bands'][1]}"
        print(f"  | {name} | {bands} | {len(found['dropped']):,} | {len(mine & set(found['dropped'])):,} "
              f"| {one.founded:,} | {one.unfounded:,} | {one.missed:,} "
              f"| {one.recall:.3f} [{interval.low:.3f}-{interval.high:.3f}] |")  # fmt: skip


def near_command(folder: Path) -> None:
    """The stage on every core against datasketch, which has no way of its own to more than one.

    Ours reads gzipped documents and writes them; the peer reads plain lines and writes nothing.
    """
    last = rounds("near-deduplication, as a command on every core", folder, {
        "phi-zoo": side(sys.executable, "bench_data.py", OURS, "command"),
        "datasketch-32x4": side(PEERS, "peers_data.py", "datasketch-32x4"),
    })  # fmt: skip
    ours, theirs = (set(one["dropped"]) for one in last.values())
    print(f"  dropped: {len(ours)} and {len(theirs)}, of them {len(ours & theirs)} the same")


def main() -> None:
    if sys.argv[1:2] == [OURS]:
        print(
            json.dumps(
                {"dedup": our_dedup, "command": our_command, "tokens": our_tokens}[sys.argv[2]](Path(sys.argv[3]))
            )
        )
        return
    if not PEERS:
        sys.exit("PEERS_PYTHON names no Python with datasketch and datatrove")
    wanted = sys.argv[1:] or ["dedup", "tokens"]
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = corpus(folder)
        if "dedup" in wanted:
            print(f"near-deduplication of {len(rows(folder)):,} different texts, {size:,} characters, one core")
            near(folder)
            near_command(folder)
        if "tokens" in wanted:
            tokenizer(folder)
            print(f"tokenise and pack {len(rows(folder, 'token-texts')):,} of them, one core")
            ours = side(sys.executable, "bench_data.py", OURS, "tokens")
            peers = {"datatrove-tokens": side(PEERS, "peers_data.py", "datatrove-tokens")}
            rounds("tokenise and pack", folder, {"phi-zoo": ours, **peers})


if __name__ == "__main__":
    main()
