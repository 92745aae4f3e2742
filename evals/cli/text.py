"""`phizoo eval text`: bits per byte and perplexity of texts."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import AS_JSON, DTYPE, open_registry
from zoo.cli.output import cell, emit_json, table
from zoo.errors import ZooError
from zoo.metrics import BITS_PER_BYTE, metric_of

if TYPE_CHECKING:
    from evals.text import Figure, TextScore
    from zoo.registry import Registry

LOCAL = ("transformers", "llama_cpp", "vllm")  # the engines that read windows of tokens
FIGURES = (BITS_PER_BYTE, "byte_perplexity", "word_perplexity")


@click.command()
@click.argument("texts", metavar="FILE|DATASET")
@click.argument("names", shell_complete=A_CHECKPOINT, nargs=-1, metavar="NAME...")
@click.option("--engine", type=click.Choice(LOCAL), default="transformers", show_default=True,
              help="The engine that runs the model.")  # fmt: skip
@click.option("--window", type=click.IntRange(1), metavar="TOKENS",
              help="Tokens that a prediction sees at most (default: the model's context).")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N documents.")
@DTYPE
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@AS_JSON
def text(
    texts: str, names: tuple[str, ...], engine: str, window: int | None, limit: int | None, dtype: str, device: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Bits per byte and perplexity of texts.

    \b
    phizoo eval text book.txt phi-1-small-mini
    phizoo eval text wiki.jsonl phi-1-small-mini smollm2 --window 512
    phizoo eval text textbooks smollm2 --limit 100 --json

    The texts: a dataset of the zoo, or a file or folder of .txt, .md, .py, .jsonl (text, content or code) or
    .parquet; each file of text and each row is a document. Every token is read once, in windows that roll over a
    document as lm-evaluation-harness's loglikelihood_rolling; figures are of all documents together, their 95%
    intervals are over documents. Less is better. If it is killed, the same command continues where it stopped.
    """
    if not names:
        raise ZooError(f"name a checkpoint: phizoo eval text {texts!r:.40} NAME. All checkpoints: phizoo models list")
    with open_registry(readonly=True) as registry:
        read = _documents(registry, texts, limit)
        scores = [_score(registry, name, texts, read, engine, window, (dtype, device)) for name in names]
    if as_json:
        emit_json(scores)
        return
    first = scores[0]
    empty = f", {first.empty} empty ones left out" if first.empty else ""
    click.echo(f"{texts}: {first.documents} documents, {first.bytes:,} bytes, {first.words:,} words{empty}")
    table([_fields(score) for score in scores], ("CHECKPOINT", *(f"{name} ↓ [95%]" for name in FIGURES), "MEASURED"))
    if first.documents == 1:
        click.echo("One document shows nothing of how texts vary, so the figures have no interval.")


def _documents(registry: "Registry", word: str, limit: int | None) -> Callable[[], Iterator[str]]:
    """A function that reads the texts of a dataset, file or folder again each time."""
    from evals.contamination.documents import documents, find_sets

    sets = find_sets(registry, word)
    return lambda: islice((text for each in sets for _, text in documents(each)), limit)


def _score(
    registry: "Registry", name: str, texts: str, read: Callable[[], Iterator[str]], engine_name: str,
    window: int | None, connection: tuple[str, str],
) -> "TextScore":  # fmt: skip
    from evals import text as reading
    from evals.engines import connect
    from zoo import settings

    checkpoint = registry.get(name)
    content, total = reading.text_digest(read())
    engine = connect(engine_name, registry.path(name), dtype=connection[0], device=connection[1])
    try:
        room = reading.window_of(engine, window)
        folder = settings.home() / "texts" / reading.texts_id(engine, checkpoint.digest, content, room)
        reads, empty = reading.read_texts(
            engine, checkpoint.label, read(), folder, name=texts[:40], total=total, window=room
        )
    finally:
        engine.close()
    if not reads:
        raise ZooError(f"{texts!r:.60} holds no document with text in it")
    facts = engine.facts
    fields: dict[str, Any] = {**reading.figures(reads)}
    fields |= {name: sum(getattr(one, name) for one in reads) for name in ("tokens", "bytes", "words")}
    return reading.TextScore(
        checkpoint=checkpoint.label, texts=texts, engine=facts.engine, dtype=facts.dtype, window=room,
        documents=len(reads), empty=empty, **fields,
    )  # fmt: skip


def _fields(score: "TextScore") -> tuple[str, ...]:
    setting = f"{score.engine} {score.dtype}, window {score.window}, {score.tokens:,} tokens"
    return (score.checkpoint, *(_cell(name, getattr(score, name), score.documents) for name in FIGURES), setting)


def _cell(name: str, figure: "Figure", n: int) -> str:
    return cell(figure.value, figure.low, figure.high, n, metric_of(name).digits)
