"""The zoo as a table: records in, rows and columns and cells out. No Streamlit, no pandas, no drawing.

A column is one protocol (a fingerprint and a metric), so two protocols never share one. A published
number stands in a column of its own, under the same benchmark's heading: what a paper's prompt and
decoding were is not known to the byte, so it never shares a column with what was measured here.
The talk's own tables are one such column a benchmark, as the talk prints them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dashboard.board import benchmarks
from dashboard.board.cells import Board, Cell, Column, Row, resolvable
from evals.stats.intervals import wilson
from evals.tasks import benchmark_of
from zoo.digest import digest
from zoo.published import COMPARISON, LABELS, WEIGHT_REUSE
from zoo.records import Checkpoint, ProtocolRecord, Reported, Score, Subset

if TYPE_CHECKING:
    from zoo.registry import Registry

TALK = "The Surprising Power of Small Language Models, NeurIPS 2023: the tables as the talk prints them"


def from_registry(registry: "Registry", subset: Subset = "all", all_versions: bool = False) -> Board:
    """The board of a zoo and the published table."""
    from zoo import published

    held = {one.digest for one in registry.list(all_versions=True)}
    runs = registry.runs()
    return board(
        elsewhere={run["checkpoint"]: run["checkpoint_label"] for run in runs if run["checkpoint"] not in held},
        checkpoints=registry.list(all_versions=all_versions),
        scores=registry.scores(),
        protocols=registry.protocols(),
        tiers={run["id"]: run.get("sandbox", "") for run in runs},
        reported=published.load(),
        subset=subset,
    )


def board(
    checkpoints: Sequence[Checkpoint] = (),
    scores: Iterable[Score] = (),
    protocols: Mapping[str, ProtocolRecord] | None = None,
    tiers: Mapping[str, str] | None = None,
    reported: Sequence[Reported] = (),
    subset: Subset = "all",
    elsewhere: Mapping[str, str] | None = None,
) -> Board:
    """The table of these records.

    protocols  by fingerprint; a score whose protocol is not among them gets a column that says so
    tiers      run id -> sandbox tier
    elsewhere  digest -> name of the models that are not here, whose runs another tool made
    subset     which of a run's scores stand in the cells: all samples, clean or overlapping ones
    """
    facts_of_runs = tiers or {}
    known = protocols or {}
    measured, own_cells = _measured(scores, known, facts_of_runs, subset)
    printed, other_rows = _published(reported)
    columns = [*measured.values(), *printed.values()]
    newest = sorted(checkpoints, key=lambda checkpoint: (checkpoint.created, checkpoint.name), reverse=True)
    rows = [*(_own(checkpoint, own_cells.get(checkpoint.digest, {})) for checkpoint in newest), *other_rows]
    foreign = ((name, own_cells[digest_]) for digest_, name in (elsewhere or {}).items() if digest_ in own_cells)
    rows += [_foreign(name, cells) for name, cells in foreign]
    finished = [_finished(column, rows, columns) for column in columns]
    held = {column.key: -sum(column.key in row.cells for row in rows) for column in columns}
    finished.sort(  # of a benchmark's columns the fullest come first: on a phone only one is seen
        key=lambda c: (benchmarks.order_of(c.benchmark), c.origin, not c.talk, held[c.key], c.title, c.metric, c.key)
    )
    return Board(columns=tuple(finished), rows=tuple(rows), subset=subset)


def _measured(
    scores: Iterable[Score], protocols: Mapping[str, ProtocolRecord], tiers: Mapping[str, str], subset: Subset
) -> tuple[dict[str, Column], dict[str, dict[str, Cell]]]:
    """The measured columns by key, and the cells by checkpoint digest and column key.

    Of several runs of one protocol on one checkpoint the largest counts, then the newest.
    """
    best: dict[tuple[str, str, str], Score] = {}
    columns: dict[str, Column] = {}
    for score in scores:
        key = f"{score.protocol[:12]}.{score.metric}"
        columns.setdefault(key, _measured_column(key, score, protocols.get(score.protocol)))
        place = (score.checkpoint, key, score.subset)
        held = best.get(place)
        if held is None or (score.n, score.created) > (held.n, held.created):
            best[place] = score
    cells: dict[str, dict[str, Cell]] = {}
    for (checkpoint, key, of), score in best.items():
        if of == subset:
            whole = best.get((checkpoint, key, "all"))
            moved = 100 * (score.value - whole.value) if whole is not None and subset != "all" else None
            made = _measured_cell(score, tiers.get(score.run, ""), moved)
            parts = [best.get((checkpoint, key, part)) for part in ("clean", "overlapping")]
            cells.setdefault(checkpoint, {})[key] = _split(made, *parts) if subset == "all" else made
    return columns, cells


def _measured_column(key: str, score: Score, protocol: ProtocolRecord | None) -> Column:
    if protocol is None:
        told = f"{score.task}: the protocol {score.protocol[:12]} is not in this zoo"
        name, shots = f"protocol {score.protocol[:8]}", None
    else:
        told = f"{protocol.task} v{protocol.task_version}, protocol {protocol.name}, {protocol.shots}-shot, "
        told += f"{score.metric}, {decoding_text(protocol.decoding)}, prompts {protocol.prompts_sha256[:12]}"
        told += f"; {protocol.partial}" if protocol.partial else ""
        name, shots = f"{protocol.name} v{protocol.task_version}", protocol.shots
    return Column(
        key=key,
        benchmark=benchmark_of(score.task),
        title=name,
        protocol=told,
        origin="measured",
        metric=score.metric,
        shots=shots,
        fingerprint=score.protocol,
        task=score.task,
    )


def decoding_text(decoding: Mapping[str, Any]) -> str:
    """How the answers were had, in a few words.

    >>> decoding_text({}), decoding_text({"temperature": 0.2, "top_p": 0.95, "boundary": "healed"})
    ('log-probabilities of the choices', 'temperature 0.2, top_p 0.95, boundary healed')
    """
    if not decoding:
        return "log-probabilities of the choices"
    temperature, boundary = decoding.get("temperature", 0.0), decoding.get("boundary", "raw")
    drawn = "greedy" if temperature == 0 else f"temperature {temperature:g}, top_p {decoding.get('top_p', 1.0):g}"
    return drawn if boundary == "raw" else f"{drawn}, boundary {boundary}"


def _measured_cell(score: Score, tier: str, moved: float | None) -> Cell:
    return Cell(
        origin="measured",
        value=100 * score.value,
        low=100 * score.low,
        high=100 * score.high,
        n=score.n,
        unscored=score.unscored,
        clusters=score.clusters,
        subset=score.subset,
        moved=moved,
        run=score.run,
        tier=tier,
        created=score.created,
    )


def _split(cell: Cell, clean: Score | None, overlapping: Score | None) -> Cell:
    """A cell over all samples that says how many overlap, where the same run was split."""
    clean, overlapping = (one if one is not None and one.run == cell.run else None for one in (clean, overlapping))
    if clean is None and overlapping is None:
        return cell
    found = overlapping.n + overlapping.unscored if overlapping else 0
    return msgspec.structs.replace(cell, overlaps=found, clean=100 * clean.value if clean else None)


def _own(checkpoint: Checkpoint, cells: dict[str, Cell]) -> Row:
    return Row(
        key=checkpoint.label,
        label=checkpoint.label,
        name=checkpoint.name,
        own=True,
        parameters=checkpoint.parameters,
        training_tokens=checkpoint.training_tokens,
        date=checkpoint.created[:10],
        family=checkpoint.family or benchmarks.family_of(checkpoint.name),
        style="chat" if checkpoint.prompt_style == "chat" else "base",
        weights="open",
        cells=cells,
        digest=checkpoint.digest,
    )


def _foreign(name: str, cells: dict[str, Cell]) -> Row:
    """A model that is not in this zoo, with what another tool measured of it."""
    return Row(
        key=f"elsewhere:{name}", label=name, name=name, own=False, parameters=None, training_tokens=None, date="",
        family=benchmarks.family_of(name), style="base", weights="open", cells=cells,
    )  # fmt: skip


def is_talk(row: Reported) -> bool:
    """Whether the talk prints this number: its comparison table or its weight-reuse chart."""
    return row.source.startswith((*COMPARISON, WEIGHT_REUSE))


def _published(reported: Sequence[Reported]) -> tuple[dict[str, Column], list[Row]]:
    """The published columns by key, and one row a model: the talk's first, in the talk's order."""
    columns: dict[str, Column] = {}
    cells: dict[str, dict[str, Cell]] = {}
    first: dict[str, Reported] = {}
    talk: dict[str, None] = {}
    for row in sorted(reported, key=lambda row: (not is_talk(row), row.source.startswith(WEIGHT_REUSE))):
        column = _printed_column(row)
        columns.setdefault(column.key, column)
        cells.setdefault(row.model, {}).setdefault(column.key, _printed_cell(row))
        first.setdefault(row.model, row)
        if is_talk(row):
            talk[row.model] = None
    return columns, [_other(model, first[model], cells[model], model in talk) for model in cells]


def _printed_column(row: Reported) -> Column:
    talk = is_talk(row)
    identity = ["talk", row.benchmark] if talk else [row.benchmark, row.subset, row.protocol, row.shots, row.source]
    shots = "" if row.shots is None else f", {row.shots}-shot"
    return Column(
        key="r" + digest(identity)[:11],
        benchmark=benchmark_of(row.benchmark),
        title="the talk's table" if talk else row.source.removesuffix(" model card table"),
        protocol=f"{TALK}; each model under its own paper's protocol" if talk else f"{row.protocol}{shots}",
        origin="reported",
        metric="pass@1" if talk else row.protocol,
        shots=0 if talk and row.benchmark == "humaneval" else None if talk else row.shots,
        source="the talk; each cell names its paper" if talk else row.source,
        subset="" if talk else row.subset,
        main=not row.subset.startswith(("similar", "non-similar", "total at")),
        printed=talk,
        talk=talk,
    )


def _printed_cell(row: Reported) -> Cell:
    interval = wilson(row.value / 100 * row.n, row.n) if row.n and row.op == "=" else None
    shots = "shots not stated" if row.shots is None else f"{row.shots}-shot"
    return Cell(
        origin="reported",
        value=row.value,
        low=100 * interval.low if interval else None,
        high=100 * interval.high if interval else None,
        n=row.n,
        clusters=row.n or 0,
        derived=interval is not None,
        bound=row.op == "<",
        source=row.source,
        protocol=f"{row.protocol}, {shots}" + (f"; {row.subset}" if row.subset else ""),
        created=row.date,
    )


def _other(model: str, row: Reported, cells: dict[str, Cell], talk: bool) -> Row:
    return Row(
        key="p" + digest(model)[:11],
        label=LABELS.get(model, model) if talk else model,
        name=model,
        own=False,
        parameters=row.parameters,
        training_tokens=row.training_tokens,
        date=row.date,
        family=benchmarks.family_of(model),
        style="chat" if benchmarks.is_chat(row) else "base",
        weights="open" if benchmarks.is_open(model) else "closed",
        cells=cells,
        talk=talk,
    )


def _finished(column: Column, rows: Sequence[Row], columns: Sequence[Column]) -> Column:
    """The column with what only the whole table tells: n, resolution, tiers, comparability."""
    held = [row.cells[column.key] for row in rows if column.key in row.cells]
    sizes = sorted({cell.n for cell in held if cell.n})
    siblings = [c.metric for c in columns if column.task and (c.task, c.title) == (column.task, column.title)]
    told: dict[str, Any] = {
        "n": sizes[0] if sizes else None,
        "main": column.metric == benchmarks.main_metric(siblings) if siblings else column.main,
        "resolves": resolvable(sizes[0], column.origin) if sizes else None,
        "tiers": tuple(sorted({cell.tier for cell in held if cell.tier})),
        "comparable": comparable(column, columns),
    }
    return msgspec.structs.replace(column, **told)


def comparable(column: Column, columns: Iterable[Column]) -> str:
    """Whether a column's numbers may be read against the others of its benchmark, and why or why not."""
    if column.origin == "measured":
        return "Rows in this column had the same prompt bytes, decoding and extraction: compare them freely, paired."
    here = [c for c in columns if c.origin == "measured" and c.benchmark == column.benchmark]
    if column.subset:
        return f"Not comparable with other columns: only part of the benchmark ({column.subset})."
    if not here:
        return "Nothing was measured here on this benchmark; compare only within the column, and within the source."
    if column.shots is not None and all(c.shots is not None and c.shots != column.shots for c in here):
        shots = ", ".join(sorted({f"{c.shots}-shot" for c in here}))
        return f"Not comparable with what was measured here: {column.shots}-shot there, {shots} here."
    agreed = f"the same benchmark and {column.shots}-shot" if column.shots is not None else "the same benchmark"
    return (
        f"Roughly comparable with what was measured here: {agreed}, but prompt bytes, stop strings and extraction "
        "are not published. One newline in the prompt has moved a score by 28 points; read large gaps only."
    )
