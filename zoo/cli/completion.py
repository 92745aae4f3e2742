"""`phizoo completion SHELL`, and the names that Tab offers for an argument.

Tab must answer at once and never disturb the typed line: a damaged zoo or a database that does not answer
offers nothing, and nothing is created, migrated or printed. Names of tasks, runs and recipes come from the
packages that own them, which are imported only when Tab is pressed.
"""

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.errors import ZooError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")
Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]

# click's own scripts fail with the names of a zoo. bash: takes the words as readline cuts them, also at `:` and `@`
# (phi-1:3, phi-1@best), so ours cuts at spaces and drops the part that readline keeps. fish: cuts an answer at every
# comma. zsh: needs compdef, which a .zshrc without a framework has not loaded, and replaces a whole --option=value.
SCRIPTS = Path(__file__).parent  # completion.bash, completion.zsh, completion.fish


def offer(source: str) -> Complete:
    """A completion for click's `shell_complete`.

    source   `module:function`, which takes the typed word and gives names, or pairs of a name and its help
    Returns  those that begin with the typed word (in a list with commas: with its last part)
    """

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        module, _, function = source.partition(":")
        before, comma, last = incomplete.rpartition(",")
        taken = set(before.split(","))
        try:
            names: Iterable[str | tuple[str, str]] = getattr(importlib.import_module(module), function)(last)
            pairs = [(name, "") if isinstance(name, str) else name for name in names]
        except (ZooError, OSError):
            return []
        return [
            CompletionItem(f"{before}{comma}{name}", help=text or None)
            for name, text in dict(pairs).items()
            if name.startswith(last) and name not in taken
        ]

    return complete


def _rows(query: str) -> list[tuple[Any, ...]]:
    """Rows of the zoo's database; none if there is no zoo yet."""
    from zoo import settings
    from zoo.db.database import sqlite_file
    from zoo.registry import open_registry

    url = settings.database_url()
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return []
    with open_registry(readonly=True) as registry:
        return [tuple(row) for row in registry.database.rows(query)]


def checkpoint_names(typed: str) -> list[str]:
    """Names of the zoo's checkpoints; after `:` with versions, after `@` with aliases."""
    if ":" in typed:
        return [f"{name}:{version}" for name, version in _rows("SELECT name, version FROM checkpoints")]
    if "@" in typed:
        return [f"{name}@{alias}" for name, alias in _rows("SELECT name, alias FROM aliases")]
    return [str(name) for (name,) in _rows("SELECT DISTINCT name FROM checkpoints ORDER BY name")]


def dataset_names(_typed: str) -> list[str]:
    """Names of the zoo's training datasets."""
    return [str(name) for (name,) in _rows("SELECT DISTINCT name FROM datasets ORDER BY name")]


def shell_script(shell: str) -> str:
    """The completion script of `shell` (one of SHELLS)."""
    return (SCRIPTS / f"completion.{shell}").read_text(encoding="utf-8")


def a_folder(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Offers folders, for an argument that may also be an address."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


A_FOLDER: Complete = a_folder
A_CHECKPOINT: Complete = offer("zoo.cli.completion:checkpoint_names")
A_DATASET: Complete = offer("zoo.cli.completion:dataset_names")
A_TASK: Complete = offer("evals.cli.completion:task_names")
AN_ENGINE: Complete = offer("evals.cli.completion:engine_names")
A_RUN: Complete = offer("evals.cli.completion:run_ids")
A_RECIPE: Complete = offer("training.recipe:complete_recipe")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the shell script that completes commands and names.

    \b
    phizoo completion bash >> ~/.bashrc
    phizoo completion zsh >> ~/.zshrc
    phizoo completion fish > ~/.config/fish/completions/phizoo.fish

    Names of checkpoints, datasets, tasks, recipes and runs are read from the zoo when Tab is pressed.
    """
    click.echo(shell_script(shell), nl=False)
