"""Sanitising against trying all pairs of lines, as EvalPlus 0.3.1 does: seconds and ratio per length.

    python tests/bench/bench_sanitize.py

The text is a program with prose after it, the usual output of a chat model.
"""

import ast
import time
import warnings

from rows import row

from evals.scoring.sanitize import longest_valid

PROGRAM = "def f(x):\n    y = x + 1\n    return y\n"
PROSE = "This is why it works: the value is returned.\n"


def all_pairs(text: str) -> str:
    """The first span with the most filled lines among all pairs of lines."""
    lines = text.split("\n")
    best, span = 0, (0, 0)
    for start in range(len(lines)):
        for end in range(start + 1, len(lines)):
            try:
                ast.parse("\n".join(lines[start : end + 1]))
            except SyntaxError:
                continue
            filled = sum(1 for line in lines[start : end + 1] if line.strip())
            if filled > best:
                best, span = filled, (start, end)
    return "\n".join(lines[span[0] : span[1] + 1])


def main() -> None:
    warnings.simplefilter("ignore")
    print("lines  all pairs s  here s  ratio")
    for programs, prose in ((10, 10), (20, 60), (40, 180)):
        text = PROGRAM * programs + PROSE * prose
        lines, turns = text.count("\n"), []
        for _ in range(3):
            begun = time.perf_counter()
            slow = all_pairs(text)
            between = time.perf_counter()
            fast = longest_valid(text)
            ended = time.perf_counter()
            if slow != fast:
                raise SystemExit("the two spans differ")
            here, there = ended - between, between - begun
            turns.append(there / here)
            print(f"{lines:>5}  {there:>11.3f}  {here:>6.4f}  {there / here:>5.0f}")
        row(f"the longest program in {lines} lines", peer="all pairs of lines, as EvalPlus", ratios=turns)


if __name__ == "__main__":
    main()
