"""The records of a recipe: one class for each table of the TOML file. `training.recipe` reads and checks them.

Fields that came after 1.0 are listed in `training.recipe.ADDED`: they are left out of a resolved recipe at their
default, so that a recipe that does not use them keeps its digest.
"""

from typing import Literal

from zoo.records import Record, Relation

EPSILON, INITIALIZER_RANGE = 1e-5, 0.02  # of every published Phi's config.json


class Model(Record, frozen=True):
    """The model's shape. vocabulary, bos and eos: None takes the tokenizer's (the mini and tiny models).

    kind       phi: LayerNorm, GELU, parallel block (PhiForCausalLM); phi3: RMSNorm, SwiGLU (Phi3ForCausalLM)
    key_heads  heads of keys and values, each shared by heads/key_heads query heads; None: as many as heads
    tied       the head's matrix is the embedding
    """

    layers: int
    width: int
    heads: int
    mlp: int
    rotary_dim: int = 32
    rotary_theta: float = 10000.0
    context_tokens: int = 2048
    vocabulary: int | None = None
    bos: int | None = None
    eos: int | None = None
    layer_norm_epsilon: float = EPSILON
    initializer_range: float = INITIALIZER_RANGE
    kind: Literal["phi", "phi3"] = "phi"
    key_heads: int | None = None
    tied: bool = False

    @property
    def keys(self) -> int:
        """The number of key heads."""
        return self.key_heads or self.heads


class DataSource(Record, frozen=True):
    """One token dataset by name, and its share of the sequences (weights are relative)."""

    name: str
    weight: float = 1.0


class Data(Record, frozen=True):
    """The token datasets and how they are cut into sequences (see training/data/tokens/loader.py).

    loss  all: every token is predicted; answers: only those that `phizoo data chats` marked as answers
    """

    sources: tuple[DataSource, ...]
    sequence_tokens: int
    packing: Literal["slices", "shifted", "documents"] = "slices"
    document_mask: bool = False
    loss: Literal["all", "answers"] = "all"


class Training(Record, frozen=True):
    """Number of steps and size of a batch. batch_sequences counts all processes together.

    dropout            of the residual branches, and of attention unless attention_dropout says otherwise
    attention_dropout  None: as dropout
    gradient_clip      largest norm of the gradient; 0: no limit
    spike_nats         a loss this far above the recent median, and far outside the recent scatter, stops the run;
                       0: never
    z_loss             weight of the squared logarithm of the softmax's sum, added to the loss; 0: none
    """

    steps: int
    batch_sequences: int
    seed: int = 0
    dropout: float = 0.0
    gradient_clip: float = 1.0
    spike_nats: float = 1.0
    attention_dropout: float | None = None
    z_loss: float = 0.0


class Schedule(Record, frozen=True):
    """Learning rate by step. steps: the step at which the decay ends; None: training.steps."""

    kind: Literal["linear", "constant", "cosine", "wsd"]
    peak_learning_rate: float
    warmup_steps: int = 0
    steps: int | None = None
    decay_steps: int = 0
    final_learning_rate: float = 0.0


class Optimizer(Record, frozen=True):
    """AdamW, or Muon for the matrices inside the layers with AdamW for everything else.

    tiled_copies: n of a growth that tiled the matrices. AdamW then uses 1/n of the rate and n times the decay for
    them, so that their function changes as fast as the small model's did; Muon's update has that scale already.
    """

    kind: Literal["adamw", "muon"] = "adamw"
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    decay: Literal["matrices", "all"] = "matrices"
    muon_learning_rate: float = 0.02
    muon_momentum: float = 0.95
    tiled_copies: int = 1


class Start(Record, frozen=True):
    """The checkpoint whose weights the run starts from, and its relation to the new checkpoint.

    optimizer_state: start from the optimizer's moments too, which must have been kept or grown.
    """

    checkpoint: str
    relation: Relation = "finetune"
    optimizer_state: bool = False


class BranchPoint(Record, frozen=True):
    """The run and the step from whose state, optimizer included, this run goes on; `training.steps` counts from 0.

    checkpoint  made with states.keep_finished, so that its states are still in its run's folder
    """

    checkpoint: str
    step: int


class Validation(Record, frozen=True):
    """When to validate, and on how many fixed sequences. every_steps 0: never."""

    every_steps: int = 0
    sequences: int = 64


class Evaluation(Record, frozen=True):
    """Scores during training, every `every_steps` steps (0: never), on the same `samples` samples of each task.

    tasks  task, task@protocol or suite:NAME
    """

    every_steps: int = 0
    tasks: tuple[str, ...] = ("suite:small",)
    samples: int = 40


class Selection(Record, frozen=True):
    """Which weights become the checkpoint.

    rule           last; best-validation: the step with the lowest validation loss; average: the mean of the weights
                   after each of the last `average_steps` steps; ema: their exponential moving average
    average_steps  for average
    ema_decay      for ema: the share that each step keeps of the average so far, lower in the first steps
    """

    rule: Literal["last", "best-validation", "average", "ema"] = "last"
    average_steps: int = 0
    ema_decay: float = 0.0


class States(Record, frozen=True):
    """When to save the run's state, and which states to keep: the newest, and every n-th step.

    keep_optimizer  keep the finished checkpoint's optimizer moments, so that a growth can grow them too
    keep_finished   keep the states when the checkpoint is registered, so that a branch can start from them
    hang_seconds    a run of several processes that makes no step for so long ends with its reason; 0: never
    """

    every_seconds: float = 60.0
    every_steps: int = 0
    keep_last: int = 2
    keep_every_steps: int = 0
    keep_optimizer: bool = False
    keep_finished: bool = False
    hang_seconds: float = 900.0


class Execution(Record, frozen=True):
    """How to compute. auto: bf16 on a GPU, compiled if the run takes minutes; fp32 and not compiled on a CPU."""

    microbatch_sequences: int | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    activation_checkpointing: bool = False
    loss_chunk_tokens: int = 1024


class Published(Record, frozen=True):
    """Published figures of the same run, shown beside the plan's."""

    gpu_hours: float
    kind: str
    gpus: int | None = None
    source: str = ""
    note: str = ""


class Recipe(Record, frozen=True):
    """One training run. model None: the shape of the parent or of the branch's checkpoint, as in a finetune."""

    name: str
    data: Data
    training: Training
    schedule: Schedule
    about: str = ""
    family: str = "phi"
    licence: str = "unknown"
    model: Model | None = None
    optimizer: Optimizer = Optimizer()
    parent: Start | None = None
    branch: BranchPoint | None = None
    validation: Validation = Validation()
    evaluation: Evaluation = Evaluation()
    selection: Selection = Selection()
    states: States = States()
    execution: Execution = Execution()
    published: Published | None = None
    sources: dict[str, str] = {}
    overrides: tuple[str, ...] = ()
