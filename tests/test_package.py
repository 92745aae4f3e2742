"""What an installed wheel holds: every file of the packages, not only their Python."""

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("zoo", "evals", "training", "dashboard")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_takes_every_file_of_a_package(package: str) -> None:
    """A page's style sheet left out of the wheel is missed only by those who installed it."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    listed = subprocess.run(["git", "ls-files", package], cwd=ROOT, capture_output=True, text=True, check=True)
    files = {ROOT / line for line in listed.stdout.splitlines() if not line.endswith(".py")}
    packed = {path for pattern in told[package] for path in (ROOT / package).glob(pattern)}
    assert files - packed == set()
    assert files, "each package has a py.typed at least"
