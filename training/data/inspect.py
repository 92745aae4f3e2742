"""Shows datasets: a document's history through the stages, its best and worst documents, a dataset card.

This file writes no dataset.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from training.data.build import folder_of
from training.data.document import Document, read_documents
from zoo.errors import ZooError
from zoo.records import Dataset, Record
from zoo.visible import plain


class StageDecision(Record, frozen=True):
    """One dataset's decision on a document."""

    dataset: str
    digest: str
    kept: bool
    stage: str
    reason: str
    facts: dict[str, Any]


class DocumentHistory(Record, frozen=True):
    """Everything known about one document, in the order in which the datasets were made."""

    id: str
    source: str
    project: str
    licence: str
    kind: str
    tokens: int
    text: str
    verdicts: tuple[StageDecision, ...]


def all_datasets() -> list[Dataset]:
    """All registered datasets, oldest first."""
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        return list(registry.datasets())


def document_histories(wanted: str, datasets: Sequence[Dataset] | None = None) -> list[DocumentHistory]:
    """Every stage's decision on each document of a file, or on one document.

    wanted    a file's path as it was gathered, typed in full, or its last parts; such a path with `::PART`; a
              document's id, or at least 6 first characters of it
    datasets  those to look in; None: all

    Raises ZooError if no dataset holds it, or several files match.
    """
    matches: dict[str, list[tuple[Dataset, Document]]] = {}
    closeness: dict[str, tuple[int, int]] = {}
    for dataset in all_datasets() if datasets is None else datasets:
        if dataset.kind != "documents":
            continue
        for document in _all_documents(dataset):
            if close := _closeness(wanted, document):
                closeness[document.id] = close
                matches.setdefault(document.id, []).append((dataset, document))
    if not matches:
        raise ZooError(f'no document "{plain(wanted)}" in any dataset; ids are shown by: phizoo data show NAME')
    best = max(closeness.values())
    chosen = [seen for mark, seen in matches.items() if closeness[mark] == best]
    files = sorted({_path_of(seen[0][1].source) for seen in chosen})
    if len(files) > 1:
        examples = ", ".join(plain(file) for file in files[:5])
        raise ZooError(f'{len(files)} files match "{plain(wanted)}" ({examples}); give one of these paths')
    return [_history(seen) for seen in chosen]


def _path_of(source: str) -> str:
    """The path of a document's file: a source without its part, and without a dropped file's digest.

    >>> _path_of("a/b.py::f"), _path_of("a/b.py#0123456789ab"), _path_of("a/b.py#")
    ('a/b.py', 'a/b.py', 'a/b.py')
    """
    return re.sub(r"#([0-9a-f]{12})?$", "", source.partition("::")[0])


def _closeness(wanted: str, document: Document) -> tuple[int, int] | None:
    """How well a document matches what a person typed, larger is closer; None is no match."""
    if (len(wanted) >= 6 and document.id.startswith(wanted)) or document.source == wanted:
        return 3, 0
    path, mark, part = wanted.removeprefix("./").rstrip("/").partition("::")
    own, own_part = _path_of(document.source), document.source.partition("::")[2]
    if not path or (mark and own_part and part != own_part):  # a short file is one document without parts
        return None
    if own == path:
        return 2, 0
    if own.endswith("/" + path):
        return 1, 0
    return (0, len(own)) if path.endswith("/" + own) else None


def _history(seen: Sequence[tuple[Dataset, Document]]) -> DocumentHistory:
    first = seen[0][1]
    return DocumentHistory(
        id=first.id, source=first.source, project=first.project, licence=first.licence, kind=first.kind,
        tokens=first.tokens,
        text=next((document.text for _, document in seen if document.text), ""),
        verdicts=tuple(
            StageDecision(
                dataset=dataset.name, digest=dataset.digest, kept=not document.reason, stage=document.stage,
                reason=document.reason, facts={key: value for key, value in document.facts.items() if key != "test"},
            )
            for dataset, document in seen
        ),
    )  # fmt: skip


def _all_documents(dataset: Dataset) -> Iterator[Document]:
    folder = folder_of(dataset)
    for stem in ("documents", "dropped"):
        yield from read_documents(folder, stem)


def texts_of(dataset: Dataset, wanted: Iterable[str]) -> dict[str, str]:
    """The texts of documents by id, from the dataset or the nearest ancestor that holds them."""
    left, texts = set(wanted), dict[str, str]()
    known = {listed.digest: listed for listed in all_datasets()}
    queue = [dataset.digest]
    while queue and left:
        here = known.get(queue.pop(0))
        if here is None or here.kind != "documents":
            continue
        for document in _all_documents(here):
            if document.id in left and document.text:
                texts[document.id] = document.text
                left.discard(document.id)
        queue.extend(here.parents)
    return texts


