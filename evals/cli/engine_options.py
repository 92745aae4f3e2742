"""The options of `phizoo eval run` that belong to one engine, and the arguments of that engine's `connect`.

A new engine's own options are lines here, never one more parameter of the loop.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zoo.errors import ZooError, unknown

# option -> the engines that take it
ENGINES = {
    "url": ("openai_http", "vllm_server"), "model": ("openai_http", "vllm_server"),
    "concurrency": ("openai_http", "vllm_server"), "timeout": ("openai_http",), "requests": ("openai_http",),
    "budget": ("openai_http",), "price": ("openai_http",), "generations": ("replay",),
    "tensor_parallel": ("vllm", "vllm_server"),
}  # fmt: skip

OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--url", help="openai_http: the endpoint, like http://127.0.0.1:8000/v1."),
    click.option("--model", help="openai_http: the model's name there, if it serves several."),
    click.option("--concurrency", type=click.IntRange(1, 256), help="openai_http: requests at a time (default 8)."),
    click.option("--timeout", type=click.FloatRange(0.1), help="openai_http: seconds for one answer (default 180)."),
    click.option("--requests", type=click.IntRange(1), help="openai_http: most requests that this command may send."),
    click.option("--budget", type=click.FloatRange(0), help="openai_http: most money that this command may spend."),
    click.option(
        "--price", metavar="IN,OUT", help="openai_http: price per million prompt tokens and generated tokens."
    ),
    click.option(
        "--generations", type=click.Path(path_type=Path), help="replay: a generations.jsonl, or a run's folder."
    ),
    click.option("--tensor-parallel", type=click.IntRange(1), help="vllm, vllm_server: GPUs that share one model."),
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds every engine's own options to a command."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def check_engine(name: str) -> None:
    """Raises ZooError for an engine that there is not, with the nearest; auto is one."""
    from evals.cli.completion import engine_names

    names = engine_names("")
    if name not in names:
        raise unknown("engine", name, names, ", ".join(names))


def given(engine: str, options: dict[str, Any]) -> dict[str, Any]:
    """The engine's own options that were given, as keyword arguments of its `connect`.

    Raises ZooError for an option of another engine, a budget without prices, or malformed prices.

    >>> given("vllm", {"tensor_parallel": 2, "url": None})
    {'tensor_parallel': 2}
    """
    chosen = {name: options[name] for name in ENGINES if options.get(name) is not None}
    for name in chosen:
        if engine not in ENGINES[name]:
            flag = "--" + name.replace("_", "-")
            raise ZooError(f"{flag} is an option of --engine {ENGINES[name][0]}, not of {engine}")
    if engine != "openai_http":
        return {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()}
    from evals.engines.http.endpoint import Limits
    from evals.engines.http.price import parse_price

    price = parse_price(chosen.pop("price", "0,0"))
    budget = chosen.pop("budget", None)
    if budget is not None and not any(price):
        raise ZooError(
            "--budget needs --price IN,OUT (money per million tokens); without prices nothing can be counted"
        )
    waits = {"timeout_seconds": chosen.pop("timeout")} if "timeout" in chosen else {}
    chosen["limits"] = Limits(requests=chosen.pop("requests", None), budget=budget, price=price, **waits)
    return chosen
