"""What a bench found, as rows of one table: printed by the bench as it likes, and kept here for `make bench`.

With BENCH_ROWS set to a file, each `row` is a JSON line at its end; without, nothing is written.
"""

import json
import os
import statistics
from collections.abc import Sequence


def row(
    what: str,
    *,
    peer: str = "",
    ratios: Sequence[float] = (),
    figure: str = "",
    target: str = "",
    note: str = "",
    share: Sequence[float] = (),
) -> None:
    """Keeps one line of the table.

    what    what was measured, with its size
    peer    whom ours is compared with; "" where there is no peer
    ratios  how many times as fast as the peer ours was (or as small), turn by turn; over 1 is better for ours
    figure  what was seen, where it is no ratio, or beside it
    target  what was wanted, in the same unit
    share   the part of the machine's own matrix speed that was reached, turn by turn
    note    what a reader must know (the peer's best setting, a lack)
    """
    place = os.environ.get("BENCH_ROWS")
    if not place:
        return
    found = {"what": what, "peer": peer, "figure": figure, "target": target, "note": note, "n": len(ratios)}
    if share:
        found["share"] = statistics.median(share)
    if ratios:
        found |= {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    with open(place, "a", encoding="utf-8") as file:
        file.write(json.dumps(found, ensure_ascii=False) + "\n")


def missing(what: str, peer: str, why: str) -> None:
    """Keeps a line for a comparison that could not be made, and prints it."""
    print(f"{what}: not measured against {peer}: {why}", flush=True)
    row(what, peer=peer, note=f"not measured: {why}")
