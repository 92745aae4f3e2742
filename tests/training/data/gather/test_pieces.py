"""Cutting: every line of a file is in a piece, and a piece has the imports and constants that it needs."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.gather.pieces import CONTEXT_CHARACTERS, LONGEST, cut_module, cut_text

MODULE = '''# A licence line.
"""Counts words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque

try:
    import tomllib
except ImportError:
    tomllib = None

# the longest word that counts
LONGEST = 20
PATTERN = re.compile(r"[a-z]{1,%d}" % LONGEST)
TABLE = [
    "WORDS"
]


# Counts.
@staticmethod
def count(text):
    """Words of a text."""
    return Counter(PATTERN.findall(text))


class Reader:
    """Reads."""

    queue = deque()

    def read(self, path):
        return tomllib.load(path)


def unused():
    """Needs nothing at all, and is long enough to be kept as a document."""
    return 1


print(count("a b"), defaultdict, TABLE)
if __name__ == "__main__":
    Reader().read("x")
'''.replace("WORDS", "word " * 300)


def pieces(text: str) -> dict[str, tuple[str, str]]:
    return {piece.part: (piece.context, piece.text) for piece in cut_module(text, ast.parse(text))}


def test_a_piece_takes_along_what_it_needs_and_no_more() -> None:
    cut = pieces(MODULE)
    assert list(cut) == ["count", "Reader", "unused", "__main__"]
    context, text = cut["count"]
    assert context == (
        "import re\nfrom collections import Counter\n# the longest word that counts\nLONGEST = 20\n"
        'PATTERN = re.compile(r"[a-z]{1,%d}" % LONGEST)\n'
    )
    assert text.startswith("# Counts.\n@staticmethod\ndef count")
    assert cut["Reader"][0] == (
        "from collections import deque\ntry:\n    import tomllib\nexcept ImportError:\n    tomllib = None\n"
    )
    assert cut["unused"][0] == ""
    for context, text in cut.values():
        ast.parse(context + text)


def test_the_script_has_all_other_lines() -> None:
    cut = pieces(MODULE)
    script = cut["__main__"][1]
    for line in ("# A licence line.", '"""Counts words."""', "from collections import Counter, defaultdict, deque",
                 "TABLE = [", "if __name__ == \"__main__\":"):  # fmt: skip
        assert line in script.split("\n"), line
    assert "PATTERN" not in script  # only `count` needs it
    lines = {line for context, text in cut.values() for line in (context + text).split("\n")}
    assert set(MODULE.split("\n")) <= lines | {""}


def test_a_name_that_the_file_defines_itself_is_not_taken_from_an_import() -> None:
    text = "def fast(x):\n    return x\n\n\ndef use(x):\n    return fast(x)\n\n\ntry:\n    from c import fast\nexcept ImportError:\n    pass\n"
    cut = pieces(text)
    assert cut["use"][0] == ""
    assert "from c import fast" in cut["__main__"][1]


def test_a_table_stays_in_the_script_and_a_long_script_is_cut_between_statements() -> None:
    text = "\n".join(f"value_{n} = f({n!r} * 100)" for n in range(2_000)) + "\n"
    cut = pieces(text)
    assert list(cut)[:2] == ["__main__", "__main__#2"]
    assert all(len(part) <= LONGEST for _, part in cut.values())
    assert "".join(part for _, part in cut.values()) == text


def test_a_long_class_is_cut_at_its_methods() -> None:
    methods = "".join(
        f"    # step {n}\n    def part_{n}(self):\n        return {n}  # {'x' * 60}\n\n" for n in range(500)
    )
    text = f'class Long(Base):\n    """A long one."""\n\n    size = 3\n\n{methods}'
    cut = pieces(text)
    assert {part.partition("#")[0] for part in cut} == {"Long"}
    assert len(cut) > 1
    assert all('"""A long one."""' in context + own for context, own in cut.values())
    for context, own in cut.values():
        ast.parse(context + own)
    lines = [line for _, own in cut.values() for line in own.split("\n") if line.strip()]
    assert lines == [line for line in text.split("\n") if line.strip()]


LINES = st.sampled_from([
    "import os", "import re, sys", "from a import b, c", "K = 3", "K = os.sep", "# note", "", "print(K)", "x = 1; y = 2",
    "def f(a):\n    return a + K", "@wrap\ndef g():\n    # why\n    return re", "class C:\n    z = sys.argv",
    "if __name__ == '__main__':\n    f(1)", "try:\n    import q\nexcept ImportError:\n    q = None",
    '"""Words."""', "__all__ = ['f']", "from m import *", "K += 1", "for i in b:\n    print(i)",
])  # fmt: skip


@given(st.lists(LINES, max_size=12))
def test_no_line_is_lost_whatever_the_order(blocks: list[str]) -> None:
    text = "\n".join(blocks) + "\n"
    made = cut_module(text, ast.parse(text))
    kept = "\n".join(piece.context + piece.text for piece in made)
    for line in text.split("\n"):
        names = line.removeprefix("import ").removeprefix("from a import ").split(", ") if "import" in line else [line]
        assert all(name in kept for name in names)
    for piece in made:
        ast.parse(piece.context + piece.text)
        assert len(piece.context) <= CONTEXT_CHARACTERS


@pytest.mark.parametrize("text", ["a\n\n" * 30_000, "x" * 70_000, "word " * 20_000, "line\n" * 20_000, "short"])
def test_a_long_text_is_cut_and_loses_nothing(text: str) -> None:
    parts = cut_text(text)
    assert all(0 < len(part) <= LONGEST + 1 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
