"""What a recipe will cost, before it runs: parameters, tokens, FLOPs, memory, days and money.

FLOPs a token (forward and backward) = 6 (P + V d) + 6 L d T: P the parameters of the layers, V d the
head's matrix, and causal attention at half of its full square. Activations are not recomputed in
this count; with activation checkpointing a third more is computed and not counted (MFU, not HFU).
Prices and the assumed MFU are estimates and are printed as such.
"""

from typing import Any

from evals.engines.gpus import GPUS
from training import model as phi
from training.recipe import RECIPES, Model, Recipe, load, shape
from zoo.shape import read_shape

# USD for an hour of one GPU: estimates of on-demand prices, to be overridden with --usd.
USD_PER_GPU_HOUR = {"A100": 1.8, "H100": 3.0, "H200": 3.8}
ASSUMED_MFU = 0.40  # estimated: published dense runs of this size lie between 0.34 and 0.53
BELIEVABLE_MFU = 0.70  # above this a published figure is flagged: no public dense run reaches it
TOKENIZER_VOCABULARY = 1024  # the mini twins take the tokenizer's own; the plan counts with this


def flops_per_token(model: Model, vocabulary: int, sequence_tokens: int) -> float:
    """FLOPs to train on one token, forward and backward.

    Source  docs/phi.md, FLOPs per token: 2.08, 8.48 and 16.9 GFLOP for the three sizes at 2048 tokens.

    >>> phi_1 = Model(layers=24, width=2048, heads=32, mlp=8192)
    >>> round(flops_per_token(phi_1, 51200, 2048) / 1e9, 2)
    8.48
    """
    dense = 6 * (phi.non_embedding(model) + vocabulary * model.width)
    return float(dense + 6 * model.layers * model.width * sequence_tokens)


def config_flops_per_token(config: dict[str, Any], sequence_tokens: int) -> float:
    """FLOPs to train the model of a config.json on one token."""
    shape = read_shape(config)
    return flops_per_token(phi.model_of(shape), shape.vocabulary, sequence_tokens)


