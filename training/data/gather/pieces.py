"""Cuts a Python file at its functions and classes, each with what it needs, and a long text between paragraphs.

A piece takes along the comment above it and the imports and constants that it uses, as far as they are short. All
other lines (the docstring, a script, `if __name__`, tables) are the file's own piece, so no line is lost. This file
drops nothing.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SCRIPT = "__main__"  # the part of a file outside its functions and classes
CONTEXT_CHARACTERS = 2_000  # of imports and constants in one piece
CONSTANT_CHARACTERS = 600  # longer ones are tables
LONGEST = 20_000  # characters of one part of a class or script, which is cut between statements
CONTEXT = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
WORDS = re.compile(r"(?<![.\w])[^\W\d]\w*")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class ModulePiece(NamedTuple):
    """A piece: its part's name, "function", "class" or "script", the context that goes before it, its own text."""

    part: str
    kind: str
    context: str
    text: str


class _Statement(NamedTuple):
    """A top-level statement with the comment above it: its lines, the names that it binds and those that it uses."""

    node: ast.stmt
    first: int
    last: int
    binds: frozenset[str]
    uses: frozenset[str]


def cut_module(text: str, tree: ast.Module) -> list[ModulePiece]:
    """The pieces of a file, in order; the script comes last.

    >>> text = "import os\\nimport re\\nK = 3\\ndef f(x):\\n    return re.split(K, x)\\nprint(f(os.name))\\n"
    >>> [(piece.part, piece.context) for piece in cut_module(text, ast.parse(text))]
    [('f', 'import re\\nK = 3\\n'), ('__main__', '')]
    """
    lines = text.split("\n")
    statements = _statements(tree, lines)
    definitions = [statement for statement in statements if isinstance(statement.node, Definition)]
    loose = [statement for statement in statements if not isinstance(statement.node, Definition)]
    defined = {name for statement in definitions for name in statement.binds}
    context = [one for one in loose if _is_context(one, lines) and not one.binds & defined]
    pieces, used = list[ModulePiece](), set[str]()
    for definition in definitions:
        needed = _needed(definition.uses, context, lines)
        used |= {name for statement, names in needed for name in names}
        own = "".join(_part_of(statement, names, lines) for statement, names in needed)
        pieces += _definition(definition, own, lines)
    # a statement that pieces took along stays in the script only if the script uses it
    script = {name for statement in loose if statement not in context for name in statement.uses}
    taken = [one for one in context if one.binds <= used]
    kept = [statement for statement, _ in _needed(script, taken, lines, most=len(text))]
    gone = [*definitions, *(one for one in taken if one not in kept)]
    return [*pieces, *_script(lines, gone, loose)]


def _statements(tree: ast.Module | ast.ClassDef, lines: Sequence[str]) -> list[_Statement]:
    statements, before = list[_Statement](), tree.lineno if isinstance(tree, ast.ClassDef) else 0
    for node in tree.body:
        decorators = node.decorator_list if isinstance(node, Definition) else []
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
        while first > before and lines[first - 1].lstrip().startswith("#"):
            first -= 1
        if before == 0 and first == 0 and not isinstance(node, CONTEXT):  # a file's first comment is the file's
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
        last = node.end_lineno or node.lineno
        statements.append(_Statement(node, first, last, frozenset(_bound(node)), frozenset()))
        before = last
    names = frozenset[str]().union(*(one.binds for one in statements if not isinstance(one.node, Definition)))
    return [one._replace(uses=_used(one, names, lines)) for one in statements]


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, Definition):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node]  # the value may be a long table
    names = set[str]()
    for part in (part for target in targets for part in ast.walk(target)):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            names |= {_alias_name(alias) for alias in part.names}
        elif isinstance(part, Definition):
            names.add(part.name)
    return names


def _alias_name(alias: ast.alias) -> str:
    return alias.asname or alias.name.split(".")[0]


def _used(statement: _Statement, names: frozenset[str], lines: Sequence[str]) -> frozenset[str]:
    """Those of the names that the statement reads; its words come first, because a walk takes five times the parse."""
    wanted = names & set(WORDS.findall(_lines_of(lines, statement.first, statement.last)))
    used = set[str]()
    for part in ast.walk(statement.node) if wanted else ():
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and part.id in wanted:
            used.add(part.id)
            if used == wanted:
                break
    return frozenset(used)


def _is_context(statement: _Statement, lines: Sequence[str]) -> bool:
    """Whether a piece may take the statement along: an import, a short constant, or a `try` or `if` of these."""
    node = statement.node
    inner = (
        [part for block in ("body", "orelse", "finalbody") for part in getattr(node, block, [])]
        + [part for handler in getattr(node, "handlers", []) for part in handler.body]
        if isinstance(node, ast.Try | ast.If) else [node]
    )  # fmt: skip
    plain = all(isinstance(part, (*CONTEXT, ast.Pass)) for part in inner)
    star = "*" in statement.binds or any(name.startswith("__") for name in statement.binds)
    imports = isinstance(node, ast.Import | ast.ImportFrom)
    short = imports or len(_lines_of(lines, statement.first, statement.last)) <= CONSTANT_CHARACTERS
    future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return plain and bool(statement.binds) and not star and not future and short


