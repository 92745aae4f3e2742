"""The child of `evals.scoring.algebra`: reads pairs of texts, a JSON line each, and writes true or false for each.

It is run as a file and imports nothing of this project. Each pair has 5 CPU seconds; after them Python ends the pair,
and 5 later the system ends the process, which a long computation inside one operation needs.
"""

import json
import os
import resource
import signal
import sys
import time
from typing import Any

SECONDS = 5
MEMORY_BYTES = 2 << 30


def main() -> None:
    """Answers until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the grammar's runtime prints a note about its version
    from sympy.parsing.latex import _parse_latex_antlr as reader

    # sympy asks for 4.11 of the runtime alone; the form of its grammar's tables is the same from 4.10 on, and the
    # tests compare what both read
    reader.version = lambda _: "4.11"
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _end)
    for line in sys.stdin:
        used = int(time.process_time()) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used + 2 * SECONDS, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            same = compare(reader, *json.loads(line))
        except Exception:
            same = False
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(json.dumps(same) + "\n")
        answers.flush()


def compare(reader: Any, mine: str, right: str) -> bool:
    """Whether the difference of two texts simplifies to 0. Raises whatever sympy does."""
    import sympy

    return bool(sympy.simplify(reader.parse_latex(mine) - reader.parse_latex(right)) == 0)


def _end(*_: Any) -> None:
    raise TimeoutError


if __name__ == "__main__":
    main()
