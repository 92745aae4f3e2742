"""File systems behind an address: a plain web server that gives no ranges is read from the beginning to the end."""

import http.server
import threading
from functools import partial
from pathlib import Path

from zoo.store.filesystem import filesystem


class Silent(http.server.SimpleHTTPRequestHandler):
    """As `python -m http.server`, without its lines."""

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_a_large_file_of_a_server_without_ranges_is_read_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * (48 << 10)  # 12 MB: more than fsspec's block
    (tmp_path / "large.gguf").write_bytes(data)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fs, path = filesystem(f"http://127.0.0.1:{server.server_port}/large.gguf")
        with fs.open(path, "rb") as reading:
            assert b"".join(iter(partial(reading.read, 1 << 20), b"")) == data
        server.shutdown()
