"""Validates a run: the held-out loss, each source's own, and bits per byte.

Bits per byte = loss in nats, summed over the predicted tokens / (ln 2 x bytes of their text). An EOS counts as a
prediction without bytes. Unlike nats a token, it compares models of different tokenizers.
Shape legend: B sequences, T tokens.
"""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.data.tokens.loader import TokenBatch, TokenDataset

LOSS, BITS = "validation_loss", "validation_bits_per_byte"
ByteCounter = Callable[[Any], int]


def byte_counter(tokenizer: Path) -> ByteCounter | None:
    """A function that counts the bytes of text that token ids stand for; special tokens stand for none.

    tokenizer  a folder; None is returned if it has no tokenizer.json
    """
    file = tokenizer / "tokenizer.json"
    if not file.is_file():
        return None
    import numpy as np
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(file))
    added = {entry["id"]: entry for entry in json.loads(file.read_bytes()).get("added_tokens", [])}
    if type(loaded.decoder).__name__ != "ByteLevel":
        special = [number for number, entry in added.items() if entry.get("special")]

        def by_text(ids: Any) -> int:
            return len(loaded.decode(ids[~np.isin(ids, special)].tolist(), skip_special_tokens=True).encode())

        return by_text
    sizes = np.zeros(loaded.get_vocab_size(with_added_tokens=True), dtype=np.int64)
    for text, number in loaded.get_vocab(with_added_tokens=True).items():
        sizes[number] = len(text)  # a byte-level token has one character for each byte
    for number, entry in added.items():
        sizes[number] = 0 if entry.get("special") else len(entry["content"].encode())
    return lambda ids: int(sizes[ids].sum())


def validation_numbers(
    batches: "Iterable[TokenBatch]", sources: "list[TokenDataset]", loss_of: "Callable[[TokenBatch], float]",
    count_bytes: ByteCounter | None,
) -> dict[str, float]:  # fmt: skip
    """The numbers of one validation, as they are recorded; {} without validation data.

    loss_of  the summed loss of a batch in nats
    Returns  LOSS and BITS over all sources, and LOSS/NAME and BITS/NAME of each if there are several
    """
    nats, tokens, letters = ([0.0] * len(sources) for _ in range(3))
    for batch in batches:
        nats[batch.source] += loss_of(batch)
        predicted = batch.targets_BT[batch.targets_BT >= 0]
        tokens[batch.source] += predicted.size
        letters[batch.source] += count_bytes(predicted) if count_bytes else 0
    if not sum(tokens):
        return {}
    numbers = _pair("", sum(nats), sum(tokens), sum(letters))
    if len(sources) > 1:
        for number, source in enumerate(sources):
            numbers |= _pair(f"/{source.name}", nats[number], tokens[number], letters[number])
    return numbers


def _pair(name: str, nats: float, tokens: float, letters: float) -> dict[str, float]:
    pair = {LOSS + name: nats / tokens} if tokens else {}
    return pair | ({BITS + name: nats / math.log(2) / letters} if letters else {})


def by_source(line: dict[str, Any]) -> list[tuple[str, float, float | None]]:
    """(source, loss, bits per byte or None) of a line of metrics, all sources together first as "all"."""
    if LOSS not in line:
        return []
    names = [key.removeprefix(LOSS) for key in line if key == LOSS or key.startswith(f"{LOSS}/")]
    return [(name.removeprefix("/") or "all", line[LOSS + name], line.get(BITS + name)) for name in names]


def lines_of(lines: Iterable[dict[str, Any]]) -> list[str]:
    """The last validation as text, one source a line."""
    last = next((line for line in reversed(list(lines)) if LOSS in line), None)
    if last is None:
        return []
    rows = []
    for name, loss, bits in by_source(last):
        rows.append(f"  {name}: {loss:.4f} nats a token" + (f", {bits:.4f} bits a byte" if bits is not None else ""))
    return [f"validation after step {last['step']}:", *rows]
