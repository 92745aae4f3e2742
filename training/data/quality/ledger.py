"""What labels have cost: one line a question sent and one an answer, never lost, never paid twice.

A question's line holds the most that it can cost, and is on disk before it is sent; its answer's line holds
what it did cost. So a run that is killed knows what it may have spent, and a budget holds over all runs of
one job. Answers are found again by the digest of the text they are about.
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

CHARACTERS_A_TOKEN = (2.4, 4.6)  # code and prose in the tokenizers of today's large models, before any is measured
WRITTEN = 25  # the least tokens of an answer in the asked form
MEASURED = 20  # answers from which the estimate trusts what was measured
DRAWS = 400


class LedgerLine(Record, frozen=True):
    """A question sent (`held`) or answered (`money`, tokens, points; None where no answer was valid)."""

    job: str
    content: str
    held: float = 0.0
    answered: bool = False
    points: int | None = None
    reason: str = ""
    text: str = ""
    characters: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    money: float = 0.0


class CostEstimate(Record, frozen=True):
    """What some questions will cost: expected, and the interval it will lie in; what it rests on."""

    documents: int
    cached: int
    prompt_tokens: tuple[int, int, int]
    tokens: tuple[int, int, int]
    money: tuple[float, float, float]
    basis: str


class Ledger:
    """The lines of one model and question. Open for one process; `add` may be called from threads."""

    def __init__(self, path: Path, job: str) -> None:
        self.path, self.job = path, job
        self.answers: dict[str, LedgerLine] = {}
        self.spent = self.uncertain = 0.0
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._measured: list[LedgerLine] = []
        whole, open_ = self._read()
        # a question that was sent and not answered may be billed: it counts in full, once
        self.uncertain = sum(open_.values())
        self.spent += self.uncertain
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(whole)
        self._file.seek(whole)

    def _read(self) -> tuple[int, dict[str, float]]:
        """Reads what is there; gives the length of its whole lines and what this job's unanswered questions held."""
        whole, open_ = 0, dict[str, float]()
        for data in self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else ():
            if not data.endswith(b"\n"):
                break  # the line in hand when the run was killed
            whole += len(data)
            try:
                line = msgspec.json.decode(data, type=LedgerLine)
            except msgspec.DecodeError as error:
                raise ZooError(f"{self.path} is damaged ({error}); move it away to begin anew") from None
            own = line.job == self.job
            if not line.answered:
                if own:
                    open_[line.content] = open_.get(line.content, 0.0) + line.held
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
        """Writes a line, on disk when this returns."""
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
        """What questions of these lengths will cost, with a 95% interval once answers have been measured."""
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
            # beside the mean's error there is that of `count` single answers
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
            documents=count,
            cached=cached,
            prompt_tokens=prompts,
            tokens=written,
            money=(low_, middle_, high_),
            basis=basis,
        )


def _spread(values: Any) -> tuple[int, int, int]:
    import numpy as np

    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return int(low), int(middle), int(high) + 1


def parse_money(text: str) -> float:
    """An amount such as `20usd`, `20 USD` or `0.5`.

    >>> parse_money("20usd"), parse_money("0.5")
    (20.0, 0.5)
    """
    match = re.fullmatch(r"\$?\s*(\d+(?:\.\d+)?)\s*(?:usd|\$)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ZooError(f'"{text}" is not an amount of money; expected such as --budget 20usd')
    return float(match.group(1))
