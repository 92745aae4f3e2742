"""Folders, JSON lines, Parquet and a hub's dataset, hostile ones too: every row is kept, or counted with its reason."""

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.build import MadeDataset, folder_of
from training.data.decontaminate import decontaminate_dataset
from training.data.dedup.dedup import dedup_dataset
from training.data.document import read_documents
from training.data.gather import gather, sources
from training.data.gather.sources import Block
from training.data.quality.filter import FilterChoice, filter_dataset
from training.data.shards import use_workers
from zoo.errors import ZooError


def code(number: int) -> str:
    """A function like no other."""
    body = "\n".join(f"    value_{number}_{line} = first * {number * 31 + line} + second" for line in range(4))
    return (
        f'def part_{number}(first, second):\n    """Mixes two numbers in way {number}."""\n{body}\n    return first\n'
    )


def lost(made: MadeDataset) -> dict[str, int]:
    """What was dropped as files or rows, by reason; the dropped documents must say the same."""
    files = made.dataset.stages[0]
    told = Counter[str]()
    for one in read_documents(folder_of(made.dataset), "dropped"):
        if one.stage == "files":
            told[one.reason] += one.facts.get("rows", 1)
    assert dict(told) == files.dropped
    assert files.entered == files.kept + sum(files.dropped.values())
    return files.dropped


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of everything that has ever stopped a run at hour three."""
    root = tmp_path / "hostile"
    root.mkdir()
    good = [json.dumps({"content": code(n), "repo_name": f"p{n % 3}", "license": "mit"}).encode() for n in range(12)]
    bad = [
        b'{"content": "x = \\ud800"}',
        b'{"content": "x = 1\\u0000"}',
        b'{"content": "cut off',
        b"[1, 2]",
        b'{"content": 5}',
        b'{"other": "x"}',
        b'{"content": "caf\xe9"}',
        b'{"content": ""}',
        b'{"content": "' + b"[" * 100 + b'"}',
        b"[" * 200_000,
        b'{"content": "x = ' + b"1 + " * 3_000 + b'1"}',
    ]
    (root / "rows.jsonl").write_bytes(b"\n".join([*good, *bad, b"", b""]))
    (root / "no-line.jsonl").write_bytes(b"x" * 30_000_000)  # blocks of it hold no line at all
    (root / "one-line.jsonl").write_bytes(b'{"content": "' + b"x" * 9_000_000 + b'"}\n' + good[0][:-1] + b', "a": 1}')
    (root / "cut.jsonl.gz").write_bytes(gzip.compress(b"\n".join([good[1]] * 900))[:-20])
    (root / "no.parquet").write_bytes(b"PAR1 this is no table")
    (root / "plain.py").write_text(code(99))
    (root / "deep.py").write_text("x = " + "-" * 90_000 + "1\n")
    (root / "wide.py").write_text("def f():\n    return " + "+".join(["1"] * 2_500) + "\n")
    (root / "huge.py").write_bytes(b"x" * 9_000_000)
    (root / "notes.md").write_text(
        "A note that is long enough to be kept as a text of its own, about nothing at all.\n"
    )
    os.link(root / "plain.py", os.fsencode(root) + b"/caf\xe9.py")
    table = pa.table({"content": [code(n) for n in range(200, 260)]})
    path = root / "table.parquet"
    pq.write_table(table, path, row_group_size=20, compression="none", use_dictionary=False)
    whole = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    data[whole.data_page_offset : whole.data_page_offset + 40] = b"\xff" * 40
    path.write_bytes(data)
    return root


def test_hostile_input_is_counted_and_named_and_stops_nothing(hostile: Path) -> None:
    made = gather.gather(str(hostile), "hostile")
    counts = dict(lost(made))
    assert counts.pop("exact duplicate") > 800  # what is whole of the gzip file that is cut short
    assert counts == {
        "lone surrogates": 1, "NUL bytes": 1, "not JSON": 3, "no text": 2, "undecodable": 1, "empty": 1,
        "does not parse": 3, "too big": 3, "broken row group": 20, "unreadable": 2,
    }  # fmt: skip
    kept = {one.source.split("#")[0].split("::")[0] for one in read_documents(folder_of(made.dataset))}
    assert kept >= {"rows.jsonl", "wide.py", "notes.md", "table.parquet"}
    assert kept & {"plain.py", "caf\\xe9.py", "caf\\udce9.py"}
    assert {one.project for one in read_documents(folder_of(made.dataset))} >= {"p0", "p1", "p2"}
    # and the stages after it take what it gives
    filter_dataset("hostile", "best", FilterChoice(keep=0.9), 0)
    dedup_dataset("best", "single")
    decontaminate_dataset("single", "clean", ["humaneval"])


def test_pipes_sockets_links_and_bombs_are_counted_and_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    (root / "good.py").write_text(code(1))
    os.mkfifo(root / "pipe.py")
    os.mkfifo(root / "pipe.jsonl")
    os.mkfifo(root / "pipe.parquet")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(root)  # a socket's name may have 100 characters
        server.bind("socket.py")
        (root / "circle").symlink_to(root)
        (root / "itself.py").symlink_to(root / "itself.py")
        (root / "nowhere.jsonl").symlink_to(tmp_path / "nothing.jsonl")
        (root / "empty.jsonl.gz").write_bytes(b"")
        (root / "no.jsonl.gz").write_bytes(b"no gzip at all")
        (root / "bomb.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 400_000))
        monkeypatch.setattr(sources, "UNPACKED_BYTES", 100_000)
        monkeypatch.setattr(sources, "UNPACKED_TIMES", 20)
        with use_workers(1, ""):  # the limits are those of this process
            made = gather.gather(str(root), "odd")
    assert lost(made) == {
        "not a regular file": 4, "unreadable": 3, "unpacks to over 200 times its size": 1,
    }  # fmt: skip
    assert [one.source for one in read_documents(folder_of(made.dataset))] == ["good.py"]
    with pytest.raises(ZooError, match="pipe, socket or device"):
        gather.gather(str(root / "pipe.jsonl"), "x")


def test_a_packed_file_gives_the_documents_of_the_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = "".join(json.dumps({"content": code(n)}) + "\n" for n in range(300)).encode()
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "rows.jsonl").write_bytes(data)
    (tmp_path / "b" / "rows.jsonl.gz").write_bytes(gzip.compress(data))
    monkeypatch.setattr(sources, "BLOCK_BYTES", 10_000)
    with use_workers(1, ""):
        plain, packed = (gather.gather(str(tmp_path / name), name).dataset for name in "ab")
    texts = [[one.text for one in read_documents(folder_of(made))] for made in (plain, packed)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 300


def test_a_large_row_group_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"content": [code(n) for n in range(1_300)]}), path)
    monkeypatch.setattr(sources, "GROUP_BYTES", 50_000)
    blocks = sources.plan_blocks(str(path), "rows.parquet", "", "")
    assert [(one.start, one.rows) for one in blocks] == [(0, 500), (500, 500), (1_000, 300)]
    found = [cut for block in blocks for cut, _ in sources.cut_block(block)]
    assert [one.origin.relative for one in found] == [f"rows.parquet#0-{n}" for n in range(1_300)]
    assert {one.pieces[0].text for one in found} == {code(n) for n in range(1_300)}


def test_a_missing_or_empty_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="no source"):
        gather.gather(str(tmp_path / "none"), "x")
    with pytest.raises(ZooError, match="holds no readable files"):
        gather.gather(str(tmp_path), "x")


@given(st.lists(st.one_of(st.binary(max_size=30).filter(lambda b: b"\n" not in b), st.just(b"")), max_size=30),
       st.integers(1, 40))  # fmt: skip
def test_each_line_is_in_one_block(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    data = b"\n".join(lines)
    path.write_bytes(data)
    found = []
    for start in range(0, max(len(data), 1), size):
        found += sources._lines(Block(path=str(path), name="rows", start=start, end=min(len(data), start + size)))
    assert [line.rstrip(b"\n") for _, line in found if line is not None] == data.split(b"\n")[: len(found)]
    assert sum(len(line) for _, line in found if line is not None) == len(data)
    assert all(data[offset : offset + len(line)] == line for offset, line in found if line is not None)


def test_rows_of_a_table_and_of_lines_are_the_same_documents(tmp_path: Path) -> None:
    rows = [{"text": f"A text of sixty characters and more, which is number {n} of a few of them."} for n in range(30)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b" / "rows.parquet", row_group_size=7)
    one, two = (gather.gather(str(tmp_path / name), name) for name in "ab")
    texts = [{found.text for found in read_documents(folder_of(made.dataset))} for made in (one, two)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 30
    assert {found.kind for found in read_documents(folder_of(one.dataset))} == {"text"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
    """A hub on this machine with one dataset of two files; gives what it was asked."""
    commit = "c" * 40
    path = tmp_path / "train-00000.parquet"
    pq.write_table(pa.table({"content": [code(n) for n in range(40)]}), path, row_group_size=10)
    files = {
        "data/train-00000.parquet": path.read_bytes(),
        "data/test.jsonl": json.dumps({"content": code(77)}).encode() + b"\n",
    }
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def answer(self, data: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def entry(self, name: str) -> dict[str, Any]:
            return {"type": "file", "path": name, "size": len(files[name]), "oid": "a" * 40}

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.append((self.path, None))
            self.answer(json.dumps([self.entry(name) for name in files if name.split("/")[1] in body]).encode(),
                        Content_Type="application/json")  # fmt: skip

        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Range")))
            if self.path.startswith("/api/datasets/me/code/tree"):
                self.answer(json.dumps([self.entry(name) for name in files]).encode(), Content_Type="application/json")
            elif self.path.startswith("/api/datasets/me/code"):
                told = {"id": "me/code", "sha": commit, "siblings": [{"rfilename": name} for name in files]}
                self.answer(json.dumps(told).encode(), Content_Type="application/json")
            elif name := next((one for one in files if self.path.endswith(f"/resolve/{commit}/{one}")), ""):
                data, wanted = files[name], self.headers.get("Range")
                headers = {"ETag": '"e"', "X_Repo_Commit": commit, "Accept_Ranges": "bytes"}
                if wanted:
                    start, _, end = wanted[6:].partition("-")
                    part = data[int(start) : int(end) + 1 if end else None]
                    headers["Content_Range"] = f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}"
                    self.answer(part, 206, **headers)
                else:
                    self.answer(data, **headers)
            else:
                self.answer(b'{"error": "Repository not found"}', 404, X_Error_Code="RepoNotFound")

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for module in ("huggingface_hub.constants", "huggingface_hub.hf_file_system"):
        monkeypatch.setattr(f"{module}.HF_HUB_OFFLINE", False, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr("training.data.shards.cores", lambda: 1)
    yield asked
    server.shutdown()
    server.server_close()


def test_a_hubs_dataset_is_pinned_and_read_in_stretches(hub: list[tuple[str, str | None]]) -> None:
    made = gather.gather("hf:me/code@main", "from-hub", split="train")
    assert made.dataset.documents == 40
    assert made.dataset.recipe
    assert made.dataset.recipe["source"] == f"hf:me/code@{'c' * 40}/train"
    read = [(path, wanted) for path, wanted in hub if "/resolve/" in path]
    assert read
    assert not any("test.jsonl" in path for path, _ in read)
    both = gather.gather("hf:me/code", "both")
    assert both.dataset.documents == 41
    with pytest.raises(ZooError, match='no dataset "me/other"'):
        gather.gather("hf:me/other", "other")
    with pytest.raises(ZooError, match=r'of split "dev"; it has data/test\.jsonl'):
        gather.gather("hf:me/code", "dev", split="dev")


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://user:s3cr3tPart@127.0.0.1:1"])
def test_a_hub_that_cannot_be_reached_is_one_line_without_the_password(address: str) -> None:
    line = "from training.data.gather.sources import hub_files; from zoo.errors import ZooError\n"
    line += "try:\n    hub_files('a/b', '')\nexcept ZooError as error:\n    print(error)\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", line], env={**os.environ, "HF_ENDPOINT": address}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "HF_ENDPOINT" in done.stdout
    assert "s3cr3tPart" not in done.stdout + done.stderr
