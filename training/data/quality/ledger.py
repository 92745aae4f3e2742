"""Records the cost of labels: one line for each question sent and one for each answer, never lost or paid twice.

A question's line holds its highest possible cost and is on disk before the question is sent; its answer's line holds
the actual cost. So after a kill the possible spending is known, and a budget covers all runs of a job. Answers are
found again by the digest of their text.
"""

import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from evals.engines.http.price import Price
from zoo.errors import ZooError
from zoo.records import Record

# for code and prose in current large models' tokenizers, used until answers have been measured
CHARACTERS_A_TOKEN = (2.4, 4.6)
WRITTEN = 25  # fewest tokens of an answer in the required form
MEASURED = 20  # answers after which the estimate uses the measurements
DRAWS = 400


class LedgerLine(Record, frozen=True):
    """A question sent (`reserved`) or answered (`money`, tokens, points; None if no answer was valid)."""

    job: str
    content: str
    reserved: float = msgspec.field(default=0.0, name="held")  # the name in the file
    answered: bool = False
    points: int | None = None
    reason: str = ""
    text: str = ""
    characters: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    money: float = 0.0


class CostEstimate(Record, frozen=True):
    """The estimated cost of some questions with its interval, and the basis of the estimate."""

    documents: int
    cached: int
    prompt_tokens: tuple[int, int, int]
    tokens: tuple[int, int, int]
    money: tuple[float, float, float]
    basis: str


class Ledger:
    """The lines of one model and question, open in one process; threads may call `add`."""

    def __init__(self, path: Path, job: str) -> None:
        self.path, self.job = path, job
        self.answers: dict[str, LedgerLine] = {}
        self.spent = self.uncertain = 0.0
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._measured: list[LedgerLine] = []
        whole, open_ = self._read()
        # a question that was sent but not answered may be billed: count its highest cost once
        self.uncertain = sum(open_.values())
        self.spent += self.uncertain
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(whole)
        self._file.seek(whole)

    def _read(self) -> tuple[int, dict[str, float]]:
        """Reads the file; returns the length of its whole lines and the reserve of this job's unanswered questions."""
        whole, open_ = 0, dict[str, float]()
        for data in self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else ():
            if not data.endswith(b"\n"):
                break  # the line being written when the run was killed
            whole += len(data)
            try:
                line = msgspec.json.decode(data, type=LedgerLine)
            except msgspec.DecodeError as error:
                raise ZooError(f"{self.path} is damaged ({error}); move it away to start again") from None
            own = line.job == self.job
            if not line.answered:
                if own:
                    open_[line.content] = open_.get(line.content, 0.0) + line.reserved
                continue
            if own:
                open_.pop(line.content, None)
                self.spent += line.money
            self._measured.append(line)
            if line.points is not None:
                self.answers[line.content] = line
        return whole, open_

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, line: LedgerLine) -> None:
        """Writes a line; it is on disk when this returns."""
        with self._lock:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            if line.answered:
                self._measured.append(line)
                self.spent += line.money
                if line.points is not None:
                    self.answers[line.content] = line

    def estimate(self, characters: Sequence[int], cached: int, price: Price, most_written: int) -> CostEstimate:
        """Estimates the cost of questions of these lengths, with a 95% interval once answers have been measured."""
        import numpy as np

        total, count = sum(characters), len(characters)
        known = [line for line in self._measured if line.prompt_tokens and line.characters]
        if len(known) >= MEASURED:
            read = np.array([line.prompt_tokens for line in known], dtype=float)
            sizes = np.array([line.characters for line in known], dtype=float)
            wrote = np.array([line.tokens for line in known], dtype=float)
            picks = np.random.default_rng(0).integers(0, len(known), (DRAWS, len(known)))
            ratios = read[picks].sum(1) / sizes[picks].sum(1)
            means = wrote[picks].mean(1)
            # besides the mean's error, add that of `count` single answers
            noise = 1.96 * float(wrote.std()) * count**0.5
            prompts = _spread(ratios * total)
            low, middle, high = _spread(means * count)
            written = (max(0, int(low - noise)), middle, int(high + noise))
            basis = f"{len(known)} answers measured"
        else:
            many, few = CHARACTERS_A_TOKEN
            prompts = (int(total / few), int(total / ((many + few) / 2)), int(total / many))
            written = (WRITTEN * count, (WRITTEN + most_written) // 2 * count, most_written * count)
            basis = f"{many} to {few} characters a token, no answer measured yet"
        low_, middle_, high_ = (
            (p * price.prompt + w * price.written) / 1e6 for p, w in zip(prompts, written, strict=True)
        )
        return CostEstimate(
            documents=count, cached=cached, prompt_tokens=prompts, tokens=written, money=(low_, middle_, high_),
            basis=basis,
        )  # fmt: skip


def _spread(values: Any) -> tuple[int, int, int]:
    import numpy as np

    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return int(low), int(middle), int(high) + 1


def parse_money(text: str) -> float:
    """Parses an amount such as `20usd`, `20 USD` or `0.5`.

    >>> parse_money("20usd"), parse_money("0.5")
    (20.0, 0.5)
    """
    match = re.fullmatch(r"\$?\s*(\d+(?:\.\d+)?)\s*(?:usd|\$)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ZooError(f'"{text}" is not an amount of money; expected such as --budget 20usd')
    return float(match.group(1))
