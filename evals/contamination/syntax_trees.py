"""Functions as short strings of their syntax trees, and exact edit-distance search among very many of them.

One symbol a node, in preorder: its kind; a block's end is a symbol too. Builtins, attributes, keywords and
constants add one of 128 hashed symbols. Names that the code itself gives, docstrings, comments, annotations
and decorators leave no trace, so renaming changes nothing. The match rate of two trees is
1 - distance / length of the longer one, with Levenshtein's distance. The training data's decontamination and
`phizoo eval contamination` compare by this file alone.
Source: phi-1 (arXiv 2306.11644), section 5: "edit distance on AST string", rates 0.95 to 0.80. The paper
does not publish its serialisation, so ours is recorded with each result.
"""

import _ast
import ast
import builtins
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

SERIALISATION = "preorder of node kinds without own names, docstrings, annotations, decorators; 128 value symbols; v1"
PRESETS = (0.95, 0.90, 0.85, 0.80)
SHORTEST = 12  # symbols: shorter ones, as of `return len(x)`, are everybody's; equal or not, they tell nothing
VALUES = 128  # symbols from here on are hashed values; below are the kinds
BUCKETS = 64
BUILTINS = frozenset(dir(builtins))
STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")  # where a statement holds others
UNSEEN = (ast.expr_context, ast.arguments, ast.Module)


def _kinds() -> dict[type[ast.AST], str]:
    """The kinds that a program's nodes have, each with its symbol; kinds of kinds (`stmt`) are none of them."""
    every = {one for one in vars(_ast).values() if isinstance(one, type) and issubclass(one, ast.AST)}
    whole = {one for one in every if not every & set(one.__subclasses__()) and not issubclass(one, UNSEEN)}
    return {kind: chr(number + 1) for number, kind in enumerate(sorted(whole, key=lambda one: one.__name__))}


KINDS = _kinds()
assert len(KINDS) < VALUES - 1  # a kind is one symbol, in any Python
END = chr(VALUES - 1)
BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.FunctionDef, ast.Lambda)
DEEPEST = 200  # levels of a tree: what walks it by recursion needs a few frames a level
LOOSE = re.compile(r"^(?:async )?def .*(?:\n(?:[ \t].*|[ \t]*))*", re.MULTILINE)
INDENTED = re.compile(r"^([ \t]*)(?:async )?def \w+.*(?:\n(?:[ \t]*\n)*\1[ \t]+\S.*|\n[ \t]*\)[^\n]*)*", re.MULTILINE)


class Function(NamedTuple):
    """One function of a text: its symbols, and the characters of the text where it stands."""

    symbols: str
    start: int
    end: int
    name: str


def _value(text: str) -> str:
    return chr(VALUES + zlib.crc32(text.encode("utf-8", "surrogatepass")) % 128)


def symbols(function: ast.FunctionDef | ast.AsyncFunctionDef, longest: int | None = None) -> str:
    """The tree of a function as symbols; nothing where they are more than `longest`, which spares reading on.

    >>> one, two = (ast.parse(f"def {f}({a}):\\n    return {a} + 1").body[0] for f, a in ("fx", "gy"))
    >>> symbols(one) == symbols(two)
    True
    """
    own = {function.name}
    told: list[str] = []
    builtin: list[tuple[int, str]] = []  # where a name stands that is a builtin's, if it is not the code's own
    stack: list[Any] = [function]
    while stack:
        if longest is not None and len(told) - len(builtin) > longest:
            return ""
        node = stack.pop()
        if isinstance(node, str):
            told.append(node)
            continue
        if not isinstance(node, UNSEEN):
            told.append(KINDS[type(node)])
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif node.id in BUILTINS:
                builtin.append((len(told), node.id))
                told.append(_value(node.id))
            continue
        if isinstance(node, ast.arg):
            own.add(node.arg)
            continue
        if isinstance(node, BLOCKS):
            stack.append(END)
        told += _told(node)
        stack.extend(reversed(_children(node)))
    for place, name in builtin:
        if name in own:
            told[place] = ""
    made = "".join(told)
    return made if longest is None or len(made) <= longest else ""


def _told(node: ast.AST) -> list[str]:
    """The symbols of what a node says beside its kind."""
    if isinstance(node, ast.Constant):
        return [_value(f"{type(node.value).__name__} {node.value!r}")]
    if isinstance(node, ast.Attribute):
        return [_value(f".{node.attr}")]
    if isinstance(node, ast.keyword) and node.arg:
        return [_value(f"={node.arg}")]
    if isinstance(node, ast.alias):
        return [_value(f"import {node.name}")]
    return []


def _children(node: ast.AST) -> list[ast.AST]:
    """A node's children in order, but for docstrings, annotations, decorators."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        first = node.body[0]
        stated = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        body = node.body[1:] if stated and isinstance(first.value.value, str) else node.body  # type: ignore[attr-defined]
        head = list(node.bases) if isinstance(node, ast.ClassDef) else [node.args]
        return [*head, *body]
    if isinstance(node, ast.arg):
        return []
    if isinstance(node, ast.AnnAssign):
        return [node.target] if node.value is None else [node.target, node.value]
    return _below(node)


def parsed(text: str) -> ast.Module | None:
    """The syntax tree, or None. Deep nesting and strange escapes are the file's fault, not a crash."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def too_deep(tree: ast.AST) -> bool:
    """Whether a tree has more levels than a recursive walk should be sent into (`1+1+1+...`)."""
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in _below(node)]
        if not level:
            return False
    return True


