"""Decides whether searches covered all the training data of a checkpoint, and puts the outcome into words.

A sample counts as clean only if every recorded dataset of the checkpoint and of its ancestors was searched, all
documents of it. Nothing here searches, and no score is computed (`evals.results.split`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo.cli.output import share_cell
from zoo.errors import ZooError
from zoo.lineage import with_ancestors
from zoo.records import Checkpoint, Dataset, Record, Score, Search, Split

if TYPE_CHECKING:
    from zoo.registry import Registry

WITHOUT_TRAINING = ("grow", "convert")  # relations that add no training data
RENEW = "phizoo eval runs --renew does it"
NOT_SEARCHED = "not searched for in training data"


class Coverage(Record, frozen=True):
    """The searched part of a checkpoint's training data.

    sets        the sets that were searched and belong to it, with the number of documents that each has
    unsearched  what of it was not searched; "" if everything was
    """

    sets: dict[str, int]
    unsearched: str = ""


def coverage(registry: "Registry", checkpoint: str, searches: Sequence[Search]) -> Coverage:
    """The part of a checkpoint's training data that these searches covered.

    checkpoint  its digest; one that is not in this zoo has no known training data
    """
    try:
        focus = registry.get(checkpoint)
    except ZooError:
        return Coverage(sets={}, unsearched=f"the model {checkpoint[:12]} and its data are not in this zoo")
    lineage, missing = with_ancestors(registry, focus)
    gaps = {
        f"{parent[:12]}, from which {child.label} was made, is not in this zoo": None
        for parent, child in missing.items()
    }
    walk = _DatasetWalk(registry, searches)
    for member in lineage:
        if not _has_data(member):
            gaps[f"no training data is recorded for {member.label}"] = None
        for trained in member.datasets:
            walk.visit(trained.digest)
    gaps |= walk.gaps
    return Coverage(sets=walk.covered, unsearched="; ".join(gaps))


def _has_data(checkpoint: Checkpoint) -> bool:
    """Whether its training data is recorded, or it was not trained beyond its parents."""
    untrained = bool(checkpoint.parents) and all(p.relation in WITHOUT_TRAINING for p in checkpoint.parents)
    return bool(checkpoint.datasets) or untrained or checkpoint.training_tokens == 0


class _DatasetWalk:
    """Walks from datasets to the sets of documents that they were packed from, and notes which were searched."""

    def __init__(self, registry: "Registry", searches: Sequence[Search]) -> None:
        self.registry = registry
        self.documents: dict[str, int | None] = {}
        self.names: set[str] = set()
        for searched in (searched for search in searches for searched in search.datasets):
            before = self.documents.get(searched.digest)
            self.documents[searched.digest] = max(before or 0, searched.documents or 0) or searched.documents or before
            self.names.add(searched.name)
        self.covered: dict[str, int] = {}
        self.gaps: dict[str, None] = {}
        self.seen: set[str] = set()

    def visit(self, digest: str) -> None:
        """Notes a dataset as covered, or why it is not."""
        waiting = [digest]
        while waiting:
            current = waiting.pop(0)
            if current in self.seen:
                continue
            self.seen.add(current)
            dataset = self._dataset(current)
            if current in self.documents:
                self._check_size(current, dataset)
            elif dataset is None:
                self.gaps[f"dataset {current[:12]} is not recorded in this zoo, and was not searched"] = None
            elif dataset.kind != "documents" and (parents := self._parents(dataset)):
                waiting += parents
            else:
                older = ", only another version of it" if dataset.name in self.names else ""
                self.gaps[f"{dataset.name} ({current[:12]}) was not searched{older}"] = None

    def _dataset(self, digest: str) -> Dataset | None:
        try:
            return self.registry.dataset(digest)
        except ZooError:
            return None

    def _parents(self, dataset: Dataset) -> list[str]:
        """What a packed dataset was made from, tokenizers left out."""
        records = {parent: self._dataset(parent) for parent in dataset.parents}
        return [parent for parent, record in records.items() if record is None or record.kind != "tokenizer"]

    def _check_size(self, digest: str, dataset: Dataset | None) -> None:
        searched = self.documents[digest]
        recorded = dataset.documents if dataset is not None and dataset.kind == "documents" else 0
        name = dataset.name if dataset is not None else digest[:12]
        if searched is None:
            self.gaps[f"the search of {name} does not say how many documents it read"] = None
        elif searched < recorded:
            self.gaps[f"only {searched:,} of the {recorded:,} documents of {name} were searched"] = None
        else:
            self.covered[digest] = recorded


def overlap_text(overlapping: int | None, samples: int, unsearchable: int, unsearched: str, clean: str = "") -> str:
    """The outcome of the searches for one run, as every page and command shows it.

    overlapping  samples in training data; None: the run is not split, `unsearched` says why
    unsearched   why the training data was not searched in full; "" if it was
    clean        the cell of the score without those samples

    >>> overlap_text(179, 320, 0, "", "76.6 [69.0–82.8] n=141")
    '179 of 320 in training data; without them 76.6 [69.0–82.8] n=141'
    >>> overlap_text(0, 164, 0, "", "50.6 [43.0–58.2] n=164")
    '0 of 164 in training data, searched in full'
    >>> overlap_text(3, 164, 7, "no training data is recorded for a:1")
    '3 of 164 in training data, 7 could not be searched for; not searched in full: no training data is recorded for a:1'
    """
    if overlapping is None:
        return f"searched for in training data, not split: {unsearched or RENEW}"
    text = f"{overlapping} of {samples} in training data"
    text += f", {unsearchable} could not be searched for" if unsearchable else ""
    if unsearched:
        return f"{text}; not searched in full: {unsearched}"
    if not overlapping and not unsearchable:
        return f"{text}, searched in full"
    return f"{text}; without them {clean or 'no sample is left'}"


def find_splits(registry: "Registry", scores: Sequence[Score]) -> dict[str, Split]:
    """The splits of the runs of these scores that have a search; one that is still to be made has no counts."""
    of_one = scores[0].checkpoint if len({score.checkpoint for score in scores}) == 1 else None
    kept, searched = registry.splits(of_one), registry.searched_tasks(of_one)
    return {
        score.run: kept.get(score.run) or Split(run=score.run, samples=score.n, overlapping=None)
        for score in scores
        if score.run in kept or (score.checkpoint, score.task) in searched
    }


def split_line(split: Split | None, whole: Score, scores: Sequence[Score]) -> str:
    """What the searches say of a score on all samples, in words; its clean score is among these scores."""
    if split is None:
        return NOT_SEARCHED
    key = (whole.run, whole.protocol, whole.metric, "clean")
    clean = next((score for score in scores if (score.run, score.protocol, score.metric, score.subset) == key), None)
    cell = share_cell(clean.value, clean.low, clean.high, clean.n, clean.metric) if clean else ""
    return overlap_text(split.overlapping, split.samples, split.unsearchable, split.unsearched, cell)


def overlap_fields(split: Split | None) -> dict[str, Any]:
    """The split of a run as fields of `--json` and of exports.

    >>> overlap_fields(None)["searched"], overlap_fields(Split(run="r", samples=9, overlapping=2))["searched"]
    ('no', 'in full')
    """
    if split is None:
        return {"searched": "no", "unsearched": "", "overlaps": None, "unsearchable": None}
    in_full = split.overlapping is not None and not split.unsearched
    return {
        "searched": "in full" if in_full else "in part", "unsearched": split.unsearched,
        "overlaps": split.overlapping, "unsearchable": split.unsearchable,
    }  # fmt: skip


def search_line(search: Search) -> str:
    """A search in words: the samples, the methods, the sets with their documents.

    >>> from zoo.records import SearchedBy, SearchedSet
    >>> sets = (SearchedSet(digest="ab" * 32, name="code", documents=31_570),)
    >>> how = (SearchedBy(method="ast", threshold=0.95),)
    >>> search_line(Search(checkpoint="", task="t", datasets=sets, methods=how, samples=("a", "b"), flagged=("a",)))
    't: 1 of 2 samples by ast at 0.95 in 31,570 documents of code'
    """
    if not search.datasets:
        return f"{search.task}: {len(search.flagged)} samples, by flags of an older version without their datasets"
    methods = ", ".join(f"{how.method} at {how.threshold:g}" for how in search.methods)
    sets = ", ".join(
        f"{'?' if searched.documents is None else f'{searched.documents:,}'} documents of "
        f"{searched.name or searched.digest[:12]}"
        for searched in search.datasets
    )
    date = f", {search.created[:10]}" if search.created else ""
    return f"{search.task}: {len(search.flagged)} of {len(search.samples)} samples by {methods} in {sets}{date}"
