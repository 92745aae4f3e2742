"""Evidence of a number: the command that made it, the same run made again, its samples as files."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from evals.records import Result, Run
from evals.results.imported import is_elsewhere
from evals.run_folder import read_results
from zoo.digest import whole_file
from zoo.errors import ZooError, nearest
from zoo.records import Record
from zoo.registry import Registry

SAME_LOGPROB = 1e-4  # nats: what fp32 rounding moves a sum by; more than this is another answer


class Difference(Record, frozen=True, kw_only=True):
    """One sample that came out differently: what it was, what it is now."""

    sample: str
    draw: int
    before: str
    after: str


def cell_run(registry: Registry, cell: str) -> Run:
    """The published run of a cell: a run id's beginning, or CHECKPOINT/TASK[@PROTOCOL] (its newest run).

    Raises ZooError when there is none, or the id fits several.
    """
    headers = [msgspec.convert(header, Run) for header in registry.runs()]
    name, _, task = cell.partition("/")
    if task:
        digest = registry.get(name).digest
        wanted, _, protocol = task.partition("@")
        found = [
            header
            for header in headers
            if header.checkpoint == digest
            and header.task == wanted
            and (not protocol or header.protocol["name"] == protocol)
        ]
        found = sorted(found, key=lambda header: header.started)[-1:]
    else:
        found = [header for header in headers if header.id.startswith(cell)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} runs begin with" if found else "no published run"
    raise ZooError(f'{what} "{cell}"{nearest(cell, [header.id for header in headers])}. All runs: phizoo eval runs')


def command(header: Run) -> str:
    """The one line that makes a run again, from its header alone (not from what was typed)."""
    protocol = header.protocol
    spec = f"{header.task}@{protocol['name'].split(' t=')[0]}"
    words = ["phizoo", "eval", "run", header.checkpoint[:16], "--tasks", spec, "--engine", header.backend.engine]
    words += ["--dtype", header.backend.dtype, "--seed", str(header.seed), "--draws", str(header.draws)]
    decoding = protocol["decoding"]
    if decoding and decoding["temperature"]:
        words += ["--temperature", f"{decoding['temperature']:g}", "--top-p", f"{decoding['top_p']:g}"]
    return shlex.join(words)


def differences(before: Sequence[Result], after: Sequence[Result]) -> list[Difference]:
    """Samples whose answer or score is not the same in two runs; a missing one counts."""
    one = {(result.sample, result.draw): result for result in before}
    other = {(result.sample, result.draw): result for result in after}
    found = []
    for key in {**one, **other}:
        was, now = one.get(key), other.get(key)
        if was is None or now is None or not _same(was, now):
            found.append(Difference(sample=key[0], draw=key[1], before=_told(was), after=_told(now)))
    return found


def _same(was: Result, now: Result) -> bool:
    close = len(was.logprobs) == len(now.logprobs) and all(
        abs(one - other) <= SAME_LOGPROB for one, other in zip(was.logprobs, now.logprobs, strict=True)
    )
    return was.score == now.score and was.text == now.text and close


def _told(result: Result | None) -> str:
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
        rows = [{**msgspec.to_builtins(result), "metrics": _json(result.metrics)} for result in results]
        parquet.write_table(Table.from_pylist(rows), buffer)
        data = buffer.getvalue()
    else:
        data = b"".join(msgspec.json.encode(result) + b"\n" for result in results)
    card = folder / "README.md"
    for path, content in ((samples, data), (card, run_card(registry, header).encode())):
        with whole_file(path) as file:
            file.write(content)
    return [samples, card]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def run_card(registry: Registry, header: Run) -> str:
    """A run as a page: what was asked of what, the numbers, how to make it again."""
    backend, protocol = header.backend, header.protocol
    lines = [f"# {header.checkpoint_label} on {header.task} ({protocol['name']})", ""]
    for score in registry.scores(checkpoint=header.checkpoint, task=header.task):
        if score.run == header.id:
            cell = f"{100 * score.value:.1f} [{100 * score.low:.1f}–{100 * score.high:.1f}] n={score.n}"
            lines.append(f"- {score.metric} ({score.subset}): {cell}, {score.unscored} unscored, 95% interval")
    lines += [
        f"- run `{header.id}`, protocol `{header.fingerprint}`, checkpoint `{header.checkpoint}`",
        f"- {backend.engine} {backend.version}, {backend.dtype} on {backend.device}, seed {header.seed}, "
        f"{header.draws} draw(s), sandbox {header.sandbox or 'not needed'}",
        f"- versions: {', '.join(f'{name} {value}' for name, value in sorted(header.versions.items()))}",
        "",
        *(
            ["Measured elsewhere; the file it was taken from is named in the header.", ""]
            if is_elsewhere(header)
            else ["Make it again:", "", f"    {command(header)}", ""]
        ),
        "The prompt of the first sample:",
        "",
        *(f"    {line}" for line in str(protocol["prompt"]).splitlines()),
        "",
    ]
    return "\n".join(lines)
