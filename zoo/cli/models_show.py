"""`phizoo models`, the commands that read: list, show, path, verify. None needs write permission."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.output import bytes_text, count, emit_json, share_cell, table
from zoo.errors import CheckFailed

if TYPE_CHECKING:
    from zoo.records import Checkpoint
    from zoo.registry import Registry


def echo_checkpoints(registry: "Registry", found: "Sequence[Checkpoint]") -> None:
    """Prints checkpoints as a table."""
    rows = []
    for one in found:
        at = [alias for alias, version in registry.aliases(one.name).items() if version == one.version]
        rows.append(
            (one.label, one.family, count(one.parameters), count(one.training_tokens), one.licence,
             one.created[:10], one.digest[:12], ",".join(at))
        )  # fmt: skip
    table(rows, ("NAME", "FAMILY", "PARAMETERS", "TOKENS", "LICENCE", "CREATED", "DIGEST", "ALIASES"))


@click.command("list")
@click.argument("name", shell_complete=A_CHECKPOINT, required=False)
@click.option("--all", "all_versions", is_flag=True, help="Every version, not only the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON.")
def list_checkpoints(name: str | None, all_versions: bool, as_json: bool) -> None:
    """List checkpoints, the newest version of each.

    \b
    Example:  phizoo models list
              phizoo models list phi-1-mini --all --json
    """
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        if name is not None:
            registry.get(name)
        found = registry.list(name, all_versions)
        if as_json:
            emit_json(found)
        elif found:
            echo_checkpoints(registry, found)
        else:
            click.echo("The zoo is empty. Add a checkpoint: phizoo models add FOLDER --name NAME")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--json", "as_json", is_flag=True, help="Print record, aliases and scores as JSON.")
def show(checkpoint: str, as_json: bool) -> None:
    """Show one checkpoint: what it is, where from, its scores.

    \b
    Example:  phizoo models show phi-1-mini@best
    """
    import msgspec

    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        found = registry.get(checkpoint)
        aliases = [alias for alias, version in registry.aliases(found.name).items() if version == found.version]
        scores = registry.scores(found.digest)
        if as_json:
            told = msgspec.to_builtins(found)
            emit_json(told | {"bytes": found.bytes, "aliases": aliases, "scores": msgspec.to_builtins(scores)})
            return
        _echo_checkpoint(registry, found, aliases)
        protocols = registry.protocols() if scores else {}
        for score in scores:
            column = protocols[score.protocol].column if score.protocol in protocols else f"{score.task} {score.metric}"
            subset = "" if score.subset == "all" else f" {score.subset}"
            unscored = f" unscored={score.unscored}" if score.unscored else ""
            value = share_cell(score.value, score.low, score.high, score.n)
            click.echo(f"  {column}{subset}: {value}{unscored}  run {score.run[:12]}")


def _echo_checkpoint(registry: "Registry", found: "Checkpoint", aliases: list[str]) -> None:
    lines = {
        "name": found.label + (f" ({', '.join('@' + alias for alias in aliases)})" if aliases else ""),
        "digest": found.digest,
        "family": found.family,
        "parameters": f"{found.parameters:,}",
        "context": f"{found.context_tokens:,} tokens",
        "prompt style": found.prompt_style,
        "training tokens": f"{found.training_tokens:,}" if found.training_tokens is not None else "unknown",
        "recipe": found.recipe_digest[:12] if found.recipe_digest else "unknown",
        "licence": found.licence,
        "source": found.source or "unknown",
        "created": found.created,
        "tags": ", ".join(found.tags),
        "notes": found.notes,
        "size": f"{bytes_text(found.bytes)} in {len(found.files)} files",
    }
    for key, value in lines.items():
        if value:
            click.echo(f"{key:16}{value}")
    for parent in found.parents:
        click.echo(f"{'parent':16}{parent.relation} of {_label(registry, parent.digest)}")
    for dataset in found.datasets:
        click.echo(f"{'trained on':16}{_dataset_label(registry, dataset.digest)}, {dataset.tokens:,} tokens")
    click.echo(
        "scores:" if registry.scores(found.digest) else f"scores          none. Measure: phizoo eval run {found.label}"
    )


def _label(registry: "Registry", digest: str) -> str:
    from zoo.errors import ZooError

    try:
        return f"{registry.get(digest).label} ({digest[:12]})"
    except ZooError:
        return f"{digest[:12]} (not in this zoo)"


def _dataset_label(registry: "Registry", digest: str) -> str:
    from zoo.errors import ZooError

    try:
        return f"{registry.dataset(digest).name} ({digest[:12]})"
    except ZooError:
        return f"{digest[:12]} (not in this zoo)"


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
def path(checkpoint: str) -> None:
    """Print a local folder that loaders take as it is.

    \b
    Example:  vllm serve "$(phizoo models path phi-1-mini@best)"
    """
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        click.echo(registry.path(checkpoint))


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT, required=False)
@click.option("--mend", is_flag=True, help="Set damaged files aside, so that adding or pulling again replaces them.")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
def verify(checkpoint: str | None, mend: bool, as_json: bool) -> None:
    """Check stored bytes against their digests.

    Exit code 1 when something is wrong: each line names the checkpoint, the file and the fault.

    \b
    Example:  phizoo models verify
              phizoo models verify phi-1-mini:3
    """
    from zoo.registry import open_registry

    with open_registry(readonly=not mend) as registry:
        problems = registry.verify(checkpoint, mend)
        checked = 1 if checkpoint else len(registry.list(all_versions=True))
    if as_json:
        emit_json(problems)
    else:
        for problem in problems:
            click.echo(problem)
    if problems:
        raise CheckFailed(
            f"{len(problems)} problem{'s' * (len(problems) > 1)}. "
            + (
                "Now add or pull those checkpoints again: only the missing files are written."
                if mend
                else "To mend: phizoo models verify --mend, then add or pull those checkpoints again."
            )
        )
    if not as_json:
        click.echo(f"{checked} checkpoint{'s' * (checked != 1)} whole")
