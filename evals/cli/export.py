"""`phizoo models export`: a checkpoint as a folder that other tools load."""

from pathlib import Path

import click

from zoo.cli.completion import A_CHECKPOINT, A_FOLDER
from zoo.cli.options import open_registry
from zoo.errors import ZooError


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("folder", shell_complete=A_FOLDER)
@click.option("--dequantise", is_flag=True,
              help="Write a GGUF as full weights (fp32) with config.json and the tokenizer.")  # fmt: skip
def export(checkpoint: str, folder: str, dequantise: bool) -> None:
    """Write a Hugging Face folder with a model card.

    A GGUF is copied as it is. With --dequantise its numbers are written as safetensors, the same that
    the transformers engine computes with, for tools that read no GGUF.

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
        click.echo(write_folder(registry, checkpoint, Path(folder).expanduser(), _convert if dequantise else None))


def _convert(tree: Path, folder: Path) -> str:
    from evals.engines.dequantise import write_dequantised

    write_dequantised(tree, folder)
    return "The weights in this folder are the checkpoint's, dequantised to fp32."
