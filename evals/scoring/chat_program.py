"""Reads the program in a chat answer: prose before and after does not matter, the last definition counts.

The program is the last fenced block that defines the entry point, without example calls (`evals.scoring.needed`).
Imports and helpers that it lacks come from the other blocks. Without such a block it is, in this order: a class with a
method of that name, a body that continues the prompt's function, the same in the text without its fences.
A definition that Python cannot parse is sanitised as EvalPlus does (`evals.scoring.sanitize`); one that is cut off by
the end of the answer does not replace a whole one before it. It runs nothing.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence

from evals.scoring.fences import FencedBlock, inline_code, loose_blocks, split_fences, split_lines
from evals.scoring.needed import BUILTINS, Statement, pick_needed, read_statements
from evals.scoring.sanitize import error_line, parse_module, sanitize
from zoo.records import Record

STARTS = re.compile(r"(?P<indent>[ \t]*)(?:(?:import|from|def|async\s+def|class)\s+\w|@\w|\w+(?:\s*:[^=]+)?\s*=(?!=))")
PROMPTS = re.compile(r"(?:>>>|\.\.\.|In \[\d+\]:) ?")
IMPORT = re.compile(r"import \w|from [\w.]+ import ")
NUMBERED = re.compile(r"[ \t]*\d{1,4}(?:[.:|)](?=\s|$)|(?=\s|$))[ \t]?\|?[ \t]?")  # "12: x = 1", "12 | x = 1"
DIFF_HEAD = re.compile(r"---|\+\+\+|@@|diff |index ")
QUOTES = str.maketrans("\u201c\u201d\u201e\u2018\u2019\u201a\u2032\u2033\u2212", "\"\"\"''''\"-")
SPACES = str.maketrans(dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000", " "))
# bounds for a hostile text; an answer of 4,000 tokens has some 500 lines
MOST_BLOCKS = 100
MOST_LINES = 50_000  # given to the parser, for one block
MOST_SANITISED = 1500  # lines
MOST_STARTS = 20  # of a body among prose


class AnswerPart(Record, frozen=True, kw_only=True):
    """The statements of one block or one span of it. cut: the answer ends before its last definition does."""

    statements: tuple[Statement, ...]
    cut: bool = False

    def defines(self, name: str) -> bool:
        """Whether a statement gives the name a value; an import of it does not, nor a function without a body."""
        return any(name in each.binds and not each.imports and not each.stub for each in self.statements)


def read_program(text: str, entry_point: str, stub: str = "", names: Sequence[str] = ()) -> str | None:
    """The program that an answer gives for a function, or None if it gives none.

    entry_point  the function that is asked for
    stub         the code of the prompt that the answer may continue: imports, helpers, the function without its body
    names        further names that the tests use

    >>> print(read_program("Sure:\\n```\\nimport re\\ndef f(x):\\n    return x + 1\\nprint(f(2))\\n```\\nDone.", "f"))
    def f(x):
        return x + 1
    >>> read_program("I am not able to write that.", "f") is None
    True
    """
    wanted = frozenset((entry_point, *names))
    fenced, outside = split_fences(text)
    whole_text = FencedBlock(text="\n".join(split_lines(text)), closed=False)
    inline = inline_code(text)  # a body in a sentence is no answer: such code must define the function
    for form in (fenced, loose_blocks(text), [whole_text], inline):
        blocks = form[-MOST_BLOCKS:]
        parts = [part for block in blocks for part in _read_parts(block, entry_point)]
        parts.insert(0, _imports(outside))
        program = _defined(parts, entry_point, wanted) or _method(parts, entry_point, wanted)
        if program is None and form is not inline:
            program = _continued(blocks, parts, entry_point, stub)
        if program is not None:
            return program
    return None


def hoist_future(program: str) -> tuple[str, str]:
    """The `from __future__` lines of a program, which must stand before all else, and the rest.

    >>> hoist_future("from __future__ import annotations\\nx = 1")
    ('from __future__ import annotations\\n', 'x = 1')
    """
    tree = parse_module(program)
    lines = program.split("\n")
    at = [
        node.lineno - 1
        for node in (tree.body if tree else ())
        if isinstance(node, ast.ImportFrom) and node.module == "__future__" and node.end_lineno == node.lineno
    ]
    first = "".join(f"{lines[number]}\n" for number in at)
    return first, "\n".join(line for number, line in enumerate(lines) if number not in at)


def _read_parts(block: FencedBlock, entry_point: str) -> Iterator[AnswerPart]:
    """The block as one part if it parses; otherwise the spans of it that do."""
    for code in _spellings(block.text):
        if (tree := _parse_program(code)) is not None:
            yield AnswerPart(statements=tuple(read_statements(code, tree)))
            return
    spans = list(_spans(block.text))
    named = any(re.search(rf"\b{re.escape(entry_point)}\b", code) for code, _ in spans)
    if not named and block.text.count("\n") < MOST_SANITISED:
        spans.append((sanitize(block.text, entry_point), False))
    for code, broken in spans:
        if (tree := _parse_program(code)) is not None:
            yield AnswerPart(statements=tuple(read_statements(code, tree)), cut=broken and not block.closed)


def _parse_program(code: str) -> ast.Module | None:
    """The tree of a text that Python would run; None for one that returns outside a function: it is a body."""
    tree = parse_module(code)
    return None if tree is None or _returns(tree) else tree


def _imports(text: str) -> AnswerPart:
    """The lines of prose that are imports."""
    lines = [line.strip().strip("`") for line in text.split("\n")]
    imports = [line for line in lines if IMPORT.match(line)][:MOST_BLOCKS]
    trees = [(line, parse_module(line)) for line in imports]
    return AnswerPart(
        statements=tuple(statement for line, tree in trees if tree for statement in read_statements(line, tree))
    )


def _spellings(text: str) -> Iterator[str]:
    """A text, and its forms without the marks that keep it from being Python."""
    yield text
    plain = text.translate(SPACES)
    yield plain
    yield textwrap.dedent(plain)
    yield _spaced(plain)
    lines = plain.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if PROMPTS.match(first):
        yield "\n".join(PROMPTS.sub("", line, count=1) for line in lines if PROMPTS.match(line))
    yield plain.translate(QUOTES)
    if NUMBERED.match(first) and all(NUMBERED.match(line) for line in lines if line.strip()):
        yield textwrap.dedent("\n".join(NUMBERED.sub("", line, count=1) for line in lines))
    if any(line.startswith("+") for line in lines):
        changed = [line for line in lines if not DIFF_HEAD.match(line)]
        if all(line[:1] in ("+", "-", " ", "") for line in changed):
            yield textwrap.dedent("\n".join(line[1:] for line in changed if line[:1] != "-"))


def _spaced(text: str) -> str:
    """The text with spaces for the tabs of its indents."""
    return re.sub(r"^[ \t]+", lambda indent: indent[0].expandtabs(4), text, flags=re.M)


def _spans(text: str) -> Iterator[tuple[str, bool]]:
    """The longest runs of lines that are Python, each from a line that looks like code, as if at no indent.

    The second value says whether a run breaks off inside a definition: an indented line follows that is not Python.
    """
    lines, at, budget = _spaced(text.translate(SPACES)).split("\n"), 0, MOST_LINES
    while at < len(lines):
        start = STARTS.match(lines[at])
        length = 0
        if start is not None and budget > 0:
            run = list(_run_of(lines, at, start["indent"]))
            length, parses = _longest(run, most=budget)
            budget -= parses * len(run)
        if length:
            after = next((line for line in run[length:] if line.strip()), "")
            yield "\n".join(run[:length]), after[:1].isspace()
        at += max(length, 1)


def _run_of(lines: Sequence[str], first: int, indent: str) -> Iterator[str]:
    """The lines from one on without an indent, up to the first that stands further left."""
    for line in lines[first:]:
        if line.strip() and not line.startswith(indent):
            return
        yield line.removeprefix(indent)


def _longest(lines: list[str], least: int = 0, most: int = MOST_LINES) -> tuple[int, int]:
    """The length of the longest beginning of more than `least` lines that parses, or 0, and the number of parses.

    most  lines that the parser may be given, all in all
    """
    end, parses = len(lines), 0
    while end > least and parses * len(lines) <= most:
        parses += 1
        failed = error_line("\n".join(lines[:end]))
        if failed is None:
            return end, parses
        end = min(end - 1, max(failed, 1) - 1)
    return 0, parses


def _defined(parts: Sequence[AnswerPart], entry_point: str, wanted: frozenset[str]) -> str | None:
    """The program around the last definition that is not cut off, or the last one; None without a definition."""
    defining = [at for at, part in enumerate(parts) if part.defines(entry_point)]
    if not defining:
        return None
    whole = [at for at in defining if not parts[at].cut]
    return _assembled(parts, (whole or defining)[-1], wanted)


def _method(parts: Sequence[AnswerPart], entry_point: str, wanted: frozenset[str]) -> str | None:
    """The program of the last class with a method of the entry point's name, and that method of an object of it."""
    for at in reversed(range(len(parts))):
        for statement in reversed(parts[at].statements):
            if entry_point in statement.methods:
                (name,) = statement.binds
                return f"{_assembled(parts, at, wanted | {name})}\n{entry_point} = {name}().{entry_point}"
    return None


