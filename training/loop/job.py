"""A training run with everything resolved, and the objects that its loop works with.

`open_parts` builds them: first everything that can be refused, then the model's shards, its optimizers and the folder
of its states. It trains nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from training import optimizer, parallel, sharded, state
from training.data.tokens.loader import Loader, TokenBatch, TokenDataset
from training.loop.watchdog import Watchdog
from training.parallel import World
from training.recipe import Recipe
from zoo.errors import ZooError

if TYPE_CHECKING:
    import torch
    from transformers import PhiConfig

    from training.loss import NextToken
    from training.online_eval import Scorer

# Compiling takes about a minute; a compiled run of this many FLOPs takes about 5 on an H100, and 7.5 uncompiled.
COMPILE_FROM_FLOPS = 1e17


@dataclass(frozen=True)
class TrainJob:
    """One run with everything resolved. start: its first weights, None for the seeded initialisation."""

    recipe: Recipe
    settings: "PhiConfig"
    sources: list[TokenDataset]
    folder: Path
    identity: dict[str, Any]
    start: "dict[str, torch.Tensor] | None" = None
    flops_per_token: float = 0.0
    stop_after: int | None = None
    score: "Scorer | None" = None  # scores the weights of a step (training.online_eval)
    command: str = ""  # the command that resumes this run
    moments: "dict[str, torch.Tensor] | None" = None  # its first optimizer state, named as in training.state
    track: tuple[str, ...] = ()  # trackers that were asked for (training.loop.trackers)
    trunk: state.Trunk | None = None  # the run and the step that it goes on from

    @property
    def step_tokens(self) -> int:
        """Tokens of one step, of all processes together."""
        return self.recipe.training.batch_sequences * self.recipe.data.sequence_tokens


@dataclass(frozen=True)
class TrainOutcome:
    """How a run ended. step: steps done. weights: those of the chosen step, if the run is done."""

    status: Literal["done", "stopped"]
    step: int
    chosen_step: int
    weights: "dict[str, torch.Tensor]"
    seconds: float
    notes: tuple[str, ...] = ()
    signal: int = 0  # the signal that stopped it, or 0


@dataclass
class Parts:
    """The objects that the loop works with."""

    model: "NextToken"
    optimizers: "list[torch.optim.Optimizer]"
    loader: Loader
    keeper: state.Keeper
    world: World
    micro: int
    watchdog: Watchdog
    held: list[TokenBatch]  # the validation batches
    norm_scales: dict[str, float]
    group: Any = None  # the process group that writes states, if there are several processes
    best: tuple[int, float] | None = None


def open_parts(job: TrainJob, world: World, watchdog: Watchdog) -> Parts:
    """Builds the model (sharded if there are several processes), its optimizers and its data loader."""
    import torch

    recipe = job.recipe
    module, loader, held, micro = parallel.together(world, lambda: _build(job, world))
    parallel.shard(module, world)
    if module.compiled:
        module.phi.model.compile()
    torch.set_float32_matmul_precision("high" if world.device.startswith("cuda") else "highest")
    optimizers = optimizer.build(module.phi, recipe.optimizer, recipe.schedule.peak_learning_rate)
    keeper = state.Keeper(job.folder, recipe.states, job.identity)
    scales = optimizer.norm_scales(module.phi, recipe.optimizer)
    group = sharded.open_group(world)
    return Parts(module, optimizers, loader, keeper, world, micro, watchdog, held, scales, group)


def _build(job: TrainJob, world: World) -> "tuple[NextToken, Loader, list[TokenBatch], int]":
    """The model and its first weights, the loader, the validation batches, and the rows of a microbatch.

    Raises ZooError for a recipe that these processes or these data cannot run.
    """
    from training import model as phi
    from training.loss import NextToken

    recipe, how = job.recipe, job.recipe.execution
    micro = microbatch(recipe, world)
    begin, read_before = (job.trunk.step, job.trunk.read_before) if job.trunk else (0, None)
    loader = Loader(
        recipe.data, job.sources, recipe.training.batch_sequences, recipe.training.seed, begin, read_before
    )  # fmt: skip
    held = loader.validation(recipe.validation.sequences) if recipe.validation.every_steps else []
    if recipe.selection.rule == "best-validation" and not any((batch.targets_BT >= 0).any() for batch in held):
        names = ", ".join(source.name for source in job.sources)
        raise ZooError(
            f"selection.rule best-validation has nothing to choose by: {names} has no validation sequence of "
            f"{recipe.data.sequence_tokens} tokens; pack more data, or --set selection.rule=last"
        )
    training = recipe.training
    built = phi.build(
        job.settings, training.seed, training.dropout, world.device, recipe.data.document_mask,
        training.attention_dropout,
    )  # fmt: skip
    if job.start is not None:
        phi.load_weights(built, job.start)
    if how.activation_checkpointing:
        # transformers 6 drops the older name; transformers 4 lacks the newer one
        enable = getattr(built, "activation_checkpointing_enable", None) or built.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    built.train()
    earns = job.flops_per_token * job.step_tokens * recipe.training.steps > COMPILE_FROM_FLOPS
    compiled = how.compile == "yes" or (how.compile == "auto" and world.device.startswith("cuda") and earns)
    return NextToken(built, how.loss_chunk_tokens, compiled, recipe.training.z_loss), loader, held, micro


def microbatch(recipe: Recipe, world: World) -> int:
    """The rows of a microbatch. Raises ZooError if processes or microbatches do not divide the batch."""
    share, rest = divmod(recipe.training.batch_sequences, world.size)
    if rest:
        raise ZooError(
            f"training.batch_sequences {recipe.training.batch_sequences} is no multiple of the {world.size} processes; "
            f"start as many as divide it, or --set training.batch_sequences={(share + 1) * world.size}"
        )
    micro = min(recipe.execution.microbatch_sequences or share, share)
    if share % micro:
        raise ZooError(
            f"execution.microbatch_sequences {micro} does not divide the {share} sequences of each of the {world.size} "
            f"processes; --set execution.microbatch_sequences={next(n for n in range(micro, 0, -1) if share % n == 0)}"
        )
    return micro
