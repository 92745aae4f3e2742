"""Suites resolve to tasks that exist; aggregates keep their version only while their parts stay."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from evals.cli.tasks import tasks as command
from evals.records import Sample
from evals.subset import SIZES, choose_samples, quick_task
from evals.suites import AGGREGATES, SUITES, Aggregate, Part, average, find_tasks, task_names
from evals.tasks import TASKS, protocols, task
from zoo.errors import ZooError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "evals"


def specs(text: str) -> list[str]:
    return [f"{one.name}@{one.protocol}" for one in find_tasks(text)]


def test_every_suite_resolves_and_all_is_every_task() -> None:
    for name in SUITES:
        assert specs(f"suite:{name}") == list(task_names(name))
    assert [spec.split("@")[0] for spec in task_names("all")] == list(TASKS)


def test_names_commas_and_suites_mix_and_each_task_comes_once() -> None:
    assert specs("arc_easy, suite:phi-1 ,humaneval@openai,piqa") == [
        "arc_easy@lm-eval", "humaneval@openai", "mbpp@lm-eval", "piqa@lm-eval",
    ]  # fmt: skip
    assert specs("phi-1") == specs("suite:phi-1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gsm8", 'no task "gsm8" (nearest: "gsm8k")'),
        ("suite:phi-3", 'no suite "phi-3" (nearest: "phi-2")'),
        ("humaneval@opena", 'no protocol "opena" (nearest: "openai")'),
        ("arc_easy@nothing-quick", 'no protocol "nothing-quick"'),
        ("hellaswag@lm-eval-10", "the hub does: Rowan/hellaswag, data/train"),
        ("arc_challenge@lm-eval-25", "0-shot is available: arc_challenge@lm-eval"),
        (" , ", "names no task"),
    ],
)
def test_what_is_not_known_names_the_nearest(text: str, told: str) -> None:
    with pytest.raises(ZooError) as error:
        find_tasks(text)
    assert told in str(error.value)
    assert "phizoo eval" in str(error.value)


def test_the_parts_of_an_aggregate_are_metrics_of_their_tasks() -> None:
    for one in AGGREGATES:
        for part in one.parts:
            assert part.metric in task(part.task).metrics, (one.name, part.task)


def test_an_average_is_the_mean_and_its_interval_narrows() -> None:
    made = Aggregate(name="two", version=1, about="", parts=(Part(task="a", metric="m"), Part(task="b", metric="m")))
    told = average(made, {("a", "m"): (0.4, 0.3, 0.5), ("b", "m"): (0.6, 0.5, 0.7)})
    assert told.value == 0.5
    assert told.low == pytest.approx(0.5 - 0.1 / 2**0.5)
    assert told.high == pytest.approx(0.5 + 0.1 / 2**0.5)
    part = average(made, {("a", "m"): (0.4, 0.3, 0.5)})
    assert (part.value, part.missing) == (None, ("b",))


def test_quick_is_fixed_stratified_and_its_own_protocol() -> None:
    samples = [Sample(id=f"s{n}", question="?", target=0, choices=("a", "b"), cluster=f"c{n % 7}") for n in range(700)]
    some = choose_samples(samples, 70)
    assert set(Counter(sample.cluster for sample in some).values()) == {10}
    assert [sample.id for sample in some] == sorted((s.id for s in some), key=lambda name: int(name[1:]))
    assert choose_samples(samples[::-1], 70) == some[::-1]  # the ids alone decide
    assert len(choose_samples(samples, 73)) == 73
    third = [Sample(id=f"s{n}", question="?", target=int(n < 10), choices=("a", "b")) for n in range(30)]
    assert Counter(sample.target for sample in choose_samples(third, 4)) == {0: 3, 1: 1}  # 2.67 and 1.33
    quick, first = task("arc_easy@lm-eval-quick2"), task("arc_easy@lm-eval-quick")
    assert (quick.protocol, quick.size) == ("lm-eval-quick2", SIZES["arc_easy"])
    assert (first.protocol, first.size) == ("lm-eval-quick", 200)


def test_quick_parts_have_their_sizes_and_their_right_choices_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    if SHARED.is_dir():
        monkeypatch.setenv("PHIZOO_DATA", str(SHARED))
    for spec in task_names("quick"):
        one, whole = task(spec), task(spec.removesuffix("-quick2"))
        some = list(one.samples())
        assert len(some) == one.size < whole.size
        if one.kind == "choices":
            most = Counter(sample.target for sample in some).most_common(1)[0][1]
            assert most / len(some) < (one.chance or 0) + 0.15
        first = list(task(spec.removesuffix("2")).samples())
        assert len(first) < len(some)
    assert set(Counter(sample.cluster for sample in task("mmlu@lm-eval-quick").samples())) == set(
        Counter(sample.cluster for sample in task("mmlu@lm-eval-quick2").samples())
    )
    assert len({sample.cluster for sample in task("mmlu@lm-eval-quick2").samples()}) == 57


def test_reducing_twice_changes_nothing_but_the_name() -> None:
    one = protocols("copa")["lm-eval"]
    assert [sample.id for sample in quick_task(one).samples()] == [sample.id for sample in one.samples()]  # 100 of 100


def test_the_listing() -> None:
    told = json.loads(CliRunner().invoke(command, ["--suites", "--json"], catch_exceptions=False).output)
    assert set(told["suites"]) == set(SUITES)
    assert [one["name"] for one in told["averages"]] == [one.name for one in AGGREGATES]
    assert "suite:quick" in CliRunner().invoke(command, ["--suites"], catch_exceptions=False).output
