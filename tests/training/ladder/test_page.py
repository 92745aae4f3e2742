"""The ladder's pages: every number links to its run, every link arrives, and the same report gives the same bytes."""

import re
from pathlib import Path

import pytest

from training.growth.rules import Growth
from training.ladder import claims, measures, page, report
from training.ladder.rungs import KINDS, SCALES, Rung, rungs
from zoo.records import Checkpoint

SCALE = SCALES["smoke"]


def result(rung: Rung, number: int) -> measures.RungResult:
    """A finished rung with made-up records; in bits per byte only exercises and growth help."""
    helped = 0.2 * (rung.arm == "+ exercises") + 0.1 * bool(rung.grow)
    bits = {f"s{place}": 2 + place / 100 - helped + ((number * 7 + place * 3) % 11) / 1000 for place in range(40)}
    checkpoint = Checkpoint(
        name=rung.name, version=1, digest=f"{number:064x}", files=(), architecture={}, parameters=1_000,
        context_tokens=64, prompt_style="completion", training_tokens=10, training_flops=1e9, recipe_digest=None,
        parents=(), datasets=(), licence="unknown", created="2026-01-01T00:00:00+00:00", source="test",
    )  # fmt: skip
    curve = tuple({"step": step, "loss": 3.0, "validation_loss": 3 - step / 10 + number / 100} for step in (2, 4, 6))
    return measures.RungResult(
        rung=rung, checkpoint=checkpoint, curve=curve, evals={"copa": "ab" * 10}, parent_flops=1e7 if rung.grow else 0.0,
        scores={f"s{place}": float((place * (number + 3)) % 7 < 2) for place in range(40)},
        bits=dict.fromkeys(SCALE.bits, bits), kinds=dict.fromkeys(KINDS, 2 + number % 5 / 10), proof={"largest": 1e-6} if rung.grow else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def full_report() -> report.Report:
    ran = tuple(result(rung, number) for number, rung in enumerate(rungs(SCALE)))
    assert any(isinstance(one.rung.grow, Growth) for one in ran)
    return report.Report(scale=SCALE, tables=report.tables_of(SCALE, ran), ran=ran)


def test_every_number_links_to_its_run(full_report: report.Report, tmp_path: Path) -> None:
    text_page, html_page = page.write(full_report, tmp_path)
    text, html = text_page.read_text(), html_page.read_text()
    for links in (re.findall(r'<a href="#([^"]+)"', html), re.findall(r"\]\(#([^)]+)\)", text)):
        assert set(links) == set(re.findall(r'<a id="([^"]+)">', html)) == set(re.findall(r'<a id="([^"]+)">', text))
    for cell in re.findall(r"<td>(.*?)</td>", html):  # a number of ours is a link; a published one has its n
        assert "href" in cell or not re.search(r"\d\.\d", cell) or re.search("n=164|arXiv|talk slide", cell), cell
    assert html.count("<svg") == 3 and "<img" not in html
    assert "55.5 [47.9–62.9] n=164" in html
    assert "<li>+ textbooks against the arm before, score" in html
    page.write(full_report, tmp_path)
    assert (text_page.read_text(), html_page.read_text()) == (text, html)


def test_the_claims_that_show_are_those_that_the_numbers_hold(full_report: report.Report) -> None:
    table = full_report.tables[0]
    verdicts = {row[0].text: (row[4].text, row[7].text) for row in table.rows}
    assert verdicts["exercises add to textbooks"][0] == "shows"
    assert verdicts["phi-1 is better than phi-1-small"][0] == "shows"
    assert verdicts["filtered code is better than unfiltered"][0] == "does not show"
    assert verdicts["from phi-1 to phi-1.5 language gets better"] == ("the reverse shows", "")  # only growth helps
    assert verdicts["from phi-1.5 to phi-2 code gets worse"][0] == "the reverse shows"
    assert "weight reuse (WR) is better than scratch" not in verdicts  # the smoke scale has no corner
    by_bits = table.findings[0]
    assert by_bits.startswith("By bits per byte 3 of 7 claims show at this scale: exercises add to textbooks; phi-1 is")
    cell = next(row[2] for row in table.rows if row[0].text == "exercises add to textbooks")
    assert cell.interval[0] == pytest.approx(-0.2, abs=0.005)
    assert {name.rsplit("-", 1)[1] for name in cell.runs} == {"s0", "s1"}


def test_one_seed_is_judged_by_its_samples_alone(full_report: report.Report) -> None:
    ran = [one for one in full_report.ran if one.rung.seed == 0]
    cell, p = measures.bits_apart(
        measures.runs_of_arm(ran, "data", "+ exercises"), measures.runs_of_arm(ran, "data", "+ textbooks"), "code"
    )
    assert p < 0.01 and cell.interval[2] < 0
    rows = claims.claims_table(SCALE, ran).rows
    assert next(row[4].text for row in rows if row[0].text == "exercises add to textbooks") == "shows"
