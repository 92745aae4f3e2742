"""`phizoo eval compare`: two checkpoints on the same samples, as a table or as JSON."""

from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT, A_TASK

if TYPE_CHECKING:
    from evals.results.compare import Comparison, ComparisonRow


@click.command()
@click.argument("first", shell_complete=A_CHECKPOINT)
@click.argument("second", shell_complete=A_CHECKPOINT)
@click.option(
    "--task",
    "tasks",
    shell_complete=A_TASK,
    multiple=True,
    help="Only this task, or TASK@PROTOCOL; may be given again.",
)
@click.option("--flips", is_flag=True, help="List the samples that only one of the two gets right.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, scores and differences in 0..1.")
def compare(first: str, second: str, tasks: tuple[str, ...], flips: bool, as_json: bool) -> None:
    """Compare two checkpoints on the same samples, or one with a published model.

    \b
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base --task humaneval --flips
    phizoo eval compare phi-1-small-mini "Code Llama 34B"

    Won, lost and tied samples, the difference with its 95% interval, the exact McNemar p (sign
    flips where scores are not just right or wrong), and Holm's p over the table.
    """
    from evals.results.compare import compare as compared
    from zoo.registry import open_registry

    with open_registry() as registry:
        found = compared(registry, first, second, tasks, flips=flips)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    _print(found)
    if flips:
        _print_flips(found)


def _print(found: "Comparison") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(Text("task [protocol] metric"), overflow="fold")
    for title in ("A", "B", "A - B [95%]", "won/lost/tied", "p", "p Holm"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found.rows:
        clear = row.p_holm is not None and row.p_holm <= 0.05
        table.add_row(*(Text(cell, style="bold" if clear else "") for cell in _cells(row)))
    console = Console(soft_wrap=False)
    console.print(Text(f"A {found.first}\nB {found.second}\n"))
    console.print(table)
    console.print()
    for line in _notes(found):
        console.print(Text(line))


def _cells(row: "ComparisonRow") -> tuple[str, ...]:
    """One row of the table in points: task, both scores, the difference, counts, p, adjusted p."""
    gap = 100 * (row.first - row.second)
    scores = (row.column, f"{100 * row.first:.1f}", f"{100 * row.second:.1f}")
    d = row.difference
    if d is None:
        return (*scores, f"{gap:+.1f}", row.kind, "", "")
    span = f"{100 * d.value:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]"
    counts = f"{d.wins}/{d.losses}/{d.ties}" if row.kind == "paired" else row.kind
    return (*scores, span, counts, _p(d.p), _p(row.p_holm))


def _p(p: float | None) -> str:
    """p as it is read: two digits, never a bare 0.

    >>> _p(0.0386), _p(0.00001), _p(1.0), _p(None)
    ('0.039', '<0.001', '1.00', '')
    """
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _notes(found: "Comparison") -> list[str]:
    """What the table means in words: what is told apart, and what is not paired and why."""
    clear = [row for row in found.rows if row.p_holm is not None and row.p_holm <= 0.05]
    lines = []
    for row in clear:
        better = found.first if row.first > row.second else found.second
        told = "scores higher, under unlike protocols" if row.kind == "reported" else "is better"
        lines.append(f"{row.column}: {better} {told} (p Holm {_p(row.p_holm)})")
    if not clear:
        lines.append("No row tells the two apart at 5% (p Holm): the differences may be chance.")
    lines += dict.fromkeys(f"{row.task}: {row.note}" for row in found.rows if row.note)
    return lines


def _print_flips(found: "Comparison") -> None:
    for row in found.rows:
        if row.kind != "paired":
            continue
        for title, sign in ((found.first, 1), (found.second, -1)):
            flips = [flip for flip in row.flips if sign * (flip.first - flip.second) > 0]
            click.echo(f"\n{row.column}: better with {title}, {len(flips)} samples")
            for flip in flips:
                click.echo(f"  {flip.sample}  {flip.first:g} against {flip.second:g}")
