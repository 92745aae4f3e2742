"""The pages in a real Chromium: loading, filters, cells, addresses and the keyboard.

Needs Debian's `chromium` and Playwright's Python package. Accessibility: `test_axe.py`.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard.board import export
from dashboard.board.build import build_board
from tests.dashboard.browser import NEEDS_CHROMIUM, PAGES, SLOW_MS, choose, models, serving, settled
from tests.talk_table import talk_table
from zoo.registry import open_registry

pytestmark = NEEDS_CHROMIUM


def test_each_page_loads_from_the_menu(page: Any, address: str) -> None:
    page.goto(address)
    settled(page)
    for name in PAGES:
        page.get_by_test_id("stTopNavLink").filter(has_text=re.compile(f"^{name}$")).click()
        page.get_by_role("heading", level=1, name="The talk" if name == "Talk" else name).wait_for()
        settled(page)
        assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize("name", PAGES[1:])
def test_each_page_opens_by_its_address(page: Any, address: str, name: str) -> None:
    page.goto(f"{address}/{name.lower()}")
    page.get_by_role("heading", level=1, name="The talk" if name == "Talk" else name).wait_for()
    settled(page)
    assert page.get_by_test_id("stException").count() == 0


def test_leaderboard_holds_own_and_every_talk_row(page: Any, address: str) -> None:
    page.goto(address)
    assert models(page) == [
        "phi-1-small-mini:1", "phi-1-small-mini-base:1", "phi-1-small-mini-unfiltered:1",
        *(row.label for row in talk_table()),
    ]  # fmt: skip
    zero = page.locator("tr.own td.measured").first
    assert re.sub(r"\s+", " ", zero.inner_text()) == "0.0 #1–3 [0.0–2.3] n=164 covers 90–99%, not 95%"


def test_search_filters_and_the_address_restores_it(page: Any, address: str, chromium: Any) -> None:
    page.goto(address)
    models(page)
    box = page.get_by_label("Search models")
    box.fill("codex")
    box.press("Enter")
    page.wait_for_function("() => location.search.includes('search=codex')")
    page.locator("table.board tbody tr").nth(2).wait_for(state="detached")
    assert models(page) == ["Codex-300M", "Codex-12B"]
    sent = chromium.new_page()
    sent.set_default_timeout(SLOW_MS)
    sent.goto(page.url)
    assert models(sent) == ["Codex-300M", "Codex-12B"]
    sent.close()


def test_suite_changes_the_columns(page: Any, address: str) -> None:
    page.goto(address)
    models(page)
    page.get_by_role("radio", name="phi-1.5").or_(page.get_by_role("button", name="phi-1.5")).first.click()
    page.locator("th.benchmark", has_text="WinoGrande").wait_for()
    assert "suite=phi-1.5" in page.url


def test_header_sorts_and_turns_around(page: Any, address: str) -> None:
    page.goto(address)
    models(page)
    head = page.locator("th.reported").first
    head.locator("button.sort").click()
    page.locator('th.reported[aria-sort="descending"]').wait_for()
    assert models(page)[:2] == ["GPT-4", "WizardCoder"]
    page.locator('th.reported[aria-sort="descending"] button.sort').click()
    page.locator('th.reported[aria-sort="ascending"]').wait_for()
    assert models(page)[0] == "CodeGen2-1B"


def test_measured_cell_opens_its_evidence_and_the_address_restores_it(page: Any, address: str) -> None:
    page.goto(address)
    models(page)
    page.locator("tr.own td.measured").nth(1).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("phizoo eval reproduce phi-1-small-mini:1/mini_exercises@phizoo").wait_for()
    assert "\nphizoo eval run " in dialog.get_by_test_id("stCode").first.inner_text()  # a command a line, as copied
    assert "cell=" in page.url
    page.goto(page.url)
    page.get_by_role("dialog").get_by_text("Prompt of the first sample").wait_for()
    page.get_by_role("dialog").get_by_text("Open the samples").click()
    page.get_by_role("heading", level=1, name="Samples").wait_for()
    page.get_by_role("heading", name="mini_exercises/0").wait_for()


def test_reported_cell_shows_its_source_and_comparability(page: Any, address: str) -> None:
    page.goto(address)
    models(page)
    page.locator("td.reported").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Reported elsewhere, not measured here.").wait_for()
    text = dialog.inner_text()
    assert "arXiv 2306.11644v2 Table 1" in text
    assert "Roughly comparable" in text
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.wait_for_function("() => !location.search.includes('cell=')")


def test_keyboard_reaches_a_cell_and_opens_it(page: Any, address: str) -> None:
    page.goto(address)
    models(page)
    page.locator("table.board tbody th.model").first.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_text("Measured here").wait_for()


def test_samples_filter_by_verdict_and_search(page: Any, address: str) -> None:
    page.goto(f"{address}/samples?verdict=unscored")
    page.get_by_label("Search").wait_for()
    settled(page)
    choose(page, re.compile("Checkpoint"), "phi-1-small-mini-base:1")
    settled(page)
    choose(page, re.compile("Run"), "mini_exercises")
    page.get_by_role("heading", name="mini_exercises/300").wait_for()


def test_ten_sessions_at_once_see_their_own_view(chromium: Any, address: str) -> None:
    searches = [
        "codex",
        "starcoder-prompted",
        "replit",
        "palm",
        "codet5",
        "wizard",
        "santa",
        "codegeex",
        "gpt-4",
        "phi-1-small-mini-base",
    ]
    contexts = [chromium.new_context() for _ in searches]
    pages = [context.new_page() for context in contexts]
    for opened, search in zip(pages, searches, strict=True):
        opened.set_default_timeout(2 * SLOW_MS)
        opened.goto(f"{address}/?search={search}", wait_until="commit")
    for opened, search in zip(pages, searches, strict=True):
        shown = models(opened)
        assert shown
        assert all(search in name.lower() for name in shown)
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_overflows_the_window(page: Any, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address)
    models(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_filters_are_drawn_when_opened_and_the_address_holds_them(page: Any, address: str, chromium: Any) -> None:
    page.goto(address)
    models(page)
    assert page.get_by_text("Complete rows only").count() == 0
    page.get_by_text("Filters, columns and order").click()
    page.get_by_text("closed", exact=True).click()
    page.wait_for_function("() => location.search.includes('weights=closed')")
    page.locator("table.board tbody tr").nth(8).wait_for(state="detached")
    narrowed = models(page)
    assert "Code Llama 34B" not in narrowed and "Codex-12B" in narrowed
    sent = chromium.new_page()
    sent.set_default_timeout(SLOW_MS)
    sent.goto(page.url)
    assert models(sent) == narrowed
    sent.get_by_text("Complete rows only").wait_for()
    sent.close()


def test_every_export_of_the_view_comes_as_a_file(page: Any, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/?search=codex")
    models(page)
    page.get_by_text("Export this view").click()
    for ending in export.FORMATS:
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"leaderboard{ending}").click()
        path = tmp_path / f"got{ending}"
        waiting.value.save_as(path)
        assert b"Codex-12B" in path.read_bytes()
        assert ending == ".parquet" or b"Code Llama" not in path.read_bytes()
    page.get_by_text("phizoo leaderboard --view '?search=codex' --out leaderboard.html").wait_for()


def test_compare_draws_its_forest_and_reads_a_flip_side_by_side(page: Any, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/compare?with=phi-1-small-mini-base:1&with=phi-1-small-mini:1")
    page.locator("[data-testid=stVegaLiteChart] svg").first.wait_for()
    page.get_by_text("142 won by phi-1-small-mini:1").wait_for()
    assert page.locator("pre.phizoo-text").count() == 2
    page.get_by_text("Export", exact=True).first.click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="comparison.svg").click()
    waiting.value.save_as(tmp_path / "forest.svg")
    assert "difference in points" in (tmp_path / "forest.svg").read_text()


def test_samples_jump_by_id_mark_the_cut_and_show_another_run(page: Any, address: str) -> None:
    page.goto(f"{address}/samples")
    settled(page)
    box = page.get_by_label("Jump to sample")
    box.fill("arc_easy/7")
    box.press("Enter")
    page.get_by_role("heading", name="arc_easy/7").wait_for()
    assert page.locator(".phizoo-cut").inner_text().strip() == "✂"
    assert "class Next:" in page.locator(".phizoo-rest").inner_text()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("heading", name="arc_easy/8").wait_for()
    settled(page)
    choose(page, "The same sample in another run", 1)
    page.get_by_text("both wrote the same").wait_for()
    assert "other=" in page.url


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


def test_playground_streams_text_that_stays_text(page: Any, address: str) -> None:
    writer = ThreadingHTTPServer(("127.0.0.1", 0), Writer)
    threading.Thread(target=writer.serve_forever, daemon=True).start()
    try:
        page.goto(f"{address}/playground")
        settled(page)
        page.get_by_text("Skier", exact=True).click()
        page.wait_for_function("() => document.querySelector('textarea')?.value.includes('skier')")
        choose(page, "Model", -1)
        box = page.get_by_label("OpenAI-compatible address")
        box.fill(f"http://127.0.0.1:{writer.server_port}/v1")
        box.press("Enter")
        settled(page)
        page.get_by_role("button", name="Write").click()
        page.get_by_text("<script>window.hacked=1</script>").first.wait_for()
        assert page.get_by_text("**end**").count() == 0  # it came while the rest was still to be written
        Writer.seen.set()
        page.get_by_text("**end** ␛[2J").wait_for()
        assert page.evaluate("window.hacked") is None
        assert page.locator("img[src=x]").count() == 0
    finally:
        writer.shutdown()
        writer.server_close()


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
    writer = ThreadingHTTPServer(("127.0.0.1", 0), ChatWriter)
    threading.Thread(target=writer.serve_forever, daemon=True).start()
    try:
        page.goto(f"{address}/playground")
        settled(page)
        page.get_by_text("Chat", exact=True).click()
        settled(page)
        choose(page, "Model", -1)
        for label, text in (
            ("OpenAI-compatible address", f"http://127.0.0.1:{writer.server_port}/v1"),
            ("System text (empty: none)", "Be brief."),
        ):
            page.get_by_label(label).fill(text)
            page.get_by_label(label).press("Enter")
            settled(page)
        for message in ("first?", "second?"):
            page.get_by_label("Message").fill(message)
            page.get_by_label("Message").press("Control+Enter")
            settled(page)
            page.get_by_role("button", name="Write").click()
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
    finally:
        writer.shutdown()
        writer.server_close()


def test_hostile_names_in_a_zoo_are_shown_and_do_nothing(page: Any, made: SimpleNamespace, tmp_path: Path) -> None:
    hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>**b** [a](javascript:x) \x1b[2J|'
    under = made.protocol(hostile, hostile, metric="pass@1")
    with open_registry(f"sqlite:///{tmp_path / 'zoo.db'}", str(tmp_path / "store")) as registry:
        # the registry itself refuses such names; another program's rows in a shared database would not be asked
        for number in range(2):
            checkpoint = made.checkpoint(f"{hostile}{number}", number, family=hostile, licence=hostile, notes=hostile)
            registry.enter(checkpoint)
            lines = [made.result(at, at % 2 == number, sample=hostile, text=hostile, answer=hostile, detail=hostile)
                     for at in range(3)]  # fmt: skip
            made.add_run(registry, tmp_path, checkpoint, under, lines)
    with serving(tmp_path) as address:
        for path in ("", "model", "samples", "scale?beside=own", "health", "playground", "compare"):
            page.goto(f"{address}/{path}")
            settled(page)
            page.wait_for_timeout(800)
            assert page.get_by_test_id("stException").count() == 0
            assert page.evaluate("window.hacked") is None
            assert page.locator("img[src=x]").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= 1440


def test_static_page_sorts_without_network_and_holds_hostile_names(
    page: Any, tmp_path: Path, made: SimpleNamespace
) -> None:
    hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>' + "long " * 200
    mini, under = made.checkpoint(), made.protocol()
    rows = [
        made.reported(hostile, 99.0, protocol=hostile, benchmark="mbpp"),
        made.reported(hostile, 99.0),
        made.reported("Low", 1.0),
        made.reported("Mid", 50.0),
    ]
    board = build_board([mini], [made.score(mini, under, 0.2)], {under.fingerprint: under}, reported=rows)
    path = tmp_path / "table.html"
    export.write(board, path)
    page.goto(path.as_uri())
    assert models(page)[0] == "mini:1"
    page.locator("th.reported").first.locator("button.sort").click()
    values = page.locator("tbody tr").locator("td.reported >> nth=0").locator(".value").all_inner_texts()
    assert values == sorted(values, key=lambda value: -float(value.rstrip("†")))
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
