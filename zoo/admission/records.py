"""Decides which records may enter from another zoo: their parts must belong together and to what was asked for.

Checked: identity (name, version, digest, runs, protocols, scores), ranges, printable text, and that no key of a JSON
object stands twice. Not checked, since it cannot be: whether a score was really measured. A score that enters says
where it comes from (`Score.measured_at`). Not here: the bytes of a checkpoint (`gate`).
"""

import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec

from zoo.address import shown
from zoo.admission import gate
from zoo.admission.scores import MOST, score_fault
from zoo.db import names
from zoo.db.searches import check_search
from zoo.digest import SHA256
from zoo.errors import ZooError
from zoo.jsonl import parse_json
from zoo.records import Checkpoint, Dataset, File, ProtocolRecord, Record, Score, Search, manifest_digest, validate_name
from zoo.store.store import validate_sha256

RUN_ID = re.compile(r"[0-9A-Za-z._-]{1,128}")
VERSIONS = 10**9
TEXT = 400  # characters of a name, a label or a date
NOTES = 20_000
ADDRESS = 180  # characters of an address
FREE_TEXT = ("protocol", "identity", "command")  # of a run's header: prompts and commands may have line breaks


class RunEntry(Record, frozen=True):
    """One run with its scores under one metric; `results` is the file of its result lines, None if it was not kept."""

    header: dict[str, Any]
    protocol: ProtocolRecord
    scores: tuple[Score, ...]
    results: File | None


class Entry(Record, frozen=True):
    """A checkpoint with everything that its zoo recorded about it. It is checked before it is trusted."""

    checkpoint: Checkpoint
    recipes: tuple[dict[str, Any], ...]
    datasets: tuple[Dataset, ...]
    runs: tuple[RunEntry, ...]
    aliases: tuple[str, ...]
    searches: tuple[Search, ...] = ()


class RunHeader(msgspec.Struct, frozen=True):
    """The fields of a run's header that the registry reads; the others may be anything."""

    id: str
    checkpoint: str
    task: str = ""
    fingerprint: str = ""
    protocol: dict[str, Any] | None = None
    backend: dict[str, Any] | None = None
    seed: int = 0
    draws: int = 1
    samples: int | None = None
    overlapping: tuple[str, ...] | None = None


def decode_entry(text: bytes, place: str) -> Entry:
    """The entry that a JSON text holds. Raises ZooError with its place if it cannot be one."""
    try:
        return msgspec.convert(parse_json(text), Entry, str_keys=True)
    except ValueError as error:  # msgspec's errors are ValueErrors
        raise ZooError(f"{place}: cannot be parsed as an entry ({str(error)[:200]}); push it again.") from error


def entry_files(entry: Entry) -> list[File]:
    """The files of the checkpoint and of its runs' results."""
    return [*entry.checkpoint.files, *(run.results for run in entry.runs if run.results)]


def recorded_address(url: str) -> str:
    """An address as a record may hold it: without secrets, printable, and not long.

    >>> recorded_address("/mnt/zoo\x1b")
    '/mnt/zoo?'
    """
    return "".join(character if character.isprintable() else "?" for character in shown(url))[:ADDRESS]


def check_entry(entry: Entry, spec: str) -> Entry:
    """The entry, if it is the one that was asked for and its parts belong together.

    spec    a name, name:version, name@alias or digest prefix
    Raises  ZooError with the first fault
    """
    entry = decode_entry(msgspec.json.encode(entry), f"the entry for {spec!r:.100}")  # one from a database is untyped
    checkpoint = entry.checkpoint
    for name in (names.check_new(checkpoint.name), *entry.aliases, *(dataset.name for dataset in entry.datasets)):
        validate_name(name)
    if not _is_answer(entry, spec):
        raise ZooError(f"asked for {spec!r:.100}, but the entry there is of {checkpoint.label}; push it again.")
    for file in entry_files(entry):
        validate_sha256(file.sha256)
        gate.check_path(file.path)
    if manifest_digest(checkpoint.files) != checkpoint.digest:
        raise ZooError(
            f"{checkpoint.label}: its digest does not match its files; the other zoo is damaged, verify it there."
        )
    for search in entry.searches:
        if check_search(search).checkpoint != checkpoint.digest:
            raise ZooError(f"{checkpoint.label}: its entry has a search of {search.checkpoint[:12]}; push it again.")
    if fault := next(_faults(entry), ""):
        raise ZooError(f"{checkpoint.label}: its entry cannot enter: {fault}; push it again from a sound zoo.")
    return entry