class Extremes(Record, frozen=True):
    """The documents with the highest and the lowest scores of a filtered dataset, texts included."""

    high: tuple[Document, ...]
    low: tuple[Document, ...]


def find_extremes(dataset: Dataset, number: int) -> Extremes:
    """The documents with the highest and lowest scores, kept and dropped together, at most one of a project.

    Raises ZooError for a dataset without scores.
    """
    import heapq

    from msgspec.structs import replace

    best: dict[str, Document] = {}
    worst: dict[str, Document] = {}
    for document in _all_documents(dataset):
        if "score" not in document.facts:
            continue
        for by_project, sign in ((best, 1), (worst, -1)):
            other = by_project.get(document.project)
            if other is None or _rank(document, sign) > _rank(other, sign):
                by_project[document.project] = document
    if not best:
        raise ZooError(f"{dataset.name} has no scores; they come from: phizoo data filter {dataset.name} --name NAME")
    high = heapq.nlargest(number, best.values(), key=lambda document: _rank(document, 1))
    low = heapq.nlargest(number, worst.values(), key=lambda document: _rank(document, -1))
    texts = texts_of(dataset, [document.id for document in (*high, *low) if not document.text])
    high, low = (
        [replace(document, text=document.text or texts.get(document.id, "")) for document in part]
        for part in (high, low)
    )
    return Extremes(high=tuple(high), low=tuple(low))


def _rank(document: Document, sign: int) -> tuple[float, str]:
    return sign * float(document.facts["score"]), document.id


def side_by_side(left: str, right: str, width: int, lines: int) -> list[str]:
    """Two texts side by side, cut to `lines` lines of `width` characters.

    >>> side_by_side("a\\nb", "c", 3, 2)
    ['a   | c', 'b   |']
    """
    pairs = zip_longest(*(text.expandtabs(4).splitlines()[:lines] for text in (left, right)), fillvalue="")
    return [f"{line[:width]:<{width}} | {opposite[:width]}".rstrip() for line, opposite in pairs]


def compare_extremes(dataset: Dataset, number: int, width: int = 76, lines: int = 24) -> list[str]:
    """The best and worst documents of a filtered dataset side by side, as lines."""
    extremes, page = find_extremes(dataset, number), list[str]()
    for high, low in zip_longest(extremes.high, extremes.low):
        heads = [_head(document) if document else "" for document in (high, low)]
        page += ["", *side_by_side(heads[0], heads[1], width, 2), "-" * width + "-+-" + "-" * width]
        page += side_by_side(high.text if high else "", low.text if low else "", width, lines)
    return page


def _head(document: Document) -> str:
    label = f", labelled {document.facts['label']}" if "label" in document.facts else ""
    return f"score {document.facts['score']}{label}: {document.source}\n{document.id} of {document.project}"


def pick_documents(dataset: Dataset, number: int) -> list[Document]:
    """A fixed selection of kept documents: those with the smallest ids."""
    import heapq

    return heapq.nsmallest(number, read_documents(folder_of(dataset)), key=lambda document: document.id)


def card(dataset: Dataset) -> str:
    """The dataset card as Markdown: kind, digest, stages with their drops, recipe, parents, licences, an example."""
    lines = [f"# {dataset.name}", "", f"A dataset of kind *{dataset.kind}*, made by `phizoo data`.", ""]
    lines += ["| what | value |", "| --- | --- |", f"| digest | `{dataset.digest}` |"]
    lines += [f"| documents | {dataset.documents:,} |", f"| tokens | {dataset.tokens:,} |"]
    lines += [f"| made | {dataset.created} |"]
    lines += ["", "## Stages", "", "| stage | entered | kept | dropped |", "| --- | ---: | ---: | --- |"]
    for stage in dataset.stages:
        lost = "; ".join(f"{reason}: {count:,}" for reason, count in stage.dropped.items()) or "none"
        lines.append(f"| {stage.name} | {stage.entered:,} | {stage.kept:,} | {lost} |")
    lines += ["", "## How it was made", ""]
    lines += [f"- {key}: `{value}`" for key, value in (dataset.recipe or {}).items()]
    names = {known.digest: known.name for known in all_datasets()}
    if dataset.parents:
        lines += ["", "## Made from", ""]
        lines += [f"- {names.get(parent, 'unknown')} `{parent[:16]}`" for parent in dataset.parents]
    lines += ["", "## Licences", "", *(f"- {licence}" for licence in dataset.licence.split("; "))]
    if dataset.kind == "documents":
        texts = (document.text.rstrip()[:1500] for document in pick_documents(dataset, 1))
        lines += ["", "## A document", "", "```python", *texts, "```"]
    return "\n".join(lines) + "\n"
