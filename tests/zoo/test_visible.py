"""Texts from outside are shown literally on terminals and in pipes, whoever prints them."""

import io
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.hostile.texts import STEERING
from zoo.visible import VisibleStream, plain

UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@given(st.text(max_size=80))
@example("\x1b[31mred")
@example("a\u202egnp.exe")
def test_plain_leaves_nothing_that_steers_and_is_stable(name: str) -> None:
    shown = plain(name)
    assert not UNSAFE.search(shown)
    assert plain(shown) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING.keys())
def test_plain_shows_each_character_that_steers(text: str) -> None:
    kinds = {unicodedata.category(character) for character in plain(text)}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


class Buffer(io.BytesIO):
    """The bytes behind a stream that says whether it is a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def written(text: str, encoding: str = "utf-8", *, terminal: bool = False, moves: bool = False) -> bytes:
    buffer = Buffer(terminal)
    stream = VisibleStream(io.TextIOWrapper(buffer, encoding), moves=moves)
    assert stream.write(text) == len(text)
    stream.flush()
    return buffer.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING.keys())
def test_a_stream_shows_each_character_that_steers(text: str, terminal: bool) -> None:
    shown = written(text, terminal=terminal).decode().replace("\n", "")
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_colours_and_bars_pass_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    bar = "\r\x1b[2K\x1b[1A\x1b[?25l\x1b[1;31m51.2\x1b[0m\t\n"
    assert written(bar, terminal=True, moves=True) == bar.encode()
    assert written("\x1b[1m51.2\x1b[0m", terminal=True) == b"\x1b[1m51.2\x1b[0m"
    assert b"\x1b" not in written(bar, moves=True)
    assert written("\x1b]0;title\x07", terminal=True, moves=True).decode() == "␛]0;title␇"


@pytest.mark.parametrize(("encoding", "shown"), [("latin-1", b"caf\xe9 ?"), ("ascii", "café –".encode())])
def test_a_stream_replaces_what_it_cannot_encode(encoding: str, shown: bytes) -> None:
    assert written("café –", encoding) == shown
