"""Finds the fenced blocks of a chat answer.

The fences are CommonMark's (0.31, section 4.5), with the liberties that models take: a fence may stand at any indent
or in a quotation, open after words on its line, close at the end of the last code line, or never close.
Nothing here knows the language of a block.
"""

import re

from zoo.records import Record

OPEN = re.compile(r"(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>[^`\n]*)")
LATE = re.compile(r"(?P<indent>)[^`]*[^`\s][^`]*(?P<mark>`{3,})(?P<info>[A-Za-z][\w+#.-]*|)[ \t]*")  # "So: ```python"
MIDDLE = re.compile(r"(?P<mark>`{3,})[ \t]*(?:[A-Za-z][\w+#.-]*)?[ \t]*")  # a fence after words, with its language
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
QUOTED = re.compile(r"[ \t]{0,3}> ?")
INNER = ("markdown", "md", "")  # blocks that may hold fences of their own
ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?=[`~]{3})")  # "1. ```python"
INDENT_PAST = 3  # columns by which a closing fence may stand deeper than its opening one
DEPTH = 3


class FencedBlock(Record, frozen=True, kw_only=True):
    """The text between two fences, without the indentation of the opening one. closed: whether it has a second one."""

    text: str
    closed: bool = True


def split_lines(text: str) -> list[str]:
    """The lines of a text under any line ending, without marks of byte order and of no width.

    >>> split_lines("a\\r\\nb\\rc")
    ['a', 'b', 'c']
    """
    for mark in ("\ufeff", "\u200b", "\u2060"):
        text = text.replace(mark, "")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def fenced_blocks(text: str, depth: int = DEPTH) -> list[FencedBlock]:
    """The fenced blocks in their order; of a Markdown block, the blocks inside it.

    >>> fenced_blocks("So:\\n```python\\nx = 1\\n```\\nand\\n  ~~~\\n  y = 2")[1]
    FencedBlock(text='y = 2', closed=False)
    """
    return split_fences(text, depth)[0]


def split_fences(text: str, depth: int = DEPTH) -> tuple[list[FencedBlock], str]:
    """The fenced blocks, and the lines outside them."""
    blocks: list[FencedBlock] = []
    outside: list[str] = []
    lines, at = _unquoted(split_lines(text)), 0
    while at < len(lines):
        opening = OPEN.fullmatch(ITEM.sub(_spaces, lines[at])) or LATE.fullmatch(lines[at])
        if opening is None:
            outside.append(lines[at])
            at += 1
            continue
        block, at = _read_block(lines, at + 1, opening)
        language = opening["info"].strip().lower()
        inner = fenced_blocks(block.text, depth - 1) if depth and language in INNER and _has_fence(block.text) else []
        blocks += inner or [block]
    return blocks, "\n".join(outside)


def loose_blocks(text: str) -> list[FencedBlock]:
    """The text between any two runs of three backticks, wherever they stand, for answers whose fences are broken.

    >>> loose_blocks("Use ```python def f(): return 1``` here")
    [FencedBlock(text='def f(): return 1', closed=True)]
    """
    parts = MIDDLE.split("\n".join(split_lines(text)))[::2]
    inside = parts[1::2]
    return [FencedBlock(text=part.strip("\n"), closed=len(parts) > 2 * at + 2) for at, part in enumerate(inside)]


def inline_code(text: str) -> list[FencedBlock]:
    """The spans between single backticks, for programs that were not put into a fence.

    >>> inline_code("Use `f = len` here")
    [FencedBlock(text='f = len', closed=True)]
    """
    return [FencedBlock(text=code) for code in SPAN.findall("\n".join(split_lines(text)))]


def _read_block(lines: list[str], first: int, opening: re.Match[str]) -> tuple[FencedBlock, int]:
    """The block that begins at a line, and the line after it."""
    indent, mark = len(opening["indent"].expandtabs(4)), opening["mark"]
    closing = re.compile(rf"(?P<indent>[ \t]*){re.escape(mark[0])}{{{len(mark)},}}[ \t]*")
    late = re.compile(rf"(?P<code>[^`~]*[^\s`~]){re.escape(mark)}[ \t]*")
    for at in range(first, len(lines)):
        if (end := closing.fullmatch(lines[at])) and len(end["indent"].expandtabs(4)) <= indent + INDENT_PAST:
            return FencedBlock(text=_outdent(lines[first:at], indent)), at + 1
        if last := late.fullmatch(lines[at]):
            return FencedBlock(text=_outdent([*lines[first:at], last["code"]], indent)), at + 1
    return FencedBlock(text=_outdent(lines[first:], indent), closed=False), len(lines)


def _outdent(lines: list[str], columns: int) -> str:
    """The lines without as many columns of white space as the opening fence has, at most."""
    kept = []
    for line in lines:
        taken = 0
        while taken < len(line) and line[taken] in " \t" and len(line[: taken + 1].expandtabs(4)) <= columns:
            taken += 1
        kept.append(line[taken:])
    return "\n".join(kept)


def _unquoted(lines: list[str]) -> list[str]:
    """The lines without the marks of quotation before fences and their code."""
    if not any(QUOTED.match(line) and OPEN.fullmatch(QUOTED.sub("", line, count=1)) for line in lines):
        return lines
    return [QUOTED.sub("", line, count=1) for line in lines]


def _spaces(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _has_fence(text: str) -> bool:
    return any(OPEN.fullmatch(line) for line in text.split("\n"))
