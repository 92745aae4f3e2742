"""The colours of the tables' graphics and texts against their ground, in the light and the dark theme (WCAG 2.1)."""

import re

import pytest

from dashboard import charts
from dashboard.board.html_table import read_asset

LEAST = {"span": 3.0, "span-derived": 3.0, "measured": 4.5, "reported": 4.5, "ink": 4.5, "muted": 4.5, "warn": 4.5}


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [r"\.zoo \{", r"\.zoo\[data-theme=\"dark\"\] \{"])
@pytest.mark.parametrize("name", LEAST)
def test_graphics_have_three_to_one_and_texts_four_and_a_half(theme: str, name: str) -> None:
    block = re.search(theme + r"(.*?)\}", read_asset("board.css"), re.S)
    assert block is not None
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block[1]))
    assert contrast(colours[name], colours["ground"]) >= LEAST[name]
    assert contrast(colours[name], colours["band"]) >= LEAST[name] - 0.3


def test_the_charts_texts_and_marks_are_seen_on_both_grounds() -> None:
    for dark, ground in ((False, "#ffffff"), (True, "#12161c")):
        assert contrast(charts.INK[dark], ground) >= 4.5
        assert all(contrast(colour, ground) >= 3.0 for colour in (charts.MEASURED, charts.REPORTED, charts.GREY))
