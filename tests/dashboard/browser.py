"""Helpers for tests in a real Chromium: a server over a made-up zoo, and waiting for and reading its pages.

Needs Debian's `chromium` and Playwright's Python package; imported by the tests that need them alone.
"""

import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dashboard import server

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-dev-shm-usage"),
)
PAGES = ("Leaderboard", "Compare", "Model", "Samples", "Scale", "Calibration", "Talk", "Try", "Health")
SLOW_MS = 60_000  # for a machine that does other things meanwhile; nothing here measures time

NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed: apt-get install chromium"),
]
pytest.importorskip("streamlit", reason="the [dashboard] extra is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server over a folder's zoo, ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PHIZOO_DB": f"sqlite:///{folder / 'zoo.db'}",
        "PHIZOO_STORE": str(folder / "store"),
        "PHIZOO_HOME": str(folder / "home"),
        server.PUBLIC: "",
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(server.server_command(port, public=False), env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for(url: str) -> None:
    """Returns when the server answers; fails after a minute."""
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"no answer from {url}")


def watch(opened: Any, faults: list[str]) -> None:
    def console(message: Any) -> None:
        # a page's own address makes Streamlit's client probe /page/_stcore/... before /_stcore/...
        probed = "/_stcore/" in message.location.get("url", "")
        if message.type == "error" and not probed:
            faults.append(message.text)

    def request(sent: Any) -> None:
        if not re.match(r"(https?://127\.0\.0\.1|wss?://127\.0\.0\.1|data:|blob:|file:|about:)", sent.url):
            faults.append(f"request to {sent.url}")

    opened.on("console", console)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", request)


def settled(opened: Any) -> None:
    """Waits until the script has run and its page is drawn."""
    opened.wait_for_selector("h1")
    opened.wait_for_selector("[data-test-script-state=notRunning]", state="attached")
    opened.wait_for_function("() => !document.querySelector('[data-testid=stStatusWidgetRunningIcon]')")
    opened.wait_for_function("() => !document.querySelector('[data-stale=true]')")


STILL = """milliseconds => {
  const runs = document.querySelector(
    "[data-test-script-state=running], [data-testid=stStatusWidgetRunningIcon], [data-stale=true]");
  const moves = document.getAnimations().some(
    one => one.playState === "running" && one.effect.getComputedTiming().endTime < Infinity);
  if (runs || moves || !window.stillSince) window.stillSince = performance.now();
  return performance.now() - window.stillSince >= milliseconds;
}"""


def still(opened: Any, milliseconds: int = 1500) -> None:
    """Waits until nothing has run, redrawn or faded for so long: axe must not judge colours in transition."""
    settled(opened)
    opened.wait_for_function(STILL, arg=milliseconds)


# what can be scrolled sideways, inside shadow roots too
SIDEWAYS = """() => [...document.querySelectorAll("*")].flatMap(one => [one, ...(one.shadowRoot?.querySelectorAll("*") || [])])
  .filter(one => one.scrollWidth > one.clientWidth + 2 && one.clientWidth > 40
    && ["auto", "scroll"].includes(getComputedStyle(one).overflowX))
  .map(one => `${one.tagName} ${one.dataset.testid || one.className} ${one.scrollWidth}>${one.clientWidth}`)"""


def choose(opened: Any, label: str | re.Pattern[str], wanted: int | str) -> None:
    """Chooses the option at a position, or with a text, of a select box; again where a redraw closed the list."""
    box = opened.get_by_role("combobox", name=label, exact=isinstance(label, str))
    option = opened.get_by_role("option")
    one = option.nth(wanted) if isinstance(wanted, int) else option.filter(has_text=wanted).first
    for _ in range(10):
        box.click()
        try:
            option.first.wait_for(timeout=4000)
            one.click(timeout=4000)
            return
        except playwright.TimeoutError:
            opened.keyboard.press("Escape")
    raise AssertionError(f"{label} does not show the option {wanted}")


def models(opened: Any) -> list[str]:
    opened.wait_for_selector("table.board tbody th.model")
    return list(opened.locator("table.board tbody th.model .name").all_inner_texts())
