"""`phizoo`: a table of command groups, each imported only when it is used.

`--help` must answer in 0.2 s, so nothing here imports a command's module: the one-line help of
each group stands in the table (a test holds that it equals the group's own).
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from zoo.cli.output import one_command
from zoo.errors import CheckFailed, NotResolvedError, ZooError, nearest
from zoo.safe_path import protect_children
from zoo.visible import VisibleStream, plain

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name -> (where the click command lives, its one-line help)
GROUPS: dict[str, tuple[str, str]] = {
    "data": ("training.cli.data:data", "Turn raw text into training data, and account for every document."),
    "train": ("training.cli.group:train", "Train a checkpoint from a recipe."),
    "models": ("zoo.cli.models:models", "Add, list, find and verify the checkpoints of the zoo."),
    "eval": ("evals.cli.group:evaluate", "Score checkpoints on tasks, and keep every sample."),
    "leaderboard": ("dashboard.cli:leaderboard", "Open the leaderboard page, or export it."),
    "try": ("dashboard.trial.cli:try_model", "Try a model: add it, evaluate it on a suite, and see where it stands."),
    "serve": ("evals.cli.serve:serve", "Serve a checkpoint over an OpenAI-compatible address."),
    "doctor": ("evals.cli.doctor:doctor", "Check what this machine can run and how to fix what is missing."),
    "completion": ("zoo.cli.completion:completion", "Print the shell script that completes commands and names."),
    "quickstart": (
        "zoo.cli.quickstart:quickstart",
        "Score a real model, then make, train and compare Phi models, on two CPU cores.",
    ),
}


class LazyGroup(click.Group):
    """A click group whose commands are a table of `module:attribute`, resolved when used.

    table    name -> (where the command lives, its one-line help)
    renamed  former name -> (where its command lives, the new words): works, but is not shown; options that
             end the new words are put before the arguments
    daily    the commands that --help lists first, under a heading of their own
    """

    def __init__(
        self, *args: object, table: dict[str, tuple[str, str]], renamed: dict[str, tuple[str, str]] | None = None,
        daily: Sequence[str] = (), **kwargs: object,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.table = table
        self.renamed = renamed or {}
        self.daily = tuple(daily)

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.table and name not in self.renamed:
            return None
        module, attribute = (self.table.get(name) or self.renamed[name])[0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not context.resilient_parsing:  # a Tab after a mistyped word offers nothing and says nothing
            name, path = args[0], context.command_path
            if name in self.renamed:
                words = self.renamed[name][1]
                click.echo(f"phizoo: `{path} {name}` is now `phizoo {words}`", err=True)
                flags = [word for word in words.split()[-1:] if word.startswith("--")]
                args = [name, *flags, *args[1:]]
            elif name not in self.table and not name.startswith("-"):
                raise ZooError(f'no command "{name}"{nearest(name, self.table)}. All commands: {path} --help')
        return super().resolve_command(context, args)

    def shell_complete(self, context: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=text) for name, (_, text) in self.table.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        more = [name for name in self.table if name not in self.daily]
        for heading, names in (("Every day", self.daily), ("More" if self.daily else "Commands", more)):
            if names:
                with formatter.section(heading):
                    formatter.write_dl([(name, self.table[name][1]) for name in names])


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"phizoo {version('phi-zoo')}")
        context.exit()


@click.command(cls=LazyGroup, table=GROUPS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Print the version.")  # fmt: skip
def phizoo() -> None:
    """phi-zoo: train, keep, evaluate and compare small language models.

    \b
    Start with:   phizoo quickstart
    Then:         phizoo models list
                  phizoo eval run phi-1-small-mini --task humaneval
                  phizoo leaderboard
    """


def run(args: Sequence[str]) -> int:
    """Runs one command line in this process and gives its exit code: 0, 1, 2, 3 or 130."""
    if "_PHIZOO_COMPLETE" in os.environ:  # a Tab prints nothing but its words
        return _run(args)
    with one_command(args):
        return _run(args)


def _run(args: Sequence[str]) -> int:
    try:
        for argument in args:
            check_text(argument)
        code = phizoo.main(list(args), prog_name="phizoo", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except CheckFailed as error:
        print(f"phizoo: {plain(str(error))}", file=sys.stderr)
        return 1
    except NotResolvedError as error:
        print(f"phizoo: {plain(str(error))}", file=sys.stderr)
        return 3
    except ZooError as error:
        print(f"phizoo: {plain(str(error))}", file=sys.stderr)
        return 2
    except click.Abort:
        return interrupted()
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)  # a group without a command: its help and nothing before it
        return 2
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "phizoo"
        print(f"phizoo: {plain(error.format_message())} Help: {path} --help", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (`| head`)
        return 0
    except OSError as error:
        if error.errno is None:
            raise
        return os_fault(error)


def check_text(argument: str) -> None:
    """Raises ZooError for an argument that is not UTF-8: no name is, no file of records can hold it."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        shown = argument.encode("utf-8", "backslashreplace").decode()
        raise ZooError(f'the argument "{shown[:80]}" is not UTF-8; rename the file, or type the name again') from None


