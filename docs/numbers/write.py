"""Writes the quickstart's figures into the pages, beside those of other machines: `make docs-numbers`.

    phizoo quickstart && make docs-numbers MACHINE='8 cores, Python 3.12'
    make docs-numbers                     # only writes the pages again

`quickstart.json` keeps one record for each machine. With MACHINE, the record is taken from the zoo of this machine and
from `quickstart.json` of its home, where the quickstart leaves its times. In a page, the figures stand between
`<!-- quickstart NAME -->` and `<!-- end -->`; a test fails if they are not those of the records.
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill

import msgspec

from zoo import settings
from zoo.cli.output import NONE, cell
from zoo.errors import ZooError
from zoo.progress import seconds_text
from zoo.records import Record
from zoo.registry import Registry, open_registry

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path(__file__).with_name("quickstart.json")
PAGES = (ROOT / "docs" / "contamination.md", ROOT / "docs" / "benchmarks.md")
MODEL, TASK = "phi-1-small-mini", "mini_exercises"
REGION = re.compile(r"(<!-- quickstart (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Share(Record, frozen=True):
    """A score in percent with its interval and samples."""

    value: float
    low: float
    high: float
    n: int


class Figures(Record, frozen=True):
    """The figures of a quickstart on one machine; None: not recorded there.

    scores     all, clean, overlapping -> the finetuned model's score on the held-out exercises
    documents  training documents that were searched for them, at this threshold
    flagged    exercises that were found there; `unsearchable`: exercises too short to search for
    seconds    section of the quickstart -> its time in the start that finished it
    """

    machine: str
    scores: dict[str, Share]
    documents: int | None = None
    threshold: float | None = None
    flagged: int | None = None
    unsearchable: int | None = None
    seconds: dict[str, float] | None = None


def measure(registry: Registry, machine: str, home: Path) -> Figures:
    """The figures of the quickstart that filled this zoo. Raises ZooError if there was none."""
    scores = {
        score.subset: Share(value=100 * score.value, low=100 * score.low, high=100 * score.high, n=score.n)
        for score in registry.scores(MODEL, TASK, chosen=True)
    }
    if "all" not in scores:
        raise ZooError(f"this zoo has no score of {MODEL} on {TASK}. Next: phizoo quickstart")
    times = home / "quickstart.json"
    seconds = msgspec.json.decode(times.read_bytes(), type=dict[str, float]) if times.is_file() else None
    searches = registry.searches(registry.get(MODEL).digest, TASK)
    if not searches:
        return Figures(machine=machine, scores=scores, seconds=seconds)
    search = searches[-1]
    documents = [dataset.documents for dataset in search.datasets]
    return Figures(
        machine=machine, scores=scores, seconds=seconds, flagged=len(search.flagged),
        unsearchable=len(search.unsearchable), threshold=search.methods[0].threshold,
        documents=None if None in documents else sum(number or 0 for number in documents),
    )  # fmt: skip


def scores_text(records: Sequence[Figures]) -> str:
    """The table of the held-out exercises, and how far machines differ."""
    lines = [
        "| machine | documents searched | exercises found in them | too short | score | without those | on those |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for figures in records:
        counts = [NONE if figures.documents is None else f"{figures.documents:,}"]
        counts += [NONE if figures.flagged is None else f"{figures.flagged} at {figures.threshold:g}"]
        counts += [NONE if figures.unsearchable is None else str(figures.unsearchable)]
        cells = (figures.scores.get(subset) for subset in ("all", "clean", "overlapping"))
        shares = [NONE if share is None else cell(share.value, share.low, share.high, share.n) for share in cells]
        lines.append(f"| {' | '.join([figures.machine, *counts, *shares])} |")
    values = [figures.scores["all"].value for figures in records]
    spread = (
        f"The scores of {len(records)} machines spread over {max(values) - min(values):.1f} points. The training text "
        "is each machine's own Python files, and an interval covers the choice of exercises only. So compare models "
        "that one machine trained."
    )
    return "\n".join([*lines, "", fill(spread, width=120)])


def times_text(records: Sequence[Figures]) -> str:
    """The quickstart's time on each machine that recorded it, with its longest sections."""
    timed = [(figures.machine, figures.seconds) for figures in records if figures.seconds]
    lines = []
    for machine, seconds in timed:
        longest = sorted(seconds, key=lambda name: -seconds[name])[:3]
        parts = ", ".join(f"{name} {seconds_text(seconds[name])}" for name in longest)
        lines.append(f"A quickstart takes {seconds_text(sum(seconds.values()))} (machine: {machine}); of that {parts}.")
    return "\n".join(lines)


TEXTS: dict[str, Callable[[Sequence[Figures]], str]] = {"scores": scores_text, "times": times_text}


def write_regions(page: str, records: Sequence[Figures]) -> str:
    """The page with the text of each region made from the records."""
    return REGION.sub(lambda match: f"{match[1]}{TEXTS[match[2]](records)}\n{match[3]}", page)


def read_records() -> list[Figures]:
    """The figures of all machines, as they were recorded."""
    return msgspec.json.decode(RECORDS.read_bytes(), type=list[Figures])


def main() -> None:
    """Records this machine's figures if it is named, and writes every page's regions."""
    records = read_records()
    if sys.argv[1:]:
        with open_registry(readonly=True) as registry:
            figures = measure(registry, sys.argv[1], settings.home())
        records = [*(known for known in records if known.machine != figures.machine), figures]
        RECORDS.write_bytes(msgspec.json.format(msgspec.json.encode(records), indent=1) + b"\n")
    for page in PAGES:
        page.write_text(write_regions(page.read_text(encoding="utf-8"), records), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except ZooError as error:
        sys.exit(str(error))
