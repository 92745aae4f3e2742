"""How fast the page is in a real Chromium: own boards of 200 x 30 and 1,200 x 60, a board of 1,200 published models x 60
columns beside the published table, and the samples of a 14,042-sample run.

    python tests/bench/bench_dashboard.py [--board own-200] [--board own-1200] [--board published-1200]

Prints seconds from a warm server, the median of five with the least and the most, against their targets; the script's
own part of them; and the server's memory. Numbers depend on the machine.
"""

import argparse
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
from zoo.published.reported_here import keep_reported
from zoo.records import Checkpoint, ProtocolRecord, Reported, Score
from zoo.registry import open_registry

CHROMIUM = "/usr/bin/chromium"
REPEATS = 5
BOARDS = {"own-200": (200, 30), "own-1200": (1200, 60), "published-1200": (1200, 60)}
TARGETS = {"first view": 2.0, "filter": 0.3, "sort": 0.3, "cell": 0.3, "samples of 14,042": 1.0}


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


def report(folder: Path, models: int, columns: int) -> None:
    """A small own zoo, and a user's table of that many published models and columns, nine cells of ten filled."""
    fill(folder, 5, 4)
    rows = [
        Reported(
            model=f"elsewhere-{number:04d}", parameters=1e6 * (number + 1), unique_tokens=None, training_tokens=None,
            date="2026-01", benchmark=f"benchmark {at:02d}", subset="", protocol="accuracy", shots=0, op="=",
            value=(number * 37 + at * 11) % 1000 / 10, n=1000, source="a table", address="https://example.org/table",
            accessed="2026-01-02",
        )
        for number in range(models) for at in range(columns) if (number + at) % 10
    ]  # fmt: skip
    os.environ["PHIZOO_HOME"] = str(folder)
    keep_reported(rows, "bench")


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """The page over a folder's zoo: its address and the server's process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PHIZOO_DB": f"sqlite:///{folder / 'zoo.db'}", "PHIZOO_STORE": str(folder / "store"),
                   "PHIZOO_HOME": str(folder)}  # fmt: skip
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


def timed(action: Callable[[int], None], clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """The seconds of five runs, in order, after one that warms everything."""
    action(0)
    spent = []
    for number in range(1, REPEATS + 1):
        began = clock()
        action(number)
        spent.append(clock() - began)
    return sorted(spent)


def processor() -> float:
    """The processor seconds of all processes that this one started and that still run: the server and the browser."""
    spent, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents[path.parent.name], spent[path.parent.name] = fields[1], int(fields[11]) + int(fields[12])
    ours, found = {str(os.getpid())}, True
    while found:
        found = {pid for pid, parent in parents.items() if parent in ours and pid not in ours}
        ours |= found
    return sum(spent[pid] for pid in ours if pid in spent) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """A process's resident memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def browse(page: Any, address: str, name: str) -> dict[str, list[float]]:
    """The seconds of a first view, a filter, a sort and a cell in the browser, until each is seen."""
    view = f"{address}/?suite={'all' if name.startswith('published') else 'here'}"
    model = "elsewhere-00" if name.startswith("published") else "model-00"

    def first(_number: int) -> None:
        page.goto(view)
        page.wait_for_selector("table.board tbody tr")

    def narrow(number: int) -> None:
        box = page.get_by_label("Search")
        box.fill(f"{model}{number:02d}")
        box.press("Enter")
        page.wait_for_function(ONE_ROW, arg=f"{model}{number:02d}")

    def sort(_number: int) -> None:
        head = page.locator("table.board").last.locator("th[data-column]").nth(1)
        key = head.get_attribute("data-column")
        head.locator("button.sort").click()
        page.wait_for_function(SORTED, arg=key)

    def cell(_number: int) -> None:
        page.locator("table.board").last.locator("td.measured, td.reported").first.click()
        page.get_by_role("dialog").wait_for()

    def settle(_number: int) -> None:
        page.wait_for_timeout(500)
        page.wait_for_selector("[data-test-script-state=notRunning]", state="attached")
        page.wait_for_timeout(500)

    def close(number: int) -> None:
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        settle(number)

    figures = both("first view", first) | both("filter", narrow)
    page.goto(view)
    page.wait_for_selector("table.board tbody tr")
    return figures | both("sort", sort, settle) | both("cell", cell, close)


