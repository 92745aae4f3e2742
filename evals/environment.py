"""The machine, the package versions and the commit that a run was made with, as its header records them."""

import os
import platform
from pathlib import Path


def hardware() -> dict[str, str | int]:
    """The machine type, its cores and its operating system."""
    return {"machine": platform.machine(), "cores": os.cpu_count() or 1, "system": platform.system()}


def versions() -> dict[str, str]:
    """Versions of the packages that can move a number."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for name in ("phi-zoo", "torch", "transformers", "tokenizers", "vllm", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def commit() -> str:
    """The commit of this source tree, or "" when it is an installed package."""
    source = Path(__file__).resolve().parents[1]
    head = source / ".git" / "HEAD"
    if not head.is_file():
        return ""
    text = head.read_text().strip()
    if not text.startswith("ref: "):
        return text
    ref = source / ".git" / text.removeprefix("ref: ")
    return ref.read_text().strip() if ref.is_file() else ""
