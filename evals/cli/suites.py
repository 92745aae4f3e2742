"""`phizoo eval suites`: named lists of tasks, and the averages over them."""

from typing import Any

import click


@click.command()
@click.option("--of", "checkpoint", help="Give each average's value for this checkpoint, from its published scores.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def suites(checkpoint: str | None, as_json: bool) -> None:
    """List the suites and the averages over their tasks, each with its version and parts.

    \b
    phizoo eval suites
    phizoo eval run NAME --tasks suite:quick
    phizoo eval suites --of NAME
    """
    import msgspec

    from evals.suites import AGGREGATES, SUITES, averages, names

    told: dict[str, Any] = {"suites": {name: list(names(name)) for name in SUITES}}
    told["averages"] = [
        {"name": one.name, "version": one.version, "fingerprint": one.fingerprint, "about": one.about,
         "parts": [f"{part.task} {part.metric}" for part in one.parts]}
        for one in AGGREGATES
    ]  # fmt: skip
    if checkpoint:
        scores, partial = _scores(checkpoint)
        values = {one.name: one for one in averages(scores)}
        for row in told["averages"]:
            found = values[row["name"]]
            row |= {"value": found.value, "low": found.low, "high": found.high, "missing": list(found.missing)}
            row["partial"] = [f"{part}: {partial[part]}" for part in map(_task_of, row["parts"]) if part in partial]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2))
        return
    for name, parts in told["suites"].items():
        click.echo(f"suite:{name:<10} {len(parts):>2} tasks  {', '.join(parts)}")
    for row in told["averages"]:
        cell = ""
        if checkpoint:
            cell = f"  missing {', '.join(row['missing'])}"
            if row["value"] is not None:
                cell = f"  {100 * row['value']:.1f} [{100 * row['low']:.1f}–{100 * row['high']:.1f}]"
                cell += f"  (partial: {'; '.join(row['partial'])})" if row["partial"] else ""
        click.echo(f"average {row['name']} v{row['version']}{cell or '  ' + ', '.join(row['parts'])}")


def _task_of(part: str) -> str:
    return part.rpartition(" ")[0]


def _scores(checkpoint: str) -> tuple[dict[tuple[str, str], tuple[float, float, float]], dict[str, str]]:
    """A checkpoint's published scores on all samples, (task@protocol, metric) -> value, low, high; and which
    tasks' sets are partial, task@protocol -> what is missing."""
    from zoo.registry import open_registry

    scores: dict[tuple[str, str], tuple[float, float, float]] = {}
    partial: dict[str, str] = {}
    with open_registry(readonly=True) as registry:
        known = registry.protocols()
        for score in registry.scores(checkpoint=registry.get(checkpoint).digest):
            name = f"{score.task}@{known[score.protocol].name}"
            if score.subset == "all":
                scores[name, score.metric] = (score.value, score.low, score.high)
                if known[score.protocol].partial:
                    partial[name] = known[score.protocol].partial
    return scores, partial
