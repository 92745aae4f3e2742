"""`phizoo`: a literal table of command groups, each imported only when it is used.

`--help` must answer in 0.2 s, so nothing here imports a command's module: the one-line help of
each group stands in the table (a test holds that it equals the group's own).
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from zoo.errors import CheckFailed, ZooError, nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name -> (where the click command lives, its one-line help)
GROUPS: dict[str, tuple[str, str]] = {
    "data": ("training.cli.data:data", "Turn raw text into training data, each document accounted for."),
    "train": ("training.cli.group:train", "Train a checkpoint from a recipe."),
    "models": ("zoo.cli.models:models", "The zoo: add, list, find and verify checkpoints."),
    "eval": ("evals.cli.group:evaluate", "Score checkpoints on tasks, every sample kept."),
    "leaderboard": ("dashboard.cli:leaderboard", "Open the leaderboard page, or export it."),
    "serve": ("evals.cli.serve:serve", "Serve a checkpoint over an OpenAI-compatible address."),
    "doctor": ("evals.cli.doctor:doctor", "Tell what this machine can do, and what mends each lack."),
    "completion": ("zoo.cli.completion:completion", "Print the script that makes a shell complete commands and names."),
    "quickstart": ("zoo.cli.quickstart:quickstart", "The whole way on two CPU cores: data, train, evaluate, show."),
}


class LazyGroup(click.Group):
    """A click group whose commands are a table of `module:attribute`, resolved when used."""

    def __init__(self, *args: object, table: dict[str, tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.table = table

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        module, attribute = self.table[name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        unknown = args and args[0] not in self.table and not args[0].startswith("-")
        if unknown and not context.resilient_parsing:  # a Tab after a mistyped word offers nothing and says nothing
            where = context.command_path
            raise ZooError(f'no command "{args[0]}"{nearest(args[0], self.table)}. All commands: {where} --help')
        return super().resolve_command(context, args)

    def shell_complete(self, context: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=told) for name, (_, told) in self.table.items() if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


def _version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        click.echo(f"phizoo {version('phi-zoo')}")
        context.exit()


@click.command(cls=LazyGroup, table=GROUPS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def phizoo() -> None:
    """phi-zoo: train, keep, evaluate and compare small language models.

    \b
    Start with:   phizoo quickstart
    Then:         phizoo models list
                  phizoo eval run phi-1-small-mini --tasks humaneval
                  phizoo leaderboard
    """


def run(args: Sequence[str]) -> int:
    """Runs one command line in this process and gives its exit code: 0, 1, 2 or 130."""
    try:
        ended = phizoo.main(list(args), prog_name="phizoo", standalone_mode=False)
        return ended if isinstance(ended, int) else 0
    except CheckFailed as error:
        print(f"phizoo: {error}", file=sys.stderr)
        return 1
    except ZooError as error:
        print(f"phizoo: {error}", file=sys.stderr)
        return 2
    except click.Abort:
        return interrupted()
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)  # a group alone: its help, and nothing said before it
        return 2
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "phizoo"
        print(f"phizoo: {error.format_message()} Help: {where} --help", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (`| head`): nothing to tell it
        return 0
    except OSError as error:
        if error.errno is None:
            raise
        return os_fault(error)


def interrupted() -> int:
    """What an interrupt says and gives."""
    print("phizoo: interrupted; what was done is kept, the same command goes on from there.", file=sys.stderr)
    return 130


def os_fault(error: OSError) -> int:
    """One line for what the operating system refused (disk full, no permission, no folder): exit code 2."""
    import errno

    elsewhere = "name another place, or set PHIZOO_HOME to a folder of yours"
    what = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EROFS: "the file system is read-only; set PHIZOO_HOME to a folder you may write",
        errno.EACCES: "permission denied; check who owns it, or set PHIZOO_HOME to a folder of yours",
        errno.EPERM: "not permitted; check who owns it, or set PHIZOO_HOME to a folder of yours",
        errno.EEXIST: f"a file stands where a folder is needed; {elsewhere}" if _is_file(error) else None,
        errno.ENOTDIR: f"a file stands where a folder is needed; {elsewhere}",
        errno.ENAMETOOLONG: f"the name is too long for this disk; {elsewhere}",
    }.get(error.errno or 0)
    if what is None:
        raise error
    print(f"phizoo: {error.filename or 'writing'}: {what}, then run the same command again.", file=sys.stderr)
    return 2


def _is_file(error: OSError) -> bool:
    return os.path.isfile(error.filename) if isinstance(error.filename, str | os.PathLike) else False


def main() -> None:
    """The console script."""
    # How long an idle thread of torch spins before it sleeps. Tokens/s of a 1M-parameter model on two cores, alone and
    # each of two at once: 8,000 and 1,000-1,800 with the default (300,000 turns), 5,000 and 4,800 if it sleeps at once,
    # 7,300 and 2,300 with this.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
