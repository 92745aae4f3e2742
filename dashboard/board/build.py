"""Builds the board from records: scores, protocols, checkpoints and published numbers.

A column is one protocol (a fingerprint and a metric), so two protocols never share one; by chat each model is asked by
its own template. A published number has a column of its own under the same benchmark: a paper's prompt and decoding are
not known to the byte, so it never shares a column with a number measured here. The talk's tables are one such column
per benchmark, as printed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dashboard.board import benchmarks, facts
from dashboard.board.cells import Board, Cell, Column, Row, smallest_difference
from evals.results.history import what_changed
from evals.stats.summary import derive_summary, not_comparable
from evals.tasks import benchmark_of, chance_of, task
from zoo.choice import column_of, standing
from zoo.coverage import overlap_fields
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.metrics import Metric, metric_of
from zoo.published import COLLECTED, COMPARISON, LABELS, WEIGHT_REUSE, about
from zoo.records import Checkpoint, ProtocolRecord, Reported, Score, Split, Subset

TALK = "The Surprising Power of Small Language Models, NeurIPS 2023: the tables as the talk prints them"


def build_board(
    checkpoints: Sequence[Checkpoint] = (), scores: Iterable[Score] = (),
    protocols: Mapping[str, ProtocolRecord] | None = None, tiers: Mapping[str, str] | None = None,
    reported: Sequence[Reported] = (), subset: Subset = "all", imported: Mapping[str, str] | None = None,
    unique_tokens: Mapping[str, int | None] | None = None, splits: Mapping[str, Split] | None = None,
) -> Board:  # fmt: skip
    """The board of these records.

    protocols  by fingerprint; the column of a score with an unknown protocol says so
    tiers      run id -> sandbox tier
    imported   digest -> name of models whose runs were imported from another tool and that are not in this zoo
    subset     which scores the cells show: on all samples, the clean or the overlapping ones
    unique_tokens  digest -> the size of a checkpoint's training data
    splits     run id -> its samples by the searches of the training data
    """
    measured, own_cells = _place_scores(scores, protocols or {}, tiers or {}, subset, splits or {})
    published, published_rows = _place_published(reported)
    columns = [*measured.values(), *published.values()]
    newest = sorted(checkpoints, key=lambda checkpoint: (checkpoint.created, checkpoint.name), reverse=True)
    sizes_of = unique_tokens or {}
    own_rows = (_own_row(c, own_cells.get(c.digest, {}), sizes_of.get(c.digest)) for c in newest)
    rows = [*own_rows, *published_rows]
    rows += [_imported_row(name, own_cells[key]) for key, name in (imported or {}).items() if key in own_cells]
    cells: dict[str, list[Cell]] = {}
    for row in rows:
        for key, cell in row.cells.items():
            cells.setdefault(key, []).append(cell)
    columns = [_complete_column(column, cells.get(column.key, ()), columns) for column in columns]
    sizes = {column.key: len(cells.get(column.key, ())) for column in columns}
    columns.sort(  # the fullest columns of a benchmark come first: a phone shows only one
        key=lambda c: (benchmarks.order_of(c.benchmark), c.origin, not c.talk, -sizes[c.key], c.title, c.metric, c.key)
    )
    return Board(columns=tuple(columns), rows=tuple(rows), subset=subset)


def _place_scores(
    scores: Iterable[Score],
    protocols: Mapping[str, ProtocolRecord],
    tiers: Mapping[str, str],
    subset: Subset,
    splits: Mapping[str, Split],
) -> tuple[dict[str, Column], dict[str, dict[str, Cell]]]:
    """The measured columns by key, and the cells by checkpoint digest and column key.

    If a checkpoint has several runs under one protocol, `zoo.choice` decides which one is shown.
    """
    every = list(scores)
    parts = {(score.run, score.runs, score.protocol, score.metric, score.subset): score for score in every}
    best = standing(every, protocols)
    settings = _settings(best, protocols)
    columns: dict[str, Column] = {}
    cells: dict[str, dict[str, Cell]] = {}
    for score in best:
        column = column_of(score.protocol, protocols)
        key = f"{column[:12]}.{score.metric}"
        if key not in columns:
            columns[key] = _measured_column(key, score, protocols.get(score.protocol))
        shown, clean = (
            parts.get((score.run, score.runs, score.protocol, score.metric, part)) for part in (subset, "clean")
        )
        if score.subset != "all" or shown is None:
            continue
        moved = metric_of(score.metric).shown(shown.value - score.value) if subset != "all" else None
        setting = f"{score.engine} {score.dtype}" if len(settings[column]) > 1 else ""
        cell = _measured_cell(shown, tiers.get(score.run, ""), moved, setting)
        cells.setdefault(score.checkpoint, {})[key] = _add_overlap(cell, splits.get(score.run), clean)
    return columns, cells


def _settings(scores: Iterable[Score], protocols: Mapping[str, ProtocolRecord]) -> dict[str, set[tuple[str, str]]]:
    """The engines and dtypes behind each column."""
    settings: dict[str, set[tuple[str, str]]] = {}
    for score in scores:
        settings.setdefault(column_of(score.protocol, protocols), set()).add((score.engine, score.dtype))
    return settings


def _measured_column(key: str, score: Score, protocol: ProtocolRecord | None) -> Column:
    if protocol is None:
        text = f"{score.task}: the protocol {score.protocol[:12]} is not in this zoo"
        name, shots = f"protocol {score.protocol[:8]}", None
    else:
        text = f"{protocol.task} v{protocol.task_version}, protocol {protocol.name}, {protocol.shots}-shot, "
        text += f"{score.metric}, {decoding_text(protocol.decoding)}, prompts {protocol.prompts_sha256[:12]}"
        text += f"; {protocol.partial}" if protocol.partial else ""
        changed = what_changed(protocol.task, protocol.name, protocol.task_version)
        text += f"; version {protocol.task_version} changed {changed}" if changed else ""
        text += chat_text(protocol.chat) if protocol.chat else ""
        name, shots = f"{protocol.name} v{protocol.task_version}", protocol.shots
    return Column(
        key=key, benchmark=benchmark_of(score.task), title=name, protocol=text, origin="measured",
        metric=score.metric, shots=shots, fingerprint=score.protocol, task=score.task,
    )  # fmt: skip


def chat_text(chat: Mapping[str, Any]) -> str:
    """How a protocol is asked by chat, in a few words.

    >>> chat_text({"system": "", "fewshot_as_turns": True})
    "; by chat, each model's own template, examples as turns"
    """
    turns = "examples as turns" if chat.get("fewshot_as_turns") else "examples in one message"
    system = f", system text {chat['system']!r:.80}" if chat.get("system") else ""
    return f"; by chat, each model's own template, {turns}{system}"


def decoding_text(decoding: Mapping[str, Any]) -> str:
    """How the answers were obtained, in a few words.

    >>> decoding_text({}), decoding_text({"temperature": 0.2, "top_p": 0.95, "boundary": "healed"})
    ('log-probabilities of the choices', 'temperature 0.2, top_p 0.95, boundary healed')
    """
    if not decoding:
        return "log-probabilities of the choices"
    temperature, boundary = decoding.get("temperature", 0.0), decoding.get("boundary", "raw")
    sampling = "greedy" if temperature == 0 else f"temperature {temperature:g}, top_p {decoding.get('top_p', 1.0):g}"
    return sampling if boundary == "raw" else f"{sampling}, boundary {boundary}"


def _measured_cell(score: Score, tier: str, moved: float | None, setting: str) -> Cell:
    metric = metric_of(score.metric)
    return Cell(
        origin="measured", metric=score.metric, value=metric.shown(score.value), low=metric.shown(score.low),
        high=metric.shown(score.high), n=score.n,
        unscored=score.unscored, unfinished=score.unfinished, disputed=score.disputed, clusters=score.clusters,
        subset=score.subset, moved=moved, run=score.run, tier=tier,
        created=score.created, chance=_shown(metric, chance_of(score.task, score.metric)), seeds=score.seeds,
        runs=score.runs, draws=score.draws, setting=setting.strip(),
        worst=_shown(metric, score.worst if score.unscored else None),
        best=_shown(metric, score.best if score.unscored else None), measured_at=score.measured_at,
    )  # fmt: skip


def _shown(metric: Metric, value: float | None) -> float | None:
    return None if value is None else metric.shown(value)


def _add_overlap(cell: Cell, split: Split | None, clean: Score | None) -> Cell:
    """Adds to a cell what the searches say of its run, and on all samples the clean score of the same run."""
    fields = overlap_fields(split) | {"samples": split.samples if split else None}
    if cell.subset == "all" and clean is not None:
        shown = metric_of(clean.metric).shown
        fields |= {"clean": shown(clean.value), "clean_low": shown(clean.low), "clean_high": shown(clean.high)}
        fields["clean_n"] = clean.n
    return msgspec.structs.replace(cell, **fields)


def _own_row(checkpoint: Checkpoint, cells: dict[str, Cell], unique_tokens: int | None) -> Row:
    return Row(
        key=checkpoint.label, label=checkpoint.label, name=checkpoint.name, own=True,
        parameters=checkpoint.parameters, training_tokens=checkpoint.training_tokens,
        unique_tokens=unique_tokens, date=checkpoint.created[:10],
        family=checkpoint.family or benchmarks.family_of(checkpoint.name),
        style="chat" if facts.kind_of(checkpoint) == "chat" else "base", weights="open", cells=cells,
        digest=checkpoint.digest, quantisation=checkpoint.quantisation, licence=facts.known(checkpoint.licence),
    )  # fmt: skip


def _imported_row(name: str, cells: dict[str, Cell]) -> Row:
    """The row of a model that is not in this zoo, with scores imported from another tool."""
    return Row(
        key=f"elsewhere:{name}", label=name, name=name, own=False, parameters=None, training_tokens=None, date="",
        family=benchmarks.family_of(name), style="", weights="", cells=cells,
    )  # fmt: skip


def is_talk(row: Reported) -> bool:
    """Whether the talk prints this number, in its comparison table or its weight-reuse chart."""
    return row.source.startswith((*COMPARISON, WEIGHT_REUSE))


def _place_published(reported: Sequence[Reported]) -> tuple[dict[str, Column], list[Row]]:
    """The published columns by key, and one row per model: the talk's first, in the talk's order."""
    columns: dict[str, Column] = {}
    placed: dict[tuple[object, ...], Column] = {}
    cells: dict[tuple[str, str], dict[str, Cell]] = {}
    of_model: dict[tuple[str, str], list[Reported]] = {}
    talk: set[tuple[str, str]] = set()
    for row in sorted(reported, key=lambda row: (not is_talk(row), row.source.startswith(WEIGHT_REUSE))):
        same = row.benchmark, row.subset, row.protocol, row.shots, row.source
        if same not in placed:  # thousands of rows share a few columns
            placed[same] = _published_column(row)
            columns.setdefault(placed[same].key, placed[same])
        model = row.model, row.variant
        cells.setdefault(model, {}).setdefault(placed[same].key, _published_cell(row))
        of_model.setdefault(model, []).append(row)
        if is_talk(row):
            talk.add(model)
    return columns, [_published_row(rows, cells[model], model in talk) for model, rows in of_model.items()]


def _published_column(row: Reported) -> Column:
    talk = is_talk(row)
    identity = ["talk", row.benchmark] if talk else [row.benchmark, row.subset, row.protocol, row.shots, row.source]
    shots = "" if row.shots is None else f", {row.shots}-shot"
    return Column(
        key="r" + digest(identity)[:11], benchmark=benchmark_of(row.benchmark),
        title="the talk's table" if talk else row.source.removesuffix(" model card table"),
        protocol=f"{TALK}; each model under its own paper's protocol" if talk else f"{row.protocol}{shots}",
        origin="reported", metric="pass@1" if talk else row.protocol,
        shots=0 if talk and row.benchmark == "humaneval" else None if talk else row.shots,
        source="the talk; each cell names its paper" if talk else row.source, subset="" if talk else row.subset,
        main=not row.subset.startswith(("similar", "non-similar", "total at")), printed=talk, talk=talk,
        mixed=talk or row.source.startswith(COLLECTED), one_protocol=row.one_protocol,
    )  # fmt: skip


def _published_cell(row: Reported) -> Cell:
    interval, share = derive_summary(row), metric_of("")
    shots = "shots not stated" if row.shots is None else f"{row.shots}-shot"
    return Cell(
        origin="reported", value=row.value, low=_shown(share, interval.low if interval else None),
        high=_shown(share, interval.high if interval else None), n=row.n, clusters=row.n or 0,
        derived=interval is not None,
        bound=row.op == "<", source=row.source, address=row.address, accessed=row.accessed,
        chance=_shown(share, chance_of(row.benchmark)) if interval else None,
        protocol=f"{row.protocol}, {shots}" + (f"; {row.subset}" if row.subset else ""), created=row.date,
    )  # fmt: skip


def _published_row(rows: Sequence[Reported], cells: dict[str, Cell], talk: bool) -> Row:
    row, model = rows[0], rows[0].model
    seen, unique = (
        next((count for count in counts if count is not None), None)
        for counts in ((row.training_tokens for row in rows), (row.unique_tokens for row in rows))
    )
    label = LABELS.get(model, model) if talk else model
    return Row(
        key="p" + digest([model, row.variant] if row.variant else model)[:11],
        label=f"{label} ({row.variant})" if row.variant else label, name=model, own=False,
        parameters=row.parameters, training_tokens=seen, unique_tokens=unique,
        date=row.facts.released or row.date,
        family=benchmarks.family_of(model), style=row.facts.kind, weights=row.facts.weights, cells=cells, talk=talk,
        quantisation=row.facts.quantisation, licence=row.facts.licence, released=row.facts.released,
        variant=row.variant,
    )  # fmt: skip


def _complete_column(column: Column, cells: Sequence[Cell], columns: Sequence[Column]) -> Column:
    """Adds the fields that depend on the whole board: n, resolution, tiers, comparability."""
    sizes = sorted({cell.n for cell in cells if cell.n})
    siblings = [c.metric for c in columns if column.task and (c.task, c.title) == (column.task, column.title)]
    fields: dict[str, Any] = {
        "n": sizes[0] if sizes else None,
        "main": column.metric == _main_metric(column, siblings) if siblings else column.main,
        "resolves": None if column.mixed else smallest_difference(cells, column.origin),
        "tiers": tuple(sorted({cell.tier for cell in cells if cell.tier})),
        "comparable": compare_column(column, columns),
    }
    return msgspec.structs.replace(column, **fields)


def _main_metric(column: Column, metrics: Sequence[str]) -> str:
    """The metric that the column's task names first, as `eval compare` takes it; by name where the task is not ours."""
    try:
        own = task(f"{column.task}@{column.title.rpartition(' v')[0]}").metrics  # without its version
    except (ZooError, ValueError):  # of another tool, or of a protocol that is gone
        own = ()
    return next((metric for metric in own if metric in metrics), benchmarks.main_metric(metrics))


