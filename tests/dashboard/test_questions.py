"""The questions that the page is opened with, answered in a real Chromium from a cold start, action by action.

The chooser: which is best under a size for code, with certainty, that I may use commercially? The trainer: is B better
than A, and where do they differ? Wide and narrow.
"""

from typing import Any

import pytest

from tests.dashboard.browser import NEEDS_CHROMIUM, SIDEWAYS, choose, settled, still

pytestmark = NEEDS_CHROMIUM
SIZES = [(1440, 900), (390, 844)]


def open_at(page: Any, address: str, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(address)
    page.locator("table.board tbody tr").first.wait_for()
    settled(page)


def answer_has(page: Any, *parts: str) -> str:
    """The answer's text, once it has all the parts."""
    page.wait_for_function(
        "parts => parts.every(part => document.querySelector('.phizoo-answer')?.innerText.includes(part))", arg=parts
    )
    return str(page.locator(".phizoo-answer").first.inner_text())


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_choosers_question_is_answered_in_three_actions(page: Any, address: str, width: int, height: int) -> None:
    open_at(page, address, width, height)
    choose(page, "For", "Code")  # 1
    settled(page)
    box = page.get_by_label("Size at most")
    box.fill("500M")
    box.press("Enter")  # 2
    page.wait_for_function("() => location.search.includes('size=500M')")
    settled(page)
    choose(page, "Licence", "commercial use")  # 3
    page.wait_for_function("() => location.search.includes('licence=permissive')")
    text = answer_has(page, "Mini exercises", "phi-1-small-mini:1 63.4 [58.0–68.5] n=320 is first of 3, with certainty")
    assert "cannot be told apart" not in text
    shown = page.locator("section.block.measured tbody th.model .name").all_inner_texts()
    assert shown == ["phi-1-small-mini:1", "phi-1-small-mini-base:1", "phi-1-small-mini-unfiltered:1"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_trainers_question_is_three_clicks_to_a_flip(page: Any, address: str, width: int, height: int) -> None:
    open_at(page, address, width, height)
    page.get_by_role("button", name="Compare the first two").click()  # 1
    page.get_by_role("heading", level=1, name="Compare").wait_for()
    answer_has(
        page, "phi-1-small-mini:1 is better on 1 of 3 benchmarks, worse on none, undecided on 2.",
        "Mini exercises: +44.5 [+39.2 to +50.0] points, proven to be better.",
    )  # fmt: skip
    page.locator("button[data-act=read]").first.click()  # 2
    reader = page.locator("section.reader")
    reader.wait_for()
    text = reader.inner_text()
    assert "Mini exercises: where they differ" in text and "1 of 142" in text
    assert "def " in reader.locator("pre.question").inner_text()  # the question, whole
    assert "✓ passed phi-1-small-mini:1" in text and "✗ failed phi-1-small-mini-base:1" in text
    assert reader.locator(".sides pre").count() == 2
    first = reader.locator(".sample").inner_text()
    page.keyboard.press("j")
    reader.get_by_text("2 of 142").wait_for()
    assert reader.locator(".sample").inner_text() != first
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_two_ticked_rows_lead_to_compare(page: Any, address: str) -> None:
    open_at(page, address, 1440, 900)
    boxes = page.locator("input[data-label]")
    boxes.nth(0).check()
    boxes.nth(2).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("heading", level=1, name="Compare").wait_for()
    answer_has(page, "phi-1-small-mini:1 is better on 1 of 3")
    assert "than=phi-1-small-mini-unfiltered" in page.url


def test_compare_opens_with_the_newest_child_and_its_parent(page: Any, address: str) -> None:
    page.goto(f"{address}/compare")
    answer_has(page, "phi-1-small-mini:1 is better on 1 of 3")
    assert "phi-1-small-mini-base:1" in page.locator("table.compare thead").inner_text()


def test_the_first_view_is_dense_and_fits(page: Any, address: str) -> None:
    open_at(page, address, 1440, 900)
    cells = page.locator("td.measured, td.reported").count()
    dashes = page.locator("td.none").count()
    assert cells > 8 and dashes / (cells + dashes) <= 0.2
    for wide in page.locator(".wide").all():
        assert wide.evaluate("one => one.scrollWidth <= one.clientWidth")
    for table in page.locator("table.board").all():
        for head in table.locator("thead th[data-column]").all():
            at = head.evaluate("th => th.cellIndex")
            assert table.locator(f"tbody tr > :nth-child({at + 1}):not(.none)").count() > 0


def test_own_rows_are_in_a_phones_first_screen(page: Any, address: str) -> None:
    open_at(page, address, 390, 844)
    rows = page.locator("section.block.measured tbody tr")
    boxes = [rows.nth(n).bounding_box() for n in range(rows.count())]
    assert len(boxes) == 3
    height = boxes[1]["y"] - boxes[0]["y"]
    assert boxes[-1]["y"] + boxes[-1]["height"] + height <= 844  # a fourth would stand there too


def test_flips_are_searched_and_read_shortest_first(page: Any, address: str) -> None:
    page.goto(f"{address}/compare")
    page.locator("button[data-act=read]").first.click()
    reader = page.locator("section.reader")
    reader.get_by_text("1 of 142").wait_for()
    first = reader.locator("pre.question").inner_text()
    reader.get_by_role("button", name="shortest first").click()
    reader.locator("button[data-act=order][aria-pressed=true]").wait_for()
    assert len(reader.locator("pre.question").inner_text()) < len(first)
    box = reader.get_by_role("searchbox")
    box.fill("exercises/20")
    box.press("Enter")
    reader.get_by_text("1 of 3").wait_for()  # 200, 201, 202: the two models differ on 061 to 202
    page.goto(page.url)
    reader.get_by_text("1 of 3").wait_for()  # the address holds it
    box = reader.get_by_role("searchbox")
    box.fill("no such words")
    box.press("Enter")
    reader.get_by_text("No sample here matches").wait_for()


def test_a_reported_row_can_be_ticked_and_is_the_baseline(page: Any, address: str) -> None:
    open_at(page, address, 1440, 900)
    page.locator("section.reported input[data-label]").first.check()
    assert page.locator(".chosen [data-go=compare]").is_disabled()
    page.locator("section.measured input[data-label]").first.check()
    assert page.locator(".chosen [data-go=try]").is_disabled()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("The baseline is reported elsewhere").wait_for()
    page.locator("table.compare tbody tr").first.wait_for()
    settled(page)
    assert "than=published" in page.url
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize("width", [390, 1024])
@pytest.mark.parametrize("path", ["?suite=all", "compare", "model", "samples", "scale", "talk", "try", "health"])
def test_no_page_scrolls_sideways(page: Any, address: str, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{address}/{path}")
    still(page)
    assert [one for one in page.evaluate(SIDEWAYS) if "DIV wide " not in one] == []  # a block of many columns
    assert page.evaluate("document.documentElement.scrollWidth") <= width
