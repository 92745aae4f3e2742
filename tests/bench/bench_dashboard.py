"""How fast the page is: 200 x 30, 1,200 x 60 and 2,000 x 60 boards beside the published table, and the samples of a 14,042-sample run, in a real Chromium.

    python tests/bench/bench_dashboard.py

Prints seconds from a warm server (the median of five), against its targets, and the server's
memory. Numbers depend on the machine; the ratio of the two boards does not much.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rows import row

from dashboard import server
from evals.records import Facts, Result, Run
from zoo.db.rows import write_run
from zoo.digest import digest
from zoo.records import Checkpoint, ProtocolRecord, Score
from zoo.registry import open_registry

CHROMIUM = "/usr/bin/chromium"
REPEATS = 5


def protocol(number: int, samples: int = 1000) -> ProtocolRecord:
    return ProtocolRecord(
        task=f"task_{number:02d}", task_version=1, name="bench", metric="acc", shots=0, prompt="Q:",
        prompts_sha256=digest(number), samples=samples, decoding={},
    )  # fmt: skip


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint(
        name=f"model-{number:04d}", version=1, digest=digest(["checkpoint", number]), files=(), architecture={},
        parameters=10**6 * (number + 1), context_tokens=2048, prompt_style="completion", training_tokens=10**9,
        recipe_digest=None, parents=(), datasets=(), licence="apache-2.0", created=f"2026-01-01T00:00:{number:06d}",
        source="", family=f"family {number % 9}",
    )  # fmt: skip


def header(one: Checkpoint, under: ProtocolRecord, samples: int) -> dict[str, Any]:
    facts = Facts(engine="replay", version="1", dtype="float32", device="cpu", context_tokens=2048)
    run = Run(
        id=digest([one.digest, under.fingerprint])[:32], checkpoint=one.digest, checkpoint_label=one.label,
        task=under.task, protocol=msgspec.to_builtins(under), fingerprint=under.fingerprint, backend=facts, seed=0,
        draws=1, limit=None, samples=samples, hardware={}, versions={}, commit="",
    )  # fmt: skip
    told: dict[str, Any] = msgspec.to_builtins(run)
    return told


def fill(folder: Path, models: int, columns: int) -> None:
    """A zoo of that many models and columns, nine cells of ten filled, and one run with 14,042 result lines."""
    protocols = [protocol(number) for number in range(columns)]
    with open_registry(f"sqlite:///{folder / 'zoo.db'}", str(folder / "store")) as registry:
        held = [registry.enter(checkpoint(number)) for number in range(models)]
        with registry.database.write():
            for number, one in enumerate(held):
                for at, under in enumerate(protocols):
                    if (number + at) % 10:
                        told = header(one, under, 1000)
                        value = (number * 37 + at * 11) % 1000 / 1000
                        score = Score(
                            checkpoint=one.digest, run=told["id"], task=under.task, protocol=under.fingerprint,
                            metric="acc", value=value, low=max(0.0, value - 0.03), high=min(1.0, value + 0.03), n=1000,
                            clusters=1000, unscored=0,
                        )  # fmt: skip
                        write_run(registry.database, told, under, [score], "", "2026-01-01")
        large = protocol(99, 14042)
        lines = [
            Result(sample=f"mmlu/{at:05d}", draw=0, score=float(at % 3 == 0), metrics={"acc": float(at % 3 == 0)},
                   verdict="passed" if at % 3 == 0 else "failed", answer="B", logprobs=(-1.0, -2.0, -3.0, -4.0))
            for at in range(14042)
        ]  # fmt: skip
        path = folder / "results.jsonl"
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        told = header(held[0], large, 14042) | {"started": "2027"}
        registry.add_scores(told, large, [], path)
        (folder / "run").write_text(told["id"])


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """The page over a folder's zoo: its address and the server's process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PHIZOO_DB": f"sqlite:///{folder / 'zoo.db'}", "PHIZOO_STORE": str(folder / "store")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(server.server_command(port, public=False), env=environment, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def median(action: Callable[[int], None]) -> float:
    """The median seconds of five runs, after one that warms everything."""
    action(0)
    spent = []
    for number in range(1, REPEATS + 1):
        began = time.perf_counter()
        action(number)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def memory(pid: int) -> float:
    """A process's resident memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def board(page: Any, address: str) -> tuple[float, float]:
    """(first view, filter change) in seconds."""

    def first(_number: int) -> None:
        page.goto(f"{address}/?suite=own")
        page.wait_for_selector("table.board tbody tr")

    def narrow(number: int) -> None:
        wanted = f"model-00{number:02d}"
        box = page.get_by_label("Search models")
        box.fill(wanted)
        box.press("Enter")
        page.wait_for_function(
            "name => [...document.querySelectorAll('*')].some(e => e.shadowRoot &&"
            " e.shadowRoot.querySelectorAll('tbody tr').length === 1 &&"
            " e.shadowRoot.querySelector('tbody tr .name').textContent.startsWith(name))",
            arg=wanted,
        )

    return median(first), median(narrow)


def main() -> int:
    """Prints the figures; 1 when one misses its target."""
    from playwright.sync_api import sync_playwright

    missed = 0
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as scratch:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(120_000)
        for models, columns, targets in ((200, 30, (2.0, 0.3)), (1200, 60, (2.0, 0.3)), (2000, 60, (None, 1.0))):
            folder = Path(scratch) / str(models)
            folder.mkdir()
            fill(folder, models, columns)
            with serving(folder) as (address, pid):
                figures = dict(
                    zip(("first view", "filter change"), zip(board(page, address), targets, strict=True), strict=True)
                )
                if models == 200:
                    run = (folder / "run").read_text()

                    def samples(number: int, address: str = address, run: str = run) -> None:
                        page.goto(f"{address}/samples?run={run}&find={number}")
                        page.get_by_role("heading", level=3).first.wait_for()

                    figures["samples of 14,042"] = (median(samples), 1.0)
                for name, (seconds, target) in figures.items():
                    late = target is not None and seconds > target
                    missed += late
                    goal = f"target {target} s{', MISSED' if late else ''}" if target else "no target"
                    row(
                        f"{models} models x {columns} columns: {name}",
                        figure=f"{seconds:.2f} s",
                        target=f"{target or ''}",
                    )
                    print(f"{models} x {columns}: {name} {seconds:.2f} s ({goal})", flush=True)
                row(f"{models} models x {columns} columns: the server's memory", figure=f"{memory(pid):.0f} MB")
                print(f"{models} x {columns}: server memory {memory(pid):.0f} MB", flush=True)
        browser.close()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
