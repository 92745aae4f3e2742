"""Reads and writes flags: the samples of a task that stand in training data.

A flags file records the search and the samples with a match; every other checked sample is clean. With it a score
has three values: all, clean, overlapping. Nothing here searches (`evals.contamination.search`); a file from any
search will do.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5: 13-grams of the docstring, L2 distance of
        embeddings, and edit distance of syntax trees with match rates 0.95, 0.90, 0.85 and 0.80.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from evals.contamination.thresholds import Method
from zoo.digest import whole_file
from zoo.errors import ZooError, nearest
from zoo.records import Record

Line = TypeVar("Line", bound=Record)


class MatchedDocument(Record, frozen=True):
    """A training document that is close to a sample, and the text that matched, to be read side by side."""

    document: str
    similarity: float
    text: str = ""


class Flag(Record, frozen=True):
    """A sample that overlaps, with its matches, the closest first."""

    sample: str
    matches: tuple[MatchedDocument, ...] = ()


class Search(Record, frozen=True):
    """The search that made the flags: the file's first line.

    datasets    digests of the training sets
    threshold   n of the n-gram, L2 distance, or match rate of syntax trees
    checked     samples searched for, flagged or not
    names       names of the training sets, in the order of their digests
    documents   documents searched
    how         the form that was compared: of the trees, of the vectors
    unsearched  samples that the method could not search for (too few words, a solution that is no function):
                they count as clean, and the command lists them
    """

    task: str
    datasets: tuple[str, ...]
    method: Method
    threshold: float
    checked: int
    names: tuple[str, ...] = ()
    documents: int = 0
    how: str = ""
    unsearched: tuple[str, ...] = ()


class Flags(Record, frozen=True):
    """A flags file: the search and the samples that it flagged."""

    search: Search
    flagged: tuple[Flag, ...]


def read(path: Path) -> Flags:
    """The flags in a file: JSON lines, the search first, then one line a flagged sample.

    Raises  ZooError naming the line that is wrong, or a sample that is flagged twice.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ZooError(f"no flags in {path}: {error.strerror}. Expected: JSON lines, the search first") from error
    if not lines:
        raise ZooError(f"{path} is empty, its first line should be the search: task, datasets, method")
    search = _decoded(path, 1, lines[0], Search)
    flagged = tuple(_decoded(path, number, line, Flag) for number, line in enumerate(lines[1:], start=2))
    names = Counter(flag.sample for flag in flagged)
    if twice := [name for name, times in names.items() if times > 1]:
        raise ZooError(f"{path} flags {twice[0]} twice; one line a sample, with all its matches")
    if len(names) > search.checked:
        raise ZooError(f"{path} flags {len(names)} samples of {search.checked} checked; write the search again")
    return Flags(search=search, flagged=flagged)


def write(path: Path, flags: Flags) -> None:
    """Writes a flags file, whole or not at all, samples in the order given."""
    with whole_file(path) as file:
        for record in (flags.search, *flags.flagged):
            file.write(msgspec.json.encode(record) + b"\n")


def overlapping(flags: Flags, task: str, samples: Collection[str]) -> frozenset[str]:
    """The ids that overlap, checked against the samples of a run.

    samples  all sample ids of the task
    Raises   ZooError when the flags are of another task or of other samples: unsearched samples do not count
             as clean.
    """
    if flags.search.task != task:
        raise ZooError(f'the flags are of task "{flags.search.task}", the run is of "{task}"; search for {task}')
    flagged = frozenset(flag.sample for flag in flags.flagged)
    if strange := sorted(flagged.difference(samples)):
        raise ZooError(f'{task} has no sample "{strange[0]}"{nearest(strange[0], samples)}, which the flags name')
    if flags.search.checked != len(samples):
        raise ZooError(
            f"the flags come from {flags.search.checked} samples of {task}, the run has {len(samples)}; "
            "search for all samples of the task"
        )
    return flagged


def any_of(searches: Sequence[Flags], task: str, samples: Collection[str]) -> frozenset[str]:
    """The ids that overlap by any of several searches, whatever their methods; each is checked as by `overlapping`."""
    return frozenset().union(*(overlapping(flags, task, samples) for flags in searches))


def _decoded(path: Path, number: int, line: bytes, kind: type[Line]) -> Line:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"{path} line {number} is no {kind.__name__.lower()}: {error}; write the flags again") from error