def _needed(
    uses: Iterable[str], context: Sequence[_Statement], lines: Sequence[str], most: int = CONTEXT_CHARACTERS
) -> list[tuple[_Statement, frozenset[str]]]:
    """The statements that bind these names, and those that they need in turn, in the file's order, up to `most`."""
    names, chosen, size = set(uses), dict[int, _Statement](), 0
    for place in reversed(range(len(context))):  # what a constant needs stands above it
        statement = context[place]
        if not statement.binds & names:
            continue
        length = len(_part_of(statement, frozenset(statement.binds & names), lines))
        if size + length <= most:
            chosen[place], size = statement, size + length
            names |= statement.uses
    return [(chosen[place], frozenset(chosen[place].binds & names)) for place in sorted(chosen)]


def _part_of(statement: _Statement, names: frozenset[str], lines: Sequence[str]) -> str:
    """The statement's lines; of an import that binds more, only these names."""
    node = statement.node
    if not isinstance(node, ast.Import | ast.ImportFrom) or statement.binds <= names:
        return _lines_of(lines, statement.first, statement.last)
    aliases = [alias for alias in node.names if _alias_name(alias) in names]
    few = ast.Import(aliases) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, aliases, node.level)
    above = "".join(f"{line}\n" for line in lines[statement.first : node.lineno - 1])  # its comment
    return f"{above}{ast.unparse(few)}\n"


def _lines_of(lines: Sequence[str], first: int, last: int) -> str:
    return "\n".join(lines[first:last]).rstrip() + "\n"


def _definition(statement: _Statement, context: str, lines: Sequence[str]) -> list[ModulePiece]:
    """A function, or a class; a class longer than LONGEST in parts, each with the class's first lines as context."""
    node = statement.node
    assert isinstance(node, Definition)
    text = _lines_of(lines, statement.first, statement.last)
    if not isinstance(node, ast.ClassDef):
        return [ModulePiece(node.name, "function", context, text)]
    if len(text) <= LONGEST:
        return [ModulePiece(node.name, "class", context, text)]
    starts = [part.first for part in _statements(node, lines)][1:]
    blocks = [
        list(lines[begin:end]) for begin, end in zip([statement.first, *starts], [*starts, statement.last], strict=True)
    ]
    if len(blocks) < 2:
        return [ModulePiece(node.name, "class", context, text)]
    head = _lines_of(lines, statement.first, starts[0])
    if len(head) > CONTEXT_CHARACTERS:
        head = _lines_of(lines, node.lineno - 1, node.body[0].lineno - 1)
    texts = _packed(blocks)
    return [
        ModulePiece(node.name if number == 1 else f"{node.name}#{number}", "class",
              context if number == 1 else context + head, part)
        for number, part in enumerate(texts, 1)
    ]  # fmt: skip


def _script(lines: Sequence[str], gone: Sequence[_Statement], loose: Sequence[_Statement]) -> list[ModulePiece]:
    """The lines of no other piece, cut between statements into parts of at most LONGEST characters."""
    away = {line for statement in gone for line in range(statement.first, statement.last)}
    # of two statements in one line, one may stay
    away -= {line for one in loose if one not in gone for line in range(one.first, one.last)}
    starts = sorted({one.first for one in loose} - away)
    blocks = [
        [lines[line] for line in range(begin, end) if line not in away]
        for begin, end in zip([0, *starts], [*starts, len(lines)], strict=True)
    ]
    return [
        ModulePiece(SCRIPT if number == 1 else f"{SCRIPT}#{number}", "script", "", text)
        for number, text in enumerate(_packed(blocks), 1)
    ]


def _packed(blocks: Iterable[list[str]]) -> list[str]:
    """Blocks of lines joined to texts of at most LONGEST characters, or one block; texts of empty lines are left out.

    >>> _packed([["a"], ["", ""], ["b", ""]])
    ['a\\n\\n\\nb\\n']
    """
    parts, size = list[list[str]]([[]]), 0
    for block in blocks:
        length = sum(len(line) + 1 for line in block)
        if size and size + length > LONGEST:
            parts, size = [*parts, []], 0
        parts[-1] += block
        size += length
    texts = [_squeezed(part) for part in parts]
    return [text for text in texts if text.strip()]


def _squeezed(lines: Sequence[str]) -> str:
    """Lines without the empty ones at both ends, and with at most two empty ones in a row."""
    kept = list[str]()
    for line in lines:
        if line.strip() or (kept and (kept[-1].strip() or (len(kept) > 1 and kept[-2].strip()))):
            kept.append(line)
    return "\n".join(kept).strip("\n").rstrip() + "\n"


def cut_text(text: str) -> list[str]:
    """The text in parts of at most LONGEST characters, cut between paragraphs; a longer one at line ends or blanks.

    >>> [len(part) for part in cut_text("word" * 10_000)]
    [20000, 20000, 3]
    """
    blocks = [
        block for paragraph in re.split(r"\n[ \t]*\n", text)
        for block in ([paragraph] if len(paragraph) <= LONGEST else [*_slices(paragraph), ""])
    ]  # fmt: skip
    parts, size = list[list[str]]([[]]), 0
    for block in blocks:
        if size and size + len(block) + 2 > LONGEST:
            parts, size = [*parts, []], 0
        parts[-1].append(block)
        size += len(block) + 2
    texts = ["\n\n".join(part).strip("\n").rstrip() + "\n" for part in parts]
    return [part for part in texts if part.strip()]


def _slices(paragraph: str) -> Iterable[str]:
    while len(paragraph) > LONGEST - 1:
        end = max(paragraph.rfind("\n", 0, LONGEST - 1), 0) or max(paragraph.rfind(" ", 0, LONGEST - 1), 0)
        end = end or LONGEST - 1
        yield paragraph[:end]
        paragraph = paragraph[end:].lstrip()
    yield paragraph
