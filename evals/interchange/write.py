"""The formats that cells are written in: one literal table, and the function that writes a selection."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from evals.interchange.cells import ExportedCell
from evals.interchange.write_every_eval_ever import write_every_eval_ever
from evals.interchange.write_hub import write_hub
from evals.interchange.write_inspect import write_inspect
from evals.interchange.write_lm_eval import write_lm_eval
from zoo.errors import ZooError

# format -> what writes one cell into a folder, at a moment
FORMATS: dict[str, Callable[[ExportedCell, Path, int], list[Path]]] = {
    "every-eval-ever": write_every_eval_ever,
    "lm-eval": write_lm_eval,
    "inspect": write_inspect,
    "inspect-json": lambda cell, folder, now: write_inspect(cell, folder, now, "json"),
}
HUB = "huggingface"  # one file an evaluation set, for the cells of one model


def write_cells(cells: Sequence[ExportedCell], folder: Path, form: str, now: int | None = None) -> list[Path]:
    """Writes cells in a format below a folder. Returns the files in the cells' order.

    form    a name in FORMATS, or HUB
    now     seconds since 1970; the machine's clock if None
    Raises  ZooError where a cell lacks what the format needs, before a file of it is written
    """
    moment = int(time.time()) if now is None else now
    if form == HUB:
        if len({cell.run.checkpoint for cell in cells}) > 1:
            raise ZooError(
                f"{HUB} files lie in one model's repository, and these cells are of several models; name one model"
            )
        files = write_hub(cells, folder)
        if not files:
            raise ZooError("none of these cells has an evaluation set on the hub; take --format every-eval-ever")
        return files
    # a second apart, so that the runs of one task and model have names of their own
    return [path for number, cell in enumerate(cells) for path in FORMATS[form](cell, folder, moment + number)]
