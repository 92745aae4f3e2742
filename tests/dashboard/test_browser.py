"""The pages in a real Chromium: loading, filters, cells, addresses and the keyboard.

Needs Debian's `chromium` and Playwright's Python package. Accessibility: `test_axe.py`.
"""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard.board import export
from dashboard.board.build import build_board
from tests.dashboard.browser import NEEDS_CHROMIUM, PAGES, SLOW_MS, choose, models, serving, settled
from tests.talk_table import talk_table
from zoo.cli.root import run
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


def reported(opened: Any) -> list[str]:
    """The names in the block of reported rows."""
    return list(opened.locator("section.reported tbody th.model .name").all_inner_texts())


def test_the_talk_holds_own_and_every_talk_row(page: Any, address: str) -> None:
    page.goto(f"{address}/?suite=talk")
    assert models(page) == [
        "phi-1-small-mini:1", "phi-1-small-mini-base:1", "phi-1-small-mini-unfiltered:1",
        *(row.label for row in talk_table()),
    ]  # fmt: skip
    lead = page.locator("tr.own td.measured").first
    assert re.sub(r"\s+", " ", lead.inner_text()) == "63.4 #1 [58.0–68.5] n=320"


def test_search_filters_and_the_address_restores_it(page: Any, address: str, chromium: Any) -> None:
    page.goto(f"{address}/?suite=talk")
    models(page)
    box = page.get_by_label("Search")
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


def test_the_question_changes_the_columns(page: Any, address: str) -> None:
    page.goto(address)
    models(page)
    choose(page, "For", "phi-1.5 report")
    page.locator('th[data-benchmark="WinoGrande"]').wait_for()
    assert "suite=phi-1.5" in page.url


def test_a_sort_is_in_the_address_and_leaves_the_table_where_it_is(page: Any, address: str) -> None:
    page.goto(f"{address}/?suite=talk")
    models(page)
    page.locator("th.reported").first.locator("button.sort").click()
    page.locator('th.reported[aria-sort="descending"]').wait_for()
    page.wait_for_function("() => location.search.includes('sort=')")
    settled(page)
    assert reported(page)[:2] == ["GPT-4", "WizardCoder"]
    assert "sort=" in page.url and page.get_by_text("Pinned models").count() == 0  # no box of filters opens
    page.locator('th.reported[aria-sort="descending"] button.sort').click()
    page.locator('th.reported[aria-sort="ascending"]').wait_for()
    page.wait_for_function("() => location.search.includes('ascending=')")
    settled(page)
    assert reported(page)[0] == "CodeGen2-1B"
    page.goto(page.url)
    page.locator('th.reported[aria-sort="ascending"]').wait_for()
    assert reported(page)[0] == "CodeGen2-1B"
    page.get_by_role("button", name=re.compile("Sorted by HumanEval")).click()
    page.locator("th[aria-sort]").wait_for(state="detached")


def test_measured_cell_opens_its_evidence_and_the_address_restores_it(page: Any, address: str) -> None:
    page.goto(address)
    models(page)
    page.locator("tr.own td.measured").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("phizoo eval reproduce phi-1-small-mini:1/mini_exercises@phizoo").wait_for()
    boxes = dialog.get_by_test_id("stCode").all_inner_texts()
    assert boxes[0].strip().startswith("phizoo eval reproduce") and "\n" not in boxes[0].strip()
    assert boxes[1].strip().startswith("phizoo eval run") and "\n" not in boxes[1].strip()  # a box, a copy button each
    assert "cell=" in page.url
    page.goto(page.url)
    page.get_by_role("dialog").get_by_text("Prompt of the first sample").wait_for()
    page.get_by_role("dialog").get_by_text("Open the samples").click()
    page.get_by_role("heading", level=1, name="Samples").wait_for()
    page.get_by_role("heading", name="mini_exercises/000").wait_for()


def test_reported_cell_shows_its_source_and_the_focus_returns(page: Any, address: str) -> None:
    page.goto(f"{address}/?suite=talk")
    models(page)
    cell = page.locator("td.reported").first
    cell.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Reported elsewhere, not measured here.").wait_for()
    dialog.get_by_text("Roughly comparable").first.wait_for()  # the dialog is filled piece by piece
    text = dialog.inner_text()
    assert "arXiv 2306.11644v2 Table 1" in text
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.wait_for_function("() => !location.search.includes('cell=')")
    for _ in range(100):
        if cell.evaluate("cell => cell.getRootNode().activeElement === cell"):
            break
        page.wait_for_timeout(200)
    else:
        raise AssertionError("the focus did not return to the cell")


def test_keyboard_reaches_a_cell_and_opens_it(page: Any, address: str) -> None:
    page.goto(address)
    models(page)
    page.locator("table.board tbody th.model").first.focus()
    for _ in range(3):
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


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("?suite=cod", 'no suite "cod" (nearest: "code")'), ("?size=many", "is no number; write it as 500M"),
        ("model?name=nobody", "Nothing here is called nobody"), ("samples?run=abc", "Nothing here is called abc"),
        ("samples?sample=nope", "Nothing here is called nope"), ("compare?with=nobody", "Nothing here is called nobody"),
    ],
)  # fmt: skip
def test_an_address_of_what_is_not_here_says_so(page: Any, address: str, path: str, message: str) -> None:
    page.goto(f"{address}/{path}")
    page.get_by_text(message).first.wait_for()
    assert path.partition("=")[2] in page.url  # the address still says what was asked for


