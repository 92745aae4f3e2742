"""Jeopardy: 2,116 clues of the quiz show in five categories, answered by a name or a few words.

Source: MosaicML's Eval Gauntlet, 2023 (github.com/mosaicml/llm-foundry), whose file is soldni/jeopardy on the hub.
Protocol `olmes`: `evals.olmes_written`, 5-shot. A clue has one accepted answer. The package has the
set for the bits of a gold answer only; the prompt is the same.
The five categories are strata: they are all that there are. The value is the mean over clues, not over categories.
"""

import re

from msgspec.structs import replace

from evals.datasets.forms import Row
from evals.olmes_written import PROTOCOL, written_set, written_task

TITLE = "Jeopardy"
CATEGORY = re.compile(r"Category: (.*)\nQuestion: [^\n]*\nAnswer:\Z")
SETS = (
    written_set(
        "jeopardy",
        2116,
        "not stated",
        "8c691704910948e5edc05b4880d4a10120d38413697ed87abf51e912e6e09b9f",
        "jeopardy/bpb_5shot",
    ),
)


def category(row: Row) -> str:
    """The category of a prompt's last clue."""
    match = CATEGORY.search(row["prompt"])
    return match[1] if match else ""


OLMES = written_task(
    SETS[0], about="clues of a quiz show, five categories", paper="MosaicML's Eval Gauntlet", shots=5, chance=0.0,
    stop=("\n\n", "Question:", "Category:"), cluster=category,
)  # fmt: skip
PROTOCOLS = {PROTOCOL: replace(OLMES, groups="strata")}
