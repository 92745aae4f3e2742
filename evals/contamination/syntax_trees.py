"""Turns functions into short strings of their syntax trees, and finds close pairs by exact edit distance.

One symbol a node, in preorder: its kind; a block's end is a symbol too. Builtins, attributes, keywords and
constants add one of 128 hashed symbols. Names that the code itself gives, docstrings, comments, annotations
and decorators leave no trace, so renaming changes nothing. The match rate of two trees is
1 - distance / length of the longer one, with Levenshtein's distance.
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
SHORTEST = 12  # symbols: shorter functions, such as `return len(x)`, occur everywhere and are not compared
VALUES = 128  # symbols from here on are hashed values; below are the kinds
BUCKETS = 64
BUILTINS = frozenset(dir(builtins))
STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")  # where a statement holds others
UNSEEN = (ast.expr_context, ast.arguments, ast.Module)


def _kinds() -> dict[type[ast.AST], str]:
    """The kinds of nodes that a program has, each with its symbol, without their base classes (`stmt`)."""
    every = {kind for kind in vars(_ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)}
    leaves = {kind for kind in every if not every & set(kind.__subclasses__()) and not issubclass(kind, UNSEEN)}
    return {kind: chr(number + 1) for number, kind in enumerate(sorted(leaves, key=lambda kind: kind.__name__))}


KINDS = _kinds()
assert len(KINDS) < VALUES - 1  # a kind is one symbol, in any Python
END = chr(VALUES - 1)
BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.FunctionDef, ast.Lambda)
DEEPEST = 200  # levels of a tree: a recursive walk needs a few frames a level
LOOSE = re.compile(r"^(?:async )?def .*(?:\n(?:[ \t].*|[ \t]*))*", re.MULTILINE)
INDENTED = re.compile(r"^([ \t]*)(?:async )?def \w+.*(?:\n(?:[ \t]*\n)*\1[ \t]+\S.*|\n[ \t]*\)[^\n]*)*", re.MULTILINE)


class Function(NamedTuple):
    """One function of a text: its symbols, its first and last character, its name."""

    symbols: str
    start: int
    end: int
    name: str


def _value(text: str) -> str:
    return chr(VALUES + zlib.crc32(text.encode("utf-8", "surrogatepass")) % 128)


def symbols(function: ast.FunctionDef | ast.AsyncFunctionDef, longest: int | None = None) -> str:
    """The tree of a function as symbols; empty if there are more than `longest`, found without reading the rest.

    >>> one, two = (ast.parse(f"def {f}({a}):\\n    return {a} + 1").body[0] for f, a in ("fx", "gy"))
    >>> symbols(one) == symbols(two)
    True
    """
    own = {function.name}
    written: list[str] = []
    builtin: list[tuple[int, str]] = []  # places of names that are builtins, unless the code gives them itself
    stack: list[Any] = [function]
    while stack:
        if longest is not None and len(written) - len(builtin) > longest:
            return ""
        node = stack.pop()
        if isinstance(node, str):
            written.append(node)
            continue
        if not isinstance(node, UNSEEN):
            written.append(KINDS[type(node)])
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif node.id in BUILTINS:
                builtin.append((len(written), node.id))
                written.append(_value(node.id))
            continue
        if isinstance(node, ast.arg):
            own.add(node.arg)
            continue
        if isinstance(node, BLOCKS):
            stack.append(END)
        written += _value_symbols(node)
        stack.extend(reversed(_children(node)))
    for place, name in builtin:
        if name in own:
            written[place] = ""
    text = "".join(written)
    return text if longest is None or len(text) <= longest else ""


def _value_symbols(node: ast.AST) -> list[str]:
    """The symbols of a node's constant, attribute, keyword or import."""
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
    """A node's children in order, without docstrings, annotations and decorators."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        first = node.body[0]
        constant = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        body = node.body[1:] if constant and isinstance(first.value.value, str) else node.body  # type: ignore[attr-defined]
        head = list(node.bases) if isinstance(node, ast.ClassDef) else [node.args]
        return [*head, *body]
    if isinstance(node, ast.arg):
        return []
    if isinstance(node, ast.AnnAssign):
        return [node.target] if node.value is None else [node.target, node.value]
    return _below(node)


def parsed(text: str) -> ast.Module | None:
    """The syntax tree, or None for text that does not parse, is too deeply nested or has bad escapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def too_deep(tree: ast.AST) -> bool:
    """Whether a tree has too many levels for a recursive walk (`1+1+1+...`)."""
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in _below(node)]
        if not level:
            return False
    return True


