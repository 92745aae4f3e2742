"""A run's saved generations under another protocol's extraction and scoring: nothing is generated again.

The prompts and the decoding stay those of the run, so the number is not the other tool's own: the
protocol is named FROM>TO (`openai>evalplus`) and has a column of its own. The loop is `evals.run`;
the engine here only hands back what was saved.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from evals.records import ChoiceRequest, ChoiceScores, Decoding, Facts, GenerateRequest, Generation, Run
from evals.run import Asked, Done, evaluate
from evals.run_folder import read_header
from evals.task import Task
from evals.tasks import task as find
from zoo.errors import ZooError


class Saved:
    """An engine that gives back the generations of a run; what is not there is a fault, never a text."""

    def __init__(self, folder: Path, header: Run) -> None:
        path = folder / "generations.jsonl"
        text = path.read_bytes() if path.is_file() else b""
        decoder = msgspec.json.Decoder(Generation)
        whole = text[: text.rfind(b"\n") + 1].splitlines()
        self.saved = {(one.sample, one.draw): one for one in map(decoder.decode, whole)}
        identity = {**header.backend.identity, "rescored": header.id}
        self.facts: Facts = msgspec.structs.replace(header.backend, identity=identity, can_score_choices=False)

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """The saved texts of these requests."""
        for asked in requests:
            missing = Generation(
                sample=asked.sample, draw=asked.draw, text="", prompt_tokens=0, tokens=0, finish="fault",
                fault="the run holds no generation of it; end that run first",
            )  # fmt: skip
            yield self.saved.get((asked.sample, asked.draw), missing)

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Nothing: log-probabilities are judged when they are read."""
        return iter(())

    def close(self) -> None:
        """Nothing is open."""


def crossed(header: Run, protocol: str) -> Task:
    """The run's task with another protocol's extraction, program and metrics.

    Raises  ZooError for a choice task, or when the run has that very protocol
    """
    name, _, sampled = str(header.protocol["name"]).partition(" ")
    if ">" in name:
        first = name.partition(">")[0]
        raise ZooError(
            f"run {header.id[:12]} is rescored itself; rescore the run of {header.task}@{first} it came from"
        )
    was, to = find(f"{header.task}@{name}"), find(f"{header.task}@{protocol}")
    if was.kind == "choices" or to.kind != was.kind:
        raise ZooError(
            f"{header.task}@{name} and @{protocol} read different things of a model; run it: phizoo eval run"
        )
    if name == protocol:
        raise ZooError(f"run {header.id[:12]} has protocol {name} already; it has the scores")
    return msgspec.structs.replace(
        was,
        protocol=" ".join(filter(None, (f"{name}>{protocol}", sampled))),
        version=max(was.version, to.version),
        extract=to.extract,
        program=to.program,
        score=to.score,
        metrics=to.metrics,
        decoding=msgspec.convert(header.protocol["decoding"], Decoding),
    )


def rescore(folder: Path, protocol: str, runs: Path, asked: Asked) -> Done:
    """A finished run scored again; the new run stands beside the old one.

    asked   tier and command; what was asked of the model is taken from the run
    Raises  ZooError when the run has no generations, or its protocol cannot be crossed with this one
    """
    header = read_header(folder)
    task, saved = crossed(header, protocol), Saved(folder, header)
    if not saved.saved:
        raise ZooError(f"run {header.id[:12]} holds no generations to score. All runs: phizoo eval runs")
    some: tuple[str, ...] = ()
    if header.samples != int(header.protocol["samples"]):
        some = tuple(dict.fromkeys(sample for sample, _ in saved.saved))
    told = msgspec.structs.replace(asked, seed=header.seed, draws=header.draws, samples=some)
    return evaluate(saved, task, (header.checkpoint, header.checkpoint_label), runs, told)
