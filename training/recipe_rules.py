"""What a recipe's values may be: one table of ranges for every number, and the rules between values.

`find_problems` runs when a recipe is read, so nothing is looked up, loaded or trained for a recipe that cannot run.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from training.recipe_records import Model, Recipe
from zoo.db.names import check_new

COUNT = (1, 2**53)  # at least one; a float still counts this far exactly
AMOUNT = (0, 2**53)
POSITIVE = (5e-324, math.inf)
NONNEGATIVE = (0.0, math.inf)
SHARE = (0.0, math.nextafter(1.0, 0.0))  # [0, 1)

# key -> (smallest, largest) allowed value; infinity itself and NaN never are. None passes where a key allows it.
RANGES: dict[str, tuple[float, float]] = {
    "model.layers": COUNT, "model.width": COUNT, "model.heads": COUNT, "model.key_heads": COUNT, "model.mlp": COUNT,
    "model.rotary_dim": COUNT, "model.rotary_theta": POSITIVE, "model.context_tokens": COUNT,
    "model.vocabulary": COUNT, "model.bos": AMOUNT, "model.eos": AMOUNT, "model.layer_norm_epsilon": POSITIVE,
    "model.initializer_range": POSITIVE,
    "data.sources.weight": POSITIVE, "data.sequence_tokens": (2, 2**53),
    "training.steps": COUNT, "training.batch_sequences": COUNT, "training.seed": (0, 2**63 - 1),
    "training.dropout": SHARE, "training.attention_dropout": SHARE, "training.gradient_clip": NONNEGATIVE,
    "training.spike_nats": NONNEGATIVE, "training.z_loss": NONNEGATIVE,
    "schedule.peak_learning_rate": POSITIVE, "schedule.warmup_steps": AMOUNT, "schedule.steps": COUNT,
    "schedule.decay_steps": AMOUNT, "schedule.final_learning_rate": NONNEGATIVE,
    "optimizer.beta1": SHARE, "optimizer.beta2": SHARE, "optimizer.epsilon": POSITIVE,
    "optimizer.weight_decay": NONNEGATIVE, "optimizer.muon_learning_rate": POSITIVE,
    "optimizer.muon_momentum": SHARE, "optimizer.tiled_copies": COUNT,
    "branch.step": COUNT,
    "validation.every_steps": AMOUNT, "validation.sequences": COUNT,
    "evaluation.every_steps": AMOUNT, "evaluation.samples": COUNT,
    "selection.average_steps": AMOUNT, "selection.ema_decay": SHARE,
    "states.every_seconds": NONNEGATIVE, "states.every_steps": AMOUNT, "states.keep_last": COUNT,
    "states.keep_every_steps": AMOUNT, "states.hang_seconds": NONNEGATIVE,
    "execution.microbatch_sequences": COUNT, "execution.loss_chunk_tokens": COUNT,
    "published.gpu_hours": POSITIVE, "published.gpus": COUNT,
}  # fmt: skip


def numbers(plain: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The dotted key and value of every number in plain data; the entries of a list share one key.

    >>> list(numbers({"data": {"sources": [{"weight": 2.0}, {"weight": 3.0}]}, "name": "a"}))
    [('data.sources.weight', 2.0), ('data.sources.weight', 3.0)]
    """
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from numbers(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(plain, list | tuple):
        for value in plain:
            yield from numbers(value, prefix)
    elif isinstance(plain, int | float) and not isinstance(plain, bool):
        yield prefix, plain


def range_text(low: float, high: float) -> str:
    """A range in words.

    >>> range_text(*COUNT), range_text(*SHARE), range_text(*POSITIVE)
    ('must be at least 1', 'must be in [0, 1)', 'must be above 0')
    """
    if (low, high) == SHARE:
        return "must be in [0, 1)"
    return "must be above 0" if low == POSITIVE[0] else f"must be at least {low:g}"


def _range_problems(plain: Mapping[str, Any]) -> Iterator[str]:
    """Numbers out of range, in the order of the recipe; keys of `[sources]` are texts."""
    for key, value in numbers(plain):
        low, high = RANGES[key]
        if low <= value <= high and value != math.inf:
            continue
        most = f"must be at most {high:g}" if 1 < high < value < math.inf else range_text(low, high)
        yield f"{key} is {f'{value:g}' if isinstance(value, float) else str(value)[:24]}: it {most}"


def find_problems(recipe: Recipe, plain: Mapping[str, Any]) -> Iterator[str]:
    """Validation errors, the most fundamental first; none if the recipe can run. plain: the recipe as plain data."""
    check_new(recipe.name)
    model, data, training = recipe.model, recipe.data, recipe.training
    starts = [recipe.parent is not None, recipe.branch is not None]
    if model is None and not any(starts):
        yield "neither [model] nor [parent] is given; give the shape, or the checkpoint it starts from"
    yield from _range_problems(plain)
    if model is not None:
        yield from _model_problems(model)
        if data.sequence_tokens > model.context_tokens:
            yield f"data.sequence_tokens {data.sequence_tokens} exceeds model.context_tokens {model.context_tokens}"
    if not data.sources:
        yield "data.sources is empty; name at least one token dataset (phizoo data list)"
    names = [source.name for source in data.sources]
    if twice := next((name for name in names if names.count(name) > 1), None):
        yield f"data.sources names {twice} twice; give it once, with a larger weight"
    if data.loss == "answers" and data.packing != "documents":
        yield "data.loss answers needs data.packing documents: a slice would cut an answer off from its question"
    micro = recipe.execution.microbatch_sequences
    if micro is not None and training.batch_sequences % micro:
        yield f"training.batch_sequences {training.batch_sequences} is no multiple of microbatch_sequences {micro}"
    yield from _schedule_problems(recipe)
    yield from _selection_problems(recipe)


def _schedule_problems(recipe: Recipe) -> Iterator[str]:
    steps, schedule = recipe.training.steps, recipe.schedule
    horizon = schedule.steps or steps
    if steps > horizon:
        yield f"training.steps {steps} exceeds schedule.steps {horizon}, where the rate has ended"
    if schedule.warmup_steps + schedule.decay_steps > horizon:
        yield f"schedule.warmup_steps {schedule.warmup_steps} and decay_steps exceed the {horizon} steps"
    if schedule.kind == "wsd" and not schedule.decay_steps:
        yield "schedule.kind wsd needs schedule.decay_steps"
    if schedule.kind != "wsd" and schedule.decay_steps:
        yield f"schedule.decay_steps is for schedule.kind wsd; {schedule.kind} would ignore it"
    if recipe.branch is not None and recipe.branch.step >= steps:
        yield f"branch.step {recipe.branch.step} leaves nothing to train: training.steps {steps} counts from 0"


def _selection_problems(recipe: Recipe) -> Iterator[str]:
    rule, steps = recipe.selection, recipe.training.steps
    if rule.rule == "best-validation" and not recipe.validation.every_steps:
        yield "selection.rule best-validation needs validation.every_steps"
    if (rule.rule == "average") != bool(rule.average_steps):
        yield f"selection.rule {rule.rule} with average_steps {rule.average_steps}: average needs it, the others do not"
    if (rule.rule == "ema") != bool(rule.ema_decay):
        yield f"selection.rule {rule.rule} with ema_decay {rule.ema_decay:g}: ema needs it, the others do not"
    if rule.average_steps > steps:
        yield f"selection.average_steps {rule.average_steps} exceeds training.steps {steps}"


def _model_problems(model: Model) -> Iterator[str]:
    key_heads = model.keys
    if model.width < 1 or model.heads < 1 or key_heads < 1:
        return  # out of range, said above
    if model.width % model.heads:
        yield f"model.width {model.width} is no multiple of model.heads {model.heads}"
        return
    head = model.width // model.heads
    if model.rotary_dim % 2 or not 0 < model.rotary_dim <= head:
        yield f"model.rotary_dim {model.rotary_dim} must be even and at most the head size {head}"
    if model.heads % key_heads:
        yield f"model.heads {model.heads} is no multiple of model.key_heads {key_heads}"
    if model.kind == "phi" and (model.tied or key_heads != model.heads):
        yield "model.kind phi has an untied head and one key head a head; for others: model.kind=phi3"
    if model.vocabulary is not None:
        for key, token in (("bos", model.bos), ("eos", model.eos)):
            if token is not None and token >= model.vocabulary:
                yield f"model.{key} {token} is no row of model.vocabulary {model.vocabulary}"
