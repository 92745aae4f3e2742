"""Bits per byte and perplexity of texts: every token of every document, read in windows that roll over it.

The windows are those of lm-evaluation-harness 0.4.13 (`loglikelihood_rolling`): the first begins after the tokenizer's
prefix, each further one after one token of context, and the last is filled up with as much context as fits. Figures
are of the texts as a whole, nats over bytes or words, as the harness weighs them; their interval is over documents.

Not here: reading documents (`evals.contamination.documents`), printing (`evals.cli.text`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from math import exp, log
from pathlib import Path
from typing import Any

import msgspec

from evals.engines import Engine
from evals.records import ChoiceRequest
from evals.scoring.finite import find_overflow
from evals.scoring.likelihood import bits_per_byte
from evals.stats.real import ratio_mean
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.lock import locked
from zoo.metrics import BITS_PER_BYTE, metric_of
from zoo.progress import progress
from zoo.records import Record

BATCH_TOKENS = 1 << 16  # read at a time: enough to sort windows by length, and a kill loses no more
WORD_ENDS = re.compile(r"\s+")


class DocumentRead(Record, frozen=True):
    """One document: its place in the set, the nats of all its tokens, and what it is divided by."""

    number: int
    nats: float
    tokens: int
    bytes: int
    words: int


class Figure(Record, frozen=True):
    """A figure with its 95% interval over documents; None where one document alone has none."""

    value: float
    low: float | None
    high: float | None


class TextScore(Record, frozen=True):
    """What a model's probabilities say of texts.

    window     tokens that a prediction sees at most
    empty      documents without text, which are left out
    documents  that were read; tokens, bytes and words are theirs
    """

    checkpoint: str
    texts: str
    engine: str
    dtype: str
    window: int
    documents: int
    empty: int
    tokens: int
    bytes: int
    words: int
    bits_per_byte: Figure
    byte_perplexity: Figure
    word_perplexity: Figure


def rolling_windows(tokens: Sequence[int], prefix: int, context_tokens: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The windows of a text: tokens, and the place from which they are read. Each token of the text is read once.

    prefix          the token before the text
    context_tokens  tokens fed at most; a window has one more, which is read only
    Source          lm-evaluation-harness 0.4.13, utils.get_rolling_token_windows with context_len=1

    >>> list(rolling_windows([1, 2, 3, 4, 5], 0, 3))
    [((0, 1, 2, 3), 1), ((2, 3, 4, 5), 2)]
    """
    line = (prefix, *tokens)
    for begin in range(1, len(line), context_tokens):
        end = min(begin + context_tokens, len(line))
        first = max(0, end - context_tokens - 1)
        yield line[first:end], begin - first


def read_texts(
    engine: Engine, label: str, texts: Iterable[str], folder: Path, *, name: str, total: int, window: int | None = None
) -> tuple[list[DocumentRead], int]:
    """Reads every document with a loaded model; what an earlier start has read is not read again.

    label    of the checkpoint, for the progress
    folder   where reads are kept, one flushed line each; it belongs to this model, these texts and this window
    name     of the set, for the progress; total: its documents
    window   tokens that a prediction sees at most; None: as many as the model reads
    Returns  the reads in the order of the documents, and how many of them are empty
    Raises   ZooError for an engine without the model's tokenizer, and for log-probabilities that are not finite
    """
    tokens: Any = getattr(engine, "tokens", None)
    if tokens is None:
        raise ZooError(f"{engine.facts.engine} has no tokenizer of the model here; take --engine transformers")
    if tokens.prefix is None:
        raise ZooError("this tokenizer has no token that begins or ends a text, so nothing predicts the first one")
    room = window_of(engine, window)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "documents.jsonl"
    with locked(folder / ".lock", f"{file} is being written by another process; wait for it or end it"):
        known = _read_lines(file)
        with file.open("ab", buffering=0) as out, progress(f"{name} {label}", total, "documents") as bar:
            bar.at(len(known))
            empty, nats, size = 0, sum(read.nats for read in known.values()), sum(read.bytes for read in known.values())
            for batch in _batches(texts, tokens, known, room):
                empty += sum(not text for _, text, _ in batch)
                for read in _read_batch(engine, [one for one in batch if one[1]]):
                    known[read.number] = read
                    out.write(msgspec.json.encode(read) + b"\n")
                    nats, size = nats + read.nats, size + read.bytes
                    bar.advance(1, f"{metric_of(BITS_PER_BYTE).text(bits_per_byte(nats, size))} bits per byte")
    return [known[number] for number in sorted(known)], empty


