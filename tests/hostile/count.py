"""Counts the hostile inputs by door, tried and held, as docs/security.md states them: python tests/hostile/count.py [--long]

One test is one crafted input, unless it prints how many it tried (`tried N`).
"""

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "tests/hostile/test_doors.py"
# door -> the beginnings of its tests' names
DOORS = {
    "remote zoo": ("tests/zoo/admission/test_records.py", f"{HOSTILE}::test_remote_zoo"),
    "folder: files and names": ("tests/zoo/admission/test_file_kind.py", "tests/zoo/admission/test_gate.py"),
    "folder: safetensors": ("tests/zoo/admission/test_safetensors_header.py", f"{HOSTILE}::test_files[folder: safetensors"),
    "folder: configuration": (
        "tests/zoo/admission/test_config.py", f"{HOSTILE}::test_files[folder: config", f"{HOSTILE}::test_files[folder: gen",
    ),
    "folder: tokenizer": (
        "tests/zoo/admission/test_tokenizer.py", "tests/zoo/admission/test_tokenizer_files.py",
        f"{HOSTILE}::test_files[folder: tokenizer",
    ),
    "folder: chat template": ("tests/zoo/admission/test_chat_template.py",),
    "GGUF": ("tests/zoo/admission/test_gguf", f"{HOSTILE}::test_files[GGUF"),
    "adapter": (f"{HOSTILE}::test_files[adapter",),
    "result file": (f"{HOSTILE}::test_files[result",),
    "JSON in any file": ("tests/hostile/test_json_doors.py", "tests/zoo/test_jsonl.py", f"{HOSTILE}::test_deep"),
    "endpoint": (f"{HOSTILE}::test_endpoint",),
    "served request": ("tests/evals/serving/test_limits.py", f"{HOSTILE}::test_served_request"),
    "argument": ("tests/hostile/test_commands.py::test_hostile_words", "tests/hostile/test_commands.py::test_every"),
    "home and database": ("tests/hostile/test_commands.py::test_hostile_homes",),
    "environment": (
        "tests/hostile/test_commands.py::test_hostile_variables", "tests/zoo/test_address.py", "tests/zoo/test_api_key.py",
        "tests/zoo/test_safe_path.py",
    ),
}  # fmt: skip


class Tally:
    """A plugin that counts inputs and faults by door."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Counts one test's inputs."""
        if report.when != "call" or report.skipped:
            return
        door = next((door for door, names in DOORS.items() if report.nodeid.startswith(names)), "")
        counts = [int(number) for number in re.findall(r"^tried (\d+)$", report.capstdout, re.M)]
        self.tried[door] += sum(counts) or 1
        self.failed[door] += report.failed


def main() -> int:
    """Runs the tests and prints the table."""
    files = sorted(
        {name.partition("::")[0] for names in DOORS.values() for name in names} - {"tests/zoo/admission/test_gguf"}
    )
    files += ["tests/zoo/admission/test_gguf.py", "tests/zoo/admission/test_gguf_header.py"]
    tally, marks = Tally(), ["-m", "long or not long"] if "--long" in sys.argv else []
    pytest.main(
        ["--rootdir", str(ROOT), "-q", "--no-header", *marks, *(str(ROOT / file) for file in files)], plugins=[tally]
    )
    print("| door | tried | held |\n| --- | ---: | ---: |")
    for door in DOORS:
        print(f"| {door} | {tally.tried[door]:,} | {tally.tried[door] - tally.failed[door]:,} |")
    tried, failed = (sum(counts[door] for door in DOORS) for counts in (tally.tried, tally.failed))
    print(f"| all | {tried:,} | {tried - failed:,} |")
    return int(bool(sum(tally.failed.values())))


if __name__ == "__main__":
    sys.exit(main())
