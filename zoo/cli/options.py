"""Options that commands of several groups share, and options that still accept a former name."""

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_TASK
from zoo.errors import ZooError
from zoo.protocol_names import BETWEEN_NAMES, current_spec
from zoo.quantity import parse_quantity

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from zoo.registry import Registry

Decorator = Callable[[Any], Any]

AS_JSON: Decorator = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")
TIER: Decorator = click.option("--tier", help="Sandbox tier; the best one available by default.")
ALLOW_WEAK: Decorator = click.option(
    "--allow-weak-isolation", "allow_weak", is_flag=True, help="Run code with resource limits only. Dangerous."
)
DTYPE: Decorator = click.option(
    "--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16."
)


class Quantity(click.ParamType[float]):
    """A number as people write it: 500M, 1.3B, 3e9, 350_000."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Fails with an example for a text that is none."""
        try:
            return parse_quantity(str(value))
        except ZooError as error:
            self.fail(str(error), param, ctx)


QUANTITY = Quantity()


class RenamedOption(click.Option):
    """An option that still accepts its former names, which neither --help nor Tab shows."""

    def __init__(self, declarations: Sequence[str], former: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(declarations, **attributes)
        self.former = list(former)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Lets the parser take the former words too, without showing them in the help."""
        shown, self.opts = self.opts, [*self.opts, *self.former]
        super().add_to_parser(parser, ctx)
        self.opts = shown


def split_commas(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...], at: str = ","
) -> tuple[str, ...]:
    """The values of a repeated option, each of which may also be a list with commas. at: the expression that parts."""
    return tuple(word for value in values for part in re.split(at, value) if (word := part.strip()))


def split_tasks(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks of a repeated option, each protocol by the name that it has today."""
    return tuple(map(current_spec, split_commas(context, option, values, BETWEEN_NAMES)))


def repeated(name: str, destination: str, former: Sequence[str] = (), **attributes: Any) -> Decorator:
    """An option that may be given again, or once with commas between its values."""
    options = {"callback": split_commas, **attributes}
    return click.option(name, destination, cls=RenamedOption, former=former, multiple=True, **options)


def task_option(text: str, former: Sequence[str] = ("--tasks",), **attributes: Any) -> Decorator:
    """`--task TASK`, repeated, as every command names its tasks; the argument is called `tasks`."""
    attributes |= {"metavar": "TASK", "shell_complete": A_TASK, "help": text, "callback": split_tasks}
    return repeated("--task", "tasks", former, **attributes)


def check_writable() -> None:
    """Raises ZooError if this user may not write to the zoo: call it before long work whose end is a write."""
    import_module("zoo.registry").check_writable()


def open_registry(readonly: bool = False) -> "AbstractContextManager[Registry]":
    """The registry, imported when it is opened, so that help and Tab stay quick."""
    return import_module("zoo.registry").open_registry(readonly=readonly)  # type: ignore[no-any-return]