def window_of(engine: Engine, wanted: int | None) -> int:
    """The tokens that a prediction sees at most: as many as wanted, or as the engine reads.

    Raises ZooError for more.
    """
    # vLLM writes a token behind what it reads
    most = engine.facts.context_tokens - (0 if engine.facts.engine in ("transformers", "llama_cpp") else 2)
    if wanted is not None and not 1 <= wanted <= most:
        raise ZooError(f"--window {wanted}: the model reads 1 to {most} tokens at a time")
    return wanted or most


def texts_id(engine: Engine, checkpoint: str, texts: str, window: int) -> str:
    """The digest of everything that determines the reads. checkpoint, texts: digests."""
    facts = engine.facts
    return digest([checkpoint, texts, window, facts.engine, facts.version, facts.dtype, facts.identity])


def _read_lines(file: Path) -> dict[int, DocumentRead]:
    """The reads in a file by document; a line cut short by a kill is removed."""
    if not file.exists():
        return {}
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        file.write_bytes(whole)
    reads = (msgspec.json.decode(line, type=DocumentRead) for line in whole.splitlines())
    return {read.number: read for read in reads}


# the document's place, its text, its windows
_Document = tuple[int, str, tuple[tuple[tuple[int, ...], int], ...]]


def _batches(texts: Iterable[str], tokens: Any, known: dict[int, DocumentRead], room: int) -> Iterator[list[_Document]]:
    """The documents that are not known yet, about BATCH_TOKENS at a time."""
    batch: list[_Document] = []
    waiting = 0
    for number, text in enumerate(texts):
        if number in known:
            continue
        ids = tokens.encode(text) if text else []
        batch.append((number, text, tuple(rolling_windows(ids, tokens.prefix, room))))
        waiting += len(ids)
        if waiting >= BATCH_TOKENS:
            yield batch
            batch, waiting = [], 0
    if batch:
        yield batch


def _read_batch(engine: Engine, batch: Sequence[_Document]) -> Iterator[DocumentRead]:
    """Reads the windows of some documents; yields each document as its last window is read."""
    requests = [
        ChoiceRequest(sample=f"{place}/{number}", windows=(window,))
        for place, (_, _, windows) in enumerate(batch)
        for number, window in enumerate(windows)
    ]
    nats, read, left = ([0.0] * len(batch), [0] * len(batch), [len(windows) for _, _, windows in batch])
    for scores in engine.choose(requests) if requests else ():
        place = int(scores.sample.partition("/")[0])
        number, text, _ = batch[place]
        if fault := scores.fault or find_overflow(choice.logprob for choice in scores.choices):
            raise ZooError(f"document {number} could not be read: {fault}")
        nats[place] -= sum(choice.logprob for choice in scores.choices)
        read[place] += sum(choice.tokens for choice in scores.choices)
        left[place] -= 1
        if not left[place]:
            yield DocumentRead(
                number=number, nats=nats[place], tokens=read[place], bytes=len(text.encode("utf-8", "replace")),
                words=len(WORD_ENDS.split(text)),
            )  # fmt: skip


def figures(reads: Sequence[DocumentRead]) -> dict[str, Figure]:
    """Bits per byte, byte and word perplexity of all documents together, each with its interval over documents."""
    nats = [read.nats for read in reads]
    by_byte, by_word = (
        ratio_mean(nats, sizes) for sizes in ([read.bytes for read in reads], [read.words for read in reads])
    )
    alone = len(reads) == 1

    def figure(ends: Sequence[float]) -> Figure:
        value, low, high = ends
        return Figure(value=value, low=None if alone else low, high=None if alone else high)

    each = [[interval.value, interval.low, interval.high] for interval in (by_byte, by_word)]
    return {
        BITS_PER_BYTE: figure([end / log(2) for end in each[0]]),
        "byte_perplexity": figure([exp(min(end, 700.0)) for end in each[0]]),
        "word_perplexity": figure([exp(min(end, 700.0)) for end in each[1]]),
    }


def text_digest(texts: Iterable[str]) -> tuple[str, int]:
    """The digest of some documents in order, and how many there are."""
    seen, count = sha256(), 0
    for text in texts:
        seen.update(sha256(text.encode("utf-8", "replace")).digest())
        count += 1
    return seen.hexdigest(), count
