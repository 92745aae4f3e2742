"""Prints the simulations behind docs/statistics.md: coverage of intervals, power of tests, family-wise error of ranks.

    OMP_NUM_THREADS=1 python tests/bench/bench_statistics.py [--quick]

`--quick` repeats each simulation less often and takes less than a minute; its figures are right to 2 points or so.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any


def main(arguments: Sequence[str]) -> None:
    from simulate_coverage import coverage_table
    from simulate_power import family_table, power_table

    quick = "--quick" in arguments
    tables = (("coverage", coverage_table), ("power", power_table), ("family-wise error", family_table))
    for title, table in tables:
        start = time.perf_counter()
        rows = table(quick)
        print(f"{title}, {time.perf_counter() - start:.0f} s")
        print_table(rows)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Rows as a Markdown table."""
    print("| " + " | ".join(rows[0]) + " |\n| " + " | ".join("---" for _ in rows[0]) + " |")
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
