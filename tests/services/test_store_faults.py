"""A bucket that refuses, cuts, is silent or is full of broken uploads: each is one line that names the next step."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.services.proxy import Cut, Refuse, Rule, S3Proxy, Swallow, running_proxy
from zoo.cli import root
from zoo.errors import UnreachableError, ZooError
from zoo.exchange.zoo_remote import pull
from zoo.registry import open_registry
from zoo.store import filesystem, multipart
from zoo.store.bucket import BucketStore


@pytest.fixture
def proxy(s3_server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """A proxy that s3:// goes through from now on."""
    with running_proxy(s3_server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def zoo(proxy: S3Proxy, bucket: str, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> str:
    """A zoo with its bytes in the bucket and one checkpoint; the member that asks has nothing in its cache."""
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{tmp_path / 'team.db'}")
    monkeypatch.setenv("PHIZOO_STORE", bucket)
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "phi", 1), "one")
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "another"))
    return bucket


def always(action: object) -> Rule:
    return lambda _method, _path: action


def listing_denied(method: str, path: str) -> object:
    """A policy without s3:ListBucket: lists are denied, and the HEAD or GET of what is absent is a 403."""
    absent = method in ("GET", "HEAD") and not path.endswith("zoo.json")
    return Refuse("AccessDenied") if "list-type" in path or absent else None


REFUSALS: dict[str, tuple[Rule, str]] = {
    "expired token": (always(Refuse("ExpiredToken", 400)), "the session token has expired; get a new one"),
    "clock skew": (always(Refuse("RequestTimeTooSkewed")), "clock differs too much from the server's; set it right"),
    "no right": (always(Refuse("AccessDenied")), "have no right there (AccessDenied: neither"),
    "no list": (listing_denied, "may read but not list (s3:ListBucket is lacking)"),
    "no bucket": (always(Refuse("NoSuchBucket", 404)), "there is no such bucket; check its name"),
    "wrong key": (always(Refuse("InvalidAccessKeyId")), "does not know this access key; check AWS_ACCESS_KEY_ID"),
    "wrong secret": (always(Refuse("SignatureDoesNotMatch")), "check AWS_SECRET_ACCESS_KEY"),
    "no right to write": (
        lambda method, _path: Refuse("AccessDenied") if method == "PUT" else None,
        "lack the right s3:PutObject there",
    ),
    "no right to delete": (
        lambda method, _path: Refuse("AccessDenied") if method in ("DELETE", "POST") else None,
        "lack the right s3:DeleteObject there",
    ),
}


