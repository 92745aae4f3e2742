"""Lines of progress: the time left is of the pieces after the first, and an end by a fault is said."""

import contextlib
from collections.abc import Generator

import pytest

from zoo import progress


def test_the_first_piece_does_not_count_for_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with contextlib.suppress(KeyboardInterrupt), progress.progress("run", 100, "samples") as bar:
        now = 60.0  # a model was loaded
        bar.advance()
        now = 80.0
        bar.advance(10)
        raise KeyboardInterrupt
    first, second, end = capsys.readouterr().err.splitlines()
    assert " left" not in first
    assert "11/100 samples" in second
    assert "2:58 left" in second  # 89 x 20 s / 10
    assert "stopped after 1:20" in end


def test_a_reader_that_has_enough_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    def pieces() -> Generator[int, None, None]:
        with progress.progress("draft", 3, "shards") as bar:
            for number in range(3):
                bar.advance()
                yield number

    reading = pieces()
    assert next(reading) == 0
    reading.close()
    assert "done in" in capsys.readouterr().err
