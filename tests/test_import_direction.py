"""Imports run zoo <- evals <- training and dashboard -> zoo, evals; never back."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY = {
    "zoo": {"zoo"},
    "evals": {"zoo", "evals"},
    "training": {"zoo", "evals", "training"},
    "dashboard": {"zoo", "evals", "dashboard"},
}
HEAVY = {
    "torch", "vllm", "transformers", "datasets", "ray", "streamlit", "openai", "sklearn", "pandas", "numpy",
    "sqlalchemy", "alembic", "altair", "scipy", "pyarrow", "tokenizers",
}  # fmt: skip
SOURCES = sorted(path for package in MAY for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names imported anywhere in a file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_runs_back(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert not (imported(path) & set(MAY)) - MAY[package]


def test_the_checker_sees_an_import_that_runs_back(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from training.recipe import load\n    import torch.nn\n")
    assert imported(wrong) == {"training", "torch"}
