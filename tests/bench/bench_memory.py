"""Peak memory of each stage of the training data for a corpus and one of four times its size: bounded by shard.

Each stage is a process of its own with one worker, and its peak is what the system counted for it (ru_maxrss of
it and the workers it waited for). Documents: 60,000 and 240,000 of about 1 kB, three shards and twelve (BENCH_DOCUMENTS
names the first, BENCH_TIMES how many times as large the other is). What still grows is the index of the process that
orders results; the last column says by how many bytes a document.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import row

DOCUMENTS = int(os.environ.get("BENCH_DOCUMENTS", "60000"))
TIMES = int(os.environ.get("BENCH_TIMES", "4"))
STAGES = {
    "gather": ["gather", "{source}", "--out", "code"],
    "dedup": ["dedup", "code", "--out", "single"],
    "filter": ["filter", "single", "--keep", "0.5", "--out", "best"],
    "decontaminate": ["decontaminate", "single", "--against", "humaneval", "--out", "clean"],
    "tokenizer": ["tokenizer", "clean", "--vocabulary", "1024", "--out", "bpe"],
    "pack": ["pack", "clean", "--tokenizer", "bpe", "--out", "tokens"],
}
RUN = "import sys; from zoo.cli.root import main; main()"


def corpus(folder: Path, number: int) -> Path:
    """Python functions like no others, as JSON lines."""
    words = [f"{a}{b}" for a in ("read", "sort", "count", "merge", "part", "sum", "first", "row") for b in "abcdefghij"]
    random_ = random.Random(0)
    folder.mkdir()
    with (folder / "rows.jsonl").open("w") as file:
        for place in range(number):
            names = random_.sample(words, 12)
            doc = f'    """{" ".join(names[:6]).capitalize()} of two numbers."""\n' if place % 2 else ""
            body = "".join(
                f"    {random_.choice(names)}_{random_.randrange(9999)} = {names[1]} * {n} + {random_.choice(names[1:4])} - {place}\n"
                for n in range(18)
            )
            text = f"def {names[0]}_{place}({', '.join(names[1:4])}):\n{doc}{body}    return {names[1]} + {names[2]}\n"
            file.write(json.dumps({"content": text, "repo_name": f"project{place % 97}"}) + "\n")
    return folder


def peak(arguments: list[str], home: Path) -> int:
    """Bytes of the largest process of a command. Raises when it fails."""
    environment = {**os.environ, "PHIZOO_HOME": str(home), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, "data", *arguments],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stderr
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(arguments)} failed: {said.splitlines()[-1:]}")
    return usage.ru_maxrss * 1024


def main() -> None:
    sizes = [DOCUMENTS, TIMES * DOCUMENTS]
    found: dict[str, list[int]] = {stage: [] for stage in STAGES}
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            source = corpus(Path(name) / "source", size)
            for stage, arguments in STAGES.items():
                own = [one.format(source=source) for one in arguments]
                workers = [] if stage == "tokenizer" else ["--workers", "1"]
                found[stage].append(peak([*own, *workers], Path(name) / "home"))
                print(
                    f"  {size:,} documents, {stage}: {found[stage][-1] / 2**20:,.0f} MiB", file=sys.stderr, flush=True
                )
    print("| stage | " + " | ".join(f"{size:,} documents" for size in sizes) + " | growth | bytes a document |")
    print("| --- " + "| ---: " * (len(sizes) + 2) + "|")
    for stage, values in found.items():
        slope = (values[-1] - values[0]) / (sizes[-1] - sizes[0])
        cells = " | ".join(f"{value / 2**20:,.0f} MiB" for value in values)
        print(f"| {stage} | {cells} | {values[-1] / values[0]:.2f} times | {slope:,.0f} |")
        figure = f"{' and '.join(f'{value / 2**20:,.0f}' for value in values)} MiB, {slope:,.0f} bytes a document more"
        row(f"peak memory of {stage}, {' and '.join(f'{size:,}' for size in sizes)} documents", figure=figure)


if __name__ == "__main__":
    main()
