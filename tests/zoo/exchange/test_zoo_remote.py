"""Zoos that exchange checkpoints, and a store in a bucket: over a real folder and real HTTP to moto's server."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.gguf_files import gguf_bytes, small
from tests.services.servers import running_s3
from zoo.cli import root
from zoo.errors import ZooError
from zoo.exchange.zoo_remote import open_remote, pull, push
from zoo.records import About, Dataset, File, TrainedOn
from zoo.registry import Registry, open_registry
from zoo.store.bucket import BucketStore


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    with running_s3() as address:
        yield address


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket, the environment set so that s3:// means that server."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"zoo-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/team"


@pytest.fixture(params=["folder", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty remote zoo."""
    if request.param == "s3":
        return str(request.getfixturevalue("bucket"))
    return str(tmp_path / "remote")


def other_zoo(tmp_path: Path, name: str = "theirs") -> tuple[str, str]:
    """Database and store of another user's zoo."""
    return f"sqlite:///{tmp_path / name / 'zoo.db'}", str(tmp_path / name / "store")


def filled(registry: Registry, tmp_path: Path, made: SimpleNamespace) -> None:
    """Two versions with data, recipe, alias, scores and results."""
    source = registry.add_dataset(Dataset(name="raw", digest="a" * 64, kind="documents", documents=9, tokens=9))
    data = registry.add_dataset(
        Dataset(
            name="code",
            digest="b" * 64,
            kind="tokens",
            documents=3,
            tokens=4,
            parents=(source.digest,),
            recipe={"t": 1},
        )
    )
    about = About(
        datasets=(TrainedOn(digest=data.digest, tokens=8),), recipe={"lr": 0.1}, tags=("keep",), licence="mit"
    )
    first = registry.add(made.phi(tmp_path / "a", 1), "one", about)
    registry.add(made.phi(tmp_path / "b", 2), "one")
    registry.alias("one", "best", 1)
    (tmp_path / "results.jsonl").write_text("a result\n")
    header = {"id": "run-1", "checkpoint": first.digest}
    registry.add_scores(header, made.protocol(), [made.score(first.digest, "run-1")], tmp_path / "results.jsonl")


