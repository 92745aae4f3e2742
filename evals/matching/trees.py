"""Functions whose syntax trees are close to a problem's solution: the edit distance of trees as sequences.

A function is read as its tree's nodes in order, each a symbol: `FORM` says what is kept. The match rate of two
functions is 1 - distance / the longer one's nodes, for Levenshtein's distance over symbols.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5.2: the edit distance of syntax trees as strings, match
        rates 0.95, 0.90, 0.85, 0.80, names, comments and docstrings ignored. Which string is not published.
"""

import ast
import builtins
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from evals.matching.found import EXCERPT, Found
from evals.matching.problems import Problem

FORM = (
    "nodes of the function in order, blocks closed; names, docstrings, annotations, decorators left out; "
    "builtins, attributes, keywords, constants, operators kept"
)
RATES = (0.95, 0.90, 0.85, 0.80)
BUILTINS = frozenset(dir(builtins))
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
LEFT_OUT = frozenset({"ctx", "type_comment", "returns", "annotation", "decorator_list", "type_ignores", "type_params"})
DEFINITION = re.compile(r"^([ \t]*)(?:async )?def \w+.*(?:\n(?:[ \t]*\n)*\1[ \t]+\S.*|\n[ \t]*\)[^\n]*)*", re.M)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def symbols(node: ast.AST) -> list[str]:
    """A function's nodes in order; any consistent naming gives the same list.

    >>> symbols(ast.parse("def f(a):\\n    'Adds.'\\n    return a + 1").body[0])
    ['FunctionDef', 'arg', 'Return', 'BinOp', 'Name', 'Add', '1', ')']
    """
    found: list[str] = []
    _read(node, found)
    return found


def _read(node: ast.AST, found: list[str]) -> None:
    if isinstance(node, ast.Name):
        found.append(node.id if node.id in BUILTINS else "Name")
        return
    if isinstance(node, ast.Constant):
        found.append(repr(node.value))
        return
    if isinstance(node, ast.arguments):
        _all(node, found)
        return
    found.append(_head(node))
    _all(node, found)


def _head(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f".{node.attr}"
    if isinstance(node, ast.keyword):
        return f"{node.arg}="
    if isinstance(node, ast.alias):
        return f"import {node.name}"
    return "Assign" if isinstance(node, ast.AnnAssign) else type(node).__name__


def _all(node: ast.AST, found: list[str]) -> None:
    for name, value in ast.iter_fields(node):
        if name in LEFT_OUT:
            continue
        if isinstance(value, ast.AST):
            _read(value, found)
        elif isinstance(value, list):
            parts = value[1:] if name == "body" and _documented(node, value) else value
            for part in parts:
                if isinstance(part, ast.AST):
                    _read(part, found)
            if name in BLOCKS and parts:
                found.append(")")


def _documented(node: ast.AST, body: list[Any]) -> bool:
    """Whether a body begins with a docstring and goes on after it."""
    first = body[0] if len(body) > 1 and isinstance(node, Function | ast.ClassDef) else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def functions(text: str) -> Iterator[tuple[Function, str]]:
    """The functions of a text at any depth with their source; of text around code, those that parse alone."""
    if "def " not in text:
        return
    tree = parsed(text)
    if tree is not None:
        lines = text.split("\n")
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield node, "\n".join(lines[node.lineno - 1 : node.end_lineno])
        return
    for match in DEFINITION.finditer(text):
        indent = len(match[1])
        source = "\n".join(line[indent:] if line[:indent].isspace() else line for line in match[0].split("\n"))
        for node in ast.walk(parsed(source) or ast.Pass()):
            if isinstance(node, Function):
                yield node, source
                break


def parsed(text: str) -> ast.Module | None:
    """The syntax tree of a text, or None when it is no Python, or nested beyond what the parser takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


class Trees:
    """The solutions' trees, to be compared with every function of many documents."""

    def __init__(self, problems: Sequence[Problem], rate: float) -> None:
        self.rate, self.count = rate, len(problems)
        self.letters: dict[str, str] = {}
        self.problems: list[int] = []
        self.strings: list[str] = []
        for number, problem in enumerate(problems):
            found = [(node.name, symbols(node)) for node, _ in functions(problem.program)]
            named = [told for name, told in found if name == problem.entry] or [told for _, told in found]
            for told in named:
                self.problems.append(number)
                self.strings.append("".join(self._letter(symbol) for symbol in told))
        self._seen: dict[str, list[tuple[int, float]]] = {}

    @property
    def unsearched(self) -> frozenset[int]:
        """The problems whose solution is no function that could be looked for."""
        return frozenset(range(self.count)) - frozenset(self.problems)

    def _letter(self, symbol: str) -> str:
        # from U+0100 on, past the surrogates; U+00FF stands for every symbol of no problem
        at = 0x100 + len(self.letters)
        return self.letters.setdefault(symbol, chr(at if at < 0xD800 else at + 0x800))

    def matches(self, texts: Sequence[str]) -> Iterator[Found]:
        """Every problem with a function that close in a text, the closest function of each text."""
        read = self.letters.get
        best: dict[tuple[int, int], tuple[float, str]] = {}
        found: list[tuple[int, str, str]] = []
        for document, text in enumerate(texts):
            for node, source in functions(text):
                try:
                    told = symbols(node)
                except RecursionError:
                    continue
                found.append((document, "".join(read(symbol, "\u00ff") for symbol in told), source))
        self._compare({string for _, string, _ in found})
        for document, string, source in found:
            for number, rate in self._seen[string]:
                if rate > best.get((document, number), (0.0, ""))[0]:
                    best[document, number] = (rate, source)
        for (document, number), (rate, source) in best.items():
            yield Found(document=document, problem=number, similarity=rate, text=source[:EXCERPT])

    def _compare(self, strings: set[str]) -> None:
        """Looks up the strings not seen yet; equal trees are compared once."""
        import numpy as np
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        new = sorted(strings - self._seen.keys())
        if not new or not self.strings:
            self._seen.update({string: [] for string in new})
            return
        rates = cdist(new, self.strings, scorer=Levenshtein.normalized_similarity, score_cutoff=self.rate)
        for string in new:
            self._seen[string] = []
        for row, column in zip(*np.nonzero(rates), strict=True):
            self._seen[new[row]].append((self.problems[column], float(rates[row, column])))
