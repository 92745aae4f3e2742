"""The house rules that a tool can hold: no import circles, small folders, click at the edge, one meaning a name."""

import ast
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from training.recipe import keys

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("zoo", "evals", "training", "dashboard")
MOST_FILES, MOST_LINES, MOST_FUNCTION_LINES, MOST_SOURCE_LINES = 25, 400, 70, 81_000
RECIPE_KEYS = keys()  # written like modules: training.steps
PAGES = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
)


def sources(root: Path) -> dict[str, Path]:
    """The module name of each source file, and its path."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of ours that a file imports, inside functions and for type checkers too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            deeper = {f"{node.module}.{alias.name}" for alias in node.names}
            targets |= {target if target in known else node.module for target in deeper}
    return {target for target in targets if target in known and target != name}


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of files that import each other, by Tarjan's strongly connected components.

    >>> circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    [['a', 'b', 'c']]
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(edges.get(name, ())):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            place = stack.index(name)
            group = sorted(stack[place:])
            del stack[place:]
            if len(group) > 1:
                groups.append(group)

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return groups


def import_circles(root: Path) -> list[list[str]]:
    known = sources(root)
    return circles({name: imports(name, path, known) for name, path in known.items()})


def full_folders(root: Path) -> dict[str, int]:
    folders = Counter(path.parent.relative_to(root).as_posix() for path in sources(root).values())
    return {name: number for name, number in folders.items() if number > MOST_FILES and name != "evals/tasks"}


def click_outside(root: Path) -> list[str]:
    """Files that import click, neither in a folder `cli` nor named cli.py."""
    outside = []
    for path in sources(root).values():
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        ]
        at_edge = path.parent.name == "cli" or path.name == "cli.py"
        if any(name.split(".")[0] == "click" for name in names) and not at_edge:
            outside.append(path.relative_to(root).as_posix())
    return outside


def double_classes(root: Path) -> dict[str, list[str]]:
    places = defaultdict(list)
    for path in sources(root).values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(root).as_posix())
    return {name: files for name, files in places.items() if len(files) > 1}


def long_parts(root: Path) -> list[str]:
    """Files and functions over their limits."""
    parts = []
    for path in sources(root).values():
        text, place = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
        if (lines := text.count("\n")) > MOST_LINES:
            parts.append(f"{place}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    parts.append(f"{place}: {node.name} has {lines} lines")
    return parts


def source_lines(root: Path) -> int:
    return sum(path.read_text(encoding="utf-8").count("\n") for path in sources(root).values())


def mentioned(text: str) -> Iterator[str]:
    """The identifiers that a page names in backticks: dotted, with an underscore, or in CamelCase."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for name in re.findall(r"`([A-Za-z_][\w.]*)(?:\(\))?`", text):
        if re.search(r"_|\.\w|[a-z][A-Z]|^[A-Z][a-z]+$", name):
            yield name


def words_of_the_house(root: Path) -> set[str]:
    """Each word of the repository's files that are not pages."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    words = set()
    for name in listed:
        path = root / name
        words |= set(re.split(r"[/.]", name))
        code = path.suffix in (".py", ".toml", ".txt", ".css", ".csv") or name.startswith(("Makefile", ".ci/"))
        if code and path.is_file():
            words |= set(re.findall(r"\w+", path.read_text(encoding="utf-8", errors="replace")))
    return words


def public_names(root: Path) -> set[str]:
    """The names that each package's own file gives, such as zoo.open_registry."""
    tables = {package: (root / package / "__init__.py") for package in PACKAGES}
    texts = {package: path.read_text(encoding="utf-8") for package, path in tables.items() if path.is_file()}
    return {f"{package}.{name}" for package, text in texts.items() for name in re.findall(r'"(\w+)": "', text)}


def missing_names(root: Path, pages: tuple[str, ...] = PAGES) -> list[str]:
    """The names on pages that no file of the repository has."""
    words, modules = words_of_the_house(root), {*sources(root), *public_names(root)}
    missing = []
    for page in pages:
        for name in mentioned((root / page).read_text(encoding="utf-8")):
            parts = name.split(".")
            ours = parts[0] in PACKAGES and len(parts) > 1 and name not in RECIPE_KEYS
            exists = ".".join(parts[:2]) in modules if ours else True
            if not exists or not all(part in words for part in parts):
                missing.append(f"{page}: {name}")
    return missing


def test_no_file_imports_in_a_circle() -> None:
    assert import_circles(ROOT) == []


def test_no_folder_is_too_full() -> None:
    assert full_folders(ROOT) == {}


def test_click_stays_in_the_commands() -> None:
    assert click_outside(ROOT) == []


def test_a_class_name_means_one_thing() -> None:
    assert double_classes(ROOT) == {}


def test_files_and_functions_are_short() -> None:
    assert long_parts(ROOT) == []
    assert source_lines(ROOT) <= MOST_SOURCE_LINES


def test_the_names_that_pages_mention_exist() -> None:
    assert missing_names(ROOT) == []


def test_each_rule_sees_a_break(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package / "cli").mkdir(parents=True)
    (tmp_path / "zoo" / "a.py").write_text("def f():\n    from zoo import b\n\nclass Twice: ...\n")
    (tmp_path / "zoo" / "b.py").write_text("import zoo.a\nimport click\n\nclass Twice: ...\n" + "x = 1\n" * 400)
    (tmp_path / "zoo" / "cli" / "c.py").write_text("import click\n")
    for number in range(26):
        (tmp_path / "evals" / f"f{number}.py").write_text("")
    (tmp_path / "README.md").write_text("`zoo.a` and `zoo.gone`, `Twice` and `NotThere`\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert import_circles(tmp_path) == [["zoo.a", "zoo.b"]]
    assert full_folders(tmp_path) == {"evals": 26}
    assert click_outside(tmp_path) == ["zoo/b.py"]
    assert double_classes(tmp_path) == {"Twice": ["zoo/a.py", "zoo/b.py"]}
    assert long_parts(tmp_path) == ["zoo/b.py: 404 lines"]
    assert missing_names(tmp_path, ("README.md",)) == ["README.md: zoo.gone", "README.md: NotThere"]