def _below(node: ast.AST) -> list[ast.AST]:
    """A node's children in order: `ast.iter_child_nodes` as a list, in a third of its time."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found += [one for one in value if isinstance(one, ast.AST)]
    return found


def functions(text: str, nested: bool = False, longest: int | None = None) -> list[Function]:
    """The functions and methods of a text: a program, or prose with functions in it.

    nested   those inside other functions too, and in prose those that are indented
    longest  with `nested`: the symbols of longer functions are left out, though not the functions
    """
    if "def " not in text:
        return []
    tree = parsed(text)
    if tree is not None:
        return list(_nested(tree, text, longest) if nested else _of_tree(tree, text, 0))
    if nested:
        return list(_indented(text, longest))
    found: list[Function] = []
    for match in LOOSE.finditer(text):
        part = match.group().rstrip()
        tree = parsed(part)
        if tree is not None:
            found += _of_tree(tree, part, match.start())
    return found


def _indented(text: str, longest: int | None) -> Iterator[Function]:
    """The functions of a text that is no program, each moved to the margin before it is read."""
    for match in INDENTED.finditer(text):
        indent = len(match[1])
        part = "\n".join(line[indent:] if line[:indent].isspace() else line for line in match[0].split("\n"))
        tree = parsed(part)
        if tree is not None:
            for one in _nested(tree, part, longest):
                yield one._replace(start=match.start(), end=match.end())


def _nested(tree: ast.Module, text: str, longest: int | None) -> Iterator[Function]:
    """Every function at any depth: statements alone are gone through, since no expression holds one."""
    starts = _line_starts(text)
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        for name in STATEMENTS:
            stack += getattr(node, name, ())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            end = min(len(text), starts[node.end_lineno or node.lineno])
            yield Function(symbols(node, longest), starts[node.lineno - 1], end, node.name)


def _of_tree(tree: ast.Module, text: str, offset: int) -> Iterator[Function]:
    if too_deep(tree):
        return
    inner = [node for one in tree.body if isinstance(one, ast.ClassDef) for node in one.body]
    starts: list[int] = []
    for node in [*tree.body, *inner]:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        starts = starts or _line_starts(text)
        end = min(len(text), starts[node.end_lineno or node.lineno])
        yield Function(symbols(node), offset + starts[node.lineno - 1], offset + end, node.name)


def _line_starts(text: str) -> list[int]:
    """Where each line begins, and one past the end."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


class Close(NamedTuple):
    """Two trees at least as alike as was asked: numbers in the two lists, and their match rate."""

    first: int
    second: int
    rate: float


def close_pairs(first: Sequence[str], second: Sequence[str], rate: float) -> list[Close]:
    """All pairs of `first` x `second` with a match rate of at least `rate`: exact, not a sample.

    Left out before any distance is computed are the pairs whose lengths, or counts of symbols, already
    differ too much: both differences are lower bounds of the distance.
    """
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    if not first or not second:
        return []
    order = np.argsort([len(one) for one in second], kind="stable")
    ordered = [second[place] for place in order]
    lengths = np.array([len(one) for one in ordered], dtype=np.int64)
    counts = np.stack([_histogram(one) for one in ordered])
    loss = 1000 - round(1000 * rate)  # thousandths of the longer length that may be edited away
    found: list[Close] = []
    for number, one in enumerate(first):
        size = len(one)
        low = int(np.searchsorted(lengths, -(-size * (1000 - loss) // 1000)))
        high = int(np.searchsorted(lengths, size * 1000 // max(1, 1000 - loss), side="right"))
        if low >= high:
            continue
        allowed = loss * np.maximum(lengths[low:high], size) // 1000
        change = counts[low:high] - _histogram(one)
        more = np.maximum(change, 0).sum(axis=1, dtype=np.int32)
        less = more - change.sum(axis=1, dtype=np.int32)
        left = np.flatnonzero(np.maximum(more, less) <= allowed)
        if not len(left):
            continue
        chosen = [ordered[low + place] for place in left.tolist()]
        cutoff = int(allowed[left].max())
        distance = cdist([one], chosen, scorer=Levenshtein.distance, score_cutoff=cutoff, dtype=np.int32)[0]
        near = np.flatnonzero(distance <= allowed[left])
        for place in near.tolist():
            longer = max(size, len(chosen[place]))
            same = 1 - int(distance[place]) / longer if longer else 1.0
            found.append(Close(number, int(order[low + left[place]]), same))
    return found


def _histogram(one: str) -> Any:
    """Counts of symbols by bucket, shape (BUCKETS,), int16."""
    import numpy as np

    data = np.frombuffer(one.encode("latin-1"), dtype=np.uint8)
    return np.bincount(data & (BUCKETS - 1), minlength=BUCKETS).astype(np.int16)
