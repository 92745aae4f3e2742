"""The engine of saved answers: scores texts again under a changed scorer, protocol or sandbox, without a model.

`--generations` names a run, its folder, its `generations.jsonl`, or a file in HumanEval's form: {"task_id",
"completion"} lines, of which several with one id are its draws in order. An answer that was not saved is a fault, so
its sample is unscored and never a zero.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from evals.scoring.thought import split_thought
from zoo import jsonl
from zoo.digest import file_sha256
from zoo.errors import ZooError

EXPECTED = "task_id and completion, or of a run's generations (--generations FILE)"


class Replay:
    """Answers by (sample, draw), behind the protocol of an engine. missing: the fault of an answer that is not here."""

    def __init__(
        self,
        saved: Mapping[tuple[str, int], Generation | ChoiceScores],
        facts: Facts,
        missing: str = "not among the saved generations",
    ) -> None:
        self.saved, self.facts, self.missing = saved, facts, missing

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """The saved text of each request, or a fault."""
        for request in requests:
            text = self.saved.get((request.sample, request.draw))
            yield split_generation(text, request) if isinstance(text, Generation) else Generation(
                sample=request.sample, draw=request.draw, text="", prompt_tokens=0, tokens=0, finish="fault",
                fault=self.missing,
            )  # fmt: skip

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """The saved log-probabilities of each request; texts have none."""
        for request in requests:
            scores = self.saved.get((request.sample, 0))
            if isinstance(scores, ChoiceScores):
                yield scores

    def close(self) -> None:
        """Nothing is open."""


def split_generation(text: Generation, request: GenerateRequest) -> Generation:
    """A saved text by chat without its thought, which another tool has left in it; any other text as it is."""
    plan = request.thought
    if plan is None or text.thought or text.unfinished:
        return text
    split = split_thought(text.text, plan.tags)
    return msgspec.structs.replace(text, text=split.answer, thought=split.thought, unfinished=split.unfinished)


def connect(path: Path | None = None, *, generations: str = "", **_others: object) -> Replay:
    """The engine of a file of generations.

    generations  a JSON-lines file, a run's folder, or a run's id (or its beginning)
    Raises       ZooError if there is no such file or run, or a line is in neither form
    """
    if not generations:
        raise ZooError(
            "--engine replay needs --generations FILE: a run's generations.jsonl, or task_id/completion lines"
        )
    file = _file(generations)
    saved = {(text.sample, text.draw): text for text in read_texts(file)}
    facts = Facts(
        engine="replay", version="1", dtype="saved", device="none", context_tokens=0,
        identity={"generations": file_sha256(file)}, can_score_choices=False,
    )  # fmt: skip
    return Replay(saved, facts)


def _file(generations: str) -> Path:
    from evals.run_folder import find_run
    from zoo import settings

    path = Path(generations)
    if not path.exists() and path.parent == Path() and not path.suffix:
        path = find_run(settings.runs_dir(), generations, "--generations: no file and no run")
    return path / "generations.jsonl" if path.is_dir() else path


def read_texts(file: Path) -> Iterator[Generation]:
    """The generations in a file of either form. Raises ZooError with the file and line of one in neither."""
    draws: Counter[str] = Counter()
    for where, row in jsonl.read_lines(file, EXPECTED):
        try:
            yield msgspec.convert(_generation(row, draws), Generation)
        except (ValueError, KeyError) as error:
            raise ZooError(f"{where} is no saved generation ({error}); expected lines of {EXPECTED}") from None


def _generation(row: Any, draws: Counter[str]) -> Any:
    """A line as a Generation in plain data; HumanEval's form gets the number of its draw."""
    if not isinstance(row, dict) or "task_id" not in row:
        return row
    sample, text = str(row["task_id"]), row["completion"]
    draws[sample] += 1
    draw = draws[sample] - 1
    return {"sample": sample, "draw": draw, "text": text, "prompt_tokens": 0, "tokens": 0, "finish": "stop"}
