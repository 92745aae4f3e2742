"""The page "Try" in a real Chromium: streamed text stays text, a chat has turns and folds its thought.

Needs Debian's `chromium` and Playwright's Python package.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.dashboard.browser import NEEDS_CHROMIUM, choose, settled

pytestmark = NEEDS_CHROMIUM


class Writer(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that streams hostile text, its last piece when the test has seen the first."""

    seen = threading.Event()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""

    def answer(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def do_GET(self) -> None:
        self.answer("application/json")
        self.wfile.write(b'{"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer("text/event-stream")
        last = " **end** \x1b[2J"
        for piece in ("<script>window.hacked=1</script>", "<img src=x onerror='window.hacked=1'>", last):
            if piece == last:
                self.seen.wait(120)
            event = {"id": "1", "object": "text_completion", "created": 0, "model": "m",
                    "choices": [{"index": 0, "text": piece, "finish_reason": None, "logprobs": None}]}  # fmt: skip
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")


@contextmanager
def served(kind: type[Writer]) -> Iterator[str]:
    """The address of such a server, which ends with the block."""
    writer = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=writer.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{writer.server_port}/v1"
    finally:
        writer.shutdown()
        writer.server_close()


def begin_writing(page: Any, address: str, server: str) -> None:
    """Opens the page, and asks a server for the end of an example's prompt."""
    page.goto(f"{address}/try")
    settled(page)
    assert page.get_by_role("button", name="Stop").count() == 0
    page.get_by_text("Skier", exact=True).click()
    page.wait_for_function("() => document.querySelector('textarea')?.value.includes('skier')")
    choose(page, "Model", -1)
    box = page.get_by_label("OpenAI-compatible address")
    box.fill(server)
    box.press("Enter")
    settled(page)
    page.get_by_role("button", name="Generate").click()


def test_playground_streams_text_that_stays_text(page: Any, address: str) -> None:
    with served(Writer) as server:
        begin_writing(page, address, server)
        page.get_by_text("<script>window.hacked=1</script>").first.wait_for()
        assert page.get_by_text("**end**").count() == 0  # it came while the rest was still to be written
        Writer.seen.set()
        page.get_by_text("**end** ␛[2J").wait_for()
        assert page.evaluate("window.hacked") is None
        assert page.locator("img[src=x]").count() == 0


class EndlessWriter(Writer):
    """A server that writes until nobody reads any more."""

    ended = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer("text/event-stream")
        try:
            while True:
                self.wfile.write(b'data: {"choices": [{"index": 0, "text": "on and "}]}\n\n')
                self.wfile.flush()
                time.sleep(0.2)
        except OSError:
            self.ended.set()


def test_stop_ends_the_writing_and_keeps_the_text(page: Any, address: str) -> None:
    with served(EndlessWriter) as server:
        begin_writing(page, address, server)
        page.get_by_text("on and on and").first.wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("Stopped by you").wait_for()
        assert EndlessWriter.ended.wait(60)
        settled(page)
        assert "on and on and" in page.locator("[data-testid=stCode]").last.inner_text()
        assert page.get_by_role("button", name="Stop").count() == 0


class ChatWriter(Writer):
    """A server of a chat model that thinks: its thought comes apart, and repeats the messages that it was sent."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = " | ".join(f"{message['role']}: {message['content']}" for message in body["messages"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        deltas = [{"reasoning_content": "<b>pondered</b>"}, {"content": f"<img src=x> {said}"}]
        for delta in deltas:
            event = {"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")


def test_a_chat_in_the_playground_has_turns_and_folds_its_thought(page: Any, address: str, tmp_path: Path) -> None:
    with served(ChatWriter) as server:
        page.goto(f"{address}/try")
        settled(page)
        page.get_by_text("Chat", exact=True).click()
        settled(page)
        choose(page, "Model", -1)
        for label, text in (
            ("OpenAI-compatible address", server),
            ("System text (empty: none)", "Be brief."),
        ):
            page.get_by_label(label).fill(text)
            page.get_by_label(label).press("Enter")
            settled(page)
        for message in ("first?", "second?"):
            page.get_by_label("Message").fill(message)
            page.get_by_label("Message").press("Control+Enter")
            settled(page)
            page.get_by_role("button", name="Generate").click()
            page.get_by_text(f"user: {message}").first.wait_for()
            settled(page)
        page.get_by_text("assistant: <img src=x> system: Be brief. | user: first? | user: second?").wait_for()
        assert not page.get_by_text("<b>pondered</b>").first.is_visible()
        page.get_by_text("Thought", exact=True).last.click()
        page.get_by_text("<b>pondered</b>").last.wait_for()
        assert page.locator("img[src=x]").count() == 0
        page.screenshot(path=str(tmp_path / "chat.png"), full_page=True)
        page.get_by_role("button", name="New chat").click()
        settled(page)
        page.get_by_text("You", exact=True).first.wait_for(state="detached")
