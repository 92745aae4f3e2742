"""Decides which results of another tool may become a run: finite numbers in range, printable names.

Not here: reading the files (`import_formats`).
"""

import datetime
import math
from collections.abc import Iterator

from evals.interchange.tool_results import TaskResults
from zoo.errors import ZooError
from zoo.metrics import metric_of

NAME = 400  # characters of a name
COMMAND = 20_000
SAMPLE = 2_000  # characters of a sample's id
MOST = 1 << 53
LINES, DRAWS = 10_000_000, 100_000
LAST = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC).timestamp()


def check_results(results: TaskResults) -> TaskResults:
    """The results, if they may become a run. Raises ZooError with the first fault."""
    if fault := next(_faults(results), ""):
        raise ZooError(f"{results.file!r:.100} is not taken in: {fault}; export it again with its tool")
    return results


def _faults(results: TaskResults) -> Iterator[str]:
    named = {"task": results.task, "model": results.model, "release": results.release, "commit": results.commit}
    named |= {"dtype": results.dtype, "device": results.device, "file": results.file}
    if not results.command.replace("\n", " ").isprintable() or len(results.command) > COMMAND:
        yield f"its command is {results.command[:40]!r}, expected printable text of at most {COMMAND:,} characters"
    named |= {f"metric {name!r:.40}": name for name in results.metrics}
    named |= {f"version of {name!r:.40}": f"{name} {release}" for name, release in results.versions.items()}
    for name, text in named.items():
        if not text.isprintable() or len(text) > NAME:
            yield f"its {name} is {text[:40]!r}, expected printable text of at most {NAME} characters"
    numbers = {"version": results.version, "shots": results.shots, "context": results.context_tokens}
    numbers |= {f"setting {key}": value for key, value in results.decoding.items() if isinstance(value, int | float)}
    for name, number in numbers.items():
        if not (math.isfinite(number) and 0 <= number <= MOST):
            yield f"its {name} is {number}, expected 0 or more"
    if not -MOST <= results.seed <= MOST:
        yield f"its seed is {results.seed}"
    if not 0 <= results.date <= LAST:
        yield f"its date is {results.date}, expected seconds since 1970"
    if len(results.lines) > LINES:
        yield f"it has {len(results.lines):,} lines, expected at most {LINES:,}"
    seen: set[tuple[str, int]] = set()
    for line in results.lines:
        if (key := (line.sample, line.draw)) in seen:
            yield f"the sample {line.sample[:40]!r} stands twice"
        seen.add(key)
        if not 0 <= line.draw < DRAWS:
            yield f"a draw of {line.sample[:40]!r} is {line.draw}, expected 0 to {DRAWS:,}"
        if not line.sample.isprintable() or len(line.sample) > SAMPLE:
            yield f"the id of a sample is {line.sample[:40]!r}, expected printable text"
        for name, value in line.metrics.items():
            if not (math.isfinite(value) and 0 <= value <= metric_of(name).highest):
                yield f"a metric of {line.sample[:40]!r} is {value}, expected 0 to {metric_of(name).highest:g}"
        if not all(outcome in (0.0, 1.0) for outcomes in line.trials.values() for outcome in outcomes):
            yield f"an instruction of {line.sample[:40]!r} is neither followed nor not"
        if not all(map(math.isfinite, line.logprobs)):
            yield f"a log-probability of {line.sample[:40]!r} is not finite"
