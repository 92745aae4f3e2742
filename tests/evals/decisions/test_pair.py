"""`phizoo eval compare`: averages that both have whole, and the verdict against a margin with its exit code."""

import json
from typing import Any

import pytest

from evals.decisions.averages import compare_averages
from evals.decisions.pair import compare_pair
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError


def right(count: int, n: int, start: int = 0) -> list[float]:
    return [float(start <= number < start + count) for number in range(n)]


@pytest.fixture
def two(made_up: Any) -> Any:
    """A has 60 of 100 and 110 of 200, B 50 of 100 and 110 of 200."""
    for name, code, mbpp in (("a", 60, 110), ("b", 50, 110)):
        made_up.score(name, right(code, 100), "humaneval@openai")
        made_up.score(name, right(mbpp, 200), "mbpp@lm-eval")
    return made_up


def test_an_average_is_paired_within_each_task(two: Any) -> None:
    row, same = compare_averages(two.registry, two.registry.get("a"), two.registry.get("b"))
    assert (row.name, len(row.of), row.unpaired) == ("phi-1 code", 2, ())
    assert (same.name, same.of, row.p_holm) == ("phi-2 coding", row.of, row.difference.p)  # one question, asked once
    assert (row.difference.value, row.difference.n, row.difference.wins) == (pytest.approx(0.05), 300, 10)
    assert row.difference.p == pytest.approx(2 / 2**10)
    assert row.difference.low > 0
    assert (row.first, row.second) == pytest.approx((0.575, 0.525))


def test_a_part_without_its_samples_is_unpaired_and_says_so(two: Any) -> None:
    run = next(score.run for score in two.registry.scores("a") if score.task == "mbpp")
    two.registry.results(run).unlink()
    row, _ = compare_averages(two.registry, two.registry.get("a"), two.registry.get("b"))
    assert row.unpaired == ("mbpp@lm-eval",)
    assert row.difference.method == "unpaired"
    assert row.difference.p > 0.05
    assert "unpaired" in row.note


def test_an_average_that_is_named_must_be_whole(two: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZooError, match="lacks 9 of the 9 parts"):
        compare_averages(two.registry, two.registry.get("a"), two.registry.get("b"), ["quick"])
    with pytest.raises(ZooError, match="is no share; compare its tasks: phizoo eval compare A B --task humaneval_bpb@"):
        compare_averages(two.registry, two.registry.get("a"), two.registry.get("b"), ["small bits per byte"])
    assert phizoo(["eval", "compare", "a", "b", "--average", "quik"]) == 2
    assert '(nearest: "quick")' in capsys.readouterr().err


def test_the_command_prints_averages_and_json_has_them(two: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["eval", "compare", "a", "b"]) == 0
    assert "phi-1 code v1" in capsys.readouterr().out
    assert phizoo(["eval", "compare", "a", "b", "--json", "--average", "phi-1 code"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in data["averages"]] == ["phi-1 code"]
    assert data["rows"] == []
    assert "verdict" not in data


@pytest.mark.parametrize(
    ("first", "second", "margin", "code", "word"),
    [
        (right(2000, 4000), right(2001, 4000), 1.0, 0, "EQUIVALENT"),
        (right(2000, 4000), right(1500, 4000), 1.0, 0, "BETTER"),
        (right(1500, 4000), right(2000, 4000), 1.0, 1, "WORSE"),
        (right(82, 164), right(82, 164, 5), 1.0, 3, "NOT RESOLVED"),
    ],
)  # fmt: skip
def test_exit_codes_of_the_margin(
    made_up: Any, capsys: pytest.CaptureFixture[str], first: Any, second: Any, margin: float, code: int, word: str
) -> None:
    made_up.score("a", first)
    made_up.score("b", second)
    assert phizoo(["eval", "compare", "a", "b", "--margin", str(margin)]) == code
    out, err = capsys.readouterr()
    assert word in out
    assert (code == 0) == (word not in err)
    assert phizoo(["eval", "compare", "a", "b", "--margin", str(margin), "--json"]) == code
    assert json.loads(capsys.readouterr().out)["verdict"] == word


def test_what_is_open_says_how_many_samples_it_would_take(made_up: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.score("a", right(82, 164))
    made_up.score("b", right(82, 164))
    decided = compare_pair(made_up.registry, ("a", "b"), margin=1.0)
    assert list(decided.needs.values()) == [268]
    assert phizoo(["eval", "compare", "a", "b", "--margin", "1"]) == 3
    assert "would take about 268 samples" in capsys.readouterr().err
    assert phizoo(["eval", "compare", "a", "b", "--margin", "0"]) == 2
