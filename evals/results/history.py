"""The history of a leaderboard cell: every run of its protocol on one checkpoint, and what a version changed.

`zoo.choice` decides which run stands for the cell; the others stay in the zoo, and are listed here. A run under another
version or other rows of the same task and protocol name has a cell of its own, and stands here with the reason.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import msgspec

from evals.protocol_name import ProtocolName
from zoo.choice import column_of
from zoo.records import ProtocolRecord, Record, Score

if TYPE_CHECKING:
    from zoo.registry import Registry

CHAT = "chat"
Role = Literal["shown", "one of the seeds shown", "earlier", "another version", "other rows"]


class PastRun(Record, frozen=True):
    """One run of a checkpoint under a protocol's name. Value and interval in 0..1; `runs` if it combines seeds."""

    run: str
    role: Role
    value: float
    low: float
    high: float
    n: int
    unscored: int
    created: str
    engine: str
    dtype: str
    seed: int
    draws: int
    seeds: int
    version: int
    runs: tuple[str, ...] = ()
    measured_at: str = ""
    changed: str = ""


@cache
def _changes() -> dict[str, dict[str, str]]:
    text = files("evals.results").joinpath("changes.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=dict[str, dict[str, str]])


def what_changed(task: str, name: str, version: int) -> str:
    """What a version of a protocol changed against the one before, in words; empty for the first, and if unknown.

    >>> what_changed("trivia_qa", "lm-eval", 2).startswith("the reading of names"), what_changed("mmlu", "lm-eval", 1)
    (True, '')
    >>> what_changed("gsm8k", "chat, system 0a1b2c3d", 2) == what_changed("mbpp", "chat-quick2", 2) != ""
    True
    """
    base = ProtocolName.parse(name).base
    places = (f"{task}@{base}", CHAT if base.split("-")[0] == CHAT else task)
    return next((text for place in places if (text := _changes().get(place, {}).get(str(version), ""))), "")


def changes_between(task: str, name: str, first: int, last: int) -> str:
    """What changed from one version of a protocol to a later one: "version 2: …; version 3: …"."""
    versions = ((version, what_changed(task, name, version)) for version in range(first + 1, last + 1))
    return "; ".join(f"version {version}: {text}" for version, text in versions if text)


def cell_history(registry: "Registry", checkpoint: str, fingerprint: str, metric: str) -> tuple[PastRun, ...]:
    """Every score behind a cell and its namesakes, the one that is shown first, then the newest.

    checkpoint   a digest
    fingerprint  of the cell's protocol
    """
    protocols = registry.protocols()
    shown = protocols.get(fingerprint)
    if shown is None:
        return ()
    scores = [
        score
        for score in registry.scores(checkpoint, shown.task)
        if score.metric == metric and score.subset == "all" and _same_name(protocols.get(score.protocol), shown)
    ]
    column = column_of(fingerprint, protocols)
    chosen = {_identity(score) for score in registry.scores(checkpoint, shown.task, chosen=True)}
    standing = [s for s in scores if column_of(s.protocol, protocols) == column and _identity(s) in chosen]
    past = [_past(score, shown, protocols[score.protocol], column_of(score.protocol, protocols) == column, standing)
            for score in scores]  # fmt: skip
    newest = sorted(past, key=lambda run: run.created, reverse=True)
    return tuple(sorted(newest, key=lambda run: run.role != "shown"))


def _same_name(protocol: ProtocolRecord | None, shown: ProtocolRecord) -> bool:
    return protocol is not None and (protocol.task, protocol.name) == (shown.task, shown.name)


def _identity(score: Score) -> tuple[object, ...]:
    return score.run, score.runs, score.protocol, score.metric, score.measured_at


def _past(
    score: Score, shown: ProtocolRecord, under: ProtocolRecord, same_column: bool, standing: Sequence[Score]
) -> PastRun:
    role: Role = "earlier"
    if not same_column:
        role = "another version" if under.task_version != shown.task_version else "other rows"
    elif score in standing:
        role = "shown"
    elif any(score.run in one.runs for one in standing):
        role = "one of the seeds shown"
    ends = sorted((under.task_version, shown.task_version))
    return PastRun(
        run=score.run, role=role, value=score.value, low=score.low, high=score.high, n=score.n,
        unscored=score.unscored, created=score.created, engine=score.engine, dtype=score.dtype, seed=score.seed,
        draws=score.draws, seeds=score.seeds, runs=score.runs, version=under.task_version,
        measured_at=score.measured_at, changed=changes_between(shown.task, shown.name, *ends),
    )  # fmt: skip
