"""axe-core on every page in a real Chromium: nothing serious, wide and narrow, light and dark.

Needs Debian's `chromium`, Playwright's Python package, and axe-core's axe.min.js: in `.axe-core/`, where `.ci/run` puts
it by npm, or where PHIZOO_AXE says. Where PHIZOO_AXE is set, its absence is a failure.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browser import NEEDS_CHROMIUM, PAGES, SLOW_MS, models, still

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def axe() -> str:
    """The text of axe.min.js; skips if it is missing and PHIZOO_AXE is not set."""
    setting = os.environ.get("PHIZOO_AXE", "")
    path = Path(setting) if setting else Path(__file__).parents[2] / ".axe-core" / "axe.min.js"
    if setting and not path.is_file():
        pytest.fail(f"PHIZOO_AXE names {setting}, which is no file: npm pack axe-core, then unpack axe.min.js there")
    if not path.is_file():
        pytest.skip("no axe.min.js: run .ci/run, or npm pack axe-core and name it in PHIZOO_AXE")
    return path.read_text(encoding="utf-8")


def serious(opened: Any, axe: str) -> list[tuple[str, list[str]]]:
    """The serious and critical violations on a page, each with its first elements."""
    opened.evaluate(axe)
    violations = opened.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    bad = [violation for violation in violations if violation["impact"] in ("serious", "critical")]
    return [(violation["id"], [str(node["target"]) for node in violation["nodes"]][:3]) for violation in bad]


QUERIES = {
    "": "?weights=open",  # the filters are open
    "compare": "?with=phi-1-small-mini:1&with=phi-1-small-mini-base:1",
}


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "dark")])
@pytest.mark.parametrize("name", ["", *(name.lower() for name in PAGES[1:])])
def test_axe_finds_nothing_serious(chromium: Any, address: str, axe: str, name: str, width: int, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    opened = context.new_page()
    opened.set_default_timeout(SLOW_MS)
    opened.goto(f"{address}/{name}{QUERIES.get(name, '')}")
    if not name:
        models(opened)
    still(opened)
    violations = serious(opened, axe)
    context.close()
    assert violations == []


def test_axe_finds_nothing_serious_in_the_evidence(chromium: Any, address: str, axe: str) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(SLOW_MS)
    opened.goto(address)
    models(opened)
    opened.locator("tr.own td.measured").first.click()
    opened.get_by_role("dialog").get_by_text("Prompt of the first sample").wait_for()
    still(opened)
    violations = serious(opened, axe)
    context.close()
    assert violations == []