def _assembled(parts: Sequence[AnswerPart], main: int, wanted: frozenset[str]) -> str:
    """The needed statements of a part, after those of other parts that it lacks.

    A missing name comes from the nearest part before, else from the nearest after, else from an import of all names
    before. A part after gives imports and definitions only: its values are those of examples.
    """
    chosen: dict[int, set[int]] = {}
    queue, known = [(main, wanted)], set(BUILTINS)
    while queue:
        at, names = queue.pop()
        indices, used = pick_needed(_offered(parts, at, main), names)
        chosen.setdefault(at, set()).update(indices)
        known |= frozenset[str]().union(*(parts[at].statements[index].binds for index in indices))
        givers = {name: _giver(parts, at, main, name) for name in sorted(used - known)}
        known |= used
        if None in givers.values() and "*" not in known:
            givers["*"] = _giver(parts, at, main, "*")
            known.add("*")
        queue += [(giver, frozenset({name})) for name, giver in givers.items() if giver is not None]
    others = [at for at in sorted(chosen) if at != main]
    return "\n".join(parts[at].statements[index].text for at in [*others, main] for index in sorted(chosen[at]))


def _giver(parts: Sequence[AnswerPart], at: int, main: int, name: str) -> int | None:
    """The part that gives another one a name."""
    order: list[int] = [*range(main - 1, -1, -1), *range(main + 1, len(parts))]
    for other in order:
        if other != at and any(name in statement.binds for statement in _offered(parts, other, main)):
            return other
    return None


