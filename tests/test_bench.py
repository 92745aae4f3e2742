"""`make bench`: every bench is in the table; what fails or lacks its peer is a row; what was measured is kept."""

import ast
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parent / "bench"


@pytest.fixture
def every(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The runner, over three benches of its own: one good, one that fails half way, one whose peer is not there."""
    spec = importlib.util.spec_from_file_location("every", BENCH / "every.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(
        "from pathlib import Path\nfrom rows import row\n"
        f"Path({str(tmp_path / 'runs')!r}).open('a').write('x')\n"
        "row('sorting | merging', peer='theirs', ratios=[2.0, 4.0, 3.0], target='2', share=[0.8, 0.9])\n"
    )
    bad.write_text("from rows import row\nrow('half', figure='7 s')\nraise SystemExit('no luck')\n")
    benches = {
        "good": found.Bench("a good one", str(good)),
        "bad": found.Bench("a bad one", str(bad)),
        "lone": found.Bench("a lonely one", str(good), "mlflow"),
    }
    monkeypatch.setattr(found, "BENCHES", benches)
    monkeypatch.setattr(found, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(found, "PEERS", {"mlflow": ("NO_SUCH_PYTHON", ("mlflow",))})
    monkeypatch.setattr(found, "ROOT", tmp_path)
    return found


def run(every: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["every.py", *words])
    return int(every.main())


def test_one_table_of_all_and_a_fault_is_a_row(
    every: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.md"
    assert run(every, monkeypatch, "--table", str(table)) == 1
    told = table.read_text()
    assert "| good | sorting \\| merging | theirs | 3 | 2–4, n=3 | 85% |  | 2 |  |" in told
    assert "| bad | half |  |  |  |  | 7 s |  |  |" in told
    assert "| bad | a bad one |  |  |  |  |  |  | ended with code 1: no luck |" in told
    assert "not measured: no Python with mlflow (NO_SUCH_PYTHON" in told
    assert "Python" in told.split("Machine: ")[1].splitlines()[0]


def test_what_was_measured_is_not_measured_again_unless_asked(
    every: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = str(tmp_path / "table.md")
    for words in (["good"], ["good"], ["good", "--again"]):
        assert run(every, monkeypatch, *words, "--table", table) == 0
    assert (tmp_path / "runs").read_text() == "xx"
    assert json.loads((tmp_path / "kept" / "good.json").read_text())["rows"][0]["ratio"] == 3.0


def test_rows_of_two_commits_and_of_a_shortened_bench_say_so(
    every: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.md"
    shorter = every.BENCHES["good"]._replace(quick=("BENCH_ROUNDS=1",))
    monkeypatch.setattr(every, "BENCHES", {"good": every.BENCHES["good"], "shorter": shorter})
    for name, commit in (("good", "aaa"), ("shorter", "bbb")):
        monkeypatch.setattr(every, "commit", lambda commit=commit: commit)
        assert run(every, monkeypatch, name, "--quick", "--table", str(table)) == 0
    told = table.read_text()
    assert " at aaa, bbb (" in told
    assert "| good (at aaa) | sorting" in told
    assert "| shorter, short (at bbb) | sorting" in told


def test_the_rest_of_the_page_stays(every: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{every.START}old\n{every.END}\nBelow.\n")
    for _ in range(2):
        assert run(every, monkeypatch, "good", "--table", str(page)) == 0
    text = page.read_text()
    assert text.startswith(f"# Mine\n\n{every.START}Each bench") and text.endswith(f"|\n{every.END}\nBelow.\n")
    assert "old" not in text and text.count("sorting") == 1


def test_every_bench_script_is_in_the_table() -> None:
    text = (BENCH / "every.py").read_text(encoding="utf-8")
    for script in (*BENCH.glob("bench_*.py"), *BENCH.glob("parity_lm*.py"), *BENCH.glob("mutants_*.py")):
        assert f'"{script.name}"' in text, script.name


@pytest.mark.parametrize("script", sorted(BENCH.glob("*.py")), ids=lambda path: path.name)
def test_what_a_script_imports_of_the_packages_is_there(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.ImportFrom) and module.partition(".")[0] in ("zoo", "evals", "training", "dashboard"):
            found = importlib.import_module(module)
            for one in node.names:
                known = hasattr(found, one.name) or importlib.util.find_spec(f"{module}.{one.name}")
                assert known, f"{script.name}: {module} has no {one.name}"
