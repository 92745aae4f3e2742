"""Whether a test's text proves that it holds no value: then no list, dict or set can be told from its copy there.

Most tests are lines such as `assert candidate([1, 2]) == [2, 1]`: the argument is new, the answer is compared by value
and forgotten. Such a test cannot see a shared row, a kept argument or a later change, so exactly plain values need no
second view. The proof is by a list of what is allowed; any other text counts as holding values. NaN, which equals
itself by identity, is not covered (`evals.sandbox.judge.faithful.difference`).
"""

import ast
from collections.abc import Iterable

# builtins that read their arguments and keep none
READERS = frozenset((
    "abs", "all", "any", "bool", "complex", "dict", "divmod", "float", "frozenset", "int", "len", "list", "max", "min",
    "pow", "range", "reversed", "round", "set", "sorted", "str", "sum", "tuple",
))  # fmt: skip
# modules whose functions keep nothing and return numbers or texts
CALCULATORS = frozenset(("cmath", "math", "string"))
SIMPLE = (
    ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp,
    ast.Subscript, ast.Slice, ast.Starred, ast.JoinedStr, ast.FormattedValue, ast.expr_context, ast.operator,
    ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def is_momentary(test: str, entry_point: str) -> bool:
    """Whether a test holds neither an argument nor an answer of the tested function.

    >>> is_momentary("def check(candidate):\\n    assert candidate([1]) == [2], 'text'", "f")
    True
    >>> is_momentary("a = [1]\\nassert f(a) == a", "f"), is_momentary("assert f([1]) == f([2])", "f")
    (False, False)
    """
    return _all_allowed(ast.parse(test).body, frozenset((entry_point, "candidate")))


def _all_allowed(statements: Iterable[ast.stmt], tested: frozenset[str]) -> bool:
    return all(_allowed(statement, tested) for statement in statements)


def _allowed(statement: ast.stmt, tested: frozenset[str]) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Import(names=names):
            return all(name.name in CALCULATORS for name in names)
        case ast.Assign(targets=[ast.Name(id=name)]):  # HumanEval's METADATA
            return name == "METADATA" and _is_literal(statement.value)
        case ast.FunctionDef(name="check", body=body, decorator_list=[]):
            return _all_allowed(body, tested)
        case ast.Assert(test=test, msg=message):
            return (message is None or isinstance(message, ast.Constant)) and _asks_once(test, tested)
    return False


def _is_literal(value: ast.expr) -> bool:
    return all(isinstance(node, ast.Constant | ast.Dict | ast.expr_context) for node in ast.walk(value))


def _asks_once(value: ast.expr, tested: frozenset[str]) -> bool:
    """Whether each part of a condition calls the tested function once at most, on new values."""
    if isinstance(value, ast.BoolOp):
        return all(_asks_once(part, tested) for part in value.values)
    asked = [node for node in ast.walk(value) if isinstance(node, ast.Name) and node.id in tested]
    return len(asked) <= 1 and _reads(value, tested)


def _reads(value: ast.AST, tested: frozenset[str]) -> bool:
    """Whether an expression only reads: literals, operators, and calls of `READERS`, calculators and the function."""
    match value:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=words):
            known = name in READERS or name in tested
            return known and all(_reads(arg, tested) for arg in (*args, *(word.value for word in words)))
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name)), args=args, keywords=[]):
            return name in CALCULATORS and all(_reads(arg, tested) for arg in args)
        case ast.Attribute(value=ast.Name(id=name)):
            return name in CALCULATORS
        case ast.BinOp(left=left, op=ast.Mult(), right=right):  # [[0] * 3] * 3 is one row three times
            return all(_reads(side, tested) and not _nests(side) for side in (left, right))
    return isinstance(value, SIMPLE) and all(_reads(child, tested) for child in ast.iter_child_nodes(value))


def _nests(value: ast.expr) -> bool:
    """Whether a value may hold a mutable one."""
    inside = [node for node in ast.walk(value) if node is not value]
    return any(isinstance(node, ast.List | ast.Dict | ast.Set | ast.Call | ast.Subscript) for node in inside)