def _is_answer(entry: Entry, spec: str) -> bool:
    checkpoint = entry.checkpoint
    if names.PREFIX.fullmatch(spec) and checkpoint.digest.startswith(spec):
        return True
    name, at, alias = spec.partition("@")
    name, colon, version = name.partition(":")
    if name != checkpoint.name or (colon and names.number(version) != checkpoint.version):
        return False
    return not at or alias in entry.aliases


def _faults(entry: Entry) -> Iterator[str]:
    yield from _checkpoint_faults(entry.checkpoint)
    known = {trained.digest for trained in entry.checkpoint.datasets}
    known |= {parent for dataset in entry.datasets for parent in dataset.parents}
    for dataset in entry.datasets:
        if dataset.digest not in known:
            yield f"it was not trained on the dataset {dataset.name}"
        yield from _dataset_faults(dataset)
    headers: dict[str, dict[str, Any]] = {}
    seen: set[tuple[object, ...]] = set()
    for run in entry.runs:
        yield from _run_faults(run, entry.checkpoint.digest)
        if headers.setdefault(str(run.header["id"]), run.header) != run.header:
            yield f"the run {run.header['id']} has two headers"
        keys = [(score.run, run.protocol.fingerprint, score.subset, score.runs) for score in run.scores]
        if seen.intersection(keys) or len(set(keys)) != len(keys):
            yield f"the run {run.header['id']} has a score twice"
        seen.update(keys)
    for run in entry.runs:
        for score in run.scores:
            if score.runs and (score.run not in score.runs or not headers.keys() >= {*score.runs}):
                yield f"a score combines runs that are not its own: {' '.join(score.runs):.80}"


def _checkpoint_faults(checkpoint: Checkpoint) -> Iterator[str]:
    paths = {file.path for file in checkpoint.files}
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    if len(paths) < len(checkpoint.files) or paths & folders:
        yield "two of its files have one path"
    if len({*checkpoint.tags}) < len(checkpoint.tags):
        yield "it has a tag twice"
    texts = ("family", "prompt_style", "licence", "created", "source", "quantisation")
    yield from _text_faults({name: getattr(checkpoint, name) for name in texts})
    yield from _text_faults({"tag": " ".join(checkpoint.tags)})
    notes = checkpoint.notes.replace("\n", " ").replace("\t", " ")
    if not notes.isprintable() or len(notes) > NOTES:
        yield "its notes are not printable or too long"
    trained = {f"tokens of {seen.digest[:12]}": seen.tokens for seen in checkpoint.datasets}
    sizes = {f"bytes of {file.path}": file.bytes for file in checkpoint.files}
    yield from _count_faults({"training_tokens": checkpoint.training_tokens or 0, **trained, **sizes})
    if not 1 <= checkpoint.version <= VERSIONS:
        yield f"its version is {checkpoint.version}, expected 1 to {VERSIONS:,}"
    flops = checkpoint.training_flops
    if flops is not None and not (math.isfinite(flops) and flops >= 0):
        yield f"its training_flops are {flops}"
    recipe = [checkpoint.recipe_digest] if checkpoint.recipe_digest is not None else []
    digests = (*recipe, *(parent.digest for parent in checkpoint.parents), *(d.digest for d in checkpoint.datasets))
    yield from _digest_faults(digests)


def _dataset_faults(dataset: Dataset) -> Iterator[str]:
    yield from _digest_faults((dataset.digest, *dataset.parents))
    yield from _text_faults({name: getattr(dataset, name) for name in ("kind", "licence", "created")})
    yield from _count_faults({"documents": dataset.documents, "tokens": dataset.tokens})
    for stage in dataset.stages:
        yield from _text_faults({"stage": stage.name, **{f"reason {name!r:.40}": name for name in stage.dropped}})
        yield from _count_faults({"entered": stage.entered, "kept": stage.kept, **stage.dropped})


