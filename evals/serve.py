"""`phizoo serve NAME`: a checkpoint of the zoo behind an OpenAI-compatible address.

The name is resolved, the files' digests are checked, and the engine is started on the materialised
folder: vLLM where it is installed (`vllm serve`), else our own small server on transformers. Bound
to 127.0.0.1 unless told otherwise, and then only with an API key from PHIZOO_API_KEY.
"""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import click

from zoo.errors import ZooError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.argument("name")
@click.option("--engine", type=click.Choice(["auto", "vllm", "transformers"]), default="auto", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address needs PHIZOO_API_KEY.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free port.")
@click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the engine (vLLM).")
def serve(name: str, engine: str, host: str, port: int, dtype: str, seed: int) -> None:
    """Serve a checkpoint over an OpenAI-compatible address.

    \b
    phizoo serve phi-1-small-mini
    phizoo serve phi-1-small-mini --engine transformers --port 8001

    Ends cleanly on Ctrl-C or SIGTERM.
    """
    from zoo.registry import open_registry

    key = os.environ.get("PHIZOO_API_KEY")
    if host not in LOOPBACK and not key:
        raise ZooError(f"--host {host} opens the model to others: set PHIZOO_API_KEY to a key they must send")
    with open_registry() as registry:
        checkpoint = registry.get(name)
        problems = registry.verify(checkpoint.label)
        if problems:
            raise ZooError(f"{checkpoint.label} is damaged: {problems[0]}. All of it: phizoo models verify {name}")
        path = registry.path(checkpoint)
    with_vllm = importlib.util.find_spec("vllm") is not None
    if engine == "vllm" and not with_vllm:
        raise ZooError("vLLM is not installed: pip install 'phi-zoo[vllm]', or take --engine transformers")
    if engine == "vllm" or (engine == "auto" and with_vllm):
        sys.exit(_vllm(vllm_command(path, checkpoint.name, checkpoint.context_tokens, host, port, dtype, seed), key))
    _transformers(path, checkpoint.name, host, port, dtype, key)


def vllm_command(path: Path, name: str, context: int, host: str, port: int, dtype: str, seed: int) -> list[str]:
    """The `vllm serve` command line for a materialised checkpoint; the key travels in the environment."""
    command = ["vllm", "serve", str(path), "--served-model-name", name, "--host", host, "--port", str(port)]
    return [*command, "--dtype", dtype, "--max-model-len", str(context), "--seed", str(seed)]


def _vllm(command: list[str], key: str | None) -> int:
    """Runs vLLM until it ends; an interrupt or SIGTERM reaches it once and is waited for."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **({"VLLM_API_KEY": key} if key else {})}
    process = subprocess.Popen(command, env=environment)

    def forward(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    ended = process.wait()
    return 0 if ended in (0, -signal.SIGTERM, -signal.SIGINT) else ended


def _transformers(path: Path, name: str, host: str, port: int, dtype: str, key: str | None) -> None:
    from evals.backends.transformers_local import connect
    from evals.http_server import server

    backend = connect(path, dtype=dtype)
    _ = backend.model  # loaded before the address answers
    try:
        running = server(backend, name, host, port, key)
    except OSError as error:
        raise ZooError(f"cannot listen on {host}:{port} ({error.strerror}); take another --port") from None

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    click.echo(f"{name} answers at http://{host}:{running.server_address[1]}/v1/completions (Ctrl-C ends it)")
    try:
        running.serve_forever()
    except KeyboardInterrupt:
        click.echo("stopped")
    finally:
        running.server_close()
        backend.close()