def interrupted() -> int:
    """Reports an interrupt; exit code 130."""
    print("phizoo: interrupted. Finished work is kept; run the same command again to continue.", file=sys.stderr)
    return 130


def os_fault(error: OSError) -> int:
    """Prints one line for an error of the operating system (disk full, no permission, no folder); exit code 2.

    Raises  the error, if it can only be ours: a closed or wrong descriptor
    """
    import errno

    remedy = "choose another path, or set PHIZOO_HOME to a folder of yours"
    message = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EROFS: "the file system is read-only; set PHIZOO_HOME to a folder that you can write",
        errno.EACCES: "permission denied; check who owns it, or set PHIZOO_HOME to a folder of yours",
        errno.EPERM: "not permitted; check who owns it, or set PHIZOO_HOME to a folder of yours",
        errno.EEXIST: f"there is a file where a folder is needed; {remedy}" if _is_file(error) else None,
        errno.ENOTDIR: f"there is a file where a folder is needed; {remedy}",
        errno.ENAMETOOLONG: f"the name is too long for this disk; {remedy}",
    }.get(error.errno or 0)
    if message is None and error.filename is None and error.errno in (errno.EBADF, errno.EINVAL, errno.ENOTSOCK):
        raise error
    message = message or f"{os.strerror(error.errno or 0).lower()}; check the path"
    print(
        f"phizoo: {plain(str(error.filename or _fullest_place()))}: {message}, then run the same command again.",
        file=sys.stderr,
    )
    return 2


def _fullest_place() -> str:
    """Where a write may have failed whose error names no file: of the folders written to, that with the least room."""
    import shutil
    import tempfile
    from pathlib import Path

    from zoo import settings

    def free(place: Path) -> int:
        return shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.is_dir())).free

    place = min(settings.home(), Path(tempfile.gettempdir()), Path.cwd(), key=free)
    return f"writing (least room: {free(place) / 1e6:,.1f} MB at {place})"


def _is_file(error: OSError) -> bool:
    return os.path.isfile(error.filename) if isinstance(error.filename, str | os.PathLike) else False


def guard_streams() -> None:
    """Makes standard output and error show literally what comes from outside, on any terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper) and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stdout, sys.stderr = VisibleStream(sys.stdout, moves=False), VisibleStream(sys.stderr, moves=True)


def main() -> None:
    """The console script."""
    protect_children()
    guard_streams()
    # How long an idle thread of torch spins before it sleeps. Tokens/s of a 1M-parameter model on two cores, alone and
    # each of two at once: 8,000 and 1,000-1,800 with the default (300,000 turns), 5,000 and 4,800 if it sleeps at once,
    # 7,300 and 2,300 with this.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