def _run_faults(run: RunEntry, checkpoint: str) -> Iterator[str]:
    try:
        header = msgspec.convert(run.header, RunHeader)
    except msgspec.ValidationError as error:
        yield f"the header of a run cannot be read ({error})"
        return
    name, protocol = f"the run {header.id[:12]!r}", run.protocol
    if not RUN_ID.fullmatch(header.id):
        yield f"{name} has an id that is none"
    if header.checkpoint != checkpoint:
        yield f"{name} is of another checkpoint, {header.checkpoint[:12]!r}"
    if header.draws < 1 or not -MOST <= header.seed <= MOST or not 0 <= (header.samples or 0) <= MOST:
        yield f"{name} has draws {header.draws}, seed {header.seed}, samples {header.samples}"
    for text in _texts(run.header):
        yield from _text_faults({f"text of {name}": text})
    yield from _protocol_faults(protocol)
    if header.task not in ("", protocol.task) or not _is_protocol_of(header, protocol):
        yield f"{name} was not measured under the protocol of its scores, {protocol.column}"
    prints = (protocol.fingerprint, *protocol.other_fingerprints)
    for score in run.scores:
        if fault := score_fault(score):
            yield f"a score of {name}: {fault}"
        elif score.clusters > score.n:
            yield f"a score of {name} has {score.clusters} clusters in {score.n} samples"
        if (score.run, score.checkpoint) != (header.id, checkpoint):
            yield f"a score of {name} names another run or checkpoint"
        if (score.task, score.metric) != (protocol.task, protocol.metric) or score.protocol not in prints:
            yield f"a score of {name} is not under its protocol, {protocol.column}"
        if score.n + score.unscored > protocol.most or score.clusters > protocol.samples:
            yield f"a score of {name} has {score.n + score.unscored} samples, its protocol {protocol.most}"
        if score.results and not SHA256.fullmatch(score.results):
            yield f"a score of {name} has no digest of its results"
        yield from _text_faults({"created": score.created, "measured_at": score.measured_at})


def _protocol_faults(protocol: ProtocolRecord) -> Iterator[str]:
    yield from _text_faults({name: getattr(protocol, name) for name in ("task", "name", "metric", "data", "partial")})
    counts = {"task_version": protocol.task_version, "shots": protocol.shots, "samples": protocol.samples}
    counts["trials"] = protocol.most
    yield from _count_faults(counts)
    if protocol.prompts_sha256 and not SHA256.fullmatch(protocol.prompts_sha256):
        yield f"the prompts of {protocol.column} have no digest"


def _is_protocol_of(header: RunHeader, protocol: ProtocolRecord) -> bool:
    """Whether the header's protocol is that of the scores, but for the metric: a run has a protocol for each."""
    if not header.protocol:
        return True
    try:
        own = msgspec.convert(header.protocol, ProtocolRecord)
    except msgspec.ValidationError:
        return False
    if header.fingerprint not in ("", own.fingerprint, *own.other_fingerprints):
        return False
    return msgspec.structs.replace(own, metric=protocol.metric).fingerprint == protocol.fingerprint


def _texts(value: Any) -> Iterator[str]:
    """All texts of plain data, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            if key not in FREE_TEXT:
                yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _text_faults(texts: dict[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        if not text.isprintable() or len(text) > TEXT:
            yield f"its {name} is {text[:40]!r}, expected printable text of at most {TEXT} characters"


def _count_faults(counts: dict[str, int]) -> Iterator[str]:
    for name, count in counts.items():
        if not 0 <= count <= MOST:
            yield f"its {name!r:.60} is {count}"


def _digest_faults(digests: tuple[str, ...]) -> Iterator[str]:
    for text in digests:
        if not SHA256.fullmatch(text):
            yield f"{text[:20]!r} is no digest"
