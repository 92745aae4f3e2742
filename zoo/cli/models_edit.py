"""`phizoo models`, the commands that write: add, alias."""

from pathlib import Path
from typing import Any

import click

from zoo.cli.completion import A_CHECKPOINT, A_DATASET, A_FOLDER
from zoo.cli.output import bytes_text, emit_json
from zoo.errors import ZooError


@click.command()
@click.argument("folder", shell_complete=A_FOLDER)
@click.option("--name", required=True, help="What it is called; a name that exists gets its next version.")
@click.option("--family", default="", help="Default: the model_type of its config.json.")
@click.option("--licence", default="unknown", show_default=True, help="An SPDX identifier, such as mit.")
@click.option("--source", default="", help="Where the weights come from: an address, a paper, a command.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be given several times.")
@click.option("--note", "notes", default="", help="A free line.")
@click.option("--prompt-style", type=click.Choice(["completion", "chat"]), default="completion", show_default=True)
@click.option("--training-tokens", type=int, default=None, help="Tokens seen in training.")
@click.option("--recipe", type=click.Path(dir_okay=False), default=None, help="The resolved recipe: TOML or JSON.")
@click.option(
    "--parent",
    "parents",
    shell_complete=A_CHECKPOINT,
    multiple=True,
    metavar="NAME[=RELATION]",
    help="What it was made from: finetune, grow, resume or convert.",
)
@click.option(
    "--dataset",
    "datasets",
    shell_complete=A_DATASET,
    multiple=True,
    metavar="NAME[=TOKENS]",
    help="What it was trained on.",
)
@click.option(
    "--link", is_flag=True, help="Hand the folder over: no copy on the same disk, its files become read-only."
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def add(
    folder: str,
    name: str,
    link: bool,
    recipe: str | None,
    parents: tuple[str, ...],
    datasets: tuple[str, ...],
    as_json: bool,
    **told: Any,
) -> None:
    """Add a folder of weights as the next version of a name.

    Weights enter as safetensors, beside config.json and the tokenizer's files; anything that could
    run (pickles, Python files, code named in the config) is refused. What git and the hub lay beside
    them (.git, .gitattributes, .cache) is passed over. The same bytes are kept once. FOLDER may be an
    address, such as s3://bucket/folder.

    \b
    Example:  phizoo models add ./my-phi --name my-phi --licence mit --parent phi-1@best=finetune
    """
    from zoo.records import About, Parent, TrainedOn, has_tokenizer
    from zoo.registry import open_registry

    with open_registry() as registry:
        about = About(
            recipe=read_recipe(Path(recipe)) if recipe else None,
            parents=tuple(
                Parent(digest=registry.get(spec).digest, relation=relation) for spec, relation in map(_parent, parents)
            ),
            datasets=tuple(
                TrainedOn(digest=registry.dataset(spec).digest, tokens=tokens)
                for spec, tokens in map(_trained, datasets)
            ),
            **told,
        )
        checkpoint = registry.add(folder, name, about, link)
    if as_json:
        emit_json(checkpoint)
    else:
        click.echo(f"{checkpoint.label}  {checkpoint.parameters:,} parameters  {checkpoint.digest[:12]}")
        if checkpoint.notes:
            click.echo(checkpoint.notes)
    if not has_tokenizer(file.path for file in checkpoint.files):
        click.echo(
            "Warning: it has no tokenizer, so it is kept but cannot be evaluated or served; "
            "put tokenizer.json into the folder and add it again.",
            err=True,
        )


def _parent(told: str) -> tuple[str, Any]:
    spec, _, relation = told.partition("=")
    if relation not in ("", "finetune", "grow", "resume", "convert"):
        raise ZooError(f'--parent {told}: no relation "{relation}"; expected finetune, grow, resume or convert.')
    return spec, relation or "finetune"


def _trained(told: str) -> tuple[str, int]:
    spec, _, tokens = told.partition("=")
    if tokens and not tokens.isdecimal():
        raise ZooError(f"--dataset {told}: {tokens!r} is not a number of tokens; expected such as {spec}=7000000.")
    return spec, int(tokens or 0)


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe file as plain data, TOML or JSON by its suffix."""
    import json
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        recipe = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except FileNotFoundError:
        raise ZooError(f"{path}: no such file; --recipe expects a TOML or JSON file.") from None
    except ValueError as error:
        raise ZooError(f"{path}: cannot be read as {path.suffix or 'JSON'}: {error}.") from None
    if not isinstance(recipe, dict):
        raise ZooError(f"{path}: is not a table; --recipe expects a TOML or JSON table.")
    return recipe


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("alias", required=False)
@click.option("--expect", type=int, default=None, metavar="VERSION", help="Only if it points there now (0: nowhere).")
@click.option("--remove", "taken", is_flag=True, help="Take the alias away.")
@click.option("--history", is_flag=True, help="Print every move of the name's aliases.")
@click.option("--json", "as_json", is_flag=True, help="Print the history as JSON.")
def alias(checkpoint: str, alias: str | None, expect: int | None, taken: bool, history: bool, as_json: bool) -> None:
    """Point name@alias at a version.

    \b
    Example:  phizoo models alias phi-1-mini:3 best
              phizoo models alias phi-1-mini:4 best --expect 3
              phizoo models alias phi-1-mini --history
    """
    from zoo.registry import open_registry

    if history:
        _echo_history(checkpoint, as_json)
        return
    if alias is None:
        raise ZooError(f"which alias? Such as: phizoo models alias {checkpoint} best")
    with open_registry() as registry:
        if taken:
            registry.unalias(checkpoint, alias)
            click.echo(f"{checkpoint}@{alias} is no more")
            return
        found = registry.get(checkpoint)
        registry.alias(found.name, alias, found.version, expect)
    click.echo(f"{found.name}@{alias} -> {found.label}")


def _echo_history(checkpoint: str, as_json: bool) -> None:
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        moves = registry.alias_history(registry.get(checkpoint).name)
    if as_json:
        emit_json([move._asdict() for move in moves])
        return
    for move in moves:
        click.echo(
            f"{move.moved[:19] or 'before 0002':19}  @{move.alias}  {move.previous or '-'} -> {move.version or '-'}"
        )


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("tags", nargs=-1, required=True)
@click.option("--remove", "taken", is_flag=True, help="Take these tags away instead.")
def tag(checkpoint: str, tags: tuple[str, ...], taken: bool) -> None:
    """Add or remove words to find a checkpoint by.

    \b
    Example:  phizoo models tag phi-1-mini:3 keep ablation
    """
    from zoo.registry import open_registry

    with open_registry() as registry:
        found = registry.tag(checkpoint, () if taken else tags, tags if taken else ())
    click.echo(f"{found.label}: {', '.join(found.tags) or 'no tags'}")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("text")
def note(checkpoint: str, text: str) -> None:
    """Replace a checkpoint's note.

    \b
    Example:  phizoo models note phi-1-mini:3 "loss spike at step 4000, see the run's log"
    """
    from zoo.registry import open_registry

    with open_registry() as registry:
        found = registry.note(checkpoint, text)
    click.echo(f"{found.label}: {found.notes or 'no note'}")


@click.command()
@click.argument("old", shell_complete=A_CHECKPOINT)
@click.argument("new")
def rename(old: str, new: str) -> None:
    """Give all versions of a name another name.

    Digests stay, and with them scores and lineage.

    \b
    Example:  phizoo models rename my-phi phi-1-small-mini
    """
    from zoo.registry import open_registry

    with open_registry() as registry:
        registry.rename(old, new)
    click.echo(f"{old} -> {new}")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--with-scores", is_flag=True, help="Lose its scores with it.")
def remove(checkpoint: str, with_scores: bool) -> None:
    """Take one version out of the zoo.

    Refused while an alias points at it, a checkpoint was made from it, or it has scores. Its bytes
    go with the next gc, its version number is never given again.

    \b
    Example:  phizoo models remove phi-1-mini:2
    """
    from zoo.registry import open_registry

    with open_registry() as registry:
        found = registry.remove(checkpoint, with_scores)
    click.echo(f"removed {found.label}. To free its bytes: phizoo models gc")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def gc(dry_run: bool, as_json: bool) -> None:
    """Free the bytes that nothing refers to.

    Safe beside running commands: what is referenced or just being added stays.

    \b
    Example:  phizoo models gc --dry-run
    """
    from zoo.registry import open_registry

    with open_registry() as registry:
        taken = registry.gc(dry_run)
    if as_json:
        emit_json(taken._asdict())
    else:
        files = f"{taken.objects} file{'s' * (taken.objects != 1)}"
        click.echo(f"{'would free' if dry_run else 'freed'} {bytes_text(taken.bytes)} in {files}")


@click.command()
def upgrade() -> None:
    """Bring the zoo's database to this version's schema.

    Any command that writes does this too; it happens whole or not at all.

    \b
    Example:  phizoo models upgrade
    """
    from zoo.db.open import SCHEMA
    from zoo.registry import open_registry

    with open_registry():
        click.echo(f"the schema is {SCHEMA}, the newest")
