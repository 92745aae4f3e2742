"""A checkpoint's model card, made from its records alone: Markdown with the hub's metadata on top.

Everything said here was recorded: data with counts, recipe, lineage, scores with interval and
protocol, the contamination split, licence. What is not known is said to be unknown.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from zoo import lineage
from zoo.errors import ZooError
from zoo.records import Checkpoint, Dataset, ProtocolRecord, Score

if TYPE_CHECKING:
    from zoo.registry import Registry

LIMITS = """A model of this size makes mistakes with confidence. It knows little beyond its training data, its code
needs review before it is run, and it was not trained to refuse harmful requests or to be free of
the biases of its data. The scores below hold for these protocols and samples only; the interval
says how far chance alone may move each."""


def card(registry: "Registry", spec: str) -> str:
    """The model card of one checkpoint."""
    found = registry.get(spec)
    scores, protocols = registry.scores(found.digest), registry.protocols()
    graph = lineage.graph(registry, f"{found.name}:{found.version}")
    parts = [
        metadata(found, scores, protocols),
        f"# {found.name}, version {found.version}",
        _facts(found),
        "## Training data",
        _data(registry, found),
        "## Recipe",
        _recipe(registry, found),
        "## Lineage",
        f"```mermaid\n{lineage.mermaid(graph)}\n```",
        "## Scores",
        _scores(scores, protocols),
        "## Limits",
        LIMITS,
        "## Licence",
        "Unknown: ask whoever trained it before using it." if found.licence == "unknown" else plain(found.licence),
    ]
    if found.notes:
        parts += ["## Notes", plain(found.notes)]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text of a record made harmless for Markdown: no HTML, no table breaks, no control characters.

    >>> plain("a|b <script>")
    'a\\\\|b &lt;script&gt;'
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")


def metadata(found: Checkpoint, scores: Sequence[Score], protocols: dict[str, ProtocolRecord]) -> str:
    """The front matter in the hub's `model-index` form. JSON values, which YAML reads as they are."""
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"type": score.task, "name": _column(score, protocols), "args": {"subset": score.subset}},
            "metrics": [
                {
                    "type": score.metric,
                    "name": f"{score.metric} ({score.subset}, 95% interval {_interval(score)}, n={score.n})",
                    "value": round(100 * score.value, 2),
                    "verified": False,
                }
            ],
        }
        for score in scores
    ]
    told: dict[str, Any] = {
        "license": found.licence.lower() if found.licence != "unknown" else "unknown",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": sorted({"phi-zoo", *found.tags, *([found.family] if found.family else [])}),
        "model-index": [{"name": found.name, "results": results}],
    }
    lines = [f"{key}: {msgspec.json.encode(value).decode()}" for key, value in told.items()]
    return "\n".join(["---", *lines, "---"])


def _facts(found: Checkpoint) -> str:
    rows = {
        "Digest": f"`{found.digest}`",
        "Family": plain(found.family) or "unknown",
        "Parameters": f"{found.parameters:,}",
        "Context": f"{found.context_tokens:,} tokens",
        "Prompt style": found.prompt_style,
        "Tokens seen": f"{found.training_tokens:,}" if found.training_tokens is not None else "unknown",
        "Training FLOPs": f"{found.training_flops:.3g}" if found.training_flops is not None else "unknown",
        "Source": plain(found.source) or "unknown",
        "Registered": found.created,
    }
    return _table(("", ""), list(rows.items()))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _data(registry: "Registry", found: Checkpoint) -> str:
    if not found.datasets:
        return "Unknown: none was recorded."
    parts = []
    for trained in found.datasets:
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
            plain(stage.name),
            f"{stage.entered:,}",
            f"{stage.kept:,}",
            ", ".join(f"{plain(reason)} {count:,}" for reason, count in sorted(stage.dropped.items())) or "none",
        )
        for stage in dataset.stages
    ]
    return f"{head}\n\n{_table(('Stage', 'In', 'Kept', 'Dropped by reason'), rows)}"


def _recipe(registry: "Registry", found: Checkpoint) -> str:
    if not found.recipe_digest:
        return "Unknown: none was recorded."
    try:
        recipe = registry.recipe(found.recipe_digest)
    except ZooError:
        return f"Digest `{found.recipe_digest}`; the recipe itself is not in this zoo."
    told = msgspec.json.format(msgspec.json.encode(recipe), indent=2).decode().replace("```", "'''")
    return f"Digest `{found.recipe_digest}`.\n\n```json\n{told}\n```"


def _column(score: Score, protocols: dict[str, ProtocolRecord]) -> str:
    return protocols[score.protocol].column if score.protocol in protocols else f"{score.task} {score.metric}"


def _interval(score: Score) -> str:
    return f"{100 * score.low:.1f}–{100 * score.high:.1f}"


def _scores(scores: Sequence[Score], protocols: dict[str, ProtocolRecord]) -> str:
    if not scores:
        return "None was measured."
    rows = [
        (
            plain(_column(score, protocols)),
            score.subset,
            f"{100 * score.value:.1f} [{_interval(score)}]",
            str(score.n),
            str(score.unscored),
            f"`{score.run[:12]}`",
        )
        for score in scores
    ]
    table = _table(("Protocol", "Samples", "Score, percent [95% interval]", "n", "Unscored", "Run"), rows)
    split = {score.subset for score in scores} - {"all"}
    said = (
        "`clean` and `overlapping` are the samples without and with a close match in the training data."
        if split
        else "No contamination split was measured: a score may rest on samples seen in training."
    )
    return f"{table}\n\n{said}"
