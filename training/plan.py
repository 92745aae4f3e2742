"""Plans a recipe before it runs: parameters, tokens, FLOPs, memory, days and money.

FLOPs a token (forward and backward) = 6 (P + V d) + 6 L d T, with P the parameters of the layers, V d the head's
matrix, and causal attention at half of its full square. Activation checkpointing computes a third more, which is
not counted (MFU, not HFU). Prices and the assumed MFU are estimates and are marked as such.
"""

from typing import Any

from evals.engines.gpus import GPUS
from training import model as phi
from training.recipe import RECIPES, Model, Recipe, load, shape

# USD for an hour of one GPU: estimates of on-demand prices, to be overridden with --usd.
USD_PER_GPU_HOUR = {"A100": 1.8, "H100": 3.0, "H200": 3.8}
ASSUMED_MFU = 0.40  # estimated: published dense runs of this size lie between 0.34 and 0.53
BELIEVABLE_MFU = 0.70  # a published figure above this is flagged: no public dense run reaches it
TOKENIZER_VOCABULARY = 1024  # assumed for the mini models, which take their tokenizer's


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
    model = phi.model_of(config)
    return flops_per_token(model, model.vocabulary or 0, sequence_tokens)


def memory_bytes(recipe: Recipe, gpus: int) -> dict[str, float]:
    """Bytes on each GPU by part, with weights, gradients and moments sharded over all GPUs.

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
    inner = 4 if model.kind == "phi3" else 2  # kept vectors of the MLP's width: gate, up, their product, its input
    layer = tokens * (2 * 8 * model.width + 2 * inner * model.mlp)
    kept = model.layers * tokens * 2 * model.width + layer if how.activation_checkpointing else model.layers * layer
    parts = {
        "weights": 4.0 * count / gpus, "gradients": 4.0 * count / gpus, "optimizer": 8.0 * count / gpus,
        "activations": float(kept), "logits": 2 * 4.0 * min(how.loss_chunk_tokens, tokens) * vocabulary,
    }  # fmt: skip
    return parts | {"total": sum(parts.values())}


def plan(
    recipe: Recipe, gpus: int = 8, kind: str = "H100", mfu: float = ASSUMED_MFU, usd: float | None = None
) -> dict[str, Any]:
    """The whole plan as plain data; `published` has the published figures of the same run, or None."""
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
        "published": compare_published(recipe, tokens * each, tokens),
        "parent": plan(load(recipe.parent.checkpoint), gpus, kind, mfu, usd)
        if recipe.parent and recipe.parent.checkpoint in RECIPES
        else None,
    }


def compare_published(recipe: Recipe, flops: float, tokens: int) -> dict[str, Any] | None:
    """The published cost of the same run with the MFU that it implies, flagged if not believable."""
    figures = recipe.published
    if figures is None or figures.kind not in GPUS:
        return None
    seconds = figures.gpu_hours * 3600
    mfu = flops / seconds / GPUS[figures.kind].flops
    return {
        "gpu_hours": figures.gpu_hours, "kind": figures.kind, "gpus": figures.gpus,
        "tokens_per_second_per_gpu": tokens / seconds, "mfu": mfu, "believable": mfu <= BELIEVABLE_MFU,
        "source": figures.source, "note": figures.note,
    }  # fmt: skip


def lines(facts: dict[str, Any]) -> list[str]:
    """The plan as text, one fact a line."""
    memory = {part: f"{count / 2**30:.2f} GiB" for part, count in facts["memory_bytes_per_gpu"].items()}
    whose = " (vocabulary from the tokenizer, 1,024 assumed)" if facts["vocabulary_from_tokenizer"] else ""
    text = [
        f"{facts['recipe']}",
        f"  parameters   {facts['parameters']:,}{whose}, {facts['non_embedding_parameters']:,} in the layers",
        f"  tokens       {facts['tokens']:,} = {facts['steps']:,} steps x {facts['tokens_per_step']:,}",
        f"  FLOPs        {facts['flops']:.3g} = tokens x {facts['flops_per_token'] / 1e9:.3g} GFLOP: "
        f"{facts['flops_formula']}",
        f"  memory/GPU   {memory.pop('total')}: " + ", ".join(f"{part} {size}" for part, size in memory.items()),
        f"  time         {facts['days']:.3g} days on {facts['gpus']} x {facts['kind']}, {facts['gpu_hours']:,.1f} "
        f"GPU hours at {facts['mfu']:.0%} MFU (estimated), {facts['tokens_per_second_per_gpu']:,.0f} tokens/s/GPU",
        f"  money        {facts['usd']:,.0f} USD at {facts['usd_per_gpu_hour']:.2f} a GPU hour (estimated)",
    ]
    if there := facts["published"]:
        count = f"{there['gpus']} x " if there["gpus"] else ""
        verdict = "" if there["believable"] else "; NOT BELIEVABLE: no public dense run reaches this"
        text.append(
            f"  published    {there['gpu_hours']:,.0f} GPU hours on {count}{there['kind']} = "
            f"{there['tokens_per_second_per_gpu']:,.0f} tokens/s/GPU, {there['mfu']:.0%} MFU{verdict} "
            f"[{there['source']}]"
        )
        text += [f"               {there['note']}"] if there["note"] else []
    if facts["parent"]:
        text += ["  starts from:", *("  " + line for line in lines(facts["parent"]))]
    return text
