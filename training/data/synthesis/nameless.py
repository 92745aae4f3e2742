"""Strips the names from a program, the form in which solutions are compared.

Function, argument and variable names become v0, v1 ... in order of appearance; docstrings and annotations are
removed. Constants, attributes, keywords and the names of builtins stay.
"""

import ast
import builtins

from evals.contamination.syntax_trees import parsed, too_deep


class _Renamed(ast.NodeTransformer):
    """Renames in order of appearance, so that any two consistent namings give the same tree."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def name(self, old: str) -> str:
        if hasattr(builtins, old) and old not in self.names:
            return old
        return self.names.setdefault(old, f"v{len(self.names)}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.names.setdefault(node.name, f"v{len(self.names)}")
        node.returns = None
        node.decorator_list = []
        self.generic_visit(node)
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.setdefault(node.arg, f"v{len(self.names)}")
        node.annotation = None
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Store):
            node.id = self.names.setdefault(node.id, f"v{len(self.names)}")
        else:
            node.id = self.name(node.id)
        return node


def strip_names(text: str) -> str | None:
    """The program's tree as text without names, or None if it does not parse or is too deep.

    >>> strip_names("def f(a):\\n    return a + 1") == strip_names("def g(zz):\\n    '''Adds.'''\\n    return zz + 1")
    True
    >>> strip_names("def f(a):\\n    return a + 1") == strip_names("def f(a):\\n    return a + 2")
    False
    """
    tree = parsed(text)
    return None if tree is None or too_deep(tree) else strip_tree_names(tree)


def strip_tree_names(tree: ast.AST) -> str:
    """The same for a parsed tree, whose nodes are changed in place."""
    return ast.dump(_Renamed().visit(tree), annotate_fields=False)


def normalise_words(text: str) -> str:
    """A text in lower case with single spaces, the form in which prompts are compared.

    >>> normalise_words("Add  ONE\\n to x")
    'add one to x'
    """
    return " ".join(text.lower().split())
