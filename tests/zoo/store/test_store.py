"""The content-addressed store: shared bytes once, damage found and repaired, nothing referenced deleted."""

import errno
import hashlib
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo.errors import ZooError
from zoo.records import File
from zoo.registry import open_registry
from zoo.store.disk import DiskStore
from zoo.store.store import is_alive, leaving_room, owner, validate_sha256


def damaged(path: Path, change: str) -> None:
    """Flips a bit, cuts the end off or deletes, as a failing disk may."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    if change == "bit":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif change == "cut":
        path.write_bytes(data[:-1])
    else:
        path.unlink()


def test_files_shared_by_versions_are_stored_once_and_read_only(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        first = registry.add(made.phi(tmp_path / "a", 1), "one")
        second = registry.add(made.phi(tmp_path / "b", 2), "one")
        assert len(list(registry.store.objects())) == 3
        paths = [registry.path(one) / "config.json" for one in (first, second)]
    assert os.path.samefile(*paths)
    assert paths[0].stat().st_mode & 0o777 == 0o444
    assert not paths[0].is_symlink()


def test_changing_the_source_afterwards_changes_nothing_here(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "a", 1), "one")
        for path in (tmp_path / "a").iterdir():
            with path.open("r+b") as file:
                file.write(b"changed in place")
        assert registry.verify() == []


def test_a_file_is_kept_under_the_sha256_of_its_bytes(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        found = registry.add(made.phi(tmp_path / "a", 1), "one")
        for file in found.files:
            data = (tmp_path / "a" / file.path).read_bytes()
            assert (file.sha256, file.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
            assert registry.store.object(file.sha256).read_bytes() == data


@pytest.mark.parametrize(
    ("change", "said"), [("bit", "its bytes are not those"), ("cut", "expected"), ("gone", "is missing")]
)
def test_damage_is_found_reported_and_repaired(tmp_path: Path, made: SimpleNamespace, change: str, said: str) -> None:
    with open_registry() as registry:
        found = registry.add(made.phi(tmp_path / "a", 1), "one")
        registry.add(made.phi(tmp_path / "b", 2), "two")
        registry.path("one")
        weights = next(file for file in found.files if file.path == "model.safetensors")
        damaged(registry.store.object(weights.sha256), change)
        (problem,) = registry.verify()
        assert problem.startswith("one:1: model.safetensors: ")
        assert said in problem
        assert weights.sha256 in problem
        assert registry.verify("two") == []
        registry.verify(repair=True)
        registry.add(tmp_path / "a", "one")
        assert registry.verify() == []
        assert (registry.path("one") / "model.safetensors").read_bytes() == (
            tmp_path / "a" / "model.safetensors"
        ).read_bytes()
        assert len(registry.list(all_versions=True)) == 2


def test_an_extra_file_in_a_folder_is_found(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "a", 1), "one")
        (registry.path("one") / "extra.py").write_text("print(1)")
        (problem,) = registry.verify("one")
    assert problem.endswith("extra.py is not one of its files; delete it")


def test_a_file_replaced_in_a_folder_is_found_and_not_given_out_again(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "a", 1), "one")
        config = registry.path("one") / "config.json"
        data = config.read_bytes()
        config.unlink()
        config.write_bytes(data.replace(b'"phi"', b'"pho"'))  # of the same size, as an editor would leave it
        (problem,) = registry.verify("one")
        assert problem.endswith("config.json is not one of its files; delete it")
        assert (registry.path("one") / "config.json").read_bytes() == data
        assert registry.verify("one") == []
        (registry.path("one") / "more").symlink_to(tmp_path)
        assert len(registry.verify("one")) == 1


def test_what_is_no_owners_folder_does_not_stop_gc(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    for name in ("notes", "a.b", f"{owner().split('.')[0]}.x.y", f"{owner().split('.')[0]}.12"):
        (tmp_path / "incoming" / name).mkdir(parents=True)
    store.sweep(set(), is_alive)
    assert {path.name for path in (tmp_path / "incoming").iterdir()} >= {"notes", "a.b"}


def test_a_transfer_that_filled_the_disk_leaves_room(tmp_path: Path) -> None:
    place = tmp_path / "part"
    place.write_bytes(b"x" * 100)
    with pytest.raises(OSError, match="No space"), leaving_room(place):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert place.stat().st_size == 0
    place.write_bytes(b"x" * 100)
    with pytest.raises(OSError, match="denied"), leaving_room(place):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    assert place.stat().st_size == 100


def test_a_folder_that_lost_a_file_is_made_again(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "a", 1), "one")
        (registry.path("one") / "config.json").unlink()
        assert (registry.path("one") / "config.json").exists()
        weights = next(file for file in registry.get("one").files if file.path == "model.safetensors")
        registry.store.delete(weights.sha256)
        (registry.path("one") / "config.json").unlink()
        with pytest.raises(ZooError, match=r"model\.safetensors is missing from the store"):
            registry.path("one")


def test_a_model_loads_from_its_folder_as_it_is(tiny_phi: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with open_registry() as registry:
        found = registry.add(tiny_phi, "tiny")
        folder = registry.path("tiny")
        model = AutoModelForCausalLM.from_pretrained(folder)
        AutoTokenizer.from_pretrained(folder)
        assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
        assert registry.verify() == []


@pytest.mark.parametrize("text", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n", "g" * 64])
def test_only_a_digest_becomes_a_path(text: str, tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    for use in (validate_sha256, store.has, store.object, store.delete, lambda digest: store.tree(digest, [])):
        with pytest.raises(ZooError, match="is not a sha256"):
            use(text)


def test_gc_leaves_what_a_living_writer_pinned_and_takes_what_a_dead_one_did(
    tmp_path: Path, made: SimpleNamespace
) -> None:
    dead = owner().rsplit(".", 2)[0] + ".999999999.1.x"
    with open_registry() as registry:
        found = registry.add(made.phi(tmp_path / "a", 1), "one")
        weights = next(file for file in found.files if file.path == "model.safetensors")
        registry.remove("one")
        for name, left in ((f"{owner()}.x", 1), (f"elsewhere.{os.getpid()}.1.x", 1), (dead, 0)):
            with registry.database.write():
                registry.database.run("DELETE FROM pins")
                registry.database.run(
                    "INSERT INTO pins (owner, sha256, created) VALUES (:o, :s, '2999')", o=name, s=weights.sha256
                )
            registry.gc(most=1.0, grace=0)
            assert len(list(registry.store.objects())) == left, name
        assert registry.database.rows("SELECT * FROM pins") == []


def test_a_pin_of_another_host_ends_after_a_week(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "a", 1), "one")
        registry.remove("one")
        with registry.database.write():
            for sha256, _ in list(registry.store.objects()):
                registry.database.run(
                    "INSERT INTO pins (owner, sha256, created) VALUES ('elsewhere.1.1.x', :s, '2020-01-01')", s=sha256
                )
        assert registry.gc(most=1.0, grace=0).objects == 2


def test_what_dead_writers_left_is_swept_and_what_living_ones_hold_is_not(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    with store.incoming() as mine:
        dead = mine.parent / (owner().rsplit(".", 2)[0] + ".999999999.1.x")
        far = mine.parent / "elsewhere.1.1.x"
        old = mine.parent / "elsewhere.1.1.y"
        for folder in (dead, far, old):
            folder.mkdir()
        os.utime(old, (time.time() - 10**6,) * 2)
        fresh, stale = store.partial("a" * 64), store.partial("b" * 64)
        for part in (fresh, stale):
            part.write_bytes(b"x")
        os.utime(stale, (time.time() - 10**6,) * 2)
        store.sweep(set(), is_alive)
        assert {path.name for path in mine.parent.iterdir()} == {mine.name, far.name}
        assert fresh.exists()
        assert not stale.exists()


def test_a_results_file_is_not_garbage(tmp_path: Path, made: SimpleNamespace) -> None:
    (tmp_path / "r").write_text("line\n")
    with open_registry() as registry:
        registry.add_scores(
            {"id": "run", "checkpoint": "f" * 64}, made.protocol(), [made.score("f" * 64, "run")], tmp_path / "r"
        )
        assert registry.gc(most=1.0, grace=0).objects == 0
        assert registry.results("run").read_text() == "line\n"


def test_one_process_may_fetch_what_another_settled(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    data = b"hello"
    file = File(path="x", sha256=hashlib.sha256(data).hexdigest(), bytes=5)
    store.partial(file.sha256).write_bytes(data)
    store.settle(file)
    store.settle(file)
    assert store.object(file.sha256).read_bytes() == data
