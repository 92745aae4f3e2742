"""Writes calibrations as lines of a table, as one sentence, and as the page docs/calibration.md."""

import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from evals.decisions.calibration import Calibration, CalibrationRow
from evals.decisions.cli.comparing import points
from zoo.cli.output import NONE, share_cell

COLUMNS = ("OURS", "VERDICT", "SCORE [95%]", "THEIRS", "OURS - THEIRS [95%]", "WHY", "SOURCE")
MARKS = re.compile(r"([\\|\[\]<])")  # of Markdown: a name or a source may come from a file that was imported
ADDRESS = ":/?#&=%@+,;~"  # what an address keeps as it is
INTRO = """# Calibration

Can this harness be trusted? Each row below is a score that was measured here, beside a number that others published of
the same model. `phizoo eval calibration --out docs/calibration.md` writes this page from a zoo, `phizoo eval
calibration` prints it, and the leaderboard has it as a page. It grows with every published model that you add and
score.

| verdict | meaning |
| --- | --- |
| AGREES | tool, shots, metric and set are the same, and their number lies inside our 95% interval |
| NOT RESOLVED | the same, but their number lies outside; the difference's interval has 0, or their n is not known |
| DIFFERS | the same, and the difference's interval does not have 0 |
| another protocol | prompts, shots, metric or set are others: no verdict, and the gap says nothing about the harness |

- A model is recognised by the repository or the file that it came from, or by its name, and its size must fit; a
  dequantised checkpoint is its parent's model. `--model NAME` names it where that fails.
- Both sides asked the same questions, which the unpaired interval does not know. So DIFFERS is strong evidence. A right
  harness on the same weights AGREES in more than 95 of 100 rows; weights in 4 bits are not quite the same.
- A fixed part of the questions (`-quick3`) is chosen by a digest of their ids, so it stands for the whole set, with a
  wider interval. Where both were asked, the whole set is shown.
- [protocols.md](protocols.md#a-real-model-beside-its-card) compares the same model sample by sample with the tools
  themselves: that is the stronger test, and it needs the tool installed.
"""


def fields(row: CalibrationRow) -> tuple[str, ...]:
    """A row under COLUMNS. Only a difference within one protocol has an interval."""
    gap = NONE
    if row.differs:
        gap = f"{100 * (row.value - row.theirs):+.1f}"
    elif row.difference is not None:
        gap = points(row.difference)
    theirs = f"{'<' if row.bound else ''}{100 * row.theirs:.1f}" + (f" n={row.their_n}" if row.their_n else "")
    return (
        row.column, row.verdict, share_cell(row.value, row.low, row.high, row.n), theirs, gap,
        "; ".join((*row.differs, *row.notes)) or NONE, row.source,
    )  # fmt: skip


def summary(calibrations: Sequence[Calibration]) -> str:
    """How many rows have each verdict, as one line."""
    counts = Counter(row.verdict for calibration in calibrations for row in calibration.rows)
    others = counts["another protocol"]
    same = sum(counts.values()) - others
    verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("AGREES", "NOT RESOLVED", "DIFFERS"))
    number = "number" if same == 1 else "numbers"
    text = f"{same} published {number} under the same protocol: {verdicts}"
    return f"{text}; {others} more of another protocol, without a verdict."


def unmeasured(calibration: Calibration) -> str:
    """The benchmarks that are published of a model and not measured here; empty if there are none."""
    names = ", ".join(calibration.unmeasured)
    return f"Published, but not measured here: {names}." if names else ""


def identity(calibration: Calibration) -> str:
    """Which published model a checkpoint is, and how that is known."""
    return f"{calibration.checkpoint} is {calibration.model} (by {calibration.by})"


def markdown(calibrations: Sequence[Calibration]) -> str:
    """The page: how to read it, then one table for each checkpoint."""
    parts = [INTRO, f"{summary(calibrations)}\n"]
    for calibration in calibrations:
        parts.append(f"## {identity(calibration)}\n")
        lines = [_line([name.capitalize() for name in COLUMNS]), _line(["---"] * len(COLUMNS))]
        for row in calibration.rows:
            *cells, source = (MARKS.sub(r"\\\1", cell) for cell in fields(row))
            lines.append(_line([*cells, f"[{source}]({quote(row.address, ADDRESS)})"]))
        parts += ["\n".join(lines) + "\n", *([f"{text}\n"] if (text := unmeasured(calibration)) else [])]
    return "\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
