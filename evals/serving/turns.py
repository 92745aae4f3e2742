"""Lets requests take turns at one model, a step at a time.

All steps run in one thread, in the order in which they are asked for: a request asks for its next step when its last
one is done and sent, so requests that write go round fairly, and one whose client does not read waits alone. So many
have a seat; others wait in line, and beyond that line a request is refused.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from evals.serving.request import BadRequest

SEATS = 8  # requests that hold a cache of the model at once
WAITING = 128  # requests in line
READERS = 2  # threads that read requests: templates, tokenizers

Value = TypeVar("Value")
Item = TypeVar("Item")


class Turns:
    """The threads of one server, and its seats. Made inside the event loop."""

    def __init__(self, seats: int = SEATS, waiting: int = WAITING) -> None:
        self._model = ThreadPoolExecutor(1, "model")
        self._readers = ThreadPoolExecutor(READERS, "reader")
        self._seats, self._most = asyncio.Semaphore(seats), seats + waiting
        self.present = 0

    async def read(self, reading: Callable[[], Value]) -> Value:
        """The result of a function that needs no model, called in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, reading)

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """A place among the requests that take turns. Raises BadRequest (429) if the line is full."""
        if self.present >= self._most:
            raise BadRequest(f"{self._most} requests are under way; ask again later", 429, code="rate_limit_exceeded")
        self.present += 1
        try:
            async with self._seats:
                yield
        finally:
            self.present -= 1

    async def finish(self, steps: Generator[None, None, Value]) -> Value:
        """The value that a generator of steps returns. Cancelled, it frees what the steps hold."""
        try:
            while True:
                ended, value = await self._step(lambda: _advance(steps))
                if ended:
                    return value  # type: ignore[no-any-return]
        finally:
            self._model.submit(steps.close)  # behind the step that may still run

    async def items(self, steps: Generator[Item | None, None, None]) -> AsyncGenerator[Item, None]:
        """The items of steps, without None. Closed or cancelled, it frees what the steps hold."""
        try:
            while True:
                ended, value = await self._step(lambda: _advance(steps))
                if ended:
                    return
                if value is not None:
                    yield value
        finally:
            self._model.submit(steps.close)

    async def _step(self, step: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._model, step)

    def close(self) -> None:
        """Ends the threads when their step has ended; waits for none."""
        self._model.shutdown(wait=False, cancel_futures=True)
        self._readers.shutdown(wait=False, cancel_futures=True)


def _advance(steps: Iterator[Any]) -> tuple[bool, Any]:
    """(False, the next item), or (True, the value that a generator returned); no StopIteration crosses a thread."""
    try:
        return False, next(steps)
    except StopIteration as end:
        return True, end.value
