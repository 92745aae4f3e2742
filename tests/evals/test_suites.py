"""Suites resolve to tasks that exist; aggregates keep their version only while their parts stay."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from evals.cli.tasks import tasks as command
from evals.records import Sample
from evals.results.signal import decision_accuracy
from evals.subset import SIZES, choose_samples, quick_task
from evals.suites import AGGREGATES, SMALL_BITS, SUITES, Aggregate, Part, PartScore, average, find_tasks, task_names
from evals.tasks import TASKS, protocols, task
from zoo.errors import ZooError
from zoo.metrics import BITS_PER_BYTE
from zoo.records import Checkpoint, ProtocolRecord, Score
from zoo.registry import open_registry

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "evals"


AVERAGES = {one.name: one for one in AGGREGATES}


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
        ("hellaswag@lm-eval-10", "the hub (Rowan/hellaswag, data/train-00000-of-00001.parquet)"),
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


def part(name: str, low: float, high: float, **facts: Any) -> PartScore:
    score = Score(
        checkpoint="c", run="r", task=name, protocol="p", metric="m", value=(low + high) / 2, low=low, high=high,
        **{"n": 100, "clusters": 100, "unscored": 0} | facts,
    )  # fmt: skip
    return PartScore(task=name, metric="m", version=1, score=score)


def test_an_average_is_the_mean_and_its_interval_narrows() -> None:
    made = Aggregate(name="two", version=1, about="", parts=(Part(task="a", metric="m"), Part(task="b", metric="m")))
    told = average(made, [part("a", 0.3, 0.5), part("b", 0.5, 0.7, n=90, unscored=10)])
    assert told.value == 0.5
    assert told.low == pytest.approx(0.5 - 0.1 / 2**0.5)
    assert told.high == pytest.approx(0.5 + 0.1 / 2**0.5)
    assert (told.n, told.unscored) == (190, 10)
    assert (told.worst, told.best) == (pytest.approx(0.47), pytest.approx(0.52))
    absent = PartScore(task="b", metric="m", version=1, reason="not measured")
    one = average(made, [part("a", 0.3, 0.5), absent])
    assert (one.value, one.missing, one.n) == (None, ("b",), 100)


@pytest.fixture
def measured(tmp_path: Path) -> Callable[..., None]:
    """Publishes a score of the checkpoint `tiny` on a part of the average "phi-1 code"."""
    digest = "c" * 64
    with open_registry() as registry:
        registry.enter(Checkpoint(
            name="tiny", version=1, digest=digest, files=(), architecture={}, parameters=1, context_tokens=1,
            prompt_style="completion", training_tokens=None, recipe_digest=None, parents=(), datasets=(), licence="",
            created="", source="",
        ))  # fmt: skip

    def publish(spec: str, value: float, n: int, version: int | None = None, **facts: Any) -> None:
        one = task(spec)
        record = ProtocolRecord(
            task=one.name, task_version=version or one.version, name=one.protocol, metric="pass@1", shots=0, prompt="",
            prompts_sha256="0" * 64, samples=n, decoding={},
        )  # fmt: skip
        run = f"{spec} {value} {n}"
        score = Score(
            checkpoint=digest, run=run, task=one.name, protocol=record.fingerprint, metric="pass@1", value=value,
            low=max(0.0, value - 0.1), high=min(1.0, value + 0.1), **{"n": n, "clusters": n, "unscored": 0} | facts,
        )  # fmt: skip
        with open_registry() as registry:
            registry.add_scores({"id": run, "checkpoint": digest}, record, [score])

    return publish


def values() -> dict[str, Any]:
    out = CliRunner().invoke(command, ["--suites", "--of", "tiny", "--json"], catch_exceptions=False).output
    return next(one for one in json.loads(out)["averages"] if one["name"] == "phi-1 code")


def test_an_average_takes_the_runs_that_stand_of_todays_versions(measured: Callable[..., None]) -> None:
    measured("humaneval@openai", 0.5, 162, unscored=2)
    measured("mbpp@lm-eval", 0.3, 500)
    measured("humaneval@openai", 1.0, 2, version=99)
    measured("mbpp@lm-eval", 1.0, 499, unscored=1)
    row = values()
    assert (row["value"], row["n"], row["unscored"]) == (0.4, 662, 2)
    assert row["worst"] < row["value"] < row["best"]
    assert [(part["task"], part["version"], part["score"]["n"]) for part in row["scores"]] == [
        ("humaneval@openai", task("humaneval@openai").version, 162),
        ("mbpp@lm-eval", task("mbpp@lm-eval").version, 500),
    ]
    shown = CliRunner().invoke(command, ["--suites", "--of", "tiny"], catch_exceptions=False).output
    (line,) = [line for line in shown.splitlines() if line.startswith("average phi-1 code")]
    assert "40.0 [32.9–47.1] n=662 (2 unscored: " in line
    assert "mbpp@lm-eval v1 n=500" in line


def test_an_average_says_what_is_missing_and_why(measured: Callable[..., None]) -> None:
    measured("humaneval@openai", 1.0, 2, version=99)
    assert (values()["value"], values()["missing"]) == (None, ["humaneval@openai", "mbpp@lm-eval"])
    shown = CliRunner().invoke(command, ["--suites", "--of", "tiny"], catch_exceptions=False).output
    assert "humaneval@openai v1 (only version 99 is measured), mbpp@lm-eval v1 (not measured)" in shown
    measured("mbpp@lm-eval", 0.3, 500, measured_at="/srv/zoo")
    shown = CliRunner().invoke(command, ["--suites", "--of", "tiny"], catch_exceptions=False).output
    assert "has mbpp@lm-eval v1 n=500 measured elsewhere: /srv/zoo" in shown


def test_an_average_of_bits_is_lower_for_the_better_and_has_no_upper_bound() -> None:
    made = next(one for one in AGGREGATES if one.name == "small bits per byte")
    assert made.metric.lower_is_better
    told = average(made, [part("a", 1.9, 2.1, unscored=3), part("b", 0.9, 1.1), part("c", 2.9, 3.1)])
    assert told.value == pytest.approx(2.0)
    assert told.high == pytest.approx(2.0 + 0.1 / 3**0.5)
    bits = [replace(one, score=one.score and replace(one.score, metric=BITS_PER_BYTE)) for one in told.parts]
    told = average(made, bits)
    assert (told.worst, told.best) == (None, None)  # nothing bounds what an unscored answer would have cost


def test_no_average_mixes_scales_or_directions() -> None:
    for one in AGGREGATES:
        assert one.metric
    mixed = Aggregate(
        name="x", version=1, about="", parts=(Part(task="a", metric="acc"), Part(task="b", metric=BITS_PER_BYTE))
    )
    with pytest.raises(ValueError, match="other scales"):
        print(mixed.metric)


def test_suite_small_is_bits_of_code_maths_and_text_and_cloze_forms_that_decide() -> None:
    small = find_tasks("suite:small")
    assert list(SMALL_BITS) == ["code", "maths", "text"]
    assert [task.metrics[0] for task in small[:3]] == [BITS_PER_BYTE] * 3
    assert [f"{task.name}@{task.protocol}" for task in small[:3]] == list(SMALL_BITS.values())
    for one in small[3:]:
        prior = decision_accuracy(one.name)
        assert one.kind == "choices" and prior is not None and prior.percent >= 74
    parts = {form.task for name in ("small accuracy", "small bits per byte") for form in AVERAGES[name].parts}
    assert parts == set(task_names("small"))  # each part of the suite is in one average


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
