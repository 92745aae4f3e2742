"""Prints the simulations behind docs/statistics.md: coverage of intervals, power of tests, family-wise error of ranks,
and the errors and power of decisions (equivalence, averages, recipes, gates, early stopping).

    OMP_NUM_THREADS=1 python tests/bench/bench_statistics.py [--quick] [--decisions]

`--quick` repeats each simulation less often and takes 15 s of an idle core; its figures are right to about 3 points.
`--decisions` simulates the decisions alone.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import rows as kept

# the columns of each table's smallest and largest figure, and what was wanted
SPANS = {"coverage": ("least", "most"), "power": ("power", "power"), "family-wise error": ("any false rank",) * 2}
DECISIONS = "decisions"
WANTED = {"coverage": "93.5 to 97%", "power": "78 to 82%", "family-wise error": "at most 5%"}


def main(arguments: Sequence[str]) -> None:
    from simulate_decisions import decision_table

    quick = "--quick" in arguments
    start = time.perf_counter()
    decisions = decision_table(quick)
    print(f"{DECISIONS}, {time.perf_counter() - start:.0f} s")
    print_table(decisions)
    wrong = [row["found"] for row in decisions if "at most 5%" in row["claim"] and "power" not in row["claim"]]
    kept.row(DECISIONS, figure=f"wrong in {min(wrong)} to {max(wrong)}%", target="at most 5%")
    if "--decisions" in arguments:
        return
    from simulate_coverage import coverage_table
    from simulate_power import family_table, power_table

    tables = (("coverage", coverage_table), ("power", power_table), ("family-wise error", family_table))
    for title, table in tables:
        start = time.perf_counter()
        rows = table(quick)
        print(f"{title}, {time.perf_counter() - start:.0f} s")
        print_table(rows)
        least, most = SPANS[title]
        kept.row(title, figure=f"{min(r[least] for r in rows)} to {max(r[most] for r in rows)}%", target=WANTED[title])


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Rows as a Markdown table; a row may lack a column."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print("| " + " | ".join(columns) + " |\n| " + " | ".join("---" for _ in columns) + " |")
    for row in rows:
        print("| " + " | ".join(str(row.get(name, "")) for name in columns) + " |", flush=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
