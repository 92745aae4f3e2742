"""Decides which score stands for a cell of the leaderboard; every reader of scores asks this file.

A cell is a checkpoint under a protocol's column (its fingerprint, by chat without the template), metric and subset, so
another version of a task is another cell.
Of several runs in one cell, a whole run stands before a part, one measured here before a pulled one, more scored
samples before fewer, more draws before fewer, then the newest. Runs that differ only by seed, measured at one place,
stand as one combined score (`evals.results.choice` makes it), for as long as all of its runs are here. The parts of a
contamination split come from the run that stands.

The database keeps the answer in the column `chosen` (`zoo.db.rows.mark_chosen`). Not here: combining and intervals.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.records import ProtocolRecord, Score

PASSED_OVER, STANDS, CURRENT = 0, 1, 2  # CURRENT: also the newest task version and data of its task and protocol name
# equal in runs that differ by seed alone
SETTING = ("checkpoint", "protocol", "metric", "engine", "dtype", "draws", "measured_at")
ELSEWHERE = " elsewhere"  # ends the protocol name of imported results


def choose(scores: Sequence[Score], protocols: Mapping[str, ProtocolRecord]) -> list[int]:
    """The level of each score: PASSED_OVER, STANDS (for its cell) or CURRENT, in the order given.

    scores     of any checkpoints, oldest first; all scores of a cell that may stand
    protocols  by fingerprint; a score whose protocol is missing is judged without it
    """
    levels = [PASSED_OVER] * len(scores)
    columns = {protocol: column_of(protocol, protocols) for protocol in {score.protocol for score in scores}}
    cells: dict[tuple[str, str, str], list[int]] = {}
    for index, score in enumerate(scores):
        cells.setdefault((score.checkpoint, columns[score.protocol], score.metric), []).append(index)
    names: dict[tuple[str, str, str, str], list[int]] = {}
    for (checkpoint, _, metric), indices in cells.items():
        winner = _winner(scores, indices, protocols.get(scores[indices[0]].protocol))
        if winner is None:
            continue
        _mark(levels, scores, indices, winner, STANDS)
        fingerprint = scores[winner].protocol
        name = protocols[fingerprint].name if fingerprint in protocols else fingerprint
        names.setdefault((checkpoint, scores[winner].task, name, metric), []).append(winner)
    for winners in names.values():
        newest = winners[0]
        if len(winners) > 1:
            newest = max(
                winners,
                key=lambda index: (
                    *_data_order(protocols.get(scores[index].protocol)),
                    *_run_order(scores[index]),
                    index,
                ),
            )
        key = (scores[newest].checkpoint, columns[scores[newest].protocol], scores[newest].metric)
        _mark(levels, scores, cells[key], newest, CURRENT)
    return levels


def column_of(fingerprint: str, protocols: Mapping[str, ProtocolRecord]) -> str:
    """The leaderboard's column of a protocol: its fingerprint, or of a chat the same for every model's template."""
    protocol = protocols.get(fingerprint)
    return protocol.column_key if protocol is not None and protocol.chat else fingerprint


def standing(scores: Sequence[Score], protocols: Mapping[str, ProtocolRecord]) -> list[Score]:
    """The scores that stand for their cells, in the order given; of such scores, all."""
    levels = choose(scores, protocols)
    return [score for score, level in zip(scores, levels, strict=True) if level]


def run_facts(header: Mapping[str, Any], protocol: ProtocolRecord) -> dict[str, Any]:
    """The fields of a Score that its run's header gives: engine, dtype, seed, draws, whole.

    header  evals.records.Run as plain data
    """
    backend = header.get("backend") or {}
    asked = header.get("samples")
    return {
        "engine": str(backend.get("engine", "")), "dtype": str(backend.get("dtype", "")),
        "seed": int(header.get("seed", 0)), "draws": int(header.get("draws", 1)),
        "whole": asked is None or int(asked) >= protocol.samples,
    }  # fmt: skip


def is_imported_part(protocol: ProtocolRecord) -> bool:
    """Whether another tool measured only some of the samples: such a score stands nowhere."""
    return protocol.name.endswith(ELSEWHERE) and bool(protocol.partial)


def _winner(scores: Sequence[Score], indices: Sequence[int], protocol: ProtocolRecord | None) -> int | None:
    """The score on all samples that stands for a cell; None if there is none, or only an imported part."""
    if protocol is not None and is_imported_part(protocol):
        return None
    if len(indices) == 1:
        return indices[0] if scores[indices[0]].subset == "all" else None
    alone = [index for index in indices if scores[index].subset == "all" and scores[index].seeds == 1]
    runs = {scores[index].run for index in alone}
    combined = [
        index
        for index in indices
        if scores[index].subset == "all"
        and scores[index].seeds > 1
        and (not runs or runs.issuperset(scores[index].runs))  # without any run: chosen before
    ]
    members = {(run, scores[index].measured_at) for index in combined for run in scores[index].runs}
    alone = [index for index in alone if (scores[index].run, scores[index].measured_at) not in members]
    candidates = [*combined, *alone]
    return max(candidates, key=lambda index: (*_run_order(scores[index]), index), default=None)


def _run_order(score: Score) -> tuple[bool, bool, int, int, str]:
    return score.whole, not score.measured_at, score.n, score.draws * score.seeds, score.created


def _data_order(protocol: ProtocolRecord | None) -> tuple[int, bool]:
    return (protocol.task_version, not protocol.partial) if protocol else (0, False)


def _mark(levels: list[int], scores: Sequence[Score], indices: Sequence[int], winner: int, level: int) -> None:
    """Gives the level to a winner, and to the newest of each contamination subset of the same run or runs."""
    if len(indices) == 1:
        levels[winner] = level
        return
    parts = {
        scores[index].subset: index
        for index in indices
        if (scores[index].run, scores[index].runs) == (scores[winner].run, scores[winner].runs)
    }
    for index in {**parts, "all": winner}.values():
        levels[index] = level