def compare_column(column: Column, columns: Iterable[Column]) -> str:
    """Says whether a column's numbers may be compared with the other columns of its benchmark, and why."""
    if column.origin == "measured":
        return "All rows of this column had the same prompt bytes, decoding and extraction: compare them paired."
    measured = [c for c in columns if c.origin == "measured" and c.benchmark == column.benchmark]
    note = f" {told}" if (told := about(column.source)) else ""
    if column.one_protocol:
        return f"Its source measured all rows of this column in one way: compare them with each other only.{note}"
    if part := not_comparable(column.subset, None, None):
        return f"Not comparable with other columns: this is {part}.{note}"
    if not measured:
        return "This benchmark was not measured here; compare only within this column and its source."
    if all(not_comparable("", column.shots, c.shots) for c in measured):
        shots = ", ".join(sorted({f"{c.shots}-shot" for c in measured}))
        return f"Not comparable with the scores measured here: {column.shots}-shot there, {shots} here."
    same = f"the same benchmark and {column.shots}-shot" if column.shots is not None else "the same benchmark"
    return (
        f"Roughly comparable with the scores measured here: {same}, but the source does not publish prompt bytes, stop "
        "strings and extraction. A newline at the prompt's end alone can halve a score (docs/protocols.md); trust only "
        "large gaps."
    )
