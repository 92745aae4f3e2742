"""A dataset is whole or absent, found again by its recipe, and every document is accounted for."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import document as written
from training.data.build import Built, Counts, content_digest, find, folder_of, make, slices, write_result
from training.data.document import Document, DocumentFiles, document_files, make_document, read_documents
from training.data.shards import each_shard
from zoo.errors import ZooError
from zoo.settings import datasets_dir


def build(work: Path) -> Built:
    one = make_document("x = 1\n", "a.py", "demo", "MIT", "file")
    number, tokens = write_result(work / "out", [one])
    counts = Counts("all")
    counts.keep()
    return Built(kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),), licence="MIT")


def test_a_second_run_finds_the_first() -> None:
    first = make("one", {"stage": "test"}, None, build)
    second = make("one", {"stage": "test"}, None, lambda work: pytest.fail("made again"))
    assert first.fresh
    assert not second.fresh
    assert second.dataset.digest == first.dataset.digest
    assert find("one").digest == first.dataset.digest


def test_another_state_makes_it_again_with_the_same_digest() -> None:
    first = make("one", {"stage": "test"}, "monday", build)
    second = make("one", {"stage": "test"}, "tuesday", build)
    assert second.fresh
    assert second.dataset.digest == first.dataset.digest
    assert second.dataset.recipe_digest == first.dataset.recipe_digest


def test_a_failed_stage_leaves_no_dataset() -> None:
    def fails(work: Path) -> Built:
        build(work)
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        make("one", {"stage": "test"}, None, fails)
    assert [path.name for path in datasets_dir().iterdir()] == [".work"]
    with pytest.raises(ZooError, match='no dataset "one"'):
        find("one")
    assert make("one", {"stage": "test"}, None, build).fresh


def test_a_deleted_folder_is_made_again() -> None:
    first = make("one", {"stage": "test"}, None, build)
    (folder_of(first.dataset) / "dataset.json").unlink()
    with pytest.raises(ZooError, match="is missing; make it again"):
        folder_of(first.dataset)
    assert make("one", {"stage": "test"}, None, build).fresh
    assert len(list(read_documents(folder_of(first.dataset)))) == 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    made = make("one", {"stage": "test"}, None, build)
    path = folder_of(made.dataset) / "documents-00000.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ZooError, match=r"documents-00000.jsonl.gz is damaged"):
        list(read_documents(folder_of(made.dataset)))


def _documents(number: int) -> list[Document]:
    return [make_document(f"x = {index}\n", f"{index}.py", "demo", "MIT", "file") for index in range(number)]


def test_files_packed_beside_the_next_keep_every_document_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "SHARD_DOCUMENTS", 3)
    every = _documents(20)
    with DocumentFiles(tmp_path, "documents") as files:
        for one in every:
            files.add(one)
    assert [len(list(written.read_file(path))) for path in document_files(tmp_path)] == [3] * 6 + [2]
    assert list(read_documents(tmp_path)) == every


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_a_file_that_cannot_be_written_ends_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """The first, one in the middle, the last: which is packed when nothing is added any more."""
    monkeypatch.setattr(written, "SHARD_DOCUMENTS", 3)
    whole = written._write

    def full(path: Path, lines: list[bytes]) -> None:
        if path.name.startswith(f"documents-{fails:05d}"):
            raise OSError(28, "No space left on device")
        whole(path, lines)

    monkeypatch.setattr(written, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        write_result(tmp_path, _documents(8))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with DocumentFiles(tmp_path, "documents"), DocumentFiles(tmp_path, "dropped"):
        pass
    assert len(document_files(tmp_path)) == 1
    (tmp_path / "documents-00000.jsonl.gz").rename(tmp_path / "documents-00001.jsonl.gz")
    with pytest.raises(ZooError, match="missing"):
        document_files(tmp_path)
    (tmp_path / "documents-00001.jsonl.gz").unlink()
    with pytest.raises(ZooError, match="missing"):
        document_files(tmp_path)
    assert document_files(tmp_path / "none") == []


def test_the_digest_is_the_content_not_its_packing(tmp_path: Path) -> None:
    import gzip

    for name, level in (("a", 1), ("b", 9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "documents-00000.jsonl.gz").write_bytes(gzip.compress(b"line\n" * 99, level))
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b")
    (tmp_path / "b" / "documents-00000.jsonl.gz").write_bytes(gzip.compress(b"line\n" * 98))
    assert content_digest(tmp_path / "a") != content_digest(tmp_path / "b")


def test_a_wrong_kind_and_a_wrong_name_are_told() -> None:
    make("one", {"stage": "test"}, None, build)
    with pytest.raises(ZooError, match=r'no dataset "onee" \(nearest: "one"\)'):
        find("onee")
    with pytest.raises(ZooError, match="one holds documents, here tokens are needed"):
        find("one", ("tokens",))


def test_two_runs_at_once_are_told() -> None:
    def again(work: Path) -> Built:
        with pytest.raises(ZooError, match="another process is making this dataset"):
            make("one", {"stage": "test"}, None, build)
        return build(work)

    assert make("one", {"stage": "test"}, None, again).fresh


def doubled(shard: list[int]) -> list[int]:
    """Twice each number, and a trace of having run."""
    with open(os.environ["TRACE"], "a") as file:
        file.write(f"{shard[0]}\n")
    return [2 * one for one in shard]


def test_finished_shards_are_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    monkeypatch.setattr("training.data.shards.cores", lambda: 1)
    monkeypatch.setenv("TRACE", str(trace))
    shards = slices(list(range(7)), 2)
    first = list(each_shard(tmp_path, "twice", shards, doubled, list[int]))
    assert [one for part in first for one in part] == [2 * n for n in range(7)]
    (tmp_path / "twice-00002.msgpack").unlink()
    assert list(each_shard(tmp_path, "twice", shards, doubled, list[int])) == first
    assert sorted(map(int, trace.read_text().split())) == [0, 2, 4, 4, 6]


@given(st.lists(st.sampled_from(["kept", "empty", "too big", "twin"])))
def test_what_enters_is_kept_or_dropped(fates: list[str]) -> None:
    counts = Counts("stage")
    for fate in fates:
        counts.keep() if fate == "kept" else counts.drop(fate)
    stage = counts.stage()
    assert stage.entered == len(fates) == stage.kept + sum(stage.dropped.values())
    assert stage.kept == fates.count("kept")
