"""Reads what the stages left: a document's verdict along the chain of datasets, samples by score, a card.

Nothing here writes a dataset.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from training.data.build import folder_of
from training.data.document import Document, read_documents
from zoo.errors import ZooError
from zoo.records import Dataset, Record


class Verdict(Record, frozen=True):
    """What one dataset did with a document."""

    dataset: str
    digest: str
    kept: bool
    stage: str
    reason: str
    facts: dict[str, Any]


class Story(Record, frozen=True):
    """Everything known of one document, in the order in which the datasets were made."""

    id: str
    source: str
    project: str
    licence: str
    kind: str
    tokens: int
    text: str
    verdicts: tuple[Verdict, ...]


def all_datasets() -> list[Dataset]:
    """All registered datasets, oldest first."""
    from zoo.registry import open_registry

    with open_registry() as registry:
        return list(registry.datasets())


def story(wanted: str, datasets: Sequence[Dataset] | None = None) -> Story:
    """The full verdict of a document, by id (or its first 6 characters and more) or by source.

    Raises ZooError when no dataset knows it, or several documents fit.
    """
    found: dict[str, list[tuple[Dataset, Document]]] = {}
    for dataset in all_datasets() if datasets is None else datasets:
        if dataset.kind != "documents":
            continue
        for one in _everything(dataset):
            if (len(wanted) >= 6 and one.id.startswith(wanted)) or one.source == wanted:
                found.setdefault(one.id, []).append((dataset, one))
    if not found:
        raise ZooError(f'no document "{wanted}" in any dataset; ids are shown by: phizoo data show NAME')
    if len(found) > 1:
        some = ", ".join(sorted(found)[:5])
        raise ZooError(f'{len(found)} documents fit "{wanted}" ({some}); give one of these ids')
    ((mark, seen),) = found.items()
    first = seen[0][1]
    return Story(
        id=mark, source=first.source, project=first.project, licence=first.licence, kind=first.kind,
        tokens=first.tokens,
        text=next((one.text for _, one in seen if one.text), ""),
        verdicts=tuple(
            Verdict(dataset=dataset.name, digest=dataset.digest, kept=not one.reason, stage=one.stage,
                    reason=one.reason, facts={key: value for key, value in one.facts.items() if key != "test"})
            for dataset, one in seen
        ),
    )  # fmt: skip


def _everything(dataset: Dataset) -> Iterator[Document]:
    folder = folder_of(dataset)
    for stem in ("documents", "dropped"):
        yield from read_documents(folder, stem)


def texts_of(dataset: Dataset, wanted: Iterable[str]) -> dict[str, str]:
    """The texts of documents by id, from the dataset itself or the nearest ancestor that holds them."""
    left, found = set(wanted), dict[str, str]()
    known = {one.digest: one for one in all_datasets()}
    queue = [dataset.digest]
    while queue and left:
        here = known.get(queue.pop(0))
        if here is None or here.kind != "documents":
            continue
        for one in _everything(here):
            if one.id in left and one.text:
                found[one.id] = one.text
                left.discard(one.id)
        queue.extend(here.parents)
    return found


class Ends(Record, frozen=True):
    """The documents with the highest and the lowest scores of a filtered dataset, texts included."""

    high: tuple[Document, ...]
    low: tuple[Document, ...]


def ends(dataset: Dataset, number: int) -> Ends:
    """The extremes by score, kept and dropped together, one a project so that no project fills the page.

    Raises ZooError for a dataset without scores.
    """
    import heapq

    from msgspec.structs import replace

    best: dict[str, Document] = {}
    worst: dict[str, Document] = {}
    for one in _everything(dataset):
        if "score" not in one.facts:
            continue
        for held, sign in ((best, 1), (worst, -1)):
            other = held.get(one.project)
            if other is None or _rank(one, sign) > _rank(other, sign):
                held[one.project] = one
    if not best:
        raise ZooError(f"{dataset.name} has no scores; they come from: phizoo data filter {dataset.name} --out NAME")
    high = heapq.nlargest(number, best.values(), key=lambda one: _rank(one, 1))
    low = heapq.nlargest(number, worst.values(), key=lambda one: _rank(one, -1))
    texts = texts_of(dataset, [one.id for one in (*high, *low) if not one.text])
    high, low = ([replace(one, text=one.text or texts.get(one.id, "")) for one in part] for part in (high, low))
    return Ends(high=tuple(high), low=tuple(low))


def _rank(one: Document, sign: int) -> tuple[float, str]:
    return sign * float(one.facts["score"]), one.id


def side_by_side(left: str, right: str, width: int, lines: int) -> list[str]:
    """Two texts beside each other, cut to `lines` lines of `width` characters.

    >>> side_by_side("a\\nb", "c", 3, 2)
    ['a   | c', 'b   |']
    """
    pairs = zip_longest(*(text.expandtabs(4).splitlines()[:lines] for text in (left, right)), fillvalue="")
    return [f"{one[:width]:<{width}} | {other[:width]}".rstrip() for one, other in pairs]


def explained(dataset: Dataset, number: int, width: int = 76, lines: int = 24) -> list[str]:
    """The best and the worst documents of a filtered dataset side by side, as lines."""
    found, told = ends(dataset, number), list[str]()
    for high, low in zip_longest(found.high, found.low):
        heads = [_head(one) if one else "" for one in (high, low)]
        told += ["", *side_by_side(heads[0], heads[1], width, 2), "-" * width + "-+-" + "-" * width]
        told += side_by_side(high.text if high else "", low.text if low else "", width, lines)
    return told


def _head(one: Document) -> str:
    label = f", labelled {one.facts['label']}" if "label" in one.facts else ""
    return f"score {one.facts['score']}{label}: {one.source}\n{one.id} of {one.project}"


def sample(dataset: Dataset, number: int) -> list[Document]:
    """Some kept documents, spread by their ids, the same each time."""
    import heapq

    return heapq.nsmallest(number, read_documents(folder_of(dataset)), key=lambda one: one.id)


def card(dataset: Dataset) -> str:
    """The dataset card as Markdown: what it is, how it was made, what was dropped and why, licences."""
    lines = [f"# {dataset.name}", "", f"A dataset of kind *{dataset.kind}*, made by `phizoo data`.", ""]
    lines += ["| what | value |", "| --- | --- |", f"| digest | `{dataset.digest}` |"]
    lines += [
        f"| documents | {dataset.documents:,} |",
        f"| tokens | {dataset.tokens:,} |",
        f"| made | {dataset.created} |",
    ]
    lines += ["", "## Stages", "", "| stage | entered | kept | dropped |", "| --- | ---: | ---: | --- |"]
    for stage in dataset.stages:
        lost = "; ".join(f"{reason}: {count:,}" for reason, count in stage.dropped.items()) or "none"
        lines.append(f"| {stage.name} | {stage.entered:,} | {stage.kept:,} | {lost} |")
    lines += ["", "## How it was made", ""]
    lines += [f"- {key}: `{value}`" for key, value in (dataset.recipe or {}).items()]
    names = {one.digest: one.name for one in all_datasets()}
    if dataset.parents:
        lines += ["", "## Made from", ""]
        lines += [f"- {names.get(parent, 'unknown')} `{parent[:16]}`" for parent in dataset.parents]
    lines += ["", "## Licences", "", *(f"- {one}" for one in dataset.licence.split("; "))]
    if dataset.kind == "documents":
        lines += [
            "",
            "## A document",
            "",
            "```python",
            *(one.text.rstrip()[:1500] for one in sample(dataset, 1)),
            "```",
        ]
    return "\n".join(lines) + "\n"
