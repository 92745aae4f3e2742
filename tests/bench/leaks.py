"""Leaks of HumanEval problems at four distances, to measure what a search finds: each a program that still solves it.

copied        prompt and solution as they are
renamed       other names, the docstring's names changed with them
rewritten     renamed, and the docstring in other words, without its examples
restructured  rewritten, and the code built otherwise: swapped branches, turned comparisons, spelt-out updates
"""

import ast
import builtins
import re
from collections.abc import Iterable

GRADES = ("copied", "renamed", "rewritten", "restructured")
SYNONYMS = {
    "return": "give back", "returns": "gives back", "given": "having", "list": "sequence", "string": "text",
    "number": "value", "numbers": "values", "function": "routine", "integer": "whole value", "check": "find out",
    "if": "whether", "array": "row", "element": "item", "elements": "items", "write": "make", "takes": "gets",
    "all": "every one of the", "and": "as well as", "input": "argument", "you": "we", "should": "has to",
    "that": "which", "is": "happens to be", "are": "happen to be", "the": "this", "of": "out of", "to": "in order to",
    "a": "one", "an": "one", "in": "inside", "it": "this thing", "two": "a pair of", "only": "no others but",
}  # fmt: skip


class _Rename(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.get(node.arg, node.arg)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        self.generic_visit(node)
        return node


class _Rebuild(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if node.orelse:
            node.test, node.body, node.orelse = ast.UnaryOp(ast.Not(), node.test), node.orelse, node.body
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        turned = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.Eq}
        if len(node.ops) == 1 and type(node.ops[0]) in turned:
            node.left, node.comparators, node.ops = node.comparators[0], [node.left], [turned[type(node.ops[0])]()]
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name):
            return node
        return ast.Assign([node.target], ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        last = node.body[-1]
        if isinstance(last, ast.Return) and last.value is not None:
            node.body[-1:] = [ast.Assign([ast.Name("outcome", ast.Store())], last.value),
                              ast.Return(ast.Name("outcome", ast.Load()))]  # fmt: skip
        return node


def _own_names(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def reworded(text: str) -> str:
    """A docstring in other words: its examples left out, every known word another."""
    text = re.split(r">>>|\n\s*Example|\n\s*For example|==>|\n\s*\n", text.strip())[0]
    words = re.findall(r"[A-Za-z_]+|[^A-Za-z_\s]", text)
    return "Exercise: " + " ".join(SYNONYMS.get(word.lower(), word) for word in words)


def leak(problem: dict[str, str], grade: str) -> str:
    """The problem's program at a distance."""
    text = problem["prompt"] + problem["canonical_solution"]
    if grade == "copied":
        return text
    tree = ast.parse(text)
    own = sorted(set(_own_names(tree)) - set(dir(builtins)))
    names = {name: f"{'kmqrtwxz'[n % 8]}{n}_part" for n, name in enumerate(own)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (docstring := ast.get_docstring(node)):
            if grade == "renamed":
                docstring = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), docstring)
            else:
                docstring = reworded(docstring)
            node.body[0] = ast.Expr(ast.Constant(docstring))
    tree = _Rename(names).visit(tree)
    if grade == "restructured":
        tree = _Rebuild().visit(tree)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"
