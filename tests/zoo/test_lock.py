"""One process at a time holds a lock; another waits, or is refused with the caller's message."""

import threading
from pathlib import Path

import pytest

from zoo.errors import ZooError
from zoo.lock import locked


def test_a_second_holder_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "one"
    with locked(path, "busy"), pytest.raises(ZooError, match="busy"), locked(path, "busy"):
        raise AssertionError("two hold the lock")
    with locked(path, "busy"):
        pass


def test_without_a_message_the_second_holder_waits(tmp_path: Path) -> None:
    order: list[int] = []

    def second() -> None:
        with locked(tmp_path / "one"):
            order.append(2)

    with locked(tmp_path / "one"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append(1)
    thread.join()
    assert order == [1, 2]
