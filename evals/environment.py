"""The machine, the package versions and the commit that a run was made with, as its header records them."""

import contextlib
import os
import platform
import sys
from functools import cache
from pathlib import Path

from zoo.digest import digest


def hardware() -> dict[str, str | int]:
    """The machine type, its cores, operating system, processor and GPUs, and an id that says no name.

    host  equal on one machine, another on every other: times are compared only where it is equal
    """
    facts: dict[str, str | int] = {"machine": platform.machine(), "cores": os.cpu_count() or 1}
    facts["system"] = platform.system()
    return facts | {"processor": _processor(), "gpus": _gpus(), "host": _host()}


@cache
def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line for line in lines if line.startswith("model name")).partition(":")[2].strip()
    return platform.processor()


def _gpus() -> str:
    """The GPUs by name, if torch is loaded and sees any."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ""
    return ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))


@cache
def _host() -> str:
    """The first digits of a digest of the machine's id and name, which do not give either away."""
    identity = ""
    with contextlib.suppress(OSError):
        identity = Path("/etc/machine-id").read_text(encoding="ascii", errors="replace").strip()
    return digest(["host", identity, platform.node()])[:12]


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
