"""Reproduction of a number: the published run behind a cell, differences to a repeat, its samples as files."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from evals.records import Result, Run, encode_line
from evals.results.choice import chosen_scores
from evals.results.task_of_run import commands, name_of_run
from evals.run_folder import read_results
from zoo.cli.output import share_cell
from zoo.digest import whole_file
from zoo.errors import ZooError, nearest
from zoo.protocol_names import current_spec
from zoo.records import Record
from zoo.registry import Registry

SAME_LOGPROB = 1e-4  # nats: fp32 rounding moves a sum by less; more is another answer


class SampleDifference(Record, frozen=True, kw_only=True):
    """One sample that came out differently, before and after."""

    sample: str
    draw: int
    before: str
    after: str


def cell_run(registry: Registry, cell: str) -> Run:
    """The published run of a cell: a run id's beginning, or CHECKPOINT/TASK[@PROTOCOL] (the run that stands for it).

    Raises ZooError when there is none, or the id fits several.
    """
    headers = [msgspec.convert(header, Run) for header in registry.runs()]
    name, _, task = cell.partition("/")
    if task:
        digest = registry.get(name).digest
        wanted, _, protocol = current_spec(task).partition("@")
        standing = {score.run for score in chosen_scores(registry, digest, wanted)}
        matching = [
            header
            for header in headers
            if header.id in standing and header.task == wanted and (not protocol or header.protocol["name"] == protocol)
        ]
        matching = sorted(matching, key=lambda header: header.started)[-1:]
    else:
        matching = [header for header in headers if header.id.startswith(cell)]
    if len(matching) == 1:
        return matching[0]
    what = f"{len(matching)} runs begin with" if matching else "no published run"
    raise ZooError(f'{what} "{cell}"{nearest(cell, [header.id for header in headers])}. All runs: phizoo eval runs')


def differences(before: Sequence[Result], after: Sequence[Result]) -> list[SampleDifference]:
    """The samples whose answer or score differs between two runs; a missing one counts."""
    old = {(result.sample, result.draw): result for result in before}
    new = {(result.sample, result.draw): result for result in after}
    changed = []
    for key in {**old, **new}:
        was, now = old.get(key), new.get(key)
        if was is None or now is None or not _same(was, now):
            changed.append(SampleDifference(sample=key[0], draw=key[1], before=_text(was), after=_text(now)))
    return changed


def _same(was: Result, now: Result) -> bool:
    close = len(was.logprobs) == len(now.logprobs) and all(
        abs(first - second) <= SAME_LOGPROB + 1e-5 * abs(first)
        for first, second in zip(was.logprobs, now.logprobs, strict=True)
    )
    read = was.verdict == now.verdict == "read"  # a likelihood: its score is the log-probability itself
    return (read or was.score == now.score) and was.text == now.text and close


def _text(result: Result | None) -> str:
    if result is None:
        return "missing"
    value = "unscored" if result.score is None else f"{result.score:g}"
    return f"{value} {result.verdict} {result.text[:60]!r}" if result.text else f"{value} {result.detail}"


def export(registry: Registry, header: Run, folder: Path, form: str) -> list[Path]:
    """Writes a run's samples (JSONL or Parquet) and a card beside them. Returns the files."""
    results = read_results(registry.results(header.id))
    samples = folder / f"samples.{form}"
    if form == "parquet":
        import io

        from pyarrow import Table, parquet

        buffer = io.BytesIO()
        # metrics and trials have other names in each task: as JSON they are one column each
        rows = [
            {**msgspec.to_builtins(result), "metrics": _json(result.metrics), "trials": _json(result.trials)}
            for result in results
        ]
        parquet.write_table(Table.from_pylist(rows), buffer)
        data = buffer.getvalue()
    else:
        data = b"".join(map(encode_line, results))
    card = folder / "README.md"
    for path, content in ((samples, data), (card, run_card(registry, header).encode())):
        with whole_file(path) as file:
            file.write(content)
    return [samples, card]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def run_card(registry: Registry, header: Run) -> str:
    """A run as a page: checkpoint, task, the numbers, and how to make it again."""
    backend, protocol = header.backend, header.protocol
    lines = [f"# {header.checkpoint_label} on {header.task} ({protocol['name']})", ""]
    for score in registry.scores(checkpoint=header.checkpoint, task=header.task):
        if score.run == header.id:
            value = share_cell(score.value, score.low, score.high, score.n, score.metric)
            lines.append(f"- {score.metric} ({score.subset}): {value}, {score.unscored} unscored, 95% interval")
    lines += [
        f"- run `{header.id}`, protocol `{header.fingerprint}`, checkpoint `{header.checkpoint}`",
        f"- {backend.engine} {backend.version}, {backend.dtype} on {backend.device}, seed {header.seed}, "
        f"{header.draws} draw(s), sandbox {header.sandbox or 'not needed'}",
        f"- versions: {', '.join(f'{name} {value}' for name, value in sorted(header.versions.items()))}",
        "",
        *(
            ["Measured elsewhere; the file it was taken from is named in the header.", ""]
            if name_of_run(header).imported
            else ["Make it again:", "", *(f"    {line}" for line in commands(header)), ""]
        ),
        "The prompt of the first sample:",
        "",
        *(f"    {line}" for line in str(protocol["prompt"]).splitlines()),
        "",
    ]
    return "\n".join(lines)