def both(
    name: str, action: Callable[[int], None], after: Callable[[int], None] = lambda _number: None
) -> dict[str, list[float]]:
    """The seconds of an action by the clock, and those of the processor in server and browser together."""
    walls, spent = [], []
    for number in range(REPEATS + 1):
        began, before = time.perf_counter(), processor()
        action(number)
        walls.append(time.perf_counter() - began)
        spent.append(processor() - before)
        after(number)
    return {name: sorted(walls[1:]), f"{name}, processor time": sorted(spent[1:])}


ONE_ROW = """name => [...document.querySelectorAll("*")].some(e => e.shadowRoot
  && e.shadowRoot.querySelectorAll("tbody tr").length === 1
  && e.shadowRoot.querySelector("tbody tr .name").textContent.startsWith(name))"""
SORTED = """key => [...document.querySelectorAll("*")].some(e => e.shadowRoot
  && [...e.shadowRoot.querySelectorAll("th[aria-sort]")].some(th => th.dataset.column === key))"""


def script(folder: Path, name: str) -> dict[str, list[float]]:
    """The seconds of the page's own script for a first view and a filter, without Streamlit and browser."""
    from dashboard.board.blocks import make_blocks
    from dashboard.board.html_table import render_blocks
    from dashboard.board.view import View, select
    from dashboard.data import source

    os.environ |= {"PHIZOO_DB": f"sqlite:///{folder / 'zoo.db'}", "PHIZOO_STORE": str(folder / "store"),
                   "PHIZOO_HOME": str(folder)}  # fmt: skip
    suite = "all" if name.startswith("published") else "here"
    boards = []

    def load(_number: int) -> None:
        with source.open_zoo() as registry:
            boards.append(source.load_board(registry))

    def draw(search: str) -> None:
        view = View(suite=suite, search=search)
        shown = select(boards[-1], view)
        blocks = make_blocks(shown, view)
        render_blocks(shown, blocks, view, blocks.reported.rows[:100], ticks=True)

    # in seconds of the processor, which others on the machine do not change; another word each time: ranks are kept
    figures = {"loading the board": timed(load, time.process_time)}
    figures["drawing a filter"] = timed(lambda number: draw(f"00{number}"), time.process_time)
    figures["drawing all rows again"] = timed(lambda _number: draw(""), time.process_time)
    return figures


def samples(page: Any, address: str, folder: Path) -> list[float]:
    run = (folder / "run").read_text()

    def open_samples(number: int) -> None:
        page.goto(f"{address}/samples?run={run}&find={number}")
        page.get_by_role("heading", level=3).first.wait_for()

    return timed(open_samples)


def show(name: str, figures: dict[str, list[float]]) -> int:
    """Prints figures and keeps them as rows; gives back how many miss their target."""
    missed = 0
    for what, spent in figures.items():
        middle, target = statistics.median(spent), TARGETS.get(what)
        late = target is not None and middle > target
        missed += late
        figure = f"{middle:.2f} s ({spent[0]:.2f} to {spent[-1]:.2f}, n={len(spent)})"
        row(f"{name}: {what}", figure=figure, target=f"{target or ''}")
        print(
            f"{name}: {what} {figure}{f', target {target} s' if target else ''}{', MISSED' if late else ''}", flush=True
        )
    return missed


def main() -> int:
    """Prints the figures; 1 when one misses its target."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append", choices=[*BOARDS])
    missed = 0
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as scratch:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(120_000)
        for name in parser.parse_args().board or BOARDS:
            models, columns = BOARDS[name]
            folder = Path(scratch) / name
            folder.mkdir()
            (report if name.startswith("published") else fill)(folder, models, columns)
            title = f"{name.partition('-')[0]}, {models:,} models x {columns} columns"
            missed += show(f"{title}, processor time of the script", script(folder, name))
            with serving(folder) as (address, pid):
                figures = browse(page, address, name)
                if name == "own-200":
                    figures["samples of 14,042"] = samples(page, address, folder)
                missed += show(title, figures)
                row(f"{title}: the server's memory", figure=f"{memory(pid):.0f} MB")
                print(f"{title}: server memory {memory(pid):.0f} MB", flush=True)
        browser.close()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
