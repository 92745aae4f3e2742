"""`phizoo eval gate`: rules pass, fail or stay open; the exit code, the alias and the reports follow."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from evals.decisions.policy import read_policy
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError
from zoo.records import Search, SearchedBy, SearchedSet


def right(count: int, n: int, start: int = 0) -> list[float]:
    return [float(start <= number < start + count) for number in range(n)]


def policy(folder: Path, *rules: str) -> Path:
    path = folder / "policy.toml"
    path.write_text('name = "release"\n' + "".join(f"[[rules]]\n{rule}\n" for rule in rules))
    return path


@pytest.fixture
def three(made_up: Any) -> Any:
    """Of 2,000 samples base passes 1,000, same 1,001, better 1,300, worse 700."""
    for name, count in (("base", 1000), ("same", 1001), ("better", 1300), ("worse", 700)):
        made_up.score(name, right(count, 2000))
    return made_up


@pytest.mark.parametrize(
    ("candidate", "rule", "code"),
    [
        ("same", "not_worse_by = 1", 0), ("better", "not_worse_by = 1", 0), ("worse", "not_worse_by = 1", 1),
        ("better", "better_by = 10", 0), ("same", "better_by = 10", 1), ("same", "better_by = 0", 3),
        ("same", "equivalent_within = 1", 0), ("better", "equivalent_within = 1", 1),
        ("base", "at_least = 45", 0), ("base", "at_least = 55", 1), ("base", "at_least = 50", 3),
        ("same", "unscored_at_most = 0", 0), ("same", "tokens_at_most = 1", 0), ("same", "tokens_at_most = 0.5", 1),
        ("same", "seconds_at_most = 2", 3), ("same", "overlap_at_most = 0", 3),
    ],
)  # fmt: skip
def test_each_condition(
    three: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], candidate: str, rule: str, code: int
) -> None:
    path = policy(tmp_path, f'task = "arc_easy"\n{rule}')
    assert phizoo(["eval", "gate", str(path), candidate, "--against", "base", "--json"]) == code
    report = json.loads(capsys.readouterr().out)
    assert report["outcome"] == {0: "PASS", 1: "FAIL", 3: "NOT RESOLVED"}[code]


def test_one_broken_rule_is_enough_and_an_open_one_is_no_pass(three: Any, tmp_path: Path) -> None:
    good, broken, still = "not_worse_by = 1", "better_by = 20", "better_by = 0"
    of = 'task = "arc_easy@lm-eval"\n'
    assert phizoo(["eval", "gate", str(policy(tmp_path, of + good, of + broken)), "same", "--against", "base"]) == 1
    assert phizoo(["eval", "gate", str(policy(tmp_path, of + good, of + still)), "same", "--against", "base"]) == 3


def test_the_alias_moves_only_when_it_passes(
    three: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = policy(tmp_path, 'task = "arc_easy"\nnot_worse_by = 1')
    then = ["--then", "alias", "best"]
    assert phizoo(["eval", "gate", str(path), "worse", "--against", "base", *then]) == 1
    assert three.registry.aliases("worse") == {}
    assert "worse@best stays where it is" in capsys.readouterr().err
    assert phizoo(["eval", "gate", str(path), "better", "--against", "base", *then]) == 0
    assert three.registry.aliases("better") == {"best": 1}
    assert phizoo(["eval", "gate", str(path), "better", "--against", "base", "--then", "remove", "best"]) == 2
    assert phizoo(["eval", "gate", str(path), "better", "--against", "base", "--then", "alias", "no name"]) == 2


def test_an_overlap_is_a_fact_where_the_training_data_were_searched(three: Any, tmp_path: Path) -> None:
    from evals.results.renew import renew_task

    checkpoint = three.registry.get("same")
    search = Search(
        checkpoint=checkpoint.digest, task="arc_easy", datasets=(SearchedSet(digest="d" * 64, documents=1),),
        methods=(SearchedBy(method="exact", threshold=1.0),), samples=tuple(f"arc_easy/{i}" for i in range(2000)),
        flagged=tuple(f"arc_easy/{i}" for i in range(100)),
    )  # fmt: skip
    three.registry.add_search(search)
    renew_task(three.registry, checkpoint.digest, "arc_easy")
    path = policy(tmp_path, 'task = "arc_easy"\noverlap_at_most = 1')
    assert phizoo(["eval", "gate", str(path), "same"]) == 1  # 5% are known, however much was not searched


def test_the_reports_say_the_same(three: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = policy(tmp_path, 'task = "arc_easy"\nnot_worse_by = 1', 'task = "arc_easy"\nbetter_by = 0')
    files = [tmp_path / f"gate{ending}" for ending in (".md", ".xml", ".json")]
    outs = [word for file in files for word in ("--out", str(file))]
    assert phizoo(["eval", "gate", str(path), "same", "--against", "base", *outs]) == 3
    shown = capsys.readouterr().out
    markdown, junit, data = (file.read_text() for file in files)
    assert "at most 5%" in shown
    assert "| arc_easy: less than 1 worse than the base | PASS |" in markdown
    suite = ElementTree.fromstring(junit)[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [failure.get("type") for failure in suite.iter("failure")] == ["NOT RESOLVED"]
    report = json.loads(data)
    assert [rule["outcome"] for rule in report["rules"]] == ["PASS", "NOT RESOLVED"]
    assert report["policy_digest"] == read_policy(path).digest
    assert phizoo(["eval", "gate", str(path), "same", "--against", "base", "--out", "gate.pdf"]) == 2


def test_an_average_is_a_rule(made_up: Any, tmp_path: Path) -> None:
    for name, count in (("a", 900), ("b", 895)):
        made_up.score(name, right(count, 1000), "humaneval@openai")
        made_up.score(name, right(count, 1000), "mbpp@lm-eval")
    path = policy(tmp_path, 'average = "phi-1 code"\nnot_worse_by = 1')
    assert phizoo(["eval", "gate", str(path), "a", "--against", "b"]) == 0
    path = policy(tmp_path, 'average = "quick"\nnot_worse_by = 1')
    assert phizoo(["eval", "gate", str(path), "a", "--against", "b"]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules = 3", "has no rule"), ("", "has no rule"), ("[[rules]", "is not TOML"),
        ('[[rules]]\ntask = "a"\nnot_wors_by = 1', 'nearest: "not_worse_by"'),
        ('[[rules]]\ntask = "a"\naverage = "b"\nbetter_by = 1', "one subject"),
        ('[[rules]]\ntask = "a"', "0 conditions"), ('[[rules]]\ntask = "a"\nnot_worse_by = 0', "can never be shown"),
        ('[[rules]]\ntask = "a"\nnot_worse_by = "x"', "expected a number"), ('nam = "x"\n[[rules]]', 'nearest: "name"'),
        ('[[rules]]\ntask = "a"\nat_least = nan', "expected a number"),
        ('[[rules]]\naverage = "quick"\nat_least = 3', "for a task"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ZooError) as error:
        read_policy(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ZooError, match="no policy"):
        read_policy(tmp_path / "none.toml")


def test_what_is_not_measured_names_the_next_command(
    three: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = policy(tmp_path, 'task = "humaneval"\nnot_worse_by = 1')
    assert phizoo(["eval", "gate", str(path), "same", "--against", "base"]) == 2
    assert "phizoo eval run" in capsys.readouterr().err
    path = policy(tmp_path, 'task = "arc_easy"\nnot_worse_by = 1')
    assert phizoo(["eval", "gate", str(path), "same"]) == 2
    assert "--against NAME" in capsys.readouterr().err


def test_times_are_compared_on_one_machine_only(made_up: Any, tmp_path: Path) -> None:
    path = policy(tmp_path, 'task = "arc_easy"\nseconds_at_most = 1.5')

    def header(seconds: float, host: str) -> dict[str, Any]:
        return {"header": {"cost": {"seconds": seconds, "answers": 10}, "hardware": {"host": host}}}

    made_up.score("a", right(5, 10), **header(10.0, "x"))
    made_up.score("b", right(5, 10), **header(12.0, "x"))
    made_up.score("c", right(5, 10), **header(30.0, "x"))
    made_up.score("d", right(5, 10), **header(10.0, "y"))
    codes = {name: phizoo(["eval", "gate", str(path), name, "--against", "a"]) for name in "bcd"}
    assert codes == {"b": 0, "c": 1, "d": 3}
    assert msgspec.json.encode(made_up.registry.run(made_up.registry.scores("a")[0].run)["cost"])
