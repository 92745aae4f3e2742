"""The training documents that are searched: a dataset of the zoo, a checkpoint's own, or files in a folder.

A dataset folder holds `documents-*.jsonl.gz`; packed tokens are searched as the documents they were packed from.
Nothing here looks at a text.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo import gz, settings
from zoo.digest import digest, file_sha256
from zoo.errors import ZooError, nearest
from zoo.records import Checkpoint, Dataset, Record
from zoo.registry import Registry

FIELDS = ("text", "content", "code", "completion")
TABLES = (".jsonl", ".jsonl.gz", ".parquet")
TEXTS = (".py", ".txt", ".md", ".rst")


class TrainingSet(Record, frozen=True):
    """A set of documents to search: its name, its digest, its files."""

    name: str
    digest: str
    files: tuple[str, ...]


def named(registry: Registry, word: str) -> list[TrainingSet]:
    """The documents of a dataset of the zoo, by name or digest prefix, or those of a file or folder.

    Raises  ZooError when there is neither, or the dataset's folder is gone
    """
    known = {one.name for one in registry.datasets()}
    path = Path(word).expanduser()
    if word not in known and path.exists():
        return [_files(path)]
    try:
        found = registry.dataset(word)
    except ZooError as error:
        raise ZooError(
            f'no dataset "{word}"{nearest(word, known)}, and no such file or folder. All datasets: phizoo data list'
        ) from error
    return of_datasets(registry, [found.digest])


def of_checkpoint(registry: Registry, name: str) -> list[TrainingSet]:
    """All documents that a checkpoint and the checkpoints it came from were trained on.

    Raises  ZooError when none is recorded, or one is not in this zoo: what nobody looked at is not clean
    """
    checkpoint = registry.get(name)
    seen: dict[str, None] = {}
    waiting, known = [checkpoint], {checkpoint.digest}
    while waiting:
        one: Checkpoint = waiting.pop(0)
        seen |= dict.fromkeys(trained.digest for trained in one.datasets)
        for parent in one.parents:
            if parent.digest not in known:
                known.add(parent.digest)
                try:
                    waiting.append(registry.get(parent.digest))
                except ZooError as error:
                    raise ZooError(
                        f"{one.label} came from {parent.digest[:12]}, which is not in this zoo, so its training data "
                        f"is not known; pull it, or name the sets: --dataset NAME. Its lineage: phizoo models lineage "
                        f"{one.name}"
                    ) from error
    if not seen:
        raise ZooError(
            f"no training data is recorded for {checkpoint.label}; name it: --dataset NAME|PATH. "
            f"Its lineage: phizoo models lineage {checkpoint.name}"
        )
    return of_datasets(registry, list(seen))


def of_datasets(registry: Registry, digests: list[str]) -> list[TrainingSet]:
    """The documents of some datasets; of one that holds none itself, those it was made from."""
    found: dict[str, TrainingSet] = {}
    waiting = list(digests)
    while waiting:
        one = registry.dataset(waiting.pop(0))
        folder = settings.datasets_dir() / one.digest
        files = sorted(folder.glob("documents-*.jsonl.gz"))
        if files:
            found[one.digest] = TrainingSet(name=one.name, digest=one.digest, files=tuple(map(str, files)))
        elif one.parents and one.kind != "documents":
            waiting += _holders(registry, one)
        else:
            raise ZooError(f"dataset {one.name} is registered, but {folder} holds no documents; make it again")
    return list(found.values())


def _holders(registry: Registry, one: Dataset) -> list[str]:
    """The datasets that a packed one was made from, tokenizers left out."""
    kept = []
    for parent in one.parents:
        try:
            kept += [parent] if registry.dataset(parent).kind != "tokenizer" else []
        except ZooError as error:
            raise ZooError(
                f"{one.name} was packed from {parent[:12]}, which is not in this zoo; pull it or make it again"
            ) from error
    return kept


def _files(path: Path) -> TrainingSet:
    if path.is_file():
        files = [path]
    else:
        inside = sorted(one for one in path.rglob("*") if one.is_file())
        files = [one for one in inside if one.name.endswith(TABLES + TEXTS) and one.name != "dataset.json"]
    if not files:
        raise ZooError(f"{path} holds no {', '.join(TABLES + TEXTS)} files to search")
    content = digest([[one.relative_to(path).as_posix(), file_sha256(one)] for one in files])
    return TrainingSet(name=str(path), digest=content, files=tuple(map(str, files)))


def documents(given: TrainingSet) -> Iterator[tuple[str, str]]:
    """(where it is, its text) of each document of a set, in order; undecodable bytes are replaced."""
    for name in given.files:
        path = Path(name)
        if path.name.endswith(TABLES):
            reader = _parquet if path.suffix == ".parquet" else _lines
            for number, row in enumerate(reader(path), 1):
                yield _where(path, number, row), _text(path, number, row)
        else:
            yield str(path), path.read_bytes().decode("utf-8", "replace")


def _where(path: Path, number: int, row: dict[str, Any]) -> str:
    told = row.get("source") or row.get("path") or f"{path.name}:{number}"
    return f"{row['id']} {told}" if isinstance(row.get("id"), str) else str(told)


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
        for number, line in enumerate(gz.lines(path), 1):  # noqa: B007 - the number is told when it fails
            if line.strip():
                row = json.loads(line.decode("utf-8", "replace"))
                yield row if isinstance(row, dict) else {"text": row}
    except ValueError as error:
        raise ZooError(f"{path} line {number} cannot be read ({str(error)[:80]}); mend or leave out the file") from None


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(path)
        wanted = [name for name in ("id", "source", "path", "prompt", *FIELDS) if name in file.schema_arrow.names]
        for batch in file.iter_batches(1024, columns=wanted or None):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise ZooError(f"{path} cannot be read ({str(error)[:80]}); mend or leave out the file") from None
