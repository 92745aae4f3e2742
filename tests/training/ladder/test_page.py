"""The ladder's pages: every number links to its run, every link arrives, and the same report gives the same bytes."""

import re
from pathlib import Path

import pytest

from training.growth.rules import Growth
from training.ladder import page, report
from training.ladder.rungs import KINDS, SCALES, Rung, rungs
from zoo.records import Checkpoint

SCALE = SCALES["smoke"]


def result(rung: Rung, number: int) -> report.RungResult:
    """A finished rung with made-up records."""
    checkpoint = Checkpoint(
        name=rung.name, version=1, digest=f"{number:064x}", files=(), architecture={}, parameters=1_000,
        context_tokens=64, prompt_style="completion", training_tokens=10, training_flops=1e9, recipe_digest=None,
        parents=(), datasets=(), licence="unknown", created="2026-01-01T00:00:00+00:00", source="test",
    )  # fmt: skip
    curve = tuple({"step": step, "loss": 3.0, "validation_loss": 3 - step / 10 + number / 100} for step in (2, 4, 6))
    return report.RungResult(
        rung=rung, checkpoint=checkpoint, curve=curve, eval_run="ab" * 10, parent_flops=1e7 if rung.grow else 0.0,
        scores=tuple(float((place * (number + 3)) % 7 < 2) for place in range(40)),
        losses=dict.fromkeys(KINDS, 2 + number % 5 / 10), proof={"largest": 1e-6} if rung.grow else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def full_report() -> report.Report:
    ran = tuple(result(rung, number) for number, rung in enumerate(rungs(SCALE)))
    assert any(isinstance(one.rung.grow, Growth) for one in ran)
    tables = (report.data_table(ran), report.growth_table(SCALE, ran), report.speed_table(SCALE, ran),
              report.kinds_table(SCALE, ran), report.chain_table(ran), report.published_table())  # fmt: skip
    return report.Report(scale=SCALE, tables=tables, ran=ran)


def test_every_number_links_to_its_run(full_report: report.Report, tmp_path: Path) -> None:
    text_page, html_page = page.write(full_report, tmp_path)
    text, html = text_page.read_text(), html_page.read_text()
    for links in (re.findall(r'<a href="#([^"]+)"', html), re.findall(r"\]\(#([^)]+)\)", text)):
        assert set(links) == set(re.findall(r'<a id="([^"]+)">', html)) == set(re.findall(r'<a id="([^"]+)">', text))
    for cell in re.findall(r"<td>(.*?)</td>", html):  # a number of ours is a link; a published one has its n
        assert "href" in cell or not re.search(r"\d\.\d", cell) or re.search("n=164|arXiv|talk slide", cell), cell
    assert html.count("<svg") == 3 and "<img" not in html
    assert "55.5 [47.9–62.9] n=164" in html
    assert "<li>+ textbooks against the arm before" in html
    page.write(full_report, tmp_path)
    assert (text_page.read_text(), html_page.read_text()) == (text, html)
