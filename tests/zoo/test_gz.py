"""Both libraries read the same gzip files, and any damage to a file is recognised."""

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo import gz

TEXT = b"".join(b"line %d of many\n" % number for number in range(20_000))


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    gz._codec.cache_clear()
    yield request.param
    gz._codec.cache_clear()


def test_what_is_packed_is_what_is_read(tmp_path: Path, library: str) -> None:
    (tmp_path / "a.gz").write_bytes(gz.compress(TEXT))
    assert gz._codec().module.__name__ == {"isal": "isal.igzip", "zlib": "gzip"}[library]
    assert gzip.decompress(gz.compress(TEXT)) == TEXT
    assert gz.compress(TEXT) == gz.compress(TEXT)
    assert b"".join(gz.lines(tmp_path / "a.gz")) == TEXT
    (tmp_path / "plain").write_bytes(TEXT)
    assert list(gz.lines(tmp_path / "plain")) == TEXT.splitlines(keepends=True)
    (tmp_path / "b.gz").write_bytes(gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]))  # as `cat` joins them
    with gz.open_binary(tmp_path / "b.gz") as file:
        assert file.read() == TEXT


@pytest.mark.parametrize("how", ["cut", "cut in the head", "sum", "stream", "blocks", "no gzip", "rubbish behind"])
def test_a_damaged_file_is_reported(tmp_path: Path, how: str) -> None:
    whole = gzip.compress(TEXT, mtime=0)
    middle = len(whole) // 2
    (tmp_path / "a.gz").write_bytes({
        "cut": whole[:-9],
        "cut in the head": whole[:5],
        "sum": whole[:-8] + bytes(4) + whole[-4:],
        "stream": whole[:middle] + bytes(b ^ 0x5A for b in whole[middle : middle + 64]) + whole[middle + 64 :],
        "blocks": whole[:10] + b"\xff" * 64 + whole[74:],
        "no gzip": TEXT,
        "rubbish behind": whole + b"rubbish",
    }[how])  # fmt: skip
    read = list[bytes]()
    with pytest.raises(gz.DamagedError):
        read.extend(gz.lines(tmp_path / "a.gz"))
    assert how == "stream" or TEXT.startswith(b"".join(read))


def test_a_missing_file_is_none_that_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(gz.lines(tmp_path / "a.gz"))
