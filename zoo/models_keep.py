"""`phizoo models`, the commands that write: add, alias."""

from pathlib import Path
from typing import Any

import click

from zoo.errors import ZooError


@click.command()
@click.argument("folder")
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
    multiple=True,
    metavar="NAME[=RELATION]",
    help="What it was made from: finetune, grow, resume or convert.",
)
@click.option("--dataset", "datasets", multiple=True, metavar="NAME[=TOKENS]", help="What it was trained on.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def add(
    folder: str,
    name: str,
    recipe: str | None,
    parents: tuple[str, ...],
    datasets: tuple[str, ...],
    as_json: bool,
    **told: Any,
) -> None:
    """Add a folder of weights as the next version of a name.

    Weights enter as safetensors, beside config.json and the tokenizer's files; anything that could
    run (pickles, Python files, code named in the config) is refused. The same bytes are kept once.

    \b
    Example:  phizoo models add ./my-phi --name my-phi --licence mit --parent phi-1@best=finetune
    """
    from zoo.checkpoint import About, Parent, TrainedOn
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
        checkpoint = registry.add(folder, name, about)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(checkpoint))
    else:
        click.echo(f"{checkpoint.label}  {checkpoint.parameters:,} parameters  {checkpoint.digest[:12]}")


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
@click.argument("checkpoint")
@click.argument("alias")
@click.option("--expect", type=int, default=None, metavar="VERSION", help="Only if it points there now (0: nowhere).")
def alias(checkpoint: str, alias: str, expect: int | None) -> None:
    """Point name@alias at a version.

    \b
    Example:  phizoo models alias phi-1-mini:3 best
              phizoo models alias phi-1-mini:4 best --expect 3
    """
    from zoo.registry import open_registry

    with open_registry() as registry:
        found = registry.get(checkpoint)
        registry.alias(found.name, alias, found.version, expect)
    click.echo(f"{found.name}@{alias} -> {found.label}")
