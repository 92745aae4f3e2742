"""A zoo of its own for each test, and a small corpus of good and bad files."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from training.data.build import MadeDataset
from training.data.gather import gather

TREES = """
def height(tree):
    \"\"\"Height of a binary tree given as nested pairs, 0 for an empty one.\"\"\"
    if tree is None:
        return 0
    left, right = tree
    return 1 + max(height(left), height(right))


def flatten(tree):
    \"\"\"The leaves of a tree from left to right, as a list.\"\"\"
    if not isinstance(tree, tuple):
        return [tree]
    found = []
    for branch in tree:
        found.extend(flatten(branch))
    return found
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHIZOO_DB", "PHIZOO_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "home"))


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for site-packages: two distributions, good files and each kind of bad one."""
    root = tmp_path / "site"
    files = {
        "good/trees.py": TREES.encode(),
        "good/copy.py": TREES.encode(),
        "good/near.py": TREES.encode() + b"\n\nVERSION = 3\n",
        "good/latin.py": "name = 'caf\u00e9'".encode("latin-1"),
        "good/broken.py": b"def f(:\n    pass\n",
        "good/nul.py": b"x = 1\0\n",
        "good/__init__.py": b"",
        "good/big.py": b"x = 1\n" * 40_000,
        "good/config.py": b"A = 1\nB = 2\nC = 3\nD = 4\nE = 5\nF = 6\nG = 7\nH = 8\nNAMES = ['a', 'b', 'c', 'd', 'e']\n",
        "other/loop.py": b"def total(values):\n    '''Sum of the values, one after another.'''\n    result = 0\n"
        b"    for value in values:\n        result += value\n    return result\n",
        "other/long.py": b"\n\n".join(
            f"def part_{n}(first, second):\n    '''Adds {n} to the product of both.'''\n    return first * second + {n}\n".encode()
            for n in range(60)
        ),
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    info = root / "good-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Name: good\nLicense-Expression: MIT\n")
    info.joinpath("RECORD").write_text("".join(f"{name},sha256=x,1\n" for name in files if name.startswith("good/")))
    paths = {"stdlib": str(tmp_path / "no"), "purelib": str(root), "platlib": str(root)}
    monkeypatch.setattr(gather, "sysconfig", SimpleNamespace(get_paths=lambda: paths))
    return root


@pytest.fixture
def code(corpus: Path) -> MadeDataset:
    """The corpus gathered under the name `code`."""
    return gather.gather("python", "code")
