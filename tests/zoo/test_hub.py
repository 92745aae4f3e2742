"""Import from a hub played by a local server: pinned, resumed, checked, the token kept at home."""

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo import hub
from zoo.checkpoint import About
from zoo.errors import ZooError
from zoo.huggingface import import_any
from zoo.registry import open_registry

COMMIT = "cb02e3e" + "0" * 33


class Hub:
    """What the server holds and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.break_after: int | None = None
        self.spoil = False
        self.address = self.elsewhere = ""

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, data in self.files.items():
            one: dict[str, Any] = {"rfilename": name, "size": len(data)}
            if name.endswith(".safetensors"):
                one["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            else:
                one["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            siblings.append(one)
        return {"sha": COMMIT, "siblings": siblings, "cardData": {"license": "mit"}}


def handler(hub_: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def do_GET(self) -> None:
            hub_.asked.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
            if self.path.startswith("/api/models/microsoft/phi-2/revision/"):
                self.answer(json.dumps(hub_.listing()).encode())
                return
            name = self.path.rpartition("/")[2]
            if name not in hub_.files or "phi-2" not in self.path:
                self.send_error(404)
                return
            if name.endswith(".safetensors") and not self.path.startswith("/cdn") and hub_.elsewhere:
                self.send_response(302)
                self.send_header("Location", f"{hub_.elsewhere}/cdn/phi-2/{name}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = hub_.files[name]
            if hub_.spoil:
                data = data[:-1] + bytes([data[-1] ^ 1])
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            self.answer(data[start:], 206 if start else 200)

        def answer(self, data: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            cut = hub_.break_after if self.path.endswith(".safetensors") else None
            self.wfile.write(data if cut is None else data[:cut])

    return Handler


@pytest.fixture
def server(tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a small microsoft/phi-2, and its second host that large files are sent from."""
    found = Hub(made.phi(tmp_path / "phi-2", 1))
    found.files |= {
        "README.md": b"# Phi",
        "modeling_phi.py": b"print(1)",
        "picture.png": b"\x89PNG",
        ".gitattributes": b"x",
    }
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler(found)) for _ in range(2)]
    for one in servers:
        threading.Thread(target=one.serve_forever, daemon=True).start()
    found.address, found.elsewhere = (f"http://127.0.0.1:{one.server_port}" for one in servers)
    found.elsewhere = found.elsewhere.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("HF_ENDPOINT", found.address)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield found
    for one in servers:
        one.shutdown()
        one.server_close()


def imported(source: str = "microsoft/phi-2", revision: str | None = None) -> Any:
    with open_registry() as registry:
        return import_any(registry, source, None, revision, About(), drop_code=False)


def test_a_repository_is_pinned_checked_and_recorded(server: Hub, tmp_path: Path) -> None:
    found = imported()
    assert (found.name, found.source, found.licence) == ("phi-2", f"hf://microsoft/phi-2@{COMMIT}", "mit")
    assert {file.path for file in found.files} == {"README.md", "config.json", "model.safetensors"}
    assert imported("phi-2").label == "phi-2:1"
    assert not [path for path, _, _ in server.asked if path.endswith((".py", ".png"))]
    assert all(f"/resolve/{COMMIT}/" in path for path, _, _ in server.asked if "/resolve/" in path)
    assert list((tmp_path / "home" / "incoming").iterdir()) == []


def test_the_token_stays_with_the_hub(server: Hub) -> None:
    imported()
    told = {path.split("/")[1]: token for path, _, token in server.asked}
    assert told["api"] == told["microsoft"] == "Bearer hf_secret"
    assert told["cdn"] is None


def test_a_broken_download_goes_on_where_it_ended(server: Hub) -> None:
    server.break_after = 1000
    with pytest.raises(ZooError, match="broken off"):
        imported()
    server.break_after = None
    server.asked.clear()
    assert imported().label == "phi-2:1"
    ranges = [asked for path, asked, _ in server.asked if path.endswith(".safetensors")]
    assert ranges == ["bytes=1000-"] * 2  # asked of the hub, and of where it sent us


def test_bytes_that_the_hub_does_not_list_are_refused(server: Hub) -> None:
    server.spoil = True
    with pytest.raises(ZooError, match="are not those the hub lists"):
        imported()
    server.spoil = False
    assert imported().label == "phi-2:1"


def test_an_answer_for_another_commit_or_of_another_kind_is_refused(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZooError, match="the hub answers for"):
        imported(revision="f" * 40)
    assert imported(revision=COMMIT).label == "phi-2:1"
    for answer in ([], {"sha": COMMIT, "siblings": "x"}, {"sha": COMMIT, "siblings": [{"size": "x"}]}, {"sha": 1}):
        monkeypatch.setattr(server, "listing", lambda answer=answer: answer)
        with pytest.raises(ZooError, match=r"not a listing|names no commit") as told:
            imported()
        assert "\n" not in str(told.value)


def test_two_at_once_download_each_file_once(server: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: hub.download(hub.snapshot("microsoft/phi-2", None), folder), range(2)))
    assert found == [folder] * 2
    weights = [path for path, _, _ in server.asked if path.startswith("/cdn")]
    assert len(weights) == 1


def test_what_cannot_be_had_is_told_in_one_line(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZooError, match="does not exist"):
        imported("microsoft/phi-9")
    with pytest.raises(ZooError, match="is no repository"):
        imported("../etc")
    server.files["pytorch_model.bin"] = server.files.pop("model.safetensors")
    with pytest.raises(ZooError, match=r"only a pickle \(pytorch_model\.bin\)"):
        imported()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ZooError, match="cannot be reached") as told:
        imported()
    assert "\n" not in str(told.value)
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(ZooError, match="begins with https"):
        imported()
