"""Keeps of a program the statements that given names need, in their order: imports, definitions, what fills them.

EvalPlus' sanitising (`evals.scoring.sanitize`) has the same purpose; this one keeps decorated functions, generators,
functions without `return`, and of several definitions all, so that the last one counts, as in Python. Example calls,
asserts and loops at top level that fill nothing are left out: they are no part of an answer and may fail, wait or exit.
Names are Python's own (`symtable`), so a local variable does not keep a global one. It runs nothing.
"""

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterator, Sequence

from zoo.records import Record

SETTINGS = frozenset({"setrecursionlimit", "set_int_max_str_digits", "seed", "stack_size", "setcontext", "setlocale"})
FILLS = frozenset({"heappush", "heapify", "insort", "insort_left", "insort_right", "shuffle"})  # their first argument
BUILTINS = frozenset(dir(builtins))
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Statement(Record, frozen=True, kw_only=True):
    """One statement at the top level of a program.

    binds     the names that it defines; "*" of an import of all names
    changes   the names whose objects it fills or sets attributes of
    uses      the global names that it needs, now or when its functions run
    imports   whether it is an import
    defines   whether it holds a function or class, not only values
    stub      whether it is a function without a body yet
    settings  whether it sets a limit of the interpreter, of a module or of its own text, or imports all names: always
              kept
    methods   the names of the methods, of a class
    """

    text: str
    binds: frozenset[str]
    changes: frozenset[str]
    uses: frozenset[str]
    imports: bool = False
    defines: bool = False
    stub: bool = False
    settings: bool = False
    methods: frozenset[str] = frozenset()


def read_statements(code: str, tree: ast.Module) -> list[Statement]:
    """The statements of a program that its functions may need, in their order."""
    lines = code.encode().split(b"\n")
    modules = {name for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for name in _bound(node)}
    return [statement for node in tree.body if (statement := _read_statement(node, lines, modules))]


def pick_needed(statements: Sequence[Statement], names: frozenset[str]) -> tuple[list[int], frozenset[str]]:
    """The indices of the statements that names need, and all names that they use, the given ones included."""
    wanted, kept = names, {at for at, statement in enumerate(statements) if statement.settings}
    wanted |= frozenset[str]().union(*(statements[at].uses for at in kept))
    while True:
        new = {
            at for at, statement in enumerate(statements)
            if at not in kept and (statement.binds | statement.changes) & wanted
        }  # fmt: skip
        if not new:
            return sorted(kept), wanted
        kept |= new
        wanted |= frozenset[str]().union(*(statements[at].uses for at in new))


def _read_statement(node: ast.stmt, lines: list[bytes], modules: set[str]) -> Statement | None:
    """The record of a statement; None for one that no function can need."""
    text = _source(node, lines)
    binds = frozenset(_bound(node))
    if isinstance(node, ast.Import | ast.ImportFrom):
        always = "*" in binds or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        return Statement(text=text, binds=binds, changes=frozenset(), uses=frozenset(), imports=True, settings=always)
    changes = frozenset(_changed(node, modules))
    settings = _sets_limit(node, modules)
    if not (binds or changes or settings):
        return None
    methods = [part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef)]
    return Statement(
        text=text, binds=binds, changes=changes, uses=frozenset(_used(text, node)), settings=settings,
        defines=any(isinstance(part, SCOPES) for part in ast.walk(node)),
        stub=isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_stub(node),
        methods=frozenset(methods if isinstance(node, ast.ClassDef) else ()),
    )  # fmt: skip


def _source(node: ast.stmt, lines: list[bytes]) -> str:
    """The source text of a statement with its decorators; columns are counted in UTF-8 bytes."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(part.lineno for part in decorators)])
    last = node.end_lineno or node.lineno
    part = lines[first - 1 : last]
    part[-1] = part[-1][: node.end_col_offset]
    if not decorators:
        part[0] = part[0][node.col_offset :]
    return b"\n".join(part).decode()


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement binds at the top level, in compound statements too."""
    for part in _own_nodes(node):
        if isinstance(part, ast.Import):
            yield from (alias.asname or alias.name.split(".")[0] for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in part.names)
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id


def _changed(node: ast.stmt, modules: set[str]) -> Iterator[str]:
    """The names whose objects a statement fills: memo[0] = 1, f.calls = 0, table.append(x), heapq.heappush(heap, x).

    So does a decorator of an object's method: @f.register. A call into a module fills no module: sys.exit(main()) is no
    part of an answer.
    """
    for decorator in getattr(node, "decorator_list", ()):
        yield from {*_root(decorator.func if isinstance(decorator, ast.Call) else decorator)} - modules
    for part in _own_nodes(node):
        if isinstance(part, ast.Attribute | ast.Subscript) and isinstance(part.ctx, ast.Store | ast.Del):
            yield from _root(part)
        elif isinstance(part, ast.Call) and _called(part) in FILLS and part.args:
            yield from _root(part.args[0])
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
            yield from {*_root(part.func)} - modules


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The node and the parts of it that run at the top level: no bodies of functions, classes, comprehensions."""
    queue = [node]
    while queue:
        part = queue.pop()
        yield part
        if not isinstance(part, (*SCOPES, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            queue += ast.iter_child_nodes(part)


def _called(call: ast.Call) -> str:
    """The name of a function that is called, without its module."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def _root(node: ast.AST) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _sets_limit(node: ast.stmt, modules: set[str]) -> bool:
    """Whether a statement sets a limit: sys.setrecursionlimit(10**6), getcontext().prec = 50."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _called(node.value) in SETTINGS and bool({*_root(node.value.func), "*"} & modules)
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Attribute):
        inner = node.targets[0].value
        root = _root(inner.func if isinstance(inner, ast.Call) else inner)
        return bool({*root} & modules)
    return False


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function has no body yet: a docstring, pass, an ellipsis, raise NotImplementedError."""
    empty = (ast.Pass, ast.Expr)
    return all(
        (isinstance(part, empty) and isinstance(getattr(part, "value", ast.Constant(0)), ast.Constant))
        or (isinstance(part, ast.Raise) and "NotImplemented" in ast.dump(part))
        for part in node.body
    )


def _used(text: str, node: ast.stmt) -> set[str]:
    """The global names that a statement refers to, in its functions too; all its names where Python has no table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            top = symtable.symtable(text, "<answer>", "exec")
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    used, queue = set(), [top]
    while queue:
        table = queue.pop()
        queue += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (table is top or symbol.is_global()):
                used.add(symbol.get_name())
    return used
