"""The annotate stage: labels a sample of a dataset by a model or by the rubric."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from training.data.build import Built, Counts, MadeDataset, find, folder_of, make, write_result
from training.data.document import Document, document_files, drop_document, read_file
from training.data.quality import labeller
from training.data.quality.filter import choose_sample
from training.data.quality.labeller import Asker, LabellingCost, Teacher
from training.data.quality.labels import ANNOTATOR, EDUCATIONAL, label_by_kind
from training.data.quality.ledger import CostEstimate, Ledger
from zoo import settings
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Dataset

VERSION = 1
NOT_CHOSEN, NO_ANSWER = "not in the sample", "no valid answer"


def annotate_dataset(
    source: str, name: str, sample: int, seed: int, asker: Asker | None
) -> tuple[MadeDataset, LabellingCost | None]:
    """Labels `sample` documents, chosen by hash; by the rubric if `asker` is None."""
    given = _find_documents(source)
    recipe: dict[str, Any] = {
        "stage": "annotate", "version": VERSION, "source": given.digest, "sample": sample, "seed": seed,
    }  # fmt: skip
    if asker is None:
        recipe |= {"annotator": ANNOTATOR, "educational": EDUCATIONAL}
        return make(name, recipe, None, lambda work: _build(work, given, sample, seed, None)), None
    question = asker.question
    recipe |= {
        "annotator": asker.model, "question": question.name, "question_version": labeller.VERSION,
        "educational": question.educational,
    }  # fmt: skip
    costs: list[LabellingCost] = []

    def build(work: Path) -> Built:
        with open_ledger(asker, digest(recipe)[:16]) as ledger:
            texts = [document.text for document, chosen in _walk(work, given, sample, seed) if chosen]
            costs.append(asker.ask(texts, ledger))
            return _build(work, given, sample, seed, ledger)

    made = make(name, recipe, None, build)
    return made, costs[0] if costs else None


def estimate(source: str, sample: int, seed: int, asker: Asker) -> CostEstimate:
    """Estimates the cost of labelling; sends nothing."""
    import tempfile

    given = _find_documents(source)
    with tempfile.TemporaryDirectory() as work, open_ledger(asker, "") as ledger:
        walked = _walk(Path(work), given, sample, seed)
        texts = {labeller.content_digest(document.text): document.text for document, chosen in walked if chosen}
        sizes = [
            len(text[: labeller.CHARACTERS]) + len(asker.question.text)
            for content, text in texts.items()
            if content not in ledger.answers
        ]
        return ledger.estimate(sizes, len(texts) - len(sizes), asker.price, asker.question.most_written)


def _find_documents(source: str) -> Dataset:
    given = find(source, ("documents",))
    if given.documents == 0:
        raise ZooError(f"{source} holds no documents to label. All: phizoo data list")
    return given


def open_ledger(asker: Teacher, job: str) -> Ledger:
    """Opens the ledger of a model and a question; a budget applies to one `job`."""
    key = digest([asker.model, labeller.VERSION, asker.question.name, asker.question.text, asker.question.schema])
    return Ledger(settings.datasets_dir() / ".annotations" / f"{key[:16]}.jsonl", job)


def _walk(work: Path, given: Dataset, sample: int, seed: int) -> Iterator[tuple[Document, bool]]:
    """Yields each document and whether it is in the sample."""
    paths: Sequence[Path] = document_files(folder_of(given))
    chosen, *_ = choose_sample(work, paths, seed, sample)
    for path, places in zip(paths, chosen, strict=True):
        wanted = set(places)
        for place, document in enumerate(read_file(path)):
            yield document, place in wanted


def _build(work: Path, given: Dataset, sample: int, seed: int, ledger: Ledger | None) -> Built:
    whole, labels = Counts("sample"), Counts("labels")

    def outcomes() -> Iterator[Document]:
        for document, chosen in _walk(work, given, sample, seed):
            if not chosen:
                whole.drop(NOT_CHOSEN)
                continue
            whole.keep()
            facts = _label(document, ledger)
            if facts is None:
                labels.drop(NO_ANSWER)
                yield drop_document(document, "labels", NO_ANSWER)
                continue
            labels.keep()
            yield msgspec.structs.replace(document, facts={**document.facts, **facts})

    number, tokens = write_result(work / "out", outcomes())
    money = {} if ledger is None else {"money": round(ledger.spent, 6)}
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(whole.stage(), labels.stage()),
        parents=(given.digest,), licence=given.licence, recipe=money,
    )  # fmt: skip


def _label(document: Document, ledger: Ledger | None) -> dict[str, Any] | None:
    """Label, reasons and annotator of a document; None if the model gave no valid answer."""
    if ledger is None:
        label = label_by_kind(document)
        return {"label": label.points, "label_reasons": list(label.reasons), "annotator": "rubric"}
    line = ledger.answers.get(labeller.content_digest(document.text))
    return None if line is None else {"label": line.points, "label_reasons": [line.reason], "annotator": "model"}
