"""The pages quote the quickstart's figures as `docs/numbers/write.py` writes them, from records of real machines."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.zoo.conftest import phi, protocol, score
from zoo.errors import ZooError
from zoo.records import Search, SearchedBy, SearchedSet
from zoo.registry import open_registry

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "numbers" / "write.py"


@pytest.fixture(scope="module")
def write() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("write_numbers", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_say_what_was_recorded(write: Any) -> None:
    records = write.read_records()
    pages = [page.read_text(encoding="utf-8") for page in write.PAGES]
    assert [write.write_regions(page, records) for page in pages] == pages, "run make docs-numbers"
    assert sorted(match[2] for page in pages for match in write.REGION.finditer(page)) == sorted(write.TEXTS)


def test_another_figure_is_another_page(write: Any) -> None:
    records = [
        *write.read_records()[:2],
        write.Figures(machine="another", scores={"all": write.Share(50.0, 44.6, 55.4, 320)}),
    ]
    page = write.write_regions("before\n<!-- quickstart scores -->\nold\n<!-- end -->\nafter\n", records)
    assert "| another | – | – | – | 50.0 [44.6–55.4] n=320 | – | – |" in page
    assert "The scores of 3 machines spread over 43.4 points." in page and "old" not in page
    assert page.startswith("before\n") and page.endswith("<!-- end -->\nafter\n")


def test_the_figures_of_a_zoo(write: Any, tmp_path: Path) -> None:
    with open_registry() as registry:
        model = registry.add(phi(tmp_path / "x", 1), write.MODEL)
        with pytest.raises(ZooError, match="phizoo quickstart"):
            write.measure(registry, "mine", tmp_path)
        under = protocol(task=write.TASK)
        result = score(model.digest, "run", 0.79, under)
        registry.add_scores({"id": "run", "checkpoint": model.digest}, under, [result])
        assert write.measure(registry, "mine", tmp_path).flagged is None
        registry.add_search(
            Search(
                checkpoint=model.digest, task=write.TASK, datasets=(SearchedSet(digest="a" * 64, documents=900),),
                methods=(SearchedBy(method="ast", threshold=0.95),), samples=("a", "b", "c"), unsearchable=("c",),
                flagged=("a",),
            )
        )  # fmt: skip
        (tmp_path / "quickstart.json").write_text(json.dumps({"Train": 61.0, "Data": 9.0}))
        figures = write.measure(registry, "mine", tmp_path)
        assert (figures.documents, figures.threshold, figures.flagged, figures.unsearchable) == (900, 0.95, 1, 1)
        assert round(figures.scores["all"].value, 6) == 79.0
        assert write.times_text([figures]) == "A quickstart takes 1:10 (machine: mine); of that Train 1:01, Data 9s."
