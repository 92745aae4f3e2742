"""Starts the page's Streamlit server, bound to 127.0.0.1 unless it is public."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from zoo.safe_path import python

APP = Path(__file__).with_name("app.py")
PUBLIC = "PHIZOO_PUBLIC"  # set: the app asks for the password

# the light and the dark theme, chosen by the system; primary colours as in board.css
THEME = {
    "theme.light.primaryColor": "#0072b2", "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f6f8fa", "theme.light.textColor": "#1d2530",
    "theme.dark.primaryColor": "#56b4e9", "theme.dark.backgroundColor": "#12161c",
    "theme.dark.secondaryBackgroundColor": "#1a1f27", "theme.dark.textColor": "#e8ebef",
}  # fmt: skip


def server_command(port: int, public: bool, headless: bool = True) -> list[str]:
    """The command line that starts the server."""
    options = {
        "server.port": port,
        "server.address": "0.0.0.0" if public else "127.0.0.1",  # noqa: S104 - only with --public and a password
        "server.headless": str(headless).lower(),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "logger.hideWelcomeMessage": "true",  # `serve` says where the page is, once
        "logger.level": "warning",
        "client.showErrorDetails": "none" if public else "full",
        "global.developmentMode": "false",
        **THEME,
    }
    return python("-m", "streamlit", "run", str(APP), *(f"--{key}={value}" for key, value in options.items()))


def serve(port: int, public: bool, query: str = "") -> NoReturn:
    """Replaces this process by the server, so that ending the one ends the other.

    query  the view to open, as in the address from the question mark on
    """
    address = f"http://127.0.0.1:{port}" + (f"/?{query}" if query else "")
    print(f"The leaderboard is at {address} (Ctrl-C stops it).", file=sys.stderr, flush=True)
    arguments = server_command(port, public)
    os.execve(arguments[0], arguments, {**os.environ, PUBLIC: "1" if public else ""})  # noqa: S606
