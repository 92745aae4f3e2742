"""Which samples stand in the training data, as a file of flags, and the score that is left without them.

A flags file says what was searched, how, and for which samples a match was found; every other checked
sample is clean. From it a score gets three values: all, clean, overlapping. Not here: the search
itself (`evals.contamination`); a file from any search will do.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5: 13-grams of the docstring, L2 distance of
        embeddings, and edit distance of syntax trees with match rates 0.95, 0.90, 0.85 and 0.80.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from evals.records import Result
from evals.stats.summary import Summary, split
from zoo.digest import whole_file
from zoo.errors import ZooError, nearest
from zoo.records import Record, Subset

Method = Literal["ngram", "embedding", "ast"]
Line = TypeVar("Line", bound=Record)


class Match(Record, frozen=True):
    """A training document that is close to a sample, and the text that matched, to be read side by side."""

    document: str
    similarity: float
    text: str = ""


class Flag(Record, frozen=True):
    """A sample that overlaps, with its matches, the closest first."""

    sample: str
    matches: tuple[Match, ...] = ()


class Search(Record, frozen=True):
    """What was searched: the file's first line.

    datasets    digests of the training sets
    threshold   n of the n-gram, L2 distance, or match rate of syntax trees
    checked     samples that were looked for, flagged or not
    names       what the training sets are called, in the order of their digests
    documents   documents searched
    how         what was compared: the form of the trees, the vectors
    unsearched  samples that the method could not look for (too few words, a solution that is no function):
                they count as clean, and it is said
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
        raise ZooError(f"{path} is empty, its first line should say what was searched: task, datasets, method")
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
    Raises   ZooError when the flags are of another task or of other samples: a sample that nobody
             looked for is not clean.
    """
    if flags.search.task != task:
        raise ZooError(f'the flags are of task "{flags.search.task}", the run is of "{task}"; search for {task}')
    found = frozenset(flag.sample for flag in flags.flagged)
    if strange := sorted(found.difference(samples)):
        raise ZooError(f'{task} has no sample "{strange[0]}"{nearest(strange[0], samples)}, which the flags name')
    if flags.search.checked != len(samples):
        raise ZooError(
            f"the flags come from {flags.search.checked} samples of {task}, the run has {len(samples)}; "
            "search for all samples of the task"
        )
    return found


def any_of(searches: Sequence[Flags], task: str, samples: Collection[str]) -> frozenset[str]:
    """The ids that overlap by any of several searches, whatever their methods; each checked as by `overlapping`."""
    return frozenset().union(*(overlapping(flags, task, samples) for flags in searches))


def merged(searches: Sequence[Flags]) -> Flags:
    """Several searches for the same samples as one: a sample overlaps if any search flagged it.

    Such as the datasets of a checkpoint's lineage, one file each. Raises ZooError when task, method,
    threshold or the samples checked differ: then they are different questions.
    """
    if not searches:
        raise ZooError("no flags to merge; give one file or more")
    first = searches[0].search
    matches: dict[str, list[Match]] = {}
    datasets: dict[str, str] = {}
    for flags in searches:
        mine = flags.search
        if (
            msgspec.structs.replace(mine, datasets=first.datasets, names=first.names, documents=first.documents)
            != first
        ):
            raise ZooError(f"flags of {_told(first)} and of {_told(mine)} are different searches")
        datasets |= zip(mine.datasets, mine.names or ("",) * len(mine.datasets), strict=False)
        for flag in flags.flagged:
            matches.setdefault(flag.sample, []).extend(flag.matches)
    closest = -1 if first.method != "embedding" else 1  # a distance is close when it is small
    flagged = tuple(
        Flag(sample=sample, matches=tuple(sorted(found, key=lambda match: closest * match.similarity)))
        for sample, found in matches.items()
    )
    named = tuple(datasets.values()) if all(datasets.values()) else ()
    documents = sum(flags.search.documents for flags in searches)
    search = msgspec.structs.replace(first, datasets=tuple(datasets), names=named, documents=documents)
    return Flags(search=search, flagged=flagged)


def scores(results: Sequence[Result], metric: str, task: str, flags: Flags) -> dict[Subset, Summary]:
    """A run's score on all, on the clean and on the overlapping samples, each with n and interval.

    An empty part is left out. The overlapping part is not the clean one with cheating added: problems
    that resemble much are often easier, so their difference is no measure of memory by itself.
    """
    samples = {result.sample for result in results}
    return split(results, metric, overlapping(flags, task, samples))


def _decoded(path: Path, number: int, line: bytes, kind: type[Line]) -> Line:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"{path} line {number} is no {kind.__name__.lower()}: {error}; write the flags again") from error


def _told(search: Search) -> str:
    return f"{search.task} ({search.method} at {search.threshold:g}, {search.checked} samples)"
