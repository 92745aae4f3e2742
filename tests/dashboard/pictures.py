"""Takes every page at three widths, light and dark, to be looked at: `python -m tests.dashboard.pictures FOLDER`.

Over the zoo of the environment (`--here`), or over a made-up one: the quickstart's three checkpoints and two larger
ones, which answered the questions of eight benchmarks. Prints which pages are wider than their window, and what in
them scrolls sideways. Needs Debian's `chromium` and Playwright's Python package.
"""

import argparse
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from evals.protocol import protocol
from evals.records import Result, Sample
from evals.task import Task
from evals.tasks import task as find_task
from tests.dashboard import conftest
from tests.dashboard.browser import CHROMIUM, FLAGS, SIDEWAYS, playwright, serving, still
from zoo.records import Checkpoint, Parent
from zoo.registry import open_registry

WIDTHS = {390: 844, 1024: 768, 1440: 900}
SCHEMES = ("light", "dark")
PAGES = {
    "leaderboard": "", "everything": "?suite=all", "code": "?suite=code&size=500M&licence=permissive&licence=unknown",
    "cell": "", "model": "model", "model-published": "model?name=phi-1", "compare": "compare", "flip": "compare",
    "samples": "samples", "scale": "scale", "scale-all": "scale?beside=all", "talk": "talk", "try": "try",
    "health": "health", "calibration": "calibration",
}  # fmt: skip
MINIS = ("phi-1-small-mini-unfiltered", "phi-1-small-mini-base", "phi-1-small-mini")
SIZES = {"larger-268m": 268_000_000, "small-135m": 135_000_000} | dict.fromkeys(MINIS, 1_250_000)
SHARES = {  # of questions answered right by each: made up, near what such models score; None: not asked
    "humaneval@openai": (0.037, 0.0, 0.0, 0.0, 0.0), "humaneval@bigcode": (0.043, 0.043, None, None, None),
    "arc_easy": (0.586, 0.516, 0.25, 0.249, 0.261), "arc_challenge": (0.244, 0.247, None, None, None),
    "piqa": (0.672, 0.643, 0.51, 0.524, 0.523), "winogrande": (0.529, 0.504, None, None, None),
    "openbookqa": (0.2, 0.202, None, None, None), "mini_exercises": (None, None, 0.004, 0.009, 0.791),
}  # fmt: skip


def answer(task: Task, sample: Sample, share: float, draw: random.Random) -> Result:
    """A made-up answer that is right with the chance `share`."""
    right = draw.random() < share
    if not task.by_logprob:
        verdict, detail = (
            ("failed", "AssertionError") if draw.random() < 0.6 else ("error", "SyntaxError: invalid syntax")
        )
        text = f"    return {draw.randint(0, 99)}\n"
        return conftest.result(
            0, right, sample=sample.id, text=text + "\n\ndef main():\n    print(1)\n", answer=text,
            verdict="passed" if right else verdict, detail="" if right else detail,
        )  # fmt: skip
    target, choices = int(sample.target), max(len(sample.choices), 2)
    chosen = target if right else (target + 1) % choices
    logprobs = tuple(-5.0 - draw.random() - 3.0 * (n != chosen) for n in range(choices))
    return conftest.result(
        0, right, sample=sample.id, metrics={"acc": float(right)}, text="", answer="", logprobs=logprobs, detail="",
        finish="", tokens=0, seconds=0.01,
    )  # fmt: skip


def fill(folder: Path) -> None:
    """Two larger checkpoints and the quickstart's three, the last of these a child of the one before."""
    with open_registry(f"sqlite:///{folder / 'zoo.db'}", str(folder / "store")) as registry:
        models: list[Checkpoint] = []
        for at, (name, parameters) in enumerate(SIZES.items()):
            parents = (Parent(digest=models[-1].digest, relation="finetune"),) if name == MINIS[-1] else ()
            made = conftest.checkpoint(
                name, 90 + at, parameters=parameters, licence="" if at == 0 else "apache-2.0", parents=parents,
                family="phi" if name in MINIS else "llama", training_tokens=20 * parameters,
                created=f"2026-10-0{at + 1}T10:00:00+00:00",
            )  # fmt: skip
            models.append(registry.enter(made))
        for number, (key, shares) in enumerate(SHARES.items()):
            task = find_task(key)
            samples = list(task.samples())
            under = protocol(task, samples, task.metrics[0])
            for model, share in zip(models, shares, strict=True):
                draw = random.Random(number)  # the same questions are easy for all
                if share is not None:
                    results = [answer(task, one, share, draw) for one in samples]
                    conftest.add_run(registry, folder, model, under, results)


def prepare(page: Any, name: str) -> None:
    """Opens what a page shows after a click only."""
    if name == "cell":
        page.locator("td.measured").first.click()
        page.get_by_role("dialog").wait_for()
    if name == "flip":
        page.locator("button[data-act=read]").first.click()
        page.locator("section.reader").wait_for()


def take(address: str, folder: Path, names: list[str], widths: list[int]) -> None:
    """Takes the named pages, each whole, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        for scheme in SCHEMES:
            for width in widths:
                page = browser.new_page(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme)
                page.set_default_timeout(60_000)
                for name in names:
                    page.goto(f"{address}/{PAGES[name]}")
                    still(page)
                    prepare(page, name)
                    still(page)
                    high = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight")
                    page.set_viewport_size({"width": width, "height": min(max(high + 60, WIDTHS[width]), 6000)})
                    still(page, 600)
                    page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")
                    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
                    if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
                        print(f"{name} {width} {scheme}: the page is {wide} wide")
                    if lines := [f"{name} {width} {scheme}: {one}" for one in page.evaluate(SIDEWAYS)]:
                        print(*lines, sep="\n", flush=True)
                page.close()
        browser.close()


def main() -> None:
    """Reads the options, fills a zoo unless there is one, and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--here", action="store_true", help="over the environment's zoo")
    parser.add_argument("--page", action="append", choices=[*PAGES], help="this page alone; can be repeated")
    parser.add_argument("--width", action="append", type=int, choices=[*WIDTHS])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        zoo = Path(os.environ["PHIZOO_HOME"]) if asked.here else Path(scratch)
        if not asked.here:
            fill(zoo)
        with serving(zoo) as address:
            take(address, asked.folder, asked.page or [*PAGES], asked.width or [*WIDTHS])


if __name__ == "__main__":
    main()
