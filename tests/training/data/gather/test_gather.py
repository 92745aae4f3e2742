"""Gathering: each file of the corpus is kept or dropped for the right reason, the same bytes each time."""

import sysconfig
from pathlib import Path

import pytest

from training.data.build import MadeDataset, folder_of
from training.data.document import read_documents
from training.data.gather import gather
from training.data.inspect import document_histories


def test_each_file_is_accounted_for(code: MadeDataset) -> None:
    files, cut = code.dataset.stages
    assert files.dropped == {
        "NUL bytes": 1, "does not parse": 1, "empty": 1, "exact duplicate": 1, "near duplicate": 1, "too big": 1,
        "undecodable": 1,
    }  # fmt: skip
    assert (files.entered, files.kept) == (11, 4)
    assert cut.entered == cut.kept + sum(cut.dropped.values())
    assert cut.kept == code.dataset.documents == 63
    lost = list(read_documents(folder_of(code.dataset), "dropped"))
    assert len(lost) == sum(files.dropped.values()) + sum(cut.dropped.values())
    assert {one.source.split("#")[0]: one.reason for one in lost}["good/latin.py"] == "undecodable"


def test_a_twin_is_named(code: MadeDataset) -> None:
    lost = {one.source.split("#")[0]: one for one in read_documents(folder_of(code.dataset), "dropped")}
    # files come in the order of their paths: copy.py is first, so trees.py repeats it
    assert lost["good/trees.py"].facts["twin"] == "good/copy.py"
    assert lost["good/near.py"].facts["twin"] == "good/copy.py"
    assert 0.8 <= lost["good/near.py"].facts["jaccard"] < 1


def test_a_long_file_is_cut_and_a_short_one_stays_whole(code: MadeDataset) -> None:
    kept = list(read_documents(folder_of(code.dataset)))
    assert {one.kind for one in kept if one.source.startswith("other/long.py::part_")} == {"function"}
    (whole,) = [one for one in kept if one.source == "good/copy.py"]
    assert (whole.kind, whole.project, whole.licence) == ("file", "good", "MIT")
    assert "def height" in whole.text
    assert "def flatten" in whole.text
    assert len({one.id for one in kept}) == len(kept)


def test_a_changed_file_is_noticed(code: MadeDataset, corpus: Path) -> None:
    assert not gather.gather("python", "code").fresh
    (corpus / "other" / "loop.py").write_bytes(
        b"def nothing_of_that_kind(value):\n    '''Gives the value back as it is.'''\n    return value\n"
    )
    again = gather.gather("python", "code")
    assert again.fresh
    assert again.dataset.digest != code.dataset.digest


def test_a_limit_takes_some(corpus: Path) -> None:
    some = gather.gather("python", "some", limit=5)
    assert some.dataset.stages[0].entered == 5


def test_a_file_that_vanishes_is_counted(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gather.python_files

    def listing(limit: int | None = None) -> object:
        found = real(limit)
        (corpus / "other" / "loop.py").unlink()
        return found

    monkeypatch.setattr(gather, "python_files", listing)
    assert gather.gather("python", "code").dataset.stages[0].dropped["unreadable"] == 1


STDLIB = Path(sysconfig.get_paths()["stdlib"])
# Python 3.13 has no lib2to3
PARTS = [
    "json",
    "email",
    "importlib",
    "collections",
    "unittest",
    *(["lib2to3"] if (STDLIB / "lib2to3").exists() else []),
]


@pytest.mark.parametrize("part", PARTS)
def test_the_standard_library_adds_up_at_each_stage(part: str, tmp_path: Path) -> None:
    """Each file is kept or dropped with a reason; a kept one has a document, whose history its path finds."""
    folder = STDLIB / part
    listed = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    made = gather.gather(str(folder), "part")
    files, cut = made.dataset.stages
    documents = [*read_documents(folder_of(made.dataset)), *read_documents(folder_of(made.dataset), "dropped")]
    assert files.entered == len([d for d in folder.rglob("*") if d.suffix in (".py", ".txt", ".md", ".rst")])
    assert files.entered == files.kept + sum(files.dropped.values())
    assert cut.entered == cut.kept + sum(cut.dropped.values()) == len(documents) - sum(files.dropped.values())
    for path in listed:
        histories = document_histories(str(folder / path))
        assert {history.source.partition("::")[0].split("#")[0] for history in histories} == {path}
        assert all(history.verdicts[0].kept or history.verdicts[0].reason for history in histories)
