"""Writes `zoo/published/openllm_v2.csv`, and the models that it adds to `models.csv`.

    python docs/published/open_llm.py openllm_v2.tsv

The table that it reads has one line for each evaluation of the Open LLM Leaderboard v2, from the Every Eval Ever
records of that board: model, params_billions, architecture, precision, and six accuracies in 0..1. Kept are the models
up to 4 billion parameters, and all of the Phi line. A model that stands there more than once differs in precision,
revision or chat template; the records do not say which, so its rows are marked. A size is not known where the lines of
a model disagree by more than a twentieth, where its name says quite another, and where it cannot be true.
"""

import csv
import re
import sys
from collections import defaultdict
from pathlib import Path

from dashboard.board.benchmarks import says_chat
from zoo.published.models import MODELS, PublishedModel, by_name, parse_models, write_models
from zoo.published.sources import read_sources
from zoo.published.table import FOLDER

KEY = "openllm_v2"
LARGEST = 4.0  # billions of parameters
PHI_LINE = re.compile(r"microsoft/phi", re.I)
NAMED_SIZE = re.compile(r"(?<![\d.x_])(\d+(?:[._]\d+)?)([bm])(?![a-z\d])", re.I)
# 7 million parameters in the table, but the scores of models of 7 billion
IMPOSSIBLE = ("darkc0de/BuddyGlass_v0.3_Xortron7MethedUpSwitchedUp",)
QUANTISED = ("4bit", "8bit", "GPTQ")


def read(path: Path) -> dict[str, list[dict[str, str]]]:
    """The kept lines of the table, by model."""
    lines = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            size = float(line["params_billions"] or 0)
            if 0 < size <= LARGEST or PHI_LINE.match(line["model"]):
                lines[line["model"]].append(line)
    return dict(sorted(lines.items(), key=lambda pair: pair[0].lower()))


def parameters(model: str, lines: list[dict[str, str]]) -> float | None:
    """The size of a model in parameters, of the line that is most exact; None where it is doubtful.

    >>> parameters("a/b-0.5B", [{"params_billions": "0.494"}, {"params_billions": "0.5"}])
    494000000.0
    >>> parameters("a/b-7B", [{"params_billions": "3.8"}])
    """
    sizes = sorted((float(line["params_billions"]) for line in lines), key=lambda size: -len(str(size)))
    known = min(sizes) > 0 and max(sizes) <= 1.05 * min(sizes) and model not in IMPOSSIBLE
    return round(sizes[0] * 1e9) * 1.0 if known and fits_name(model, sizes[0]) else None


def fits_name(model: str, billions: float) -> bool:
    """Whether a size is near one that the model's name says, or the name says none.

    >>> fits_name("o/chat-1_8b", 1.889), fits_name("o/llama-68m", 0.068), fits_name("o/x-3B", 1.2)
    (True, True, False)
    """
    named = [
        float(number.replace("_", ".")) * (1 if unit in "bB" else 1e-3)
        for number, unit in NAMED_SIZE.findall(model.split("/")[-1])
    ]
    return not named or any(0.6 <= billions / size <= 1.67 for size in named if size)


def percent(share: str) -> str:
    """A share of the table in percent, with its own digits.

    >>> percent("0.2068"), percent("0.0"), percent("")
    ('20.68', '0', '')
    """
    return f"{100 * float(share):.2f}".rstrip("0").rstrip(".") if share else ""


def wide(lines: dict[str, list[dict[str, str]]]) -> list[list[str]]:
    """The lines of the file: model, variant, and the columns of its source."""
    columns = read_sources()[KEY].columns
    rows = []
    for model, own in lines.items():
        for number, line in enumerate(own, start=1):
            variant = f"{line['precision']}, row {number} of {len(own)}" if len(own) > 1 else ""
            rows.append([model, variant, *(percent(line[title]) for title in columns)])
    return rows


def add_models(lines: dict[str, list[dict[str, str]]]) -> list[PublishedModel]:
    """The known models, then those of the table that are new. Weights on a hub that evaluated them are open."""
    models = parse_models(MODELS.read_text(encoding="utf-8"))
    known = by_name(models)
    for name, own in lines.items():
        if name not in known:
            stored = next((line["precision"] for line in own if line["precision"] in QUANTISED), "")
            models.append(
                PublishedModel(
                    model=name,
                    repository=name,
                    parameters=parameters(name, own),
                    kind="chat" if says_chat(name) else "",
                    weights="open",
                    quantisation=stored,
                )
            )
    return models


def main(path: Path) -> None:
    """Writes both files."""
    lines = read(path)
    write_models(add_models(lines))
    with (FOLDER / f"{KEY}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "variant", *read_sources()[KEY].columns])
        writer.writerows(wide(lines))
    print(f"{sum(map(len, lines.values()))} rows of {len(lines)} models")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
