"""How soon each command answers: `--help` of every verb, and the listings of a zoo; the slowest first.

    python tests/bench/bench_startup.py [--rounds 5] [--shown 10]

Each is a process of its own, in turns; a bare `python -c pass` beside them tells what of it is Python's. The zoo has
200 checkpoints, a home of its own and no network. CPU seconds are told too: on a busy machine they are the steadier.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import click
from rows import row

from tests.scale_zoo import Size, fill

LISTINGS = (
    "models list", "models show model-00001", "models find --where 'parameters < 3e9'", "models lineage model-00001", "models variants",
    "data list", "train recipes", "train plan phi-2", "eval tasks", "eval tasks --suites",
    "eval tasks --data", "eval runs", "doctor",
    "leaderboard --print", "leaderboard --json", "quickstart --dry-run", "completion bash", "serve phi-2 --dry-run",
)  # fmt: skip
TARGET_SECONDS = 0.5


def verbs() -> Iterator[str]:
    """Every command's path, groups too."""
    from zoo.cli.root import phizoo

    def below(command: click.Command, path: str) -> Iterator[str]:
        yield path
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from below(found, f"{path} {name}".strip())

    yield from below(phizoo, "")


def timed(line: str, home: str) -> tuple[float, float]:
    """(seconds, CPU seconds) of one command line of phizoo; of a bare Python for "python"."""
    command = f"{sys.executable} -c pass" if line == "python" else f"{sys.executable} -m zoo.cli {line}"
    environment = {**os.environ, "PHIZOO_HOME": home, "HF_HUB_OFFLINE": "1"}
    spent, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, shell=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    whole, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return whole, after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime


def main() -> None:
    """Prints the slowest, and the median of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shown", type=int, default=10)
    asked = parser.parse_args()
    helps, listings = [f"{verb} --help".strip() for verb in verbs()], list(LISTINGS)
    with tempfile.TemporaryDirectory() as home:
        os.environ["PHIZOO_HOME"] = home
        from zoo.registry import open_registry

        with open_registry() as registry:
            fill(registry, Size(20, 10))
        for line in listings:
            timed(line, home)  # what only a first call does
        times: dict[str, list[tuple[float, float]]] = {}
        for _ in range(asked.rounds):
            for line in ("python", *helps, *listings):
                times.setdefault(line, []).append(timed(line, home))
    medians = {line: statistics.median(whole for whole, _ in found) for line, found in times.items()}
    cpu = {line: statistics.median(spent for _, spent in found) for line, found in times.items()}
    bare = medians.pop("python")
    slowest = sorted(medians, key=lambda line: -medians[line])
    print(f"a bare Python {bare:.3f} s; {len(helps)} helps and {len(listings)} listings, median of {asked.rounds}")
    for line in slowest[: asked.shown]:
        print(f"  {medians[line]:.3f} s, {cpu[line]:.3f} s of CPU: phizoo {line}")
    row("doctor", figure=f"{medians['doctor']:.2f} s", note="tries a program in each tier of the sandbox")
    listings.remove("doctor")
    for title, lines in (("--help of a command", helps), ("a listing", listings)):
        worst = max(lines, key=lambda line: medians[line])
        row(
            f"{title}, the slowest of {len(lines)}: {worst}",
            figure=f"{medians[worst]:.2f} s, {cpu[worst]:.2f} s of CPU; median of all "
            f"{statistics.median(medians[line] for line in lines):.2f} s",
            target=f"{TARGET_SECONDS} s",
            note=f"a bare Python {bare:.2f} s",
        )


if __name__ == "__main__":
    main()