def test_a_folder_named_zoo_does_not_break_the_page(
    page: Any, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zoo").mkdir()
    monkeypatch.chdir(tmp_path)
    with serving(filled) as opened:
        page.goto(opened)
        assert "phi-1-small-mini:1" in models(page)
        page.goto("about:blank")


def test_a_missing_zoo_is_said(page: Any, tmp_path: Path) -> None:
    with serving(tmp_path) as opened:
        page.goto(opened)
        page.get_by_text(f"No zoo at {tmp_path}").wait_for()
        page.get_by_text("phizoo quickstart").first.wait_for()
        page.goto("about:blank")  # a page whose server has ended reports every refused connection


def test_the_end_of_the_server_is_said(chromium: Any, tmp_path: Path) -> None:
    opened = chromium.new_page()  # its console has every refused connection
    with serving(tmp_path) as address:
        opened.goto(f"{address}/health")
        settled(opened)
        opened.get_by_text("This machine's folder has no runs.").wait_for()
        assert opened.get_by_text("server has ended").count() == 0
    opened.get_by_text("The page's server has ended.").wait_for(timeout=SLOW_MS)
    opened.close()


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
        opened.goto(f"{address}/?suite=talk&search={search}", wait_until="commit")
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


def test_more_filters_are_drawn_when_opened_and_stand_as_chips(page: Any, address: str, chromium: Any) -> None:
    page.goto(f"{address}/?suite=talk")
    models(page)
    assert page.get_by_text("Only models with every column").count() == 0
    page.get_by_text("More filters").click()
    choose(page, "Weights", "closed")
    page.wait_for_function("() => location.search.includes('weights=closed')")
    page.get_by_role("button", name="Weights closed ✕").wait_for()
    page.locator("section.measured").wait_for(state="detached")
    narrowed = models(page)
    assert "Code Llama 34B" not in narrowed and "Codex-12B" in narrowed
    sent = chromium.new_page()
    sent.set_default_timeout(SLOW_MS)
    sent.goto(page.url)
    assert models(sent) == narrowed
    sent.close()


def test_every_export_of_the_view_comes_as_a_file(page: Any, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/?suite=talk&search=codex")
    models(page)
    page.get_by_text("Export", exact=True).first.click()
    for ending in export.FORMATS:
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"leaderboard{ending}").click()
        path = tmp_path / f"got{ending}"
        waiting.value.save_as(path)
        assert b"Codex-12B" in path.read_bytes()
        assert ending == ".parquet" or b"Code Llama" not in path.read_bytes()
    page.get_by_text("phizoo leaderboard --view '?suite=talk&search=codex' --out leaderboard.html").wait_for()


def test_compare_subtracts_as_the_terminal_and_exports_its_forest(
    page: Any, address: str, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["phi-1-small-mini:1", "phi-1-small-mini-base:1"]
    page.goto(f"{address}/compare?with={names[0]}&with={names[1]}")
    row = page.locator("table.compare tr.better")
    row.wait_for()
    assert run(["eval", "compare", *names, "--task", "mini_exercises"]) == 0
    printed = capsys.readouterr().out
    assert "+44.5 [+39.2 to +50.0]" in printed and "+44.5 [+39.2 to +50.0]" in row.inner_text()
    assert f"{names[0]} is better on 1 of 1 benchmark" in printed
    page.get_by_text("Export", exact=True).first.click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="comparison.svg").click()
    waiting.value.save_as(tmp_path / "forest.svg")
    assert "difference in points" in (tmp_path / "forest.svg").read_text()


def test_samples_open_by_address_mark_the_cut_and_stand_beside_another_run(page: Any, address: str) -> None:
    page.goto(f"{address}/samples?sample=arc_easy/7")
    page.get_by_role("heading", name="arc_easy/7").wait_for()
    settled(page)
    assert page.locator(".phizoo-cut").first.inner_text().strip() == "✂"
    assert "class Next:" in page.locator(".phizoo-rest").first.inner_text()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("heading", name="arc_easy/8").wait_for()
    settled(page)
    samples = page.get_by_role("listbox", name="400 samples")
    assert samples.get_by_role("option").count() < 40  # only what is in view is drawn
    assert samples.get_by_role("option", selected=True).get_attribute("aria-posinset") == "9"
    samples.get_by_role("option").nth(10).click()
    page.get_by_role("heading", name="arc_easy/10").wait_for()
    samples.press("End")
    samples.press("Enter")
    page.get_by_role("heading", name="arc_easy/399").wait_for()
    settled(page)
    choose(page, "Beside", 1)
    page.get_by_role("heading", name=re.compile("^Beside")).wait_for()
    assert "other=" in page.url
    page.get_by_text(re.compile("only where they differ")).wait_for()


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
        for path in ("", "model", "samples", "scale?beside=own", "health", "try", "compare"):
            page.goto(f"{address}/{path}")
            settled(page)
            page.wait_for_timeout(800)
            assert page.get_by_test_id("stException").count() == 0
            assert page.evaluate("window.hacked") is None
            assert page.locator("img[src=x]").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= 1440
        page.goto("about:blank")


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
    assert values == sorted(values, key=lambda value: -float(value.rstrip("†≈")))
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
