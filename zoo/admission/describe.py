"""The record of an inspected folder."""

import datetime
from typing import TYPE_CHECKING

from zoo.digest import digest
from zoo.records import About, Checkpoint, File, manifest_digest
from zoo.shape import read_shape

if TYPE_CHECKING:
    from zoo.admission.gate import Inspected


def now() -> str:
    """The current time in UTC, ISO 8601, with microseconds so that order is preserved."""
    return datetime.datetime.now(datetime.UTC).isoformat()


def describe_checkpoint(name: str, files: tuple[File, ...], inspected: "Inspected", about: About) -> Checkpoint:
    """The record of an inspected folder and a user's description; `enter` assigns its version."""
    return Checkpoint(
        name=name, version=0, digest=manifest_digest(files), files=files, architecture=inspected.config,
        parameters=inspected.parameters, context_tokens=read_shape(inspected.config).context_tokens,
        prompt_style=about.prompt_style, training_tokens=about.training_tokens,
        recipe_digest=digest(about.recipe) if about.recipe is not None else None, parents=about.parents,
        datasets=about.datasets, licence=about.licence, created=now(), source=about.source,
        family=about.family or str(inspected.config.get("model_type", "")), training_flops=about.training_flops,
        tags=tuple(sorted(set(about.tags))),
        notes=" ".join([*([about.notes] if about.notes else []), *(f"Warning: {w}." for w in inspected.warnings)]),
        quantisation=inspected.quantisation, chat_template=inspected.chat_template,
    )  # fmt: skip
