"""The ladder: every run after what it starts from, gone on with after a stop, and a page of linked numbers."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from training.ladder import measures
from training.ladder import report as ladder_report
from training.ladder import rungs as ladder
from training.ladder.rungs import SCALES, growth_arms, rungs
from training.recipe import from_plain
from zoo.cli.root import run as phizoo
from zoo.records import validate_name
from zoo.registry import open_registry

DATA = ("unfiltered-tokens", "filtered-tokens", "base-tokens", "textbooks-tokens", "exercises-tokens")


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_every_rung_is_a_legal_recipe_after_what_it_starts_from(scale: ladder.Scale) -> None:
    seen: set[str] = set()
    for rung in rungs(scale):
        assert validate_name(rung.name) == rung.name
        assert rung.name not in seen
        recipe = from_plain(rung.recipe)
        assert not rung.parent or rung.parent in seen
        assert (recipe.parent.checkpoint if recipe.parent else "") == rung.start
        seen.add(rung.name)


def test_the_arms_are_those_of_the_study_and_differ_in_nothing_else() -> None:
    full = SCALES["full"]
    arms = growth_arms(full)
    assert len(arms) == 13
    assert [arm for arm in arms if "lr/n" in arm] == [
        f"{method}, {depth}, lr/n" for method in ("tile", "tile-exact") for depth in ("copy", "zero")
    ]
    grown = [rung for rung in rungs(full) if rung.study == "growth" and rung.arm != "parent"]
    assert len(grown) == 13 * len(full.seeds) and len(full.seeds) >= 3
    for seed in full.seeds:  # paired: one seed's arms see the same batches at the same rate
        same = [rung.recipe for rung in grown if rung.seed == seed]
        for key in ("model", "data", "training", "schedule", "validation"):
            assert all(one[key] == same[0][key] for one in same)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_smoke_ladder_runs_stops_goes_on_and_links_every_number(
    registered_tokens: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in DATA:
        registered_tokens(name)
    ordered = ["train", "ladder", "--scale", "smoke", "--no-data", "--out", str(tmp_path)]
    trained: list[str] = []
    original = ladder._train_rung

    def made(registry: Any, rung: Any, command: str) -> Any:
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append(rung.name)
        return original(registry, rung, command)

    monkeypatch.setattr(ladder, "_train_rung", made)
    assert phizoo(ordered) == 130
    with open_registry() as registry:
        before = {one.name: one.digest for one in registry.list(all_versions=True)}
    assert len(before) == 5
    monkeypatch.setattr(ladder, "_train_rung", original)
    assert phizoo([*ordered, "--jobs", "2"]) == 0  # in two processes now
    with open_registry() as registry:
        after = [(one.name, one.digest) for one in registry.list(all_versions=True)]
    assert len(after) == len({name for name, _ in after})  # nothing was made twice
    assert before.items() <= dict(after).items()

    page, text = (tmp_path / "ladder.html").read_text(), (tmp_path / "ladder.md").read_text()
    for links, places in (
        (re.findall(r'<a href="#([^"]+)"', page), re.findall(r'<a id="([^"]+)">', page)),
        (re.findall(r"\]\(#([^)]+)\)", text), re.findall(r'<a id="([^"]+)">', text)),
    ):
        assert len(set(links)) == 22  # every run is linked, and
        assert set(links) == set(places)  # every link arrives
    for cell in re.findall(r"<td>(.*?)</td>", page):  # a number of ours stands in a link; a published one says its n
        if re.search(r"\d\.\d", cell) and "href" not in cell:
            assert "n=164" in cell or "arXiv" in cell or "talk slide" in cell, cell
    assert page.count("<svg") == 3
    assert "phi-1 WR+Tile, 36K steps" in page and "55.5 [47.9–62.9] n=164" in page
    assert phizoo([*ordered, "--report-only"]) == 0
    assert (tmp_path / "ladder.html").read_text() == page


def test_a_verdict_says_whether_zero_is_left_out() -> None:
    spans, excludes = ((0.1, -0.2, 0.4), (-0.1, -0.2, -0.05))
    assert "no difference shows" in measures.finding("x", measures.LadderCell("", (), spans))
    assert "the difference shows" in measures.finding("x", measures.LadderCell("", (), excludes))


def test_one_seed_has_no_interval() -> None:
    assert measures.over_seeds([1.0]) == (1.0, -math.inf, math.inf)


def test_the_published_bars_are_in_the_table() -> None:
    rows = ladder_report.published_rows((*ladder_report.PUBLISHED_DATA, *ladder_report.PUBLISHED_GROWTH))
    assert [row[1] for row in rows] == [12.19, 17.68, 12, 20, 45, 45.7, 51.2, 47.6, 53.7, 51.2, 55.5]
