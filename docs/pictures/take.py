"""Takes README's pictures of the page over the environment's zoo: `python docs/pictures/take.py`.

Needs Debian's `chromium` and Playwright's Python package. Look at them before they are committed.
"""

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from dashboard import server

FOLDER = Path(__file__).parent
# name -> (width, height, light or dark)
PICTURES = {"leaderboard": (1440, 960, "light"), "leaderboard-phone": (390, 844, "dark")}


def main() -> None:
    """Starts a server, takes each picture once the table stands, ends the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(server.server_command(port, public=False), env={**os.environ, server.PUBLIC: ""})
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
            )
            for name, (width, height, scheme) in PICTURES.items():
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.goto(f"http://127.0.0.1:{port}/")
                page.wait_for_selector("table.board tbody tr", timeout=120_000)
                page.wait_for_timeout(2000)  # fonts and the last redraw
                page.screenshot(path=FOLDER / f"{name}.png")
            browser.close()
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