def test_a_checkpoint_arrives_with_all_that_belongs_to_it(remote: str, tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        filled(registry, tmp_path, made)
        before = registry.get("one:1")
        assert push(registry, "one:1", remote).files == 3
        assert push(registry, "one:1", remote).files == 0
        assert push(registry, "one:2", remote).files == 1  # config.json is shared
    with open_registry(*other_zoo(tmp_path)) as registry:
        with pytest.raises(ZooError, match=r'no checkpoint "oen" .*nearest: "one"'):
            pull(registry, "oen", remote)
        moved = pull(registry, "one@best", remote)
        assert (moved.label, moved.files) == ("one:1", 3)
        assert registry.get("one@best") == before
        assert registry.recipe(str(before.recipe_digest)) == {"lr": 0.1}
        assert {found.name for found in registry.datasets()} == {"raw", "code"}
        assert registry.dataset("code").recipe == {"t": 1}
        assert len(registry.scores("one")) == 1
        assert registry.results("run-1").read_text() == "a result\n"
        assert registry.verify() == []
        moved = pull(registry, before.digest[:8], remote)
        assert (moved.label, moved.files) == ("one:1", 0)
        assert pull(registry, "one", remote).label == "one:2"
        assert [found.label for found in registry.list(all_versions=True)] == ["one:1", "one:2"]
        with open_remote(remote) as there:
            assert there.labels() == ["one:1", "one:2"]


def test_somebodys_home_is_used_as_the_zoo_it_is(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry(*other_zoo(tmp_path)) as registry:
        registry.add(made.phi(tmp_path / "z", 9), "one")
    with open_registry() as registry:
        filled(registry, tmp_path, made)
        push(registry, "one:1", str(tmp_path / "theirs"))
        assert pull(registry, "one:1", str(tmp_path / "theirs")).label == "one:3"
    with open_registry(*other_zoo(tmp_path)) as registry:
        assert [found.label for found in registry.list(all_versions=True)] == ["one:1", "one:2"]
        assert registry.verify() == []


def test_a_broken_transfer_goes_on_where_it_ended(tmp_path: Path, made: SimpleNamespace) -> None:
    remote = str(tmp_path / "remote")
    with open_registry() as registry:
        filled(registry, tmp_path, made)
        push(registry, "one:1", remote)
        file = next(file for file in registry.get("one:1").files if file.path.endswith("safetensors"))
        data = registry.store.object(file.sha256).read_bytes()
    part = tmp_path / "theirs" / "store" / "partial" / file.sha256
    part.parent.mkdir(parents=True)
    part.write_bytes(data[:1000])
    read: list[int] = []
    with open_remote(remote) as there:
        original = type(there.store).fetch
        with pytest.MonkeyPatch.context() as patch:
            from zoo.store import disk

            resumed = disk.fetch_resumed

            def counted(read_from: object, wanted: File, place: Path, name: str) -> None:
                read.append(place.stat().st_size if place.exists() else 0)
                resumed(read_from, wanted, place, name)  # type: ignore[arg-type]

            patch.setattr(disk, "fetch_resumed", counted)
            with open_registry(*other_zoo(tmp_path)) as registry:
                pull(registry, "one:1", remote)
                assert registry.verify() == []
        assert type(there.store).fetch is original
    assert 1000 in read


def test_bytes_that_are_not_what_they_claim_do_not_enter(tmp_path: Path, made: SimpleNamespace) -> None:
    remote = tmp_path / "remote"
    with open_registry() as registry:
        filled(registry, tmp_path, made)
        push(registry, "one:1", str(remote))
        file = next(file for file in registry.get("one:1").files if file.path.endswith("safetensors"))
    place = remote / "objects" / file.sha256[:2] / file.sha256
    place.chmod(0o644)
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.write_bytes(data)
    with open_registry(*other_zoo(tmp_path)) as registry:
        for _ in range(2):
            with pytest.raises(ZooError, match=r"are not those of model.safetensors"):
                pull(registry, "one:1", str(remote))
        assert registry.list() == []


def test_an_entry_that_lies_is_refused(tmp_path: Path, made: SimpleNamespace) -> None:
    remote = tmp_path / "remote"
    with open_registry() as registry:
        filled(registry, tmp_path, made)
        push(registry, "one:1", str(remote))
    (path,) = (remote / "entries").rglob("*.json")
    honest = json.loads(path.read_text())

    def lie(key: str, value: object) -> str:
        told = json.loads(json.dumps(honest))
        told["checkpoint"][key] = value
        path.write_text(json.dumps(told))
        with open_registry(*other_zoo(tmp_path)) as registry:
            with pytest.raises(ZooError) as error:
                pull(registry, "one", str(remote))
            assert registry.list() == []
        return str(error.value)

    files = honest["checkpoint"]["files"]
    assert "its record is of '../../evil' version 1" in lie("name", "../../evil")
    assert "is not a sha256" in lie("files", [files[0] | {"sha256": "../../../etc/passwd"}])
    assert "may not enter" in lie("files", [files[0] | {"path": "../../evil"}])
    assert "its record is of 'one' version 1, 'ffffffffffff'" in lie("digest", "f" * 64)
    assert "its digest does not match its files" in lie("files", [files[0] | {"bytes": 1}])
    assert "cannot be parsed as an entry" in lie("evil", 1)
    path.write_text(json.dumps(honest))
    with open_registry(*other_zoo(tmp_path)) as registry:
        told = json.loads(json.dumps(honest))
        told["checkpoint"]["parameters"] = 10**12
        path.write_text(json.dumps(told))
        pull(registry, "one", str(remote))
        assert registry.get("one").parameters == 1059  # counted here, not believed


def test_a_missing_remote_is_reported_in_one_line(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_registry() as registry:
        with pytest.raises(ZooError, match="no checkpoint is there"):
            pull(registry, "one", str(tmp_path / "nowhere"))
        with pytest.raises(ZooError, match="there is no such bucket"):
            pull(registry, "one", f"s3://no-such-{uuid.uuid4().hex}/x")
        with pytest.raises(ZooError, match="unknown kind of address"):
            pull(registry, "one", "gopher://x/y")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(ZooError, match="check the address") as raised:
            pull(registry, "one", bucket)
    assert "\n" not in str(raised.value)


def test_a_zoo_with_its_store_in_a_bucket(bucket: str, tmp_path: Path, made: SimpleNamespace) -> None:
    db = f"sqlite:///{tmp_path / 'zoo.db'}"
    with open_registry(db, bucket) as registry:
        filled(registry, tmp_path, made)
        first = registry.get("one:1")
    os.environ["PHIZOO_HOME"] = str(tmp_path / "another")  # a colleague: nothing is cached there
    with open_registry(db, bucket) as registry:
        folder = registry.path("one@best")
        assert (folder / "config.json").read_bytes() == (tmp_path / "a" / "config.json").read_bytes()
        assert registry.results("run-1").read_text() == "a result\n"
        assert registry.verify() == []
        assert isinstance(registry.store, BucketStore)
        (weights,) = (file for file in first.files if file.path.endswith("safetensors"))
        registry.store.fs.pipe_file(registry.store._path(weights.sha256), b"x" * weights.bytes)
        assert "its bytes are not those" in registry.verify("one:1")[0]
        registry.verify("one:1", repair=True)
        assert "is missing" in registry.verify("one:1")[0]
        registry.add(tmp_path / "a", "one")
        assert registry.verify() == []
        registry.remove("one:2")
        assert registry.gc(most=1.0, grace=0).objects == 1
        assert registry.verify() == []


def test_the_cache_stays_within_its_limit(bucket: str, tmp_path: Path, made: SimpleNamespace) -> None:
    db = f"sqlite:///{tmp_path / 'zoo.db'}"
    with open_registry(db, bucket) as registry:
        for number in range(4):
            registry.add(made.phi(tmp_path / str(number), number), "one")
        size = registry.get("one").bytes
        store = BucketStore(bucket, tmp_path / "cache", limit=2 * size)
        small = Registry(registry.database, store)
        for number in range(1, 5):
            folder = small.path(f"one:{number}")
            assert (folder / "model.safetensors").stat().st_size > 1000
            assert sum(held for _, held in store.cache.objects()) <= 2 * size
        assert len(list((tmp_path / "cache" / "trees").iterdir())) == 2
        assert Registry(registry.database, BucketStore(bucket, tmp_path / "tiny", limit=1)).path("one").is_dir()


def test_a_checkpoint_is_added_from_an_address(bucket: str, tmp_path: Path, made: SimpleNamespace) -> None:
    store = BucketStore(bucket)
    folder = made.phi(tmp_path / "x", 1)
    for path in folder.iterdir():
        store.fs.put_file(str(path), f"{store.root}/models/x/{path.name}")
    with open_registry() as registry:
        found = registry.add(f"{bucket}/models/x", "one")
        assert registry.add(folder, "one") == found
        store.fs.pipe_file(f"{store.root}/models/x/run.py", b"print(1)")
        with pytest.raises(ZooError, match=r"run\.py: is Python code"):
            registry.add(f"{bucket}/models/x", "two")
        with pytest.raises(ZooError, match="nothing is there"):
            registry.add(f"{bucket}/models/y", "two")


def test_a_gguf_file_is_added_from_an_address_kept_in_a_bucket_and_sent_on(bucket: str, tmp_path: Path) -> None:
    store, path = BucketStore(bucket), tmp_path / "small.gguf"
    path.write_bytes(gguf_bytes(*small()))
    store.fs.put_file(str(path), f"{store.root}/models/small.gguf")
    assert root.run(["models", "add", f"{bucket}/models/small.gguf"]) == 0
    store.fs.pipe_file(f"{store.root}/models/broken.gguf", path.read_bytes()[:-8])
    with open_registry() as registry:
        added = registry.get("small")
        assert (added.quantisation, added.source) == ("F32", f"{bucket}/models/small.gguf")
        with pytest.raises(ZooError, match=r"broken\.gguf"):
            registry.add(f"{bucket}/models/broken.gguf", "broken")
        assert push(registry, "small", bucket).files == 1
    db = f"sqlite:///{tmp_path / 'zoo.db'}"
    with open_registry(db, f"{bucket}/store") as registry:  # a zoo whose bytes are in a bucket, too
        pull(registry, "small", bucket)
    os.environ["PHIZOO_HOME"] = str(tmp_path / "another")  # nothing is cached there
    with open_registry(db, f"{bucket}/store") as registry:
        pulled = registry.get("small")
        assert (pulled.digest, pulled.quantisation) == (added.digest, "F32")
        assert (registry.path("small") / "small.gguf").read_bytes() == path.read_bytes()
        assert registry.verify() == []


def test_a_bad_cache_limit_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIZOO_CACHE_BYTES", "10GB")
    with pytest.raises(ZooError, match="PHIZOO_CACHE_BYTES=10GB"):
        BucketStore("memory://x")


def test_a_broken_upload_of_a_large_file_goes_on_with_the_parts_that_are_missing(
    bucket: str, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.store import multipart

    monkeypatch.setattr(multipart, "PART_BYTES", 5 << 20)
    monkeypatch.setattr(multipart, "AT_ONCE", 1)
    data = os.urandom(17 << 20)
    (tmp_path / "large").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    store = BucketStore(bucket, cache=tmp_path / "cache")
    sent: list[int] = []
    real = store.fs.call_s3

    def call(method: str, **told: object) -> object:
        if method == "upload_part":
            sent.append(int(str(told["PartNumber"])))
            if len(sent) == 3:
                raise ConnectionResetError("the line broke")
        return real(method, **told)

    monkeypatch.setattr(store.fs, "call_s3", call)
    with pytest.raises(ZooError, match="the line broke"):
        store.upload(tmp_path / "large", sha256)
    assert store.has(sha256) is None
    store.upload(tmp_path / "large", sha256)
    assert sorted(sent) == [1, 2, 3, 3, 4]  # the third broke, and alone was sent again
    assert store.object(sha256).read_bytes() == data


def test_reading_results_keeps_the_cache_within_its_limit(bucket: str, tmp_path: Path) -> None:
    store = BucketStore(bucket, cache=tmp_path / "cache", limit=25_000)
    digests = []
    for number in range(6):
        data = bytes([number]) * 10_000
        digests.append(hashlib.sha256(data).hexdigest())
        (tmp_path / "x").write_bytes(data)
        store.upload(tmp_path / "x", digests[-1])
    for number, sha256 in enumerate([*digests, digests[5], digests[4]]):
        assert len(store.object(sha256).read_bytes()) == 10_000, number
        assert sum(size for _, size in store.cache.objects()) <= 25_000
    assert {sha256 for sha256, _ in store.cache.objects()} == {digests[4], digests[5]}


def test_a_checkpoint_is_added_over_http_and_from_memory(tmp_path: Path, made: SimpleNamespace) -> None:
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    import fsspec

    folder = made.phi(tmp_path / "x", 1)
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe_file(f"/phi/{path.name}", path.read_bytes())
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open_registry() as registry:
        wanted = registry.add(folder, "disk").digest
        for number, url in enumerate(
            ("memory://phi", f"http://127.0.0.1:{server.server_port}/x", f"local://{folder}", f"FILE://{folder}")
        ):
            found = registry.add(url, f"from-{number}")
            assert found.digest == wanted
            assert found.source in (url, "")
        memory.pipe_file("/phi/code.py", b"print(1)")
        with pytest.raises(ZooError, match=r"code\.py: is Python code"):
            registry.add("memory://phi", "x")
        memory.rm("/phi/code.py")
        memory.pipe_file("/phi/notes.txt", bytes(64_000_001))
        with pytest.raises(ZooError, match="64,000,001 bytes"):
            registry.add("memory://phi", "x")
    memory.rm("/phi", recursive=True)
    server.shutdown()
    server.server_close()
