"""Former option names are accepted and unseen; a repeated option also takes commas."""

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from zoo.cli.options import QUANTITY, RenamedOption, repeated


@click.command()
@repeated("--task", "tasks", ("--tasks",), help="A task.")
@click.option("--repair", cls=RenamedOption, former=("--mend",), is_flag=True)
def example(tasks: tuple[str, ...], repair: bool) -> None:
    click.echo(f"{' '.join(tasks)}|{repair}")


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ([], "|False"),
        (["--task", "a", "--task", "b", "--repair"], "a b|True"),
        (["--tasks", "a, b,", "--mend"], "a b|True"),
        (["--tasks=a,b", "--task", "c"], "a b c|False"),
    ],
)
def test_former_names_and_commas_are_accepted(words: list[str], printed: str) -> None:
    assert CliRunner().invoke(example, words, catch_exceptions=False).output.strip() == printed


def test_former_names_are_neither_listed_nor_completed() -> None:
    text = CliRunner().invoke(example, ["--help"]).output
    assert "--task " in text
    assert "--tasks" not in text
    assert "--mend" not in text
    assert [item.value for item in ShellComplete(example, {}, "x", "").get_completions([], "--")] == [
        "--task",
        "--repair",
        "--help",
    ]


def test_an_error_names_the_new_option() -> None:
    required = click.command()(repeated("--task", "tasks", ("--tasks",), required=True)(lambda tasks: None))
    assert "Missing option '--task'" in CliRunner().invoke(required, []).output


@pytest.mark.parametrize(("text", "number"), [("500M", 5e8), ("1.3b", 1.3e9), ("3e9", 3e9), ("350_000", 350_000.0)])
def test_a_number_is_read_as_people_write_it(text: str, number: float) -> None:
    assert QUANTITY.convert(text, None, None) == number


@pytest.mark.parametrize("text", ["many", "", "1e999", "-5", "5X", "9" * 400])
def test_a_text_that_is_no_number_says_how_to_write_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match="500M"):
        QUANTITY.convert(text, None, None)