def _below(node: ast.AST) -> list[ast.AST]:
    """A node's children in order: `ast.iter_child_nodes` as a list, in a third of its time."""
    children: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            children.append(value)
        elif isinstance(value, list):
            children += [item for item in value if isinstance(item, ast.AST)]
    return children


def functions(text: str, nested: bool = False, longest: int | None = None) -> list[Function]:
    """The functions and methods of a text: a program, or prose with functions in it.

    nested   also those inside other functions, and in prose those that are indented
    longest  with `nested`: a longer function has no symbols
    """
    if "def " not in text:
        return []
    tree = parsed(text)
    if tree is not None:
        return list(_nested(tree, text, longest) if nested else _of_tree(tree, text, 0))
    if nested:
        return list(_indented(text, longest))
    loose: list[Function] = []
    for match in LOOSE.finditer(text):
        part = match.group().rstrip()
        tree = parsed(part)
        if tree is not None:
            loose += _of_tree(tree, part, match.start())
    return loose


def _indented(text: str, longest: int | None) -> Iterator[Function]:
    """The functions of a text that is no program, each moved to the margin before it is read."""
    for match in INDENTED.finditer(text):
        indent = len(match[1])
        part = "\n".join(line[indent:] if line[:indent].isspace() else line for line in match[0].split("\n"))
        tree = parsed(part)
        if tree is not None:
            for function in _nested(tree, part, longest):
                yield function._replace(start=match.start(), end=match.end())


def _nested(tree: ast.Module, text: str, longest: int | None) -> Iterator[Function]:
    """Every function at any depth; only statements are visited, since no expression holds a function."""
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
    inner = [node for part in tree.body if isinstance(part, ast.ClassDef) for node in part.body]
    starts: list[int] = []
    for node in [*tree.body, *inner]:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        starts = starts or _line_starts(text)
        end = min(len(text), starts[node.end_lineno or node.lineno])
        yield Function(symbols(node), offset + starts[node.lineno - 1], offset + end, node.name)


def _line_starts(text: str) -> list[int]:
    """The place of each line's first character, and one past the end."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


class ClosePair(NamedTuple):
    """Two trees: their numbers in the two lists, and their match rate."""

    first: int
    second: int
    rate: float


def close_pairs(first: Sequence[str], second: Sequence[str], rate: float) -> list[ClosePair]:
    """All pairs of `first` x `second` with a match rate of at least `rate`: exact, not a sample.

    Pairs whose lengths or counts of symbols differ too much are skipped before any distance is computed: both
    differences are lower bounds of the distance.
    """
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    if not first or not second:
        return []
    order = np.argsort([len(tree) for tree in second], kind="stable")
    ordered = [second[place] for place in order]
    lengths = np.array([len(tree) for tree in ordered], dtype=np.int64)
    counts = np.stack([_histogram(tree) for tree in ordered])
    loss = 1000 - round(1000 * rate)  # thousandths of the longer length that may be edited away
    pairs: list[ClosePair] = []
    for number, tree in enumerate(first):
        size = len(tree)
        low = int(np.searchsorted(lengths, -(-size * (1000 - loss) // 1000)))
        high = int(np.searchsorted(lengths, size * 1000 // max(1, 1000 - loss), side="right"))
        if low >= high:
            continue
        allowed = loss * np.maximum(lengths[low:high], size) // 1000
        change = counts[low:high] - _histogram(tree)
        more = np.maximum(change, 0).sum(axis=1, dtype=np.int32)
        less = more - change.sum(axis=1, dtype=np.int32)
        left = np.flatnonzero(np.maximum(more, less) <= allowed)
        if not len(left):
            continue
        chosen = [ordered[low + place] for place in left.tolist()]
        cutoff = int(allowed[left].max())
        distance = cdist([tree], chosen, scorer=Levenshtein.distance, score_cutoff=cutoff, dtype=np.int32)[0]
        near = np.flatnonzero(distance <= allowed[left])
        for place in near.tolist():
            longer = max(size, len(chosen[place]))
            same = 1 - int(distance[place]) / longer if longer else 1.0
            pairs.append(ClosePair(number, int(order[low + left[place]]), same))
    return pairs


def _histogram(tree: str) -> Any:
    """Counts of symbols by bucket, shape (BUCKETS,), int16."""
    import numpy as np

    data = np.frombuffer(tree.encode("latin-1"), dtype=np.uint8)
    return np.bincount(data & (BUCKETS - 1), minlength=BUCKETS).astype(np.int16)
