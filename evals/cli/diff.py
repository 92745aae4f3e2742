"""`phizoo models diff`: the differences of two records, and of what the two models predict."""

from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.checks.divergence import Divergence
    from zoo.registry import Registry


@click.command()
@click.argument("before", shell_complete=A_CHECKPOINT)
@click.argument("after", shell_complete=A_CHECKPOINT)
@click.option("--text", type=click.Path(dir_okay=False), metavar="FILE",
              help="Measure over this text how far AFTER's predictions are from BEFORE's.")  # fmt: skip
@AS_JSON
def diff(before: str, after: str, text: str | None, as_json: bool) -> None:
    """Compare two checkpoints: config, recipe, files, tensors.

    Each tensor that differs is listed with its largest change and the norm of the change relative to
    the norm before. Of a quantised checkpoint and another, and with --text of any two with the same
    tokens, the mean divergence KL(BEFORE || AFTER) of their predictions is measured, in nats a token.

    \b
    Example:  phizoo models diff phi-1-mini-base phi-1-mini
              phizoo models diff smollm2 smollm2-q4 --text README.md
    """
    import msgspec

    from evals.checks.divergence import divergence_text
    from zoo import diff as differences

    with open_registry(readonly=True) as registry:
        difference = differences.diff(registry, before, after)
        quantised = {registry.get(spec).quantisation for spec in (before, after)}
        measured = _measure(registry, before, after, text) if text or len(quantised) > 1 else None
    if as_json:
        emit_json(msgspec.to_builtins(difference) | {"divergence": measured})
        return
    click.echo(differences.text(difference))
    if measured:
        click.echo(divergence_text(measured))


def _measure(registry: "Registry", before: str, after: str, text: str | None) -> "Divergence":
    from pathlib import Path

    from evals.checks.divergence import default_text, measure_divergence

    try:
        content, name = (Path(text).read_text(encoding="utf-8"), Path(text).name) if text else default_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"--text {text}: cannot be read as UTF-8 text ({error})") from None
    return measure_divergence(registry.path(before), registry.path(after), content, name)
