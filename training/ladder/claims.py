"""The talk's claims at a ladder's scale: the difference that each predicts, in bits per byte and in scores.

A claim names two arms and what should get better, or worse. It is judged twice, by bits per byte of gold answers and by
the ladder's score, each with Holm's correction over the claims. What is not judged here: the factor of three in steps,
which table 4 has.
"""

from collections.abc import Sequence

from evals.stats.paired import holm
from training.ladder.measures import (
    EMPTY,
    LadderCell,
    LadderTable,
    RungResult,
    bits_apart,
    p_text,
    runs_of_arm,
    scores_apart,
)
from training.ladder.rungs import Scale
from zoo.records import Record

Arm = tuple[str, str]  # study, arm
LEVEL = 0.05


class Claim(Record, frozen=True):
    """The first arm is better than the second, or worse, by the gold answers of this kind."""

    text: str
    first: Arm
    second: Arm
    kind: str = "code"
    worse: bool = False


SMALL: Arm = ("growth", "parent")
PHI_1, PHI_15, PHI_2 = (("chain", name) for name in ("phi-1", "phi-1.5", "phi-2"))
CLAIMS = (
    Claim("filtered code is better than unfiltered", ("data", "filtered code"), ("data", "unfiltered code")),
    Claim("textbooks add to filtered code", ("data", "+ textbooks"), ("data", "filtered code")),
    Claim("exercises add to textbooks", ("data", "+ exercises"), ("data", "+ textbooks")),
    Claim("weight reuse (WR) is better than scratch", ("growth", "corner, copy"), ("growth", "scratch")),
    Claim("tiling adds to weight reuse (WR + Tile)", ("growth", "tile, copy"), ("growth", "corner, copy")),
    Claim("phi-1 is better than phi-1-small", PHI_1, SMALL),
    Claim("from phi-1 to phi-1.5 language gets better", PHI_15, PHI_1, kind="text"),
    Claim("from phi-1.5 to phi-2 language gets better", PHI_2, PHI_15, kind="text"),
    Claim("from phi-1.5 to phi-2 code gets worse", PHI_2, PHI_15, worse=True),
)


def claims_table(scale: Scale, ran: Sequence[RungResult]) -> LadderTable:
    """Which of the talk's claims show at this scale, and how surely; without those of arms that this scale lacks."""
    judged = [
        (claim, runs, base)
        for claim in CLAIMS
        if (runs := runs_of_arm(ran, *claim.first)) and (base := runs_of_arm(ran, *claim.second))
        if claim.kind in scale.bits
    ]
    bits = [bits_apart(runs, base, claim.kind) for claim, runs, base in judged]
    scores = [scores_apart(runs, base) for _, runs, base in judged]
    by_bits, by_score = (holm([p for _, p in cells]) for cells in (bits, scores))
    rows = [
        (
            LadderCell(claim.text, gold.runs), LadderCell(claim.kind), gold, LadderCell(p_text(bits_p), gold.runs),
            LadderCell(verdict(gold, bits_p, lower=True, worse=claim.worse)),
            *((points, LadderCell(p_text(score_p), points.runs),
               LadderCell(verdict(points, score_p, lower=False, worse=claim.worse)))
              if claim.kind == "code" else (EMPTY,) * 3),
        )
        for (claim, _, _), (gold, _), bits_p, (points, _), score_p in zip(
            judged, bits, by_bits, scores, by_score, strict=True
        )
    ]  # fmt: skip
    shows = [claim.text for (claim, _, _), row in zip(judged, rows, strict=True) if row[4].text == "shows"]
    found = (
        f"By bits per byte {len(shows)} of {len(judged)} claims show at this scale"
        + (f": {'; '.join(shows)}." if shows else "."),
        f"By the score {sum(row[7].text == 'shows' for row in rows)} of "
        f"{sum(claim.kind == 'code' for claim, _, _ in judged)} claims about code show.",
    )
    note = (
        "Difference of the first arm from the second, paired by seed and by sample, with an interval over both; of "
        "bits per byte of gold answers less is better. p with Holm's correction over the claims. A claim shows if p is "
        "at most 0.05 and the difference has the claim's direction."
    )
    columns = ("claim", "of", "bits per byte", "p, Holm", "verdict", "score, points", "p, Holm", "verdict by score")
    return LadderTable("1. The talk's claims", note, columns, tuple(rows), found)


def verdict(cell: LadderCell, p: float, lower: bool, worse: bool) -> str:
    """Whether a claim shows in a difference.

    p      adjusted
    lower  a lower value is better
    worse  the claim says that the first arm is worse

    >>> verdict(LadderCell("", (), (-0.1, -0.2, -0.01)), 0.03, lower=True, worse=False)
    'shows'
    >>> verdict(LadderCell("", (), (-0.1, -0.2, 0.01)), 0.08, lower=True, worse=False)
    'does not show'
    """
    if p > LEVEL:
        return "does not show"
    better = (cell.interval[0] < 0) == lower
    return "shows" if better != worse else "the reverse shows"
