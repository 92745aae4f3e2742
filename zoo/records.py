"""The frozen records of the zoo: Checkpoint, Dataset, Score and their parts.

A record is plain data: it opens nothing and checks only itself. The registry builds `Checkpoint`, the
data pipeline `Dataset`, and `evals.results.publish` `Score`; all other code only reads them.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from zoo.digest import digest
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.protocol_names import current_name, first_name, other_names

Relation = Literal["finetune", "grow", "resume", "convert"]
Subset = Literal["all", "clean", "overlapping"]
Origin = Literal["measured", "reported"]

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all records: frozen, built by keyword, strict when parsed."""


class File(Record, frozen=True, kw_only=True):
    """One file of a checkpoint: path inside it (`/` between parts), sha256, size in bytes."""

    path: str
    sha256: str
    bytes: int


class Parent(Record, frozen=True, kw_only=True):
    """A checkpoint that another was made from, and how."""

    digest: str
    relation: Relation


class TrainedOn(Record, frozen=True, kw_only=True):
    """A dataset a checkpoint has seen, and how many of its tokens (repeats counted)."""

    digest: str
    tokens: int


class About(Record, frozen=True, kw_only=True):
    """The facts about a checkpoint that only its author or the trainer knows; the rest is in its files.

    recipe  the resolved recipe as plain data, kept whole under its digest; None if unknown
    once    the same bytes enter once: those that are here, under any name, are that checkpoint, and a name that has
            others is refused instead of given a next version
    """

    family: str = ""
    prompt_style: Literal["completion", "chat"] = "completion"
    training_tokens: int | None = None
    training_flops: float | None = None
    recipe: dict[str, Any] | None = None
    parents: tuple[Parent, ...] = ()
    datasets: tuple[TrainedOn, ...] = ()
    licence: str = "unknown"
    source: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    once: bool = False


class Checkpoint(Record, frozen=True, kw_only=True):
    """One version of a named model: its files by digest, its shape and its origin.

    digest        sha256 of the sorted file manifest: the identity, the same in every zoo
    architecture  the model's config.json as plain data
    created       UTC, ISO 8601
    quantisation  how its weights are stored, such as Q4_1 or gptq; empty: not quantised
    chat_template  sha256 of its chat template; UNSET: a base model, or a record of an older version
    """

    name: str
    version: int
    digest: str
    files: tuple[File, ...]
    architecture: dict[str, Any]
    parameters: int
    context_tokens: int
    prompt_style: str
    training_tokens: int | None
    recipe_digest: str | None
    parents: tuple[Parent, ...]
    datasets: tuple[TrainedOn, ...]
    licence: str
    created: str
    source: str
    family: str = ""
    training_flops: float | None = None
    tags: tuple[str, ...] = ()
    notes: str = ""
    quantisation: str = ""
    chat_template: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def label(self) -> str:
        """`name:version`, as a user types it."""
        return f"{self.name}:{self.version}"

    @property
    def bytes(self) -> int:
        """Total size of all files."""
        return sum(file.bytes for file in self.files)


class Stage(Record, frozen=True, kw_only=True):
    """The counts of one stage of the data pipeline: entered = kept + dropped, by reason."""

    name: str
    entered: int
    kept: int
    dropped: dict[str, int] = {}


class Dataset(Record, frozen=True, kw_only=True):
    """One training dataset: its contents and how it was made."""

    name: str
    digest: str
    kind: str
    documents: int
    tokens: int
    stages: tuple[Stage, ...] = ()
    parents: tuple[str, ...] = ()
    recipe_digest: str | None = None
    recipe: dict[str, Any] | None = None
    licence: str = "unknown"
    created: str = ""