def command(case: str, tmp_path: Path) -> list[str]:
    if case == "no right to write":
        return ["models", "add", str(tmp_path / "two"), "--name", "two"]
    if case == "no right to delete":
        return ["models", "gc", "--yes", "--grace", "0"]
    return ["models", "verify"] if case == "no list" else ["models", "path", "one"]


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_of_s3_is_named_in_one_line(
    case: str, zoo: str, proxy: S3Proxy, tmp_path: Path, made: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    made.phi(tmp_path / "two", 2)
    (tmp_path / "garbage").write_bytes(b"garbage")
    BucketStore(zoo).upload(tmp_path / "garbage", "c" * 64)
    proxy.rule, said = REFUSALS[case]
    assert root.run(command(case, tmp_path)) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in last
    assert zoo in last
    proxy.rule = always(None)
    with open_registry() as registry:
        assert registry.verify() == []


@pytest.mark.parametrize("case", ["expired token", "no right", "no bucket"])
def test_doctor_asks_the_store(case: str, zoo: str, proxy: S3Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    root.run(["doctor", "--json"])
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert (found["store"]["state"], found["store"]["detail"]) == ("ok", f"2 files in {zoo}")
    proxy.rule, said = REFUSALS[case]
    assert root.run(["doctor", "--json"]) == 1
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["store"]["state"] == "wrong"
    assert said in found["store"]["detail"]


def test_a_server_that_accepts_and_never_answers_ends_in_a_line(
    zoo: str, proxy: S3Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (filesystem.CONNECT_SECONDS, filesystem.READ_SECONDS, filesystem.FIRST_SECONDS) == (10, 60, 30)
    monkeypatch.setattr(filesystem, "FIRST_SECONDS", 1)
    proxy.rule = always(Swallow())
    began = time.monotonic()
    assert root.run(["models", "path", "one"]) == 2
    assert time.monotonic() - began < 15
    assert "the server accepted and did not answer in time" in capsys.readouterr().err


def test_a_server_that_falls_silent_later_is_asked_a_bounded_number_of_times(
    zoo: str, proxy: S3Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "READ_SECONDS", 1)
    monkeypatch.setattr(filesystem, "ATTEMPTS", 2)
    proxy.rule = lambda _method, path: Swallow() if "/objects/" in path else None
    began = time.monotonic()
    assert root.run(["models", "path", "one"]) == 2
    assert time.monotonic() - began < 60
    assert "did not answer in time" in capsys.readouterr().err
    assert 1 <= sum("/objects/" in path for _, path in proxy.asked) <= 40


def test_what_is_cached_is_given_out_though_the_server_is_gone(
    zoo: str, proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_registry(readonly=True) as registry:
        folder = registry.path("one")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with open_registry(readonly=True) as registry:
        assert registry.path("one") == folder
    monkeypatch.setenv("PHIZOO_HOME", f"{os.environ['PHIZOO_HOME']}-2")
    with open_registry(readonly=True) as registry, pytest.raises(UnreachableError):
        registry.path("one")


def test_a_download_that_is_cut_goes_on_where_it_was_cut(
    zoo: str, proxy: S3Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry(readonly=True) as registry:
        size = max(file.bytes for file in registry.get("one").files)
    proxy.rule = lambda method, path: Cut(1500) if method == "GET" and "/objects/" in path else None
    proxy.asked.clear()
    assert root.run(["models", "path", "one"]) == 0
    asked = [path for method, path in proxy.asked if method == "GET" and "/objects/" in path]
    assert len(asked) >= size // 1500
    proxy.rule = always(None)
    with open_registry(readonly=True) as registry:
        assert registry.verify() == []


def test_a_line_that_is_cut_at_once_each_time_ends_in_a_line_and_keeps_what_came(
    zoo: str, proxy: S3Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_registry(readonly=True) as registry:
        largest = max(registry.get("one").files, key=lambda file: file.bytes)
    sent = iter([Cut(2000)])
    proxy.rule = lambda _method, path: next(sent, Cut(0)) if largest.sha256 in path else None
    assert root.run(["models", "path", "one"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert zoo.removeprefix("s3://") in error
    assert "Traceback" not in error
    part = Path(os.environ["PHIZOO_HOME"]) / "cache" / "partial" / largest.sha256
    assert part.stat().st_size == 2000
    proxy.rule = always(None)
    assert root.run(["models", "path", "one"]) == 0


@pytest.mark.parametrize(
    "address", ["s3:/x", "s3:x", "s3//bucket/x", "s3://", "s3:///x", "S3:/bucket/x", "gs:/b/x", "file:/srv/x"]
)
def test_an_address_with_a_slip_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_registry() as registry, pytest.raises(ZooError, match=r"expected .*s3://bucket/folder"):
        pull(registry, "one", address)
    monkeypatch.setenv("PHIZOO_STORE", address)
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{tmp_path / 'zoo.db'}")
    assert root.run(["models", "verify"]) == 2
    assert "s3://bucket/folder" in capsys.readouterr().err
    assert not list(tmp_path.glob("*3*"))
    assert not list(tmp_path.glob("file*"))


def broken_upload(store: BucketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves an upload with two parts that was never completed."""
    monkeypatch.setattr(multipart, "PART_BYTES", 5 << 20)
    monkeypatch.setattr(multipart, "AT_ONCE", 1)
    (tmp_path / "large").write_bytes(os.urandom(12 << 20))
    real = store.fs.call_s3

    def call(method: str, **told: object) -> object:
        if method == "upload_part" and told["PartNumber"] == 3:
            raise ConnectionResetError("killed")
        return real(method, **told)

    with monkeypatch.context() as patch:
        patch.setattr(store.fs, "call_s3", call)
        with pytest.raises(ZooError):
            store.upload(tmp_path / "large", "d" * 64)


def test_uploads_that_were_never_completed_are_told_and_freed(
    zoo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = BucketStore(zoo)
    broken_upload(store, tmp_path, monkeypatch)
    (left,) = store.leftovers()
    assert left.bytes == 10 << 20
    assert root.run(["models", "verify"]) == 0
    assert "1 upload not completed (10.5 MB); to free them: phizoo models gc" in capsys.readouterr().err
    root.run(["doctor", "--json"])
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert "1 upload not completed" in found["store"]["detail"]
    assert root.run(["models", "gc"]) == 0
    assert store.leftovers() == [left]  # it is young: its writer may be alive
    capsys.readouterr()
    assert root.run(["models", "gc", "--grace", "0", "--json"]) == 0
    freed = json.loads(capsys.readouterr().out)
    assert (freed["uploads"], freed["upload_bytes"], freed["objects"]) == (1, 10 << 20, 0)
    assert store.leftovers() == []


def test_a_full_disk_of_the_cache_names_the_folder_and_its_limit(
    zoo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno

    from zoo.store import bucket

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/x")

    monkeypatch.setattr(bucket, "fetch_resumed", full)
    assert root.run(["models", "path", "one"]) == 2
    error = capsys.readouterr().err
    assert f"{os.environ['PHIZOO_HOME']}/cache: the disk of the cache is full" in error
    assert "lower PHIZOO_CACHE_BYTES (now 50,000,000,000)" in error


def test_verify_lists_first_and_reads_several_at_once(
    zoo: str, proxy: S3Proxy, tmp_path: Path, made: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        for number in range(2, 12):
            registry.add(made.phi(tmp_path / str(number), number), "one")
        files = {file.sha256 for one in registry.list(all_versions=True) for file in one.files}
    gone, *_ = sorted(files)
    BucketStore(zoo).delete(gone)
    proxy.asked.clear()
    assert root.run(["models", "verify"]) == 1
    told = capsys.readouterr()
    assert "is missing" in told.out
    assert "verifying:" in told.err
    objects = [(method, path) for method, path in proxy.asked if "/objects/" in path]
    assert sum("list-type" in path for _, path in proxy.asked) >= 1
    assert len({path for method, path in objects if method == "GET"}) >= len(files) - 1
    assert sum(method == "HEAD" for method, _ in objects) <= 2
