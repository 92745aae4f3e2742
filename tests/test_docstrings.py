"""Every module, and every public class, function and method of one, says what it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    path for package in ("zoo", "evals", "training", "dashboard") for path in sorted((ROOT / package).rglob("*.py"))
]
# methods that a library calls by name: click's groups, http.server's handlers
CALLED = ("list_commands", "get_command", "resolve_command", "format_commands", "shell_complete", "do_GET", "do_POST")
# a task file's functions are what the fields of `evals.task.Task` and its `ShotSource` say, which document each once
FIELDS = (
    "samples",
    "prompt",
    "parts",
    "pairs",
    "extract",
    "score",
    "judge",
    "program",
    "gold",
    "trials",
    "needs",
    "read",
)


def promised() -> set[str]:
    """Names of the methods that a Protocol of ours documents: what fulfils it need not say it again."""
    classes = [
        node for path in FILES for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    ]
    protocols = [one for one in classes if any(getattr(base, "id", "") == "Protocol" for base in one.bases)]
    methods = [node for one in protocols for node in one.body if isinstance(node, ast.FunctionDef)]
    return {node.name for node in methods if ast.get_docstring(node)}


PROMISED = promised()


def public(node: ast.Module | ast.ClassDef, where: str) -> Iterator[tuple[str, ast.AST]]:
    """What a reader may use of a module or a class, with its name; not what stands inside a function."""
    for one in node.body:
        if isinstance(one, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not one.name.startswith("_"):
            yield f"{where}.{one.name}", one
            if isinstance(one, ast.ClassDef):
                yield from public(one, f"{where}.{one.name}")


def lacking(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    found = [name] if tree.body and not ast.get_docstring(tree) else []
    tasks = path.parent.name == "tasks"
    for told, node in public(tree, name):
        assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        is_field = tasks and node.name.split("_")[0] in FIELDS
        is_method = told.count(".") > name.count(".") + 1
        if not (is_field or node.name in CALLED or (is_method and node.name in PROMISED) or ast.get_docstring(node)):
            found.append(told)
    return found


@pytest.mark.parametrize("package", ["zoo", "evals", "training", "dashboard"])
def test_everything_public_has_a_docstring(package: str) -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[0] == package and "migrations" not in path.parts]
    assert files
    assert [one for path in files for one in lacking(path)] == []
