"""How fast the registry answers, beside MLflow's on the same machine in the same run.

    python tests/bench/bench_registry.py [--mlflow /path/to/python]

MLflow is not a dependency. Give it an environment of its own and name its Python:
    python -m venv /tmp/mlflow && /tmp/mlflow/bin/pip install mlflow-skinny sqlalchemy alembic pandas
"""

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import missing, row

from tests.scale_zoo import Size, fill
from zoo.registry import open_registry

ROUNDS = 5
MLFLOW = """
import sys, time, statistics, random, logging
logging.disable(logging.CRITICAL)
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}/mlflow.db", registry_uri=f"sqlite:///{sys.argv[1]}/mlflow.db")
for n in range(20):
    client.create_registered_model(f"m-{n}")
    for _ in range(10):
        client.create_model_version(f"m-{n}", source="/tmp/x")
    client.set_registered_model_alias(f"m-{n}", "best", 5)
print("ready", flush=True)
for _ in sys.stdin:  # one round a line, so that rounds of both sides can take turns
    times = []
    for _ in range(200):
        name = f"m-{random.randrange(20)}"
        began = time.perf_counter()
        client.get_model_version_by_alias(name, "best")
        times.append(time.perf_counter() - began)
    print(statistics.median(times), flush=True)
"""


def p50(call: object, rounds: int) -> float:
    """The median time of one call, in seconds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()  # type: ignore[operator]
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def lookups(mlflow: str | None) -> None:
    """Prints how long a lookup by alias takes, ours with 10,000 versions and MLflow's with 200, in turns."""
    with (
        tempfile.TemporaryDirectory() as place,
        open_registry(f"sqlite:///{place}/zoo.db", f"{place}/store") as registry,
        contextlib.ExitStack() as opened,
    ):
        fill(registry, Size(100, 100))
        peer = None
        if mlflow:
            command = [mlflow, "-c", MLFLOW, place]
            peer = opened.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            while peer.stdout and "ready" not in peer.stdout.readline():
                pass  # what MLflow says of its migrations
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(p50(lambda: registry.get(f"model-{random.randrange(100):05d}@best"), 2000))
            if peer and peer.stdin and peer.stdout:
                peer.stdin.write("go\n")
                peer.stdin.flush()
                theirs.append(float(peer.stdout.readline()))
        told = ", ".join(f"{1e3 * one:.4f}" for one in ours)
        print(f"lookup by alias, 10,000 versions: p50 {told} ms in {ROUNDS} rounds of 2,000 (goal 0.1 ms)")
        best = f"{1e3 * statistics.median(ours):.3f} ms with 10,000 versions"
        if not theirs:
            missing("lookup by alias", "MLflow", "no --mlflow PYTHON (or MLFLOW_PYTHON)")
            row("lookup by alias", figure=best, target="0.1 ms")
        if theirs:
            turns = [b / a for a, b in zip(ours, theirs, strict=True)]
            row("lookup by alias", peer="MLflow, SQLite, 200 versions", ratios=turns, figure=best, target="30")
            told = ", ".join(f"{1e3 * one:.2f}" for one in theirs)
            ratios = ", ".join(f"{b / a:.0f}" for a, b in zip(ours, theirs, strict=True))
            print(f"the same by MLflow, 200 versions: p50 {told} ms in rounds of 200; ratios {ratios} (goal 30)")


def main() -> None:
    """Prints every figure with what it is held against."""
    options = argparse.ArgumentParser()
    options.add_argument("--mlflow", default=os.environ.get("MLFLOW_PYTHON"))
    mlflow = options.parse_args().mlflow
    lookups(mlflow)
    with tempfile.TemporaryDirectory() as place:
        environment = {"PHIZOO_HOME": place}
        with open_registry(f"sqlite:///{place}/zoo.db", f"{place}/store") as registry:
            fill(registry, Size(1_000, 100))
            conditions = ["humaneval.low > 0.9", "parameters < 3e9"]
            found = len(registry.find(conditions))
            taken = p50(lambda: registry.find(conditions), 20)
            print(f"find by score, 100,000 versions, 1M scores, {found} found: {1e3 * taken:.1f} ms (goal 50 ms)")
            row("find by score, 100,000 versions, 1M scores", figure=f"{1e3 * taken:.1f} ms", target="50 ms")
            taken = p50(lambda: registry.find("humaneval.low > 0.2 and parameters < 3e9", limit=100), 20)
            print(f"the first 100 of a wide condition: {1e3 * taken:.1f} ms (goal 50 ms)")
        cold = p50(
            lambda: subprocess.run(
                [sys.executable, "-m", "zoo.cli", "models", "show", "model-00007"], env=environment, stdout=subprocess.DEVNULL,
                check=True, cwd=Path(__file__).parents[2],
            ),
            15,
        )  # fmt: skip
        bare = p50(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 15)
        package = p50(lambda: subprocess.run([sys.executable, "-c", "import zoo"], check=True), 15)
        imported = p50(lambda: subprocess.run([sys.executable, "-c", "import zoo.registry"], check=True), 15)
        row("`phizoo models show`, cold", figure=f"{cold:.3f} s (a bare Python {bare:.3f} s)", target="0.25 s")
        row("import zoo.registry", figure=f"{imported - bare:.3f} s over a bare Python", target="0.15 s")
        print(f"`phizoo models show`, cold: {cold:.3f} s (goal 0.25 s); a bare Python: {bare:.3f} s")
        print(f"import zoo: {package - bare:.3f} s over a bare Python (goal 0.15 s)")
        print(f"import zoo.registry: {imported - bare:.3f} s over a bare Python (goal 0.15 s)")


if __name__ == "__main__":
    main()
