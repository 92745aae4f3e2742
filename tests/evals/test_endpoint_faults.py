"""`phizoo eval run` over an endpoint that fails: one clear line, the right exit code, and the run goes on from there.

Each fault begins after some answers; then the endpoint is well again, and the finished run has the lines of
an undisturbed one. No key ever stands in the zoo's files or in what is printed.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo import settings
from zoo.cli import root
from zoo.registry import open_registry

KEY = "sk-" + "0123456789abcdef" * 2
WELL_FOR = 3  # answers before the fault; the first one is the question whether log-probabilities are told


class Endpoint(BaseHTTPRequestHandler):
    """Answers every prompt with its length, until `fault` is set and enough was answered."""

    protocol_version = "HTTP/1.1"
    state: SimpleNamespace

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.state.keys.append(self.headers.get("Authorization"))
        self.reply(200, json.dumps({"data": [{"id": "m", "owned_by": "test", "max_model_len": 4096}]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.state.lock:
            self.state.answered += 1
            late = self.state.answered > WELL_FOR
        if self.state.fault is not None and late:
            self.state.fault(self)
            return
        time.sleep(self.state.seconds)
        choice = {"index": 0, "text": f"    return {len(str(body['prompt']))}\n", "finish_reason": "stop"}
        self.reply(
            200, json.dumps({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}).encode()
        )

    def reply(self, status: int, data: bytes, length: int = 0, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length or len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = bool(length)


def serving() -> tuple[ThreadingHTTPServer, SimpleNamespace]:
    state = SimpleNamespace(fault=None, answered=0, keys=[], lock=threading.Lock(), seconds=0.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Scripted", (Endpoint,), {"state": state}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    return server, state


@pytest.fixture
def endpoint(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.setenv("PHIZOO_API_KEY", KEY)
    monkeypatch.setattr("evals.engines.http.endpoint.LONGEST_WAIT_SECONDS", 0.01)
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
    server, state = serving()
    yield state
    server.shutdown()
    server.server_close()


def line(url: str, *more: str) -> list[str]:
    words = f"eval run tiny --limit 8 --engine openai_http --url {url} --concurrency 1 --timeout 0.5"
    return [*words.split(), *(() if "--task" in more else ("--task", "mini_exercises")), *more]


FAULTS: dict[str, tuple[Callable[[Endpoint], None], str]] = {
    "dies": (lambda one: setattr(one, "close_connection", True), "gave no answer in 5 tries"),
    "hangs": (lambda one: time.sleep(0.8), "gave no answer in 2 tries (no answer within 0.5 s)"),
    "429": (lambda one: one.reply(429, b'{"error": {"message": "slow down"}}', Retry_After="0"), "HTTP 429: slow down"),
    "500": (lambda one: one.reply(500, b"<html>oh</html>", Retry_After="0"), "HTTP 500"),
    "malformed": (lambda one: one.reply(200, b'{"choices": [}'), "not JSON"),
    "no object": (lambda one: one.reply(200, b'"fine"'), "expected a JSON object"),
    "half a stream": (lambda one: one.reply(200, b'{"choices": [{"te', length=900), "broke off"),
    "wrong model": (lambda one: one.reply(404, b'{"error": {"message": "no model m"}}'), "no such address or model"),
    "key refused": (
        lambda one: one.reply(401, f"bad key {KEY}".encode()),
        r"refuses the key (HTTP 401: bad key [key])",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_line_and_the_run_goes_on(
    endpoint: SimpleNamespace, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    endpoint.fault, told = FAULTS[fault]
    assert root.run(line(endpoint.url)) == 2
    said = [one for one in capsys.readouterr().err.splitlines() if one.startswith("phizoo: ")]
    assert len(said) == 1 and told in said[0], said
    (run,) = settings.runs_dir().iterdir()
    kept = (run / "generations.jsonl").read_text().splitlines()
    assert len(kept) == WELL_FOR - 1
    endpoint.fault, endpoint.answered = None, 0
    assert root.run(line(endpoint.url)) == 0
    assert endpoint.answered == 1 + 8 - len(kept)  # nothing that was answered is asked again
    assert (run / "generations.jsonl").read_text().splitlines()[: len(kept)] == kept
    assert len((run / "results.jsonl").read_text().splitlines()) == 8
    assert "requests," in capsys.readouterr().err
    assert f"Bearer {KEY}" in endpoint.keys
    no_key_anywhere(said)


def no_key_anywhere(said: list[str]) -> None:
    assert not any(KEY in one for one in said)
    files = [path for path in settings.home().rglob("*") if path.is_file()]
    assert any("header.json" in path.name for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_an_endpoint_that_is_not_there_or_serves_another(
    endpoint: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    for url, more, told in (
        ("http://127.0.0.1:1/v1", [], "gave no answer in 5 tries"),
        (endpoint.url, ["--model", "other"], 'does not serve "other"; it serves: m'),
        (endpoint.url, ["--task", "arc_easy"], "gives no log-probabilities, so arc_easy cannot be scored"),
        (endpoint.url, ["--chat", "--task", "arc_easy"], "gives no log-probabilities"),
        (endpoint.url, ["--requests", "3"], "the 3 requests of --requests are used up"),
        (endpoint.url, ["--price", "1000,1000", "--budget", "0.2"], "--budget 0.2 is used up"),
    ):
        capsys.readouterr()
        assert root.run(line(url, *more)) == 2, told
        said = [one for one in capsys.readouterr().err.splitlines() if one.startswith("phizoo: ")]
        assert len(said) == 1 and told in said[0], said


def test_the_cost_is_told_in_tokens_and_money(endpoint: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(line(endpoint.url, "--price", "100,1000")) == 0
    # nine requests, the question for log-probabilities included: 3 tokens at 100 and 2 at 1000 a million each
    assert "9 requests, 27 + 18 tokens, 0.0207 spent" in capsys.readouterr().err


def test_a_model_that_only_the_endpoint_has_is_no_checkpoints(
    endpoint: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evals.run.FinishedRun.complete", True)  # eight of a task would not be published anyway
    asked = [*line(endpoint.url), "--json"]
    asked[2] = "endpoint:m"
    assert root.run(asked) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["checkpoint"], row["published"], row["n"]) == ("endpoint:m", False, 8)
    assert root.run(line(endpoint.url, "--no-publish")) == 0
    assert len(list(settings.runs_dir().iterdir())) == 2
    asked[asked.index("openai_http")] = "transformers"
    assert root.run(asked) == 2


def process(endpoint: SimpleNamespace, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "zoo.cli", *line(endpoint.url, *more)],
        env={**os.environ, "PHIZOO_HOME": str(settings.home())},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def test_an_interrupt_keeps_what_was_answered(endpoint: SimpleNamespace) -> None:
    endpoint.seconds, many = 0.3, ("--limit", "60")  # 18 seconds of answers: the interrupt comes before the last
    with process(endpoint, *many) as running:
        while endpoint.answered < 4:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        told = running.communicate(timeout=30)[1]
    assert running.returncode == 130
    assert (
        told.splitlines()[-1] == "phizoo: interrupted. Finished work is kept; run the same command again to continue."
    )
    (run,) = settings.runs_dir().iterdir()
    kept = len((run / "generations.jsonl").read_text().splitlines())
    assert kept >= 2
    endpoint.answered, endpoint.seconds = 0, 0.0
    assert root.run(line(endpoint.url, *many)) == 0
    assert endpoint.answered == 1 + 60 - kept


def test_a_full_disk_is_one_line_and_the_run_goes_on(
    endpoint: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from evals.run_folder import RunFolder

    add, room = RunFolder.add_generation, [3]

    def full(self: RunFolder, generation: Any) -> None:
        if not room[0]:
            self._generations.write(b'{"sample":"half a li')  # what a full disk leaves of a line
            self._generations.flush()
            raise OSError(errno.ENOSPC, "No space left on device", str(self.path / "generations.jsonl"))
        room[0] -= 1
        add(self, generation)

    with monkeypatch.context() as filled:
        filled.setattr(RunFolder, "add_generation", full)
        assert root.run(line(endpoint.url)) == 2
    told = [one for one in capsys.readouterr().err.splitlines() if one.startswith("phizoo: ")]
    assert len(told) == 1 and "generations.jsonl: the disk is full; free some space" in told[0]
    endpoint.answered = 0
    assert root.run(line(endpoint.url)) == 0
    assert endpoint.answered == 1 + 8 - 3