def memory_bytes(recipe: Recipe, gpus: int) -> dict[str, float]:
    """Bytes on each GPU by part, when weights, gradients and moments are sharded over all of them.

    float32 weights, gradients and two AdamW moments; bf16 activations of one microbatch: 34 d + 8 m/4
    bytes a token and layer kept (or 2 d with checkpointing, plus one layer whole); one chunk of
    logits in float32. Estimated: the allocator's own share is not counted.
    """
    model = shape(recipe)
    vocabulary = model.vocabulary or TOKENIZER_VOCABULARY
    count = phi.parameters(model, vocabulary)
    how = recipe.execution
    rows = how.microbatch_sequences or max(1, recipe.training.batch_sequences // gpus)
    tokens = rows * recipe.data.sequence_tokens
    layer = tokens * (2 * 8 * model.width + 2 * 2 * model.mlp)
    kept = model.layers * tokens * 2 * model.width + layer if how.activation_checkpointing else model.layers * layer
    parts = {
        "weights": 4.0 * count / gpus,
        "gradients": 4.0 * count / gpus,
        "optimizer": 8.0 * count / gpus,
        "activations": float(kept),
        "logits": 2 * 4.0 * min(how.loss_chunk_tokens, tokens) * vocabulary,
    }
    return parts | {"total": sum(parts.values())}


def plan(
    recipe: Recipe, gpus: int = 8, kind: str = "H100", mfu: float = ASSUMED_MFU, usd: float | None = None
) -> dict[str, Any]:
    """Everything the plan says, as plain data; `published` beside it where there is something."""
    model = shape(recipe)
    vocabulary = model.vocabulary or TOKENIZER_VOCABULARY
    tokens = recipe.training.steps * recipe.training.batch_sequences * recipe.data.sequence_tokens
    each = flops_per_token(model, vocabulary, recipe.data.sequence_tokens)
    gpu_hours = tokens * each / (GPUS[kind].flops * mfu) / 3600
    price = USD_PER_GPU_HOUR[kind] if usd is None else usd
    return {
        "recipe": recipe.name,
        "parameters": phi.parameters(model, vocabulary),
        "non_embedding_parameters": phi.non_embedding(model),
        "vocabulary": vocabulary,
        "vocabulary_from_tokenizer": model.vocabulary is None,
        "steps": recipe.training.steps,
        "tokens_per_step": recipe.training.batch_sequences * recipe.data.sequence_tokens,
        "tokens": tokens,
        "flops_per_token": each,
        "flops": tokens * each,
        "flops_formula": "6 (P + V d) + 6 L d T, causal, none recomputed",
        "gpus": gpus,
        "kind": kind,
        "mfu": mfu,
        "tokens_per_second_per_gpu": GPUS[kind].flops * mfu / each,
        "gpu_hours": gpu_hours,
        "days": gpu_hours / gpus / 24,
        "usd": gpu_hours * price,
        "usd_per_gpu_hour": price,
        "memory_bytes_per_gpu": memory_bytes(recipe, gpus),
        "published": published(recipe, tokens * each, tokens),
        "parent": plan(load(recipe.parent.checkpoint), gpus, kind, mfu, usd)
        if recipe.parent and recipe.parent.checkpoint in RECIPES
        else None,
    }


def published(recipe: Recipe, flops: float, tokens: int) -> dict[str, Any] | None:
    """The published cost of the same run and what it would mean: the MFU it implies, flagged if not believable."""
    told = recipe.published
    if told is None or told.kind not in GPUS:
        return None
    seconds = told.gpu_hours * 3600
    mfu = flops / seconds / GPUS[told.kind].flops
    return {
        "gpu_hours": told.gpu_hours,
        "kind": told.kind,
        "gpus": told.gpus,
        "tokens_per_second_per_gpu": tokens / seconds,
        "mfu": mfu,
        "believable": mfu <= BELIEVABLE_MFU,
        "source": told.source,
        "note": told.note,
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The plan as text, one fact a line."""
    memory = {part: f"{count / 2**30:.2f} GiB" for part, count in told["memory_bytes_per_gpu"].items()}
    whose = " (vocabulary from the tokenizer, 1,024 assumed)" if told["vocabulary_from_tokenizer"] else ""
    found = [
        f"{told['recipe']}",
        f"  parameters   {told['parameters']:,}{whose}, {told['non_embedding_parameters']:,} in the layers",
        f"  tokens       {told['tokens']:,} = {told['steps']:,} steps x {told['tokens_per_step']:,}",
        f"  FLOPs        {told['flops']:.3g} = tokens x {told['flops_per_token'] / 1e9:.3g} GFLOP: "
        f"{told['flops_formula']}",
        f"  memory/GPU   {memory.pop('total')}: " + ", ".join(f"{part} {size}" for part, size in memory.items()),
        f"  time         {told['days']:.3g} days on {told['gpus']} x {told['kind']}, {told['gpu_hours']:,.1f} GPU hours"
        f" at {told['mfu']:.0%} MFU (estimated), {told['tokens_per_second_per_gpu']:,.0f} tokens/s/GPU",
        f"  money        {told['usd']:,.0f} USD at {told['usd_per_gpu_hour']:.2f} a GPU hour (estimated)",
    ]
    if there := told["published"]:
        count = f"{there['gpus']} x " if there["gpus"] else ""
        verdict = "" if there["believable"] else "; NOT BELIEVABLE: no public dense run reaches this"
        found.append(
            f"  published    {there['gpu_hours']:,.0f} GPU hours on {count}{there['kind']} = "
            f"{there['tokens_per_second_per_gpu']:,.0f} tokens/s/GPU, {there['mfu']:.0%} MFU{verdict} "
            f"[{there['source']}]"
        )
        found += [f"               {there['note']}"] if there["note"] else []
    if told["parent"]:
        found += ["  starts from:", *("  " + line for line in lines(told["parent"]))]
    return found
