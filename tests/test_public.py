"""The public names of the packages: each resolves late, has a docstring and stands on the page; the notebook runs."""

import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("zoo", "evals", "training", "dashboard")
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
HEAVY = ("torch", "pandas", "numpy", "sqlalchemy", "transformers", "streamlit", "click")


def names() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for name in importlib.import_module(package).__all__:
            yield package, name


@pytest.mark.parametrize(("package", "name"), list(names()))
def test_a_public_name_resolves_and_has_a_docstring_and_types(package: str, name: str) -> None:
    value = getattr(importlib.import_module(package), name)
    own = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    assert own
    assert own.strip()
    if inspect.isfunction(value):
        signature = inspect.signature(value)
        assert signature.return_annotation is not inspect.Signature.empty
        kinds = [each.annotation for each in signature.parameters.values()]
        assert inspect.Signature.empty not in kinds


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_names_the_public_names_and_a_wrong_name_is_an_error(package: str) -> None:
    module = importlib.import_module(package)
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing


def test_importing_the_packages_imports_nothing_heavy() -> None:
    code = f"import {', '.join(PACKAGES)}, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_registry_needs_no_torch_and_no_pandas() -> None:
    code = "import zoo, sys; zoo.open_registry; print([name for name in ('torch', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_page_has_every_public_name_and_no_other() -> None:
    on_page = set(re.findall(rf"`((?:{'|'.join(PACKAGES)})\.\w+)`", PAGE))
    assert on_page == {f"{package}.{name}" for package, name in names()}


def test_the_notebook_is_kept_without_outputs() -> None:
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_notebook_runs(tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_phi, tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    code = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    space: dict[str, Any] = {}
    for number, cell in enumerate(code):
        exec(compile(cell, f"docs/notebook.ipynb, code cell {number}", "exec"), space)
    rows = space["rows"]
    assert {row.checkpoint for row in rows} == {"mine:1", "other:1"}
    assert all(row.n == 600 and row.published and row.low <= row.value <= row.high for row in rows)
    assert len(space["samples"]) == 600
    own = space["frame"][space["frame"].own]
    assert set(own.model) == {"mine:1", "other:1"}
    assert own[["value", "low", "high", "n", "protocol"]].notna().all(axis=None)


def test_evaluate_takes_one_name_or_several_and_keeps_to_the_limit(tiny_phi: Path) -> None:
    import evals
    import zoo

    with zoo.open_registry() as registry:
        registry.add(tiny_phi, "mine")
        (row, *_) = evals.evaluate("mine", "arc_easy@lm-eval-quick3", registry=registry, limit=5)
        assert (row.n, row.published, row.asked, row.whole) == (5, False, 5, 600)
        with pytest.raises(zoo.ZooError, match="mine has no score on arc_easy"):
            evals.read_samples("mine", "arc_easy", registry=registry)
        with pytest.raises(zoo.ZooError, match='no checkpoint "mime"'):
            evals.evaluate(["mime"], ["arc_easy"], registry=registry)
        assert [checkpoint.label for checkpoint in registry.list()] == ["mine:1"]  # the zoo that was given is open


def test_evaluate_many_gives_each_task_before_the_next_one_begins(tiny_phi: Path) -> None:
    import evals
    import zoo
    from zoo import settings

    with zoo.open_registry() as registry:
        registry.add(tiny_phi, "mine")
        tasks = ["arc_easy@lm-eval-quick3", "piqa@lm-eval-quick3"]
        rows = evals.evaluate_many("mine", tasks, registry=registry, limit=5)
        assert next(rows).column.startswith("arc_easy")
        assert len(list(settings.runs_dir().iterdir())) == 1
        columns = [row.column.split()[0] for row in rows]
        assert list(dict.fromkeys(columns)) == ["arc_easy", "piqa"]


def test_a_frame_without_a_zoo_has_the_published_numbers(tmp_path: Path) -> None:
    import dashboard
    import zoo

    frame = dashboard.board_frame("all")
    assert len(frame) > 1_000
    assert set(frame.origin) == {"reported"}
    assert dashboard.write_board(tmp_path / "board.csv", "all").read_text().count("\n") == len(frame) + 1
    with pytest.raises(zoo.ZooError, match="suite"):
        dashboard.board_frame("al")
