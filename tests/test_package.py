"""What an installed wheel holds: every file of the packages, not only their Python."""

import io
import re
import subprocess
import tarfile
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from packaging.version import Version

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


def requirements() -> dict[str, set[str]]:
    """Each direct requirement and the extras that want it ("always" for none), as written."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, set[str]] = {}
    for extra, lines in {"always": told["dependencies"], **told["optional-dependencies"]}.items():
        for line in lines:
            found.setdefault(line, set()).add(extra)
    return found


def test_every_dependency_has_its_licence_on_the_page() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").partition("## Licences")[2]
    rows = {
        row[0]: (set(row[1].split(", ")), row[2]) for row in re.findall(r"^\| (\S+) \| (.+?) \| (.+) \|$", page, re.M)
    }
    wanted = {re.split(r"[\[>=<~!]", line)[0].lower(): extras for line, extras in requirements().items()}
    wanted.pop("phi-zoo")
    assert {name: extras for name, (extras, _) in rows.items() if name not in ("package", "---")} == wanted
    assert all(licence for _, licence in rows.values())


# what checkpoints, data sets and requests from outside are read by: none may lose its bound
ATTACKED = {"h11", "jinja2", "pyarrow", "ray", "scikit-learn", "starlette", "torch", "transformers", "vllm"}


def test_lower_bounds_exclude_the_versions_with_known_holes() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").partition("## Licences")[0]
    rows = re.findall(r"^\| (\S+) \| ([\d.]+) \| (.+) \| (.+) \|$", page, re.M)
    assert {package for package, *_ in rows} == ATTACKED
    bounds = {tuple(line.partition(">=")[::2]) for line in requirements() if ">=" in line}
    tested = dict(re.findall(r"^(\S+?)==(\S+)$", (ROOT / "constraints.txt").read_text().lower(), re.M))
    for package, bound, holes, _ in rows:
        assert {least for name, least in bounds if name == package} == {bound}
        assert re.search(r"CVE-\d{4}-\d+", holes)
        versions = [tested[package]] if package in tested else []
        if find_spec({"scikit-learn": "sklearn"}.get(package, package)):
            versions.append(version(package))
        assert all(Version(given) >= Version(bound) for given in versions), (package, versions)


def test_the_lock_has_the_tested_versions_and_their_hashes() -> None:
    tested = set(re.findall(r"^[^#\s]\S*==\S+$", (ROOT / "constraints.txt").read_text(), re.M))
    locked = re.findall(r"^(\S+==\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock := read_lock(), re.M)
    without = {line for line in tested if line.startswith(("torch==", "llama_cpp_python=="))}  # built for a machine

    def plain(line: str) -> str:
        return line.lower().replace("_", "-")

    assert {plain(line) for line, _ in locked} == {plain(line) for line in tested - without}
    assert lock.count("\n") == 1 + len(locked) + sum(hashes.count("\n") for _, hashes in locked)  # nothing else


def read_lock() -> str:
    return (ROOT / "requirements.lock").read_text()


def test_no_requirement_has_an_upper_bound_without_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    bounded = [line for line in requirements() if re.search(r"<|~=|==|!=", line)]
    assert [line for line in bounded if not re.search(re.escape(line) + r'",?\s+# ', text)] == []


def test_the_metadata_names_the_pythons_and_the_licence_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert project["requires-python"] == f">={versions[0]}"
    assert versions == ["3.11", "3.12", "3.13"]
    assert project["license"] == "Apache-2.0"  # an SPDX expression: a classifier beside it is refused by setuptools
    assert not any(line.startswith("License") for line in project["classifiers"])
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


def test_an_sdist_is_packed_without_its_moment_and_its_machine(tmp_path: Path) -> None:
    loader = SourceFileLoader("release", str(ROOT / ".ci" / "release"))
    release = module_from_spec(spec_from_loader("release", loader))  # type: ignore[arg-type]
    loader.exec_module(release)
    packed = []
    for number in (1, 2):
        path = tmp_path / f"{number}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in ("a/b.py", "a/LICENSE")[:: 1 if number == 1 else -1]:
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.uid, member.uname = 3, number, number, f"user{number}"
                archive.addfile(member, io.BytesIO(b"abc"))
        release.repack(path, 1_700_000_000)
        packed.append(path.read_bytes())
    assert packed[0] == packed[1]
    with tarfile.open(tmp_path / "1.tar.gz") as archive:
        assert [(member.name, member.size) for member in archive] == [("a/LICENSE", 3), ("a/b.py", 3)]


def test_the_changelogs_newest_release_is_this_version() -> None:
    heads = re.findall(r"^## (\d+\.\d+\.\d+)(.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert next(version for version, state in heads if "not released" not in state) == told
