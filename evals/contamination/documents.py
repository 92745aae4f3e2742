"""Reads the training documents to search: a dataset of the zoo, those of a checkpoint, or files in a folder.

A dataset folder holds `documents-*.jsonl.gz`; packed tokens are searched as the documents they were packed from.
Nothing here compares a text.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo import gz, settings
from zoo.digest import digest, file_sha256
from zoo.errors import ZooError, nearest
from zoo.jsonl import parse_json
from zoo.lineage import with_ancestors
from zoo.records import Dataset, Record
from zoo.registry import Registry

FIELDS = ("text", "content", "code", "completion")
TABLES = (".jsonl", ".jsonl.gz", ".parquet")
TEXTS = (".py", ".txt", ".md", ".rst")


class TrainingSet(Record, frozen=True):
    """A set of documents to search: its name, its digest, its files."""

    name: str
    digest: str
    files: tuple[str, ...]


def find_sets(registry: Registry, word: str) -> list[TrainingSet]:
    """The documents of a dataset of the zoo, by name or digest prefix, or those of a file or folder.

    Raises  ZooError when there is neither, or the dataset's folder is gone
    """
    known = {dataset.name for dataset in registry.datasets()}
    path = Path(word).expanduser()
    if word not in known and path.exists():
        return [_set_of_files(path)]
    try:
        dataset = registry.dataset(word)
    except ZooError as error:
        raise ZooError(
            f'no dataset "{word}"{nearest(word, known)}, and no such file or folder. All datasets: phizoo data list'
        ) from error
    return sets_of_datasets(registry, [dataset.digest])


def sets_of_checkpoint(registry: Registry, name: str) -> list[TrainingSet]:
    """All recorded documents that a checkpoint and the checkpoints it came from were trained on.

    A member of the lineage without recorded data has none to search; `zoo.coverage` says so afterwards.
    Raises  ZooError when none is recorded at all, or a parent or a dataset is not in this zoo
    """
    checkpoint = registry.get(name)
    lineage, missing = with_ancestors(registry, checkpoint)
    for parent, child in missing.items():
        raise ZooError(
            f"{child.label} came from {parent[:12]}, which is not in this zoo, so its training "
            f"data is not known; pull it, or name the sets: --dataset NAME. Its lineage: "
            f"phizoo models lineage {child.name}"
        )
    seen = dict.fromkeys(trained.digest for member in lineage for trained in member.datasets)
    if not seen:
        raise ZooError(
            f"no training data is recorded for {checkpoint.label}; name it: --dataset NAME|PATH. "
            f"Its lineage: phizoo models lineage {checkpoint.name}"
        )
    return sets_of_datasets(registry, list(seen))


def sets_of_datasets(registry: Registry, digests: list[str]) -> list[TrainingSet]:
    """The documents of datasets; of a dataset that holds none itself, those it was made from."""
    sets: dict[str, TrainingSet] = {}
    waiting = list(digests)
    while waiting:
        dataset = registry.dataset(waiting.pop(0))
        folder = settings.datasets_dir() / dataset.digest
        files = sorted(folder.glob("documents-*.jsonl.gz"))
        if files:
            sets[dataset.digest] = TrainingSet(name=dataset.name, digest=dataset.digest, files=tuple(map(str, files)))
        elif dataset.parents and dataset.kind != "documents":
            waiting += _parents_with_documents(registry, dataset)
        else:
            raise ZooError(f"dataset {dataset.name} is registered, but {folder} holds no documents; make it again")
    return list(sets.values())


def _parents_with_documents(registry: Registry, dataset: Dataset) -> list[str]:
    """The datasets that a packed one was made from, tokenizers left out."""
    kept = []
    for parent in dataset.parents:
        try:
            kept += [parent] if registry.dataset(parent).kind != "tokenizer" else []
        except ZooError as error:
            raise ZooError(
                f"{dataset.name} was packed from {parent[:12]}, which is not in this zoo; pull it or make it again"
            ) from error
    return kept


def _set_of_files(path: Path) -> TrainingSet:
    if path.is_file():
        files = [path]
    else:
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        files = [file for file in inside if file.name.endswith(TABLES + TEXTS) and file.name != "dataset.json"]
    if not files:
        raise ZooError(f"{path} holds no {', '.join(TABLES + TEXTS)} files to search")
    content = digest([[file.relative_to(path).as_posix(), file_sha256(file)] for file in files])
    return TrainingSet(name=str(path), digest=content, files=tuple(map(str, files)))


def documents(training_set: TrainingSet) -> Iterator[tuple[str, str]]:
    """(source, text) of each document of a set, in order; undecodable bytes are replaced."""
    for name in training_set.files:
        path = Path(name)
        if path.name.endswith(TABLES):
            reader = _parquet if path.suffix == ".parquet" else _lines
            for number, row in enumerate(reader(path), 1):
                yield _source(path, number, row), _text(path, number, row)
        else:
            yield str(path), path.read_bytes().decode("utf-8", "replace")


def _source(path: Path, number: int, row: dict[str, Any]) -> str:
    source = row.get("source") or row.get("path") or f"{path.name}:{number}"
    return f"{row['id']} {source}" if isinstance(row.get("id"), str) else str(source)


def _text(path: Path, number: int, row: dict[str, Any]) -> str:
    for field in FIELDS:
        if isinstance(row.get(field), str):
            prompt = row.get("prompt")
            return f"{prompt}{row[field]}" if field == "completion" and isinstance(prompt, str) else str(row[field])
    fields = ", ".join(sorted(map(str, row))) if isinstance(row, dict) else type(row).__name__
    raise ZooError(f"{path} row {number} has no {', '.join(FIELDS)} to search, only {fields}")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        for number, line in enumerate(gz.lines(path), 1):  # noqa: B007 - the number is in the error
            if line.strip():
                row = parse_json(line.decode("utf-8", "replace"), nonfinite=True, repair=True)
                yield row if isinstance(row, dict) else {"text": row}
    except ValueError as error:
        raise ZooError(
            f"{path} line {number} cannot be read ({str(error)[:80]}); repair or leave out the file"
        ) from None


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(path)
        wanted = [name for name in ("id", "source", "path", "prompt", *FIELDS) if name in file.schema_arrow.names]
        for batch in file.iter_batches(1024, columns=wanted or None):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise ZooError(f"{path} cannot be read ({str(error)[:80]}); repair or leave out the file") from None
