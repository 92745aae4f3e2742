"""`phizoo models`, the commands that read: list, show, path, verify. Only `verify --repair` writes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import AS_JSON, RenamedOption, open_registry
from zoo.cli.output import (
    bytes_text,
    count,
    coverage_note,
    emit_json,
    emit_json_list,
    known_count,
    score_notes,
    share_cell,
    table,
)
from zoo.coverage import find_splits, search_line, split_line
from zoo.db.checkpoints import PAGE, aliases_between
from zoo.db.checkpoints import list_checkpoints as read_checkpoints
from zoo.errors import CheckFailed, ZooError
from zoo.lineage import unique_tokens

if TYPE_CHECKING:
    from zoo.db.audit import Author
    from zoo.records import Checkpoint, Score
    from zoo.registry import Registry


MOST = 10**9  # a page or its number beyond this means nothing


def echo_checkpoints(registry: "Registry", checkpoints: "Iterable[Checkpoint]", as_json: bool, none: str) -> None:
    """Prints checkpoints, sorted by name, as a table or as JSON while they are read; `none` in place of no rows."""
    if as_json:
        emit_json_list(checkpoints)
        return
    rows = _rows(registry, checkpoints)
    first = next(rows, None)
    if first is None:
        click.echo(none)
        return
    columns = ("NAME", "FAMILY", "PARAMETERS", "WEIGHTS", "TOKENS", "LICENCE", "CREATED", "DIGEST", "ALIASES")
    table(chain([first], rows), columns, optional=("DIGEST", "FAMILY", "ALIASES", "TOKENS", "WEIGHTS", "CREATED"))


def _rows(registry: "Registry", checkpoints: "Iterable[Checkpoint]") -> "Iterator[tuple[str, ...]]":
    waiting = iter(checkpoints)
    while page := list(islice(waiting, PAGE)):
        names = [record.name for record in page]
        aliases = aliases_between(registry.database, min(names), max(names))
        for record in page:
            named = ",".join(aliases.get((record.name, record.version), ()))
            yield (
                record.label, record.family, count(record.parameters), record.quantisation or "full",
                count(record.training_tokens), record.licence, record.created[:10], record.digest[:12], named,
            )  # fmt: skip


@click.command("list")
@click.argument("name", shell_complete=A_CHECKPOINT, required=False)
@click.option("--all", "all_versions", is_flag=True, help="List every version, not only the newest.")
@click.option("--limit", type=click.IntRange(1, MOST), help="List at most this many.")
@click.option("--page", type=click.IntRange(1, MOST), help="With --limit: which page of that many; 1 is the first.")
@AS_JSON
def list_checkpoints(name: str | None, all_versions: bool, limit: int | None, page: int | None, as_json: bool) -> None:
    """List checkpoints, the newest version of each.

    \b
    Example:  phizoo models list
              phizoo models list phi-1-mini --all --json
              phizoo models list --all --limit 100 --page 3
    """
    if page is not None and limit is None:
        raise ZooError(f"--page {page} needs --limit, the length of a page, such as --limit 100")
    with open_registry(readonly=True) as registry:
        if name is not None:
            registry.get(name)
        skip = (limit or 0) * ((page or 1) - 1)
        checkpoints = read_checkpoints(registry.database, name, all_versions, limit, skip)
        empty = "The zoo is empty. Add a checkpoint: phizoo models add FOLDER --name NAME"
        if skip:
            empty = f"Page {page} is empty. The first of {limit}: phizoo models list --limit {limit}"
        echo_checkpoints(registry, checkpoints, as_json, empty)


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@AS_JSON
def show(checkpoint: str, as_json: bool) -> None:
    """Show one checkpoint: its record, origin and scores.

    \b
    Example:  phizoo models show phi-1-mini@best
    """
    from zoo.db.audit import NOBODY, run_authors

    with open_registry(readonly=True) as registry:
        record = registry.get(checkpoint)
        aliases = [alias for alias, version in registry.aliases(record.name).items() if version == record.version]
        scores, searches = registry.scores(record.digest, chosen=True), registry.searches(record.digest)
        splits = find_splits(registry, scores)
        if as_json:
            import msgspec

            fields = msgspec.to_builtins(record)
            searched = [msgspec.to_builtins(search) | {"id": search.id} for search in searches]
            unique = unique_tokens(registry, [record.digest])[record.digest]
            authors = run_authors(registry.database, record.digest)
            emit_json(
                fields
                | {"added_by": registry.author(record).fields()}
                | {"bytes": record.bytes, "unique_tokens": unique, "aliases": aliases}
                | {"scores": [_with_note(score, authors.get(score.run, NOBODY)) for score in scores]}
                | {"searches": searched, "splits": list(splits.values())}
            )
            return
        _echo_checkpoint(registry, record, aliases)
        protocols = registry.protocols() if scores else {}
        for score in scores:
            column = protocols[score.protocol].column if score.protocol in protocols else f"{score.task} {score.metric}"
            subset = "" if score.subset == "all" else f" {score.subset}"
            value = share_cell(score.value, score.low, score.high, score.n, score.metric)
            click.echo(f"  {column}{subset}: {value}  run {score.run[:12]}  {score_notes(score)}".rstrip())
            if score.subset == "all":
                click.echo(f"    {split_line(splits.get(score.run), score, scores)}")
        if others := len({score.run for score in registry.scores(record.digest)} - _runs(scores)):
            click.echo(f"  {others} other run{'s' * (others > 1)} of the same cells: phizoo eval runs")
        if searches:
            click.echo("searches for evaluation samples in training data:")
        for search in searches:
            click.echo(f"  {search.id[:12]}  {search_line(search)}")


def _with_note(score: "Score", author: "Author") -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(score)
    return fields | {
        "coverage_note": coverage_note(score.value, score.clusters, score.metric),
        "published_by": author.fields(),
    }


def _runs(scores: "Sequence[Score]") -> set[str]:
    return {run for score in scores for run in score.runs or (score.run,)}


def _echo_checkpoint(registry: "Registry", record: "Checkpoint", aliases: list[str]) -> None:
    lines = {
        "name": record.label + (f" ({', '.join('@' + alias for alias in aliases)})" if aliases else ""),
        "digest": record.digest, "family": record.family, "parameters": f"{record.parameters:,}",
        "context": f"{record.context_tokens:,} tokens", "quantisation": record.quantisation,
        "prompt style": record.prompt_style,
        "chat template": (record.chat_template or "")[:12],
        "unique tokens": known_count(unique_tokens(registry, [record.digest])[record.digest]),
        "tokens seen": known_count(record.training_tokens),
        "recipe": record.recipe_digest[:12] if record.recipe_digest else "unknown", "licence": record.licence,
        "source": record.source or "unknown", "created": record.created,
        "added by": registry.author(record).text(), "tags": ", ".join(record.tags),
        "notes": record.notes, "size": f"{bytes_text(record.bytes)} in {len(record.files)} files",
    }  # fmt: skip
    for key, value in lines.items():
        if value:
            click.echo(f"{key:16}{value}")
    for parent in record.parents:
        label = _label(parent.digest, lambda digest: registry.get(digest).label)
        click.echo(f"{'parent':16}{parent.relation} of {label}")
    for dataset in record.datasets:
        label = _label(dataset.digest, lambda digest: registry.dataset(digest).name)
        click.echo(f"{'trained on':16}{label}, {dataset.tokens:,} tokens")
    none = f"scores          none. To measure: phizoo eval run {record.label}"
    click.echo("scores:" if registry.scores(record.digest) else none)


def _label(digest: str, name_of: Callable[[str], str]) -> str:
    try:
        return f"{name_of(digest)} ({digest[:12]})"
    except ZooError:
        return f"{digest[:12]} (not in this zoo)"


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
def path(checkpoint: str) -> None:
    """Print a local folder that model loaders accept.

    \b
    Example:  vllm serve "$(phizoo models path phi-1-mini@best)"
    """
    with open_registry(readonly=True) as registry:
        click.echo(registry.path(checkpoint))


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT, required=False)
@click.option("--repair", cls=RenamedOption, former=("--mend",), is_flag=True,
              help="Move damaged files aside, so that adding or pulling again replaces them.")  # fmt: skip
@AS_JSON
def verify(checkpoint: str | None, repair: bool, as_json: bool) -> None:
    """Check stored bytes against their digests.

    Exit code 1 if something is wrong; each line names the checkpoint, the file and the fault.

    \b
    Example:  phizoo models verify
              phizoo models verify phi-1-mini:3
    """
    from zoo.store.damage import unfinished_line

    with open_registry(readonly=not repair) as registry:
        problems = registry.verify(checkpoint, repair)
        unfinished = unfinished_line(registry.store) if checkpoint is None else ""
        checked = 1 if checkpoint else registry.database.rows("SELECT count(*) FROM checkpoints")[0][0]
    if as_json:
        emit_json(problems)
    else:
        for problem in problems:
            click.echo(problem)
    if problems:
        remedy = (
            "Now add or pull those checkpoints again: only the missing files are written."
            if repair
            else "To repair: phizoo models verify --repair, then add or pull those checkpoints again."
        )
        raise CheckFailed(f"{len(problems)} problem{'s' * (len(problems) > 1)}. {remedy}")
    if unfinished:
        click.echo(f"phizoo: {unfinished}", err=True)
    if not as_json:
        click.echo(f"{checked} checkpoint{'s' * (checked != 1)} verified")
