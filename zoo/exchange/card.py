"""Writes a checkpoint's model card from its records alone: Markdown with the hub's metadata on top.

The card states only what was recorded: data with counts, recipe, lineage, scores with interval and
protocol, the contamination split, licence. Missing facts are called unknown.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from zoo import lineage
from zoo.cli.output import known_count, score_notes, share_cell
from zoo.coverage import find_splits, split_line
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Checkpoint, Dataset, ProtocolRecord, Score

if TYPE_CHECKING:
    from zoo.registry import Registry

LIMITS = """A model of this size makes mistakes with confidence. It knows little beyond its training data, its code
must be reviewed before it is run, and it was not trained to refuse harmful requests or to be free of
the biases of its data. The scores below hold for these protocols and samples only; the interval
says how far chance alone may move each."""


def model_card(registry: "Registry", spec: str) -> str:
    """The model card of one checkpoint."""
    checkpoint = registry.get(spec)
    scores, protocols = registry.scores(checkpoint.digest, chosen=True), registry.protocols()
    graph = lineage.graph(registry, f"{checkpoint.name}:{checkpoint.version}")
    licence = plain(checkpoint.licence)
    sections = {
        "Training data": _data(registry, checkpoint),
        "Recipe": _recipe(registry, checkpoint),
        "Lineage": f"```mermaid\n{lineage.mermaid(graph)}\n```",
        "Scores": _scores(registry, scores, protocols),
        "Limits": LIMITS,
        "Licence": "Unknown: ask its authors before using it." if licence == "unknown" else licence,
        **({"Notes": plain(checkpoint.notes)} if checkpoint.notes else {}),
    }
    head = [metadata(checkpoint, scores, protocols), f"# {checkpoint.name}, version {checkpoint.version}"]
    body = [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join([*head, _facts(registry, checkpoint), *body]) + "\n"


def plain(text: str) -> str:
    """Escapes the text of a record for Markdown: no HTML, no table breaks, no control characters.

    >>> plain("a|b <script>")
    'a\\\\|b &lt;script&gt;'
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")


def metadata(checkpoint: Checkpoint, scores: Sequence[Score], protocols: dict[str, ProtocolRecord]) -> str:
    """The front matter in the hub's `model-index` form, with JSON values, which are valid YAML."""
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"type": score.task, "name": _column(score, protocols), "args": {"subset": score.subset}},
            "metrics": [
                {
                    "type": score.metric,
                    "name": f"{score.metric} ({score.subset}, 95% interval "
                    f"{kind.text(score.low)}–{kind.text(score.high)}, n={score.n})",
                    "value": round(kind.shown(score.value), kind.digits + 1),
                    "verified": False,
                }
            ],
        }
        for score in scores
        for kind in (metric_of(score.metric),)
    ]
    fields: dict[str, Any] = {
        "license": checkpoint.licence.lower() if checkpoint.licence != "unknown" else "unknown",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": sorted({"phi-zoo", *checkpoint.tags, *([checkpoint.family] if checkpoint.family else [])}),
        "model-index": [{"name": checkpoint.name, "results": results}],
    }
    lines = [f"{key}: {msgspec.json.encode(value).decode()}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _facts(registry: "Registry", checkpoint: Checkpoint) -> str:
    rows = {
        "Digest": f"`{checkpoint.digest}`", "Family": plain(checkpoint.family) or "unknown",
        "Parameters": f"{checkpoint.parameters:,}", "Context": f"{checkpoint.context_tokens:,} tokens",
        **({"Quantisation": plain(checkpoint.quantisation)} if checkpoint.quantisation else {}),
        "Prompt style": checkpoint.prompt_style,
        **({"Chat template": f"`{checkpoint.chat_template[:12]}`"} if checkpoint.chat_template else {}),
        "Unique tokens": known_count(lineage.unique_tokens(registry, [checkpoint.digest])[checkpoint.digest]),
        "Tokens seen": known_count(checkpoint.training_tokens),
        "Training FLOPs": f"{checkpoint.training_flops:.3g}" if checkpoint.training_flops is not None else "unknown",
        "Source": plain(checkpoint.source) or "unknown", "Registered": checkpoint.created,
    }  # fmt: skip
    return _table(("", ""), list(rows.items()))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _data(registry: "Registry", checkpoint: Checkpoint) -> str:
    if not checkpoint.datasets:
        return "Unknown: none was recorded."
    parts = []
    for trained in checkpoint.datasets:
        try:
            dataset = registry.dataset(trained.digest)
        except ZooError:
            parts.append(
                f"### Dataset `{trained.digest[:12]}`\n\n{trained.tokens:,} tokens seen; its record is not in this zoo."
            )
            continue
        parts.append(_dataset(dataset, trained.tokens))
    return "\n\n".join(parts)


def _dataset(dataset: Dataset, seen: int) -> str:
    epochs = f" ({seen / dataset.tokens:.2f} times)" if dataset.tokens and seen else ""
    head = (
        f"### {dataset.name} (`{dataset.digest[:12]}`)\n\n{dataset.documents:,} documents, {dataset.tokens:,} tokens, "
        f"of which {seen:,} were seen{epochs}. Licence: {plain(dataset.licence)}."
    )
    if not dataset.stages:
        return head
    rows = [
        (
            plain(stage.name), f"{stage.entered:,}", f"{stage.kept:,}",
            ", ".join(f"{plain(reason)} {count:,}" for reason, count in sorted(stage.dropped.items())) or "none",
        )
        for stage in dataset.stages
    ]  # fmt: skip
    return f"{head}\n\n{_table(('Stage', 'In', 'Kept', 'Dropped by reason'), rows)}"


def _recipe(registry: "Registry", checkpoint: Checkpoint) -> str:
    if not checkpoint.recipe_digest:
        return "Unknown: none was recorded."
    try:
        recipe = registry.recipe(checkpoint.recipe_digest)
    except ZooError:
        return f"Digest `{checkpoint.recipe_digest}`; this zoo does not have the recipe itself."
    text = msgspec.json.format(msgspec.json.encode(recipe), indent=2).decode().replace("```", "'''")
    return f"Digest `{checkpoint.recipe_digest}`.\n\n```json\n{text}\n```"


def _column(score: Score, protocols: dict[str, ProtocolRecord]) -> str:
    return protocols[score.protocol].column if score.protocol in protocols else f"{score.task} {score.metric}"


def _scores(registry: "Registry", scores: Sequence[Score], protocols: dict[str, ProtocolRecord]) -> str:
    """The table of scores, and for each what searches of the training data say of it."""
    if not scores:
        return "None was measured."
    rows = [
        (
            plain(_column(score, protocols)), score.subset,
            share_cell(score.value, score.low, score.high, metric=score.metric), str(score.n),
            str(score.unscored), f"`{score.run[:12]}`", plain(score_notes(score)),
        )
        for score in scores
    ]  # fmt: skip
    unit = ", percent" if all(metric_of(score.metric).is_share for score in scores) else ""
    table = _table(
        ("Protocol", "Samples", f"Score{unit} [95% interval]", "n", "Unscored", "Run", "Measured with"), rows
    )
    splits = find_splits(registry, scores)
    lines = [
        f"- {plain(_column(score, protocols))}, run `{score.run[:12]}`: "
        f"{plain(split_line(splits.get(score.run), score, scores))}"
        for score in scores
        if score.subset == "all"
    ]
    note = "`clean` and `overlapping` are the samples without and with a close match in the training data."
    if not splits:
        return (
            f"{table}\n\nNo search for these samples in the training data is recorded: scores may include samples seen."
        )
    return "\n\n".join((table, "\n".join(lines), note))