class ProtocolRecord(Record, frozen=True, kw_only=True):
    """A leaderboard column: every property of a task that can change its score.

    name      as it is called today, whatever name the record was written under
    prompt    the exact prompt of the first sample, to be read by a person
    prompts_sha256  sha256 over all samples' prompt bytes in order: no two protocols share it; by chat, over the
              messages, before a template
    chat      how it is asked by chat, with the digest of the checkpoint's template (`evals.records.ChatShape`)
    trials    metric -> how many outcomes it is a mean of, where a sample has several (the instructions of a prompt)
    """

    task: str
    task_version: int
    name: str
    metric: str
    shots: int
    prompt: str
    prompts_sha256: str
    samples: int
    decoding: dict[str, Any]
    data: str = ""
    partial: str = ""
    chat: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET  # not even stored where a protocol has none
    trials: dict[str, int] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "name", current_name(self.task, self.name, self.data))

    @property
    def fingerprint(self) -> str:
        """sha256 that identifies the column; `prompt` is left out, since `prompts_sha256` covers it."""
        return self._fingerprint(first_name(self.task, self.name))

    @property
    def other_fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of older scores that belong to the same column."""
        return tuple(map(self._fingerprint, other_names(self.task, self.name)))

    def _fingerprint(self, name: str, **chat: str) -> str:
        fields = msgspec.to_builtins(self) | {"name": name}
        fields.pop("prompt")
        if self.chat:
            # the day is a fact of a run: another day's answers belong to the same column
            fields["chat"] = {key: value for key, value in self.chat.items() if key != "date"} | chat
        return digest(fields)

    @property
    def column_key(self) -> str:
        """The identity of the leaderboard's column: each chat model is asked by its own template, in one column."""
        return self._fingerprint(first_name(self.task, self.name), template="")

    @property
    def most(self) -> int:
        """The largest n of its scores: the samples, or their trials under its metric."""
        trials = {} if self.trials is msgspec.UNSET else self.trials
        return trials.get(self.metric, self.samples)

    @property
    def column(self) -> str:
        """The readable column name: task, protocol, shots, metric."""
        shots = f" {self.shots}-shot" if self.shots else ""
        return f"{self.task} [{self.name}{shots}] {self.metric}"


class Score(Record, frozen=True, kw_only=True):
    """The score of a leaderboard cell: a value with its 95% interval, over n samples or their trials.

    The value is in 0..1, or in the unit of its metric (`zoo.metrics`).

    checkpoint   digest of the checkpoint (measured); empty for a reported score
    clusters     groups of dependent samples (n if all are independent)
    unscored     samples without a score because of a fault of ours; they are left out of the value
    unfinished   answers whose thought has no end; they count as wrong
    disputed     verdicts of the sandbox that rest on one of its two views alone (docs/sandbox.md); of scores of
                 before it had two, none is known
    results      sha256 of the result lines: the evidence
    engine       with dtype, seed, draws: of the run
    seeds        runs that differ only by seed behind this score; above 1 it is combined, and `run` is the newest
    runs         the ids of the runs behind a combined score; empty for a single run
    whole        the run asked every sample of the task
    measured_at  the zoo that it was pulled from or pushed by; empty: measured here
    """

    checkpoint: str
    run: str
    task: str
    protocol: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    clusters: int
    unscored: int
    subset: Subset = "all"
    results: str = ""
    created: str = ""
    engine: str = ""
    dtype: str = ""
    seed: int = 0
    draws: int = 1
    seeds: int = 1
    runs: tuple[str, ...] = ()
    whole: bool = True
    measured_at: str = ""
    unfinished: int = 0
    disputed: int = 0

    @property
    def worst(self) -> float | None:
        """The value if every unscored sample were wrong; None if some are unscored and nothing bounds theirs."""
        if not metric_of(self.metric).is_share:
            return None if self.unscored else self.value
        return self.value * self.n / (self.n + self.unscored)

    @property
    def best(self) -> float | None:
        """The value if every unscored sample were right; None as for `worst`."""
        if not metric_of(self.metric).is_share:
            return None if self.unscored else self.value
        return (self.value * self.n + self.unscored) / (self.n + self.unscored)


class SearchedSet(Record, frozen=True, kw_only=True):
    """A set of documents that was searched. documents: how many of them; None if that is not known."""

    digest: str
    name: str = ""
    documents: int | None = None


class SearchedBy(Record, frozen=True, kw_only=True):
    """How documents were compared with samples: the method, its threshold, and the form that was compared."""

    method: str
    threshold: float
    form: str = ""


