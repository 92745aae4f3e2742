"""Shows progress: a bar with rate and time left on a terminal, plain lines elsewhere.

Progress is written to standard error, so that standard output contains only the result. `NO_COLOR` is
honoured by rich.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

LINE_SECONDS = 10.0  # one log line per interval shows that the command is alive
WIDE, NARROW = 100, 60  # columns of a terminal below which a bar has no rate, and no clock
BAR_BYTES = 50_000_000  # a smaller transfer has no bar, but a line for each interval if it is slow


class Bar(Protocol):
    """The progress of a stage."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Adds an amount; `note` is shown beside the bar (a running score, a loss)."""

    def at(self, done: float, note: str = "") -> None:
        """Sets the total amount done (after a resume, for example)."""


def seconds_text(seconds: float) -> str:
    """A duration in seconds, minutes or hours.

    >>> seconds_text(9), seconds_text(75), seconds_text(7300)
    ('9s', '1:15', '2:01:40')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def rate_text(rate: float, unit: str) -> str:
    """A rate with its unit.

    >>> rate_text(12345.6, "tokens"), rate_text(3.21, "samples")
    ('12,346 tokens/s', '3.2 samples/s')
    """
    return f"{rate:,.0f} {unit}/s" if rate >= 100 else f"{rate:.1f} {unit}/s"


class _Lines:
    """Plain lines for logs and pipes, one every ten seconds and one at the end."""

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done, self.first, self.note = 0.0, None, ""  # type: float, float | None, str
        self.began = self.printed = time.monotonic()
        self.warm: tuple[float, float] | None = None  # (done, when) after the first, which loads a model and more

    def advance(self, amount: float = 1, note: str = "") -> None:
        if self.first is None:
            self.first = self.done
        self.done += amount
        self.warm = self.warm or (self.done, time.monotonic())
        self.note = note or self.note
        if time.monotonic() - self.printed >= LINE_SECONDS:
            self.print_line()

    def at(self, done: float, note: str = "") -> None:
        self.first = done  # done before this start, so not part of its rate
        self.done, self.note = done, note or self.note

    def print_line(self, ended: str = "") -> None:
        self.printed = time.monotonic()
        spent = max(self.printed - self.began, 1e-9)
        new = self.done - (self.first or 0.0)
        rate = new / spent
        parts = [f"{self.done:,.0f}" + (f"/{self.total:,.0f}" if self.total else "") + f" {self.unit}"]
        parts += [rate_text(rate, self.unit)] if new else []
        if ended:
            parts.append("all done before" if self.done and not new else f"{ended} {seconds_text(spent)}")
        elif self.total and self.warm and self.done > self.warm[0]:
            a_piece = (self.printed - self.warm[1]) / (self.done - self.warm[0])
            parts.append(f"{seconds_text((self.total - self.done) * a_piece)} left")
        if self.note:
            parts.append(self.note)
        print(f"{self.label}: " + ", ".join(parts), file=sys.stderr, flush=True)


@contextmanager
def transfer_bar(label: str, total: float) -> Iterator[Callable[[float], None]]:
    """Shows a transfer of `total` bytes; yields the function that is told how many more bytes have moved."""
    if total < BAR_BYTES:
        yield _Lines(label, total, "bytes").advance
        return
    with progress(label, total, "bytes") as bar:
        yield bar.advance


@contextmanager
def progress(label: str, total: float | None, unit: str) -> Iterator[Bar]:
    """A bar for one stage: its label, the total amount (None: unknown) and its unit."""
    if not sys.stderr.isatty():
        lines = _Lines(label, total, unit)
        try:
            yield lines
        except BaseException as error:  # a generator is closed where its reader has enough
            lines.print_line("done in" if isinstance(error, GeneratorExit) else "stopped after")
            raise
        lines.print_line("done in")
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(rate_text(task.finished_speed or task.speed or 0.0, unit))

    console = Console(stderr=True)
    columns = [
        TextColumn("{task.description}"), BarColumn(bar_width=40 if console.width >= WIDE else 12),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}" if total else "{task.completed:,.0f}"), Rate(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True), TextColumn("{task.fields[note]}"),
    ]  # fmt: skip
    if console.width < WIDE:
        del columns[3]  # the rate goes first where a line would fold
    if console.width < NARROW:
        del columns[3]  # then the clock
    with Progress(*columns, console=console, speed_estimate_period=60) as bars:
        task = bars.add_task(label, total=total, note="")

        class Rich:
            def advance(self, amount: float = 1, note: str = "") -> None:
                bars.advance(task, amount)
                if note:
                    bars.update(task, note=note)

            def at(self, done: float, note: str = "") -> None:
                bars.reset(task, completed=int(done), total=total, note=note)

        yield Rich()
