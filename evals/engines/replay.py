"""Saved generations instead of a model: score them again, under a changed scorer or another sandbox.

Reads a run's `generations.jsonl`, or lines in HumanEval's form ({"task_id", "completion"}, several lines
with one id are its draws in order). What is not among the saved ones is unscored, never a zero.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from zoo.digest import file_sha256
from zoo.errors import ZooError


class Replay:
    """Generations of a file behind the backend seam."""

    def __init__(self, saved: dict[tuple[str, int], Generation], facts: Facts) -> None:
        self.saved, self.facts = saved, facts

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """The saved generation of each request, or a fault that says it is not there."""
        for request in requests:
            found = self.saved.get((request.sample, request.draw))
            yield found or Generation(
                sample=request.sample,
                draw=request.draw,
                text="",
                prompt_tokens=0,
                tokens=0,
                finish="fault",
                fault="not among the saved generations",
            )

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Nothing: texts have no log-probabilities, and the facts say so."""
        yield from ()

    def close(self) -> None:
        """Nothing is open."""


def connect(path: Path | None = None, *, generations: str = "", **_others: object) -> Replay:
    """A backend of saved generations.

    generations  a JSON-lines file, or a run's folder
    Raises       ZooError when there is no such file, or a line is neither form
    """
    if not generations:
        raise ZooError(
            "--engine replay needs --generations FILE: a run's generations.jsonl, or task_id/completion lines"
        )
    file = Path(generations)
    file = file / "generations.jsonl" if file.is_dir() else file
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"--generations {file} cannot be read: {error}") from None
    seen: Counter[str] = Counter()
    saved: dict[tuple[str, int], Generation] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            one = _read(line, f"{file}:{number}", seen)
            saved[one.sample, one.draw] = one
    facts = Facts(
        engine="replay",
        version="1",
        dtype="saved",
        device="none",
        context_tokens=0,
        identity={"generations": file_sha256(file)},
        can_score_choices=False,
    )
    return Replay(saved, facts)


def _read(line: str, where: str, seen: Counter[str]) -> Generation:
    import msgspec

    expected = "expected a Generation of a run, or task_id and completion"
    try:
        told: Any = json.loads(line)
        if isinstance(told, dict) and "task_id" in told:
            sample, text = str(told["task_id"]), told["completion"]
            seen[sample] += 1
            told = {"sample": sample, "draw": seen[sample] - 1, "text": text, "prompt_tokens": 0, "tokens": 0}
            told["finish"] = "stop"
        return msgspec.convert(told, Generation)
    except (ValueError, KeyError) as error:
        raise ZooError(f"{where} is no saved generation ({error}); {expected}") from None
