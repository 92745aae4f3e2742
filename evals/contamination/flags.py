"""Reads and writes flags: the samples of a task that stand in training data.

A flags file records a search by one method and the samples with a match, each with its closest documents. Kept in the
registry for a checkpoint (`make_search`), it splits every run on its task. Nothing here searches
(`evals.contamination.search`); a file from any search will do.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5: 13-grams of the docstring, L2 distance of
        embeddings, and edit distance of syntax trees with match rates 0.95, 0.90, 0.85 and 0.80.
"""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

import msgspec

from evals.contamination.thresholds import Method
from zoo.digest import whole_file
from zoo.errors import ZooError, nearest
from zoo.jsonl import parse_json, split_lines
from zoo.records import Record, Search, SearchedBy, SearchedSet

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


class FlagsHeader(Record, frozen=True):
    """The search that made the flags: the file's first line.

    datasets    digests of the training sets
    threshold   n of the n-gram, L2 distance, or match rate of syntax trees
    checked     samples searched for, flagged or not
    names       names of the training sets, in the order of their digests
    documents   documents searched
    how         the form that was compared: of the trees, of the vectors
    unsearched  samples that the method could not search for (too few words, a solution that is no function):
                they count as neither clean nor overlapping, and the command lists them
    sizes       documents of each training set, in the order of their digests
    part        the samples that were checked, if they are only a part of the task's
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
    sizes: tuple[int, ...] = ()
    part: tuple[str, ...] = ()


class Flags(Record, frozen=True):
    """A flags file: the search and the samples that it flagged."""

    search: FlagsHeader
    flagged: tuple[Flag, ...]


def read(path: Path) -> Flags:
    """The flags in a file: JSON lines, the search first, then one line a flagged sample.

    Raises  ZooError naming the line that is wrong, or a sample that is flagged twice.
    """
    try:
        lines = split_lines(path.read_bytes())
    except OSError as error:
        raise ZooError(f"no flags in {path}: {error.strerror}. Expected: JSON lines, the search first") from error
    if not lines:
        raise ZooError(f"{path} is empty, its first line should be the search: task, datasets, method")
    search = _decoded(path, 1, lines[0], FlagsHeader, "search")
    flagged = tuple(_decoded(path, number, line, Flag, "flag") for number, line in enumerate(lines[1:], start=2))
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


def checked_samples(flags: Flags, task: str, samples: Collection[str]) -> tuple[str, ...]:
    """The ids that the search of these flags asked for.

    samples  all sample ids of the task
    Raises   ZooError when the flags are of another task or of other samples: unsearched samples do not count
             as clean.
    """
    search = flags.search
    if search.task != task:
        raise ZooError(f'the flags are of task "{search.task}", the run is of "{task}"; search for {task}')
    named = {*search.part, *search.unsearched, *(flag.sample for flag in flags.flagged)}
    if strange := sorted(named.difference(samples)):
        raise ZooError(f'{task} has no sample "{strange[0]}"{nearest(strange[0], samples)}, which the flags name')
    checked = search.part or tuple(samples)
    if search.checked != len(checked):
        raise ZooError(
            f"the flags come from {search.checked} samples of {task}, the run has {len(checked)}; "
            "search for all samples of the task"
        )
    if outside := sorted(named.difference(checked)):
        raise ZooError(f"the flags name {outside[0]}, which is not among the samples that were checked; search again")
    return checked


def make_search(flags: Flags, checkpoint: str, task: str, samples: Collection[str]) -> Search:
    """The search of these flags as a record of the registry, for one checkpoint; checked as by `checked_samples`.

    checkpoint  its digest
    """
    header = flags.search
    alone = (header.documents,) if len(header.datasets) == 1 else ()  # an older file has only the sum of all sets
    sizes = header.sizes or alone or (None,) * len(header.datasets)
    names = header.names or ("",) * len(header.datasets)
    if len(sizes) != len(header.datasets) or len(names) != len(header.datasets):
        raise ZooError(f"the flags name {len(header.datasets)} datasets, but {len(names)} names and {len(sizes)} sizes")
    flagged = tuple(flag.sample for flag in flags.flagged)
    return Search(
        checkpoint=checkpoint, task=task, samples=checked_samples(flags, task, samples), flagged=flagged,
        datasets=tuple(
            SearchedSet(digest=digest, name=name[-100:], documents=size)
            for digest, name, size in zip(header.datasets, names, sizes, strict=True)
        ),
        methods=(SearchedBy(method=header.method, threshold=header.threshold, form=header.how),),
        unsearchable=tuple(sample for sample in header.unsearched if sample not in flagged),
    )  # fmt: skip


def _decoded(path: Path, number: int, line: bytes, kind: type[Line], noun: str) -> Line:
    try:
        return msgspec.convert(parse_json(line), kind, str_keys=True)
    except ValueError as error:
        raise ZooError(f"{path} line {number} is no {noun}: {error}; write the flags again") from error