def _offered(parts: Sequence[AnswerPart], at: int, main: int) -> list[Statement]:
    """The statements that a part may give; one that may not stays in its place, without names."""
    statements = parts[at].statements
    if at <= main:
        return list(statements)
    none = frozenset[str]()
    return [
        each
        if (each.imports and "*" not in each.binds) or each.defines
        else Statement(text=each.text, binds=none, changes=none, uses=none)
        for each in statements
    ]


def _continued(blocks: Sequence[FencedBlock], parts: Sequence[AnswerPart], entry_point: str, stub: str) -> str | None:
    """The program of the last block that is the body of a function: the prompt's, or one that the answer left empty."""
    stubs = [each.text for part in parts for each in part.statements if each.stub and entry_point in each.binds]
    bases = [stub] if stub else stubs[-1:]
    for base in bases:
        for block in reversed(blocks):
            for body in _bodies(block.text):
                if program := _grown(base, body, entry_point):
                    return program
    return None


def _bodies(text: str) -> Iterator[str]:
    """The forms in which a text may be the body of a function, indented by four spaces."""
    plain = text.translate(SPACES)
    lines = plain.strip("\n").split("\n")
    if lines[0][:1].isspace():
        yield plain
    yield textwrap.indent(textwrap.dedent(_spaced(plain)), "    ")
    yield "\n".join([f"    {lines[0].lstrip()}", *lines[1:]])  # the first line may have lost its indent
    starts = [at for at, line in enumerate(lines) if line[:1].isspace() and (at == 0 or not lines[at - 1].strip())]
    for at in reversed(starts[-MOST_STARTS:]):
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        yield textwrap.indent("\n".join(_run_of(lines, at, indent)), "    ")


def _grown(base: str, body: str, entry_point: str) -> str | None:
    """The base with as much of a body as parses, if its function then returns or yields."""
    before = base.rstrip().split("\n")
    lines = [*before, *body.rstrip().split("\n")]
    length, _ = _longest(lines, least=len(before))
    code = "\n".join(lines[:length])
    tree = parse_module(code) if length else None
    functions = [node for node in (tree.body if tree else ()) if isinstance(node, ast.FunctionDef)]
    if tree is None or not functions or functions[-1].name != entry_point or not _returns(functions[-1]):
        return None
    part = AnswerPart(statements=tuple(read_statements(code, tree)))
    return _assembled([part], 0, frozenset({entry_point}))


def _returns(function: ast.FunctionDef | ast.Module) -> bool:
    """Whether a function, or a program at top level, returns or yields itself, not only a function inside it."""
    queue: list[ast.AST] = list(function.body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            queue += ast.iter_child_nodes(node)
    return False
