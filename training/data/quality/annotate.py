"""The annotate stage: a sample of a dataset with a label on each document, by a model or by the rubric."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from training.data.build import Built, Counts, Made, find, folder_of, make, write_result
from training.data.document import Document, document_files, dropped, read_file
from training.data.quality import labeller
from training.data.quality import rubric as annotate
from training.data.quality.filter import sampled
from training.data.quality.labeller import Asker, Spending
from training.data.quality.ledger import Estimate, Ledger
from zoo import settings
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Dataset

VERSION = 1
NOT_CHOSEN, NO_ANSWER = "not in the sample", "no valid answer"


def annotate_dataset(
    source: str, name: str, sample: int, seed: int, asker: Asker | None
) -> tuple[Made, Spending | None]:
    """Labels `sample` documents, spread by hash; by the rubric when there is nobody to ask."""
    given = _given(source)
    recipe: dict[str, Any] = {
        "stage": "annotate", "version": VERSION, "source": given.digest, "sample": sample, "seed": seed,
    }  # fmt: skip
    if asker is None:
        recipe |= {"annotator": f"rubric {annotate.VERSION}", "educational": annotate.EDUCATIONAL}
        return make(name, recipe, None, lambda work: _build(work, given, sample, seed, None)), None
    question = asker.question
    recipe |= {
        "annotator": asker.model, "question": question.name, "question_version": labeller.VERSION,
        "educational": question.educational,
    }  # fmt: skip
    told: list[Spending] = []

    def build(work: Path) -> Built:
        with ledger_of(asker, digest(recipe)[:16]) as ledger:
            texts = [one.text for one, chosen in _walk(work, given, sample, seed) if chosen]
            told.append(asker.ask(texts, ledger))
            return _build(work, given, sample, seed, ledger)

    made = make(name, recipe, None, build)
    return made, told[0] if told else None


def estimate(source: str, sample: int, seed: int, asker: Asker) -> Estimate:
    """What labelling would cost; nothing is sent."""
    import tempfile

    given = _given(source)
    with tempfile.TemporaryDirectory() as work, ledger_of(asker, "") as ledger:
        walked = _walk(Path(work), given, sample, seed)
        texts = {labeller.content_of(document.text): document.text for document, chosen in walked if chosen}
        sizes = [
            len(text[: labeller.CHARACTERS]) + len(asker.question.text)
            for content, text in texts.items()
            if content not in ledger.answers
        ]
        return ledger.estimate(sizes, len(texts) - len(sizes), asker.price, asker.question.most_written)


def _given(source: str) -> Dataset:
    given = find(source, ("documents",))
    if given.documents == 0:
        raise ZooError(f"{source} holds no documents, so there is nothing to label. All: phizoo data list")
    return given


def ledger_of(asker: Asker, job: str) -> Ledger:
    """The ledger of a model and a question; `job` is what a budget is for."""
    key = digest([asker.model, labeller.VERSION, asker.question.name, asker.question.text, asker.question.schema])
    return Ledger(settings.datasets_dir() / ".annotations" / f"{key[:16]}.jsonl", job)


def _walk(work: Path, given: Dataset, sample: int, seed: int) -> Iterator[tuple[Document, bool]]:
    """Each document and whether it is in the sample."""
    paths: Sequence[Path] = document_files(folder_of(given))
    chosen, _ = sampled(work, paths, seed, sample)
    for path, places in zip(paths, chosen, strict=True):
        wanted = set(places)
        for place, one in enumerate(read_file(path)):
            yield one, place in wanted


def _build(work: Path, given: Dataset, sample: int, seed: int, ledger: Ledger | None) -> Built:
    whole, labels = Counts("sample"), Counts("labels")

    def outcomes() -> Iterator[Document]:
        for one, chosen in _walk(work, given, sample, seed):
            if not chosen:
                whole.drop(NOT_CHOSEN)
                continue
            whole.keep()
            facts = _label(one, ledger)
            if facts is None:
                labels.drop(NO_ANSWER)
                yield dropped(one, "labels", NO_ANSWER)
                continue
            labels.keep()
            yield msgspec.structs.replace(one, facts={**one.facts, **facts})

    number, tokens = write_result(work / "out", outcomes())
    money = {} if ledger is None else {"money": round(ledger.spent, 6)}
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(whole.stage(), labels.stage()),
        parents=(given.digest,), licence=given.licence, recipe=money,
    )  # fmt: skip


def _label(one: Document, ledger: Ledger | None) -> dict[str, Any] | None:
    """Label, reasons and annotator of a document; None when the model gave no valid answer."""
    if ledger is None:
        found = annotate.rubric(one.text)
        return {"label": found.points, "label_reasons": list(found.reasons), "annotator": "rubric"}
    line = ledger.answers.get(labeller.content_of(one.text))
    return None if line is None else {"label": line.points, "label_reasons": [line.reason], "annotator": "model"}