class Search(Record, frozen=True, kw_only=True):
    """A search of documents for the samples of a task: it holds for every run of one checkpoint on that task.

    samples       ids that were searched for; none: they are not known (flags of an older version)
    unsearchable  those of them that no method could search for: neither clean nor overlapping
    flagged       those that stand in the documents
    """

    checkpoint: str
    task: str
    datasets: tuple[SearchedSet, ...]
    methods: tuple[SearchedBy, ...]
    samples: tuple[str, ...]
    unsearchable: tuple[str, ...] = ()
    flagged: tuple[str, ...] = ()
    created: str = ""

    @property
    def id(self) -> str:
        """sha256 of all but the date: the same search made twice is one search."""
        return digest(msgspec.to_builtins(msgspec.structs.replace(self, created="")))


class Split(Record, frozen=True, kw_only=True):
    """The samples of a run, counted by all searches of its checkpoint and task.

    overlapping   samples that stand in training data; None: the run's result lines are not here
    unsearchable  samples that could not be searched for
    unsearched    why the training data was not searched in full; "" if it was
    """

    run: str
    samples: int
    overlapping: int | None
    unsearchable: int = 0
    unsearched: str = ""


class ModelFacts(Record, frozen=True, kw_only=True):
    """The facts of a published model that decide whether it may be used. An empty text is not known.

    repository    where its weights are, as owner/name on the Hugging Face hub
    released      its month, YYYY-MM
    licence       as its card writes it, such as apache-2.0
    quantisation  how the weights are stored that gave its numbers
    """

    repository: str = ""
    released: str = ""
    licence: str = ""
    kind: Literal["base", "chat", ""] = ""
    weights: Literal["open", "closed", ""] = ""
    quantisation: str = ""


class Reported(Record, frozen=True, kw_only=True):
    """One published number of another model, with its source; not measured here.

    unique_tokens    the size of its training data, each token counted once
    training_tokens  the tokens seen in training, repeats counted
    date     the model's month; the source's own where it does not give one; "": neither is known
    value    in percent as printed; `op` is "<" if only a bound was printed
    n        number of samples, if known; an interval derived from it is marked as derived
    address  where the source is
    accessed the day on which the row was read from it
    licence  of the source
    variant  what tells two rows of a model in one source apart, such as the weights' precision
    one_protocol  the source measured all of its models itself, in one way: its numbers may be ranked
    """

    model: str
    parameters: float | None
    unique_tokens: float | None
    training_tokens: float | None
    date: str
    benchmark: str
    subset: str
    protocol: str
    shots: int | None
    op: Literal["=", "<"]
    value: float
    n: int | None
    source: str
    address: str
    accessed: str
    licence: str = ""
    variant: str = ""
    one_protocol: bool = False
    facts: ModelFacts = ModelFacts()


def manifest_digest(files: tuple[File, ...]) -> str:
    """A checkpoint's digest: sha256 of its file manifest sorted by path.

    >>> files = File(path="a", sha256="0" * 64, bytes=1), File(path="b", sha256="1" * 64, bytes=2)
    >>> manifest_digest(files) == manifest_digest(files[::-1])
    True
    """
    return digest([[f.path, f.sha256, f.bytes] for f in sorted(files, key=lambda f: f.path)])


def has_tokenizer(names: Iterable[str]) -> bool:
    """Whether files of these names include a tokenizer's vocabulary, without which no text can be evaluated.

    >>> has_tokenizer(["config.json", "tokenizer_config.json"]), has_tokenizer(["vocab.json", "merges.txt"])
    (False, True)
    """
    files = set(names)
    complete = files & {"tokenizer.json", "vocab.txt"} or {"vocab.json", "merges.txt"} <= files
    return bool(complete) or any(name.endswith((".model", ".tiktoken", ".gguf")) for name in files)


def validate_name(name: str) -> str:
    """The name, if it is valid for a checkpoint or dataset. Raises ZooError with the rule otherwise."""
    if not NAME.fullmatch(name):
        raise ZooError(
            f"{name[:100]!r} cannot be a name: use 1 to 96 of a-z 0-9 . _ -, a letter or digit first, such as my-phi-1"
        )
    return name
