"""`phizoo models export`: a checkpoint as a folder that other tools load."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT, A_FOLDER
from zoo.cli.options import open_registry
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.records import Checkpoint
    from zoo.registry import Registry


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("folder", shell_complete=A_FOLDER)
@click.option("--dequantise", is_flag=True,
              help="Write a GGUF as full weights (fp32) with config.json and the tokenizer.")  # fmt: skip
def export(checkpoint: str, folder: str, dequantise: bool) -> None:
    """Write a Hugging Face folder with a model card.

    A GGUF is copied as it is. With --dequantise its numbers are written as safetensors, the same that
    the transformers engine computes with, for tools that read no GGUF. Scores whose evaluation set is on the hub are
    written as .eval_results/TASK.yaml too, which the hub shows on the model's page.

    \b
    Example:  phizoo models export phi-1-mini@best ./phi-1-mini
              phizoo models export smollm2-q4 ./smollm2 --dequantise
    """
    from zoo.exchange.huggingface import export as write_folder

    with open_registry(readonly=True) as registry:
        record = registry.get(checkpoint)
        if dequantise and not any(file.path.endswith(".gguf") for file in record.files):
            raise ZooError(
                f"{record.label} has no GGUF file, so there is nothing to dequantise; leave out --dequantise"
            )
        click.echo(
            write_folder(
                registry, checkpoint, Path(folder).expanduser(), _convert if dequantise else None,
                lambda place: _write_results(registry, record, place),
            )
        )  # fmt: skip


def _write_results(registry: "Registry", record: "Checkpoint", folder: Path) -> None:
    """Writes the scores as the hub's own result files; a checkpoint without scores has none."""
    from evals.interchange.cells import select_cells
    from evals.interchange.write_hub import write_hub

    if registry.scores(record.digest, chosen=True):
        write_hub(select_cells(registry, [record.label]), folder)


def _convert(tree: Path, folder: Path) -> str:
    from evals.engines.dequantise import write_dequantised

    write_dequantised(tree, folder)
    return "The weights in this folder are the checkpoint's, dequantised to fp32."
