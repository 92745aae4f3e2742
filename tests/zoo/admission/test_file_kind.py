"""Pickles are recognised by their effect, whatever bytes precede them; texts are not mistaken for pickles."""

import io
import os
import pickle
import random
import zipfile
from pathlib import Path

import pytest

from zoo.admission.file_kind import forbidden_kind, is_pickle, is_zip


class Danger:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("true",))


def walked(data: bytes) -> bool:
    return is_pickle(io.BytesIO(data), len(data))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_something_is_known_in_every_protocol(protocol: int) -> None:
    assert walked(pickle.dumps(Danger(), protocol))
    assert walked(pickle.dumps({"a": [1, 2.5, None, (1, "x" * 300)], "b": Danger(), "c": {1}}, protocol))
    assert not walked(pickle.dumps({"a": [1, 2.5, (1, "x")]}, protocol))


@pytest.mark.parametrize("before", [b"", b"N0", b"VHello\n0", b"I1\n0", b"](0", b"K\x010", b"X\x02\x00\x00\x00ab0"])
def test_preceding_bytes_do_not_hide_it(before: bytes) -> None:
    assert walked(before + pickle.dumps(Danger(), 0))
    assert walked(before + pickle.dumps(Danger(), 4)[2:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "(c) 2023 The Authors\nAll rights reserved\n",
        "cat\ndog\nhouse\n",
        "Install it\n",
        "# A title\n",
        "i n\nt h\n",
        "MIT License\n\nCopyright (c) 2023\n",
        "Va lue\n.",
        "c\nc\n.",
        '!\n"\n#\n$\n',
    ],
)
def test_a_text_is_no_pickle(text: str) -> None:
    assert not walked(text.encode())


def test_no_page_of_this_project_is_taken_for_a_pickle() -> None:
    pages = [*Path(__file__).parents[3].glob("*.md"), *Path(__file__).parents[1].rglob("*.py")]
    assert len(pages) > 10
    for page in pages:
        data = page.read_bytes()
        assert not any(walked(data[at : at + 2000]) for at in range(0, len(data), 101)), page


def test_random_bytes_are_nothing() -> None:
    chance = random.Random(0)
    for _ in range(2000):
        data = chance.randbytes(600)
        assert forbidden_kind(io.BytesIO(data), len(data), weights=True) == ""


def test_a_zip_is_found_from_its_end_and_an_end_alone_is_none() -> None:
    made = io.BytesIO(b"text " * 50)
    made.seek(0, 2)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("x", "y")
        archive.comment = b"a comment"
    data = made.getvalue()
    assert is_zip(io.BytesIO(data), len(data))
    assert is_zip(io.BytesIO(data + b"trailing"), len(data) + 8) == zipfile.is_zipfile(io.BytesIO(data + b"trailing"))
    alone = b"weights" * 9 + b"PK\x05\x06" + bytes(range(18))
    assert not is_zip(io.BytesIO(alone), len(alone))
