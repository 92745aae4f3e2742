"""From result lines to a cell: what counts, what does not, and which interval it gets."""

import random
from typing import Literal

import pytest
from msgspec import convert

from evals.records import Result
from evals.stats.intervals import clustered_interval, wilson
from evals.stats.pass_at_k import pass_at_k
from evals.stats.summary import by_sample, derive_summary, restated, summarise
from evals.tasks import groups_of
from zoo import published
from zoo.errors import ZooError
from zoo.records import Reported, Score


def line(sample: int, score: float | None, draw: int = 0, cluster: str = "", **metrics: float) -> Result:
    verdict: Literal["passed", "failed", "unscored"] = "unscored" if score is None else "passed" if score else "failed"
    return Result(sample=f"s/{sample}", draw=draw, score=score, cluster=cluster, verdict=verdict, metrics=metrics)


def test_one_draw_is_a_count_with_wilsons_interval() -> None:
    found = summarise([line(i, float(i < 84)) for i in range(164)], "pass@1", "clusters")
    assert (found.value, found.low, found.high) == (84 / 164, wilson(84, 164).low, wilson(84, 164).high)
    assert (found.n, found.clusters, found.unscored, found.origin) == (164, 164, 0, "measured")


def test_what_a_fault_left_unscored_counts_in_no_value() -> None:
    found = summarise([line(0, 1.0), line(1, None), line(2, 0.0)], "pass@1", "clusters")
    assert (found.value, found.n, found.unscored) == (0.5, 2, 1)


def test_a_sample_with_one_unscored_draw_is_left_out_whole() -> None:
    results = [line(0, 1.0, 0), line(0, None, 1), line(1, 0.0, 0), line(1, 1.0, 1)]
    found = summarise(results, "pass@1", "clusters")
    assert (found.value, found.n, found.unscored) == (0.5, 1, 1)


def test_of_two_lines_for_a_draw_the_last_counts() -> None:
    found = summarise([line(0, None), line(1, 0.0), line(0, 1.0)], "pass@1", "clusters")
    assert (found.value, found.n, found.unscored) == (0.5, 2, 0)
    assert summarise([line(0, 1.0), line(1, 0.0), line(0, None)], "pass@1", "clusters").unscored == 1


def test_several_draws_are_clustered_by_problem() -> None:
    results = [line(i, float((i + draw) % 3 == 0), draw) for i in range(50) for draw in range(4)]
    found = summarise(results, "pass@1", "clusters")
    expected = clustered_interval([r.score or 0.0 for r in results], [r.sample for r in results])
    assert (found.low, found.high) == (expected.low, expected.high)
    assert (found.n, found.clusters) == (50, 50)


def test_pass_at_k_is_the_mean_over_problems() -> None:
    right = [0, 1, 3, 4, 2]
    results = [line(i, float(draw < c), draw) for i, c in enumerate(right) for draw in range(4)]
    found = summarise(results, "pass@2", "clusters")
    assert found.value == pytest.approx(sum(pass_at_k(right, 4, 2)) / 5)
    assert (found.n, found.clusters) == (5, 5)
    assert found.low < found.value < found.high


def test_pass_at_k_needs_k_draws() -> None:
    with pytest.raises(ZooError, match=r"pass@10 needs at least 10 draws.*--draws 10"):
        summarise([line(0, 1.0)], "pass@10", "clusters")


def test_passages_are_the_clusters_where_samples_share_one() -> None:
    results = [line(i, float(i // 10 % 2), cluster=f"passage {i // 10}") for i in range(80)]
    found = summarise(results, "accuracy", "clusters")
    assert (found.n, found.clusters) == (80, 8)
    assert found.high - found.low > 2 * (wilson(40, 80).high - wilson(40, 80).low)


def test_draws_of_samples_that_share_a_passage_are_in_its_cluster() -> None:
    results = [line(i, float(i // 10 % 2), draw, f"p{i // 10}") for i in range(80) for draw in range(2)]
    assert summarise(results, "pass@1", "clusters").clusters == 8


def subjects() -> list[Result]:
    """57 subjects of 20 questions; some subjects are easy."""
    return [
        line(i, float((7 * i) % 10 < (8 if i // 20 % 3 == 0 else 2)), cluster=f"subject {i // 20}") for i in range(1140)
    ]


def test_strata_do_not_widen_the_interval() -> None:
    found, between = summarise(subjects(), "acc", "strata"), summarise(subjects(), "acc", "clusters")
    alone = wilson(found.value * 1140, 1140)
    assert (found.n, found.clusters, between.clusters) == (1140, 1140, 57)
    assert 0.7 * (alone.high - alone.low) < found.high - found.low < alone.high - alone.low
    assert between.high - between.low > 1.5 * (alone.high - alone.low)
    assert found.effective > 1140 > between.effective


def test_draws_in_strata_are_clustered_by_problem() -> None:
    results = [line(i, float(i % 2), draw, cluster=f"subject {i // 20}") for i in range(100) for draw in range(5)]
    found = summarise(results, "pass@1", "strata")
    assert found.clusters == 100
    assert found.effective == pytest.approx(100, rel=0.1)


def test_a_cluster_never_has_the_name_of_a_sample() -> None:
    results = [line(0, 1.0), line(1, 0.0, cluster="s/0"), line(2, 1.0, cluster="s/0")]
    scored, _ = by_sample(results, "acc", "clusters")
    assert len({sample.unit for sample in scored}) == summarise(results, "acc", "clusters").clusters == 2
    assert scored[0].unit != scored[1].unit == scored[2].unit


def stored(**fields: object) -> Score:
    given = {"value": 0.48, "low": 0.44, "high": 0.53, "n": 14042, "clusters": 57, "unscored": 0, "metric": "acc"}
    return convert(given | {"checkpoint": "c", "run": "r", "task": "mmlu", "protocol": "p"} | fields, Score)


def test_a_stored_score_of_strata_is_restated_and_no_other() -> None:
    found = restated(stored(), groups_of("mmlu"))
    expected = wilson(0.48 * 14042, 14042)
    assert (found.low, found.high, found.clusters) == (expected.low, expected.high, 14042)
    assert (found.value, found.n) == (0.48, 14042)
    assert restated(stored(), groups_of("squad_v2")) == stored()
    assert restated(stored(clusters=14042), groups_of("mmlu")) == stored(clusters=14042)


def test_measured_and_reported_strata_have_the_same_interval() -> None:
    """One rule at the same n: within a tenth of the width where subjects differ as those of MMLU do."""
    generator = random.Random(0)
    rates = [min(0.9, max(0.1, generator.gauss(0.4, 0.12))) for _ in range(57)]
    results = [line(i, float(generator.random() < rates[i % 57]), cluster=f"subject {i % 57}") for i in range(5700)]
    measured = summarise(results, "acc", "strata")
    reported = wilson(measured.value * 5700, 5700)
    assert measured.high - measured.low == pytest.approx(reported.high - reported.low, rel=0.1)


def test_each_metric_has_its_own_value() -> None:
    results = [line(i, float(i < 3), acc=float(i < 3), acc_norm=float(i < 6)) for i in range(10)]
    assert summarise(results, "acc", "clusters").value == 0.3
    assert summarise(results, "acc_norm", "clusters").value == 0.6
    with pytest.raises(ZooError, match='no metric "acc_nor" \\(nearest: "acc_norm"\\)'):
        summarise(results, "acc_nor", "clusters")


def test_no_answer_is_wrong_under_every_metric() -> None:
    results = [line(0, 1.0, exact=1.0, f1=1.0), line(1, 0.0)]
    assert summarise(results, "f1", "clusters").value == 0.5
    assert summarise([line(0, 0.5), line(1, 1.0)], "f1", "clusters").value == 0.75


def test_a_metric_of_some_samples_counts_only_those() -> None:
    results = [
        line(0, 1.0, exact=1.0, answerable=1.0),
        line(1, 0.0, exact=0.0, answerable=0.0),
        line(2, 1.0, exact=1.0),
    ]
    assert summarise(results, "exact", "clusters").n == 3
    found = summarise(results, "answerable", "clusters")
    assert (found.value, found.n, found.unscored) == (0.5, 2, 0)


def test_nothing_scored_is_no_number() -> None:
    with pytest.raises(ZooError, match="nothing is scored under pass@1: 2 samples"):
        summarise([line(0, None), line(1, None)], "pass@1", "clusters")
    with pytest.raises(ZooError, match="nothing is scored"):
        summarise([], "pass@1", "clusters")


def test_unlike_numbers_of_draws_weigh_each_problem_once() -> None:
    results = [line(0, 1.0, 0), line(0, 1.0, 1), line(0, 1.0, 2), line(1, 0.0)]
    assert summarise(results, "pass@1", "clusters").value == 0.5


def test_samples_keep_their_order() -> None:
    scored, unscored = by_sample([line(2, 1.0), line(0, 0.0), line(1, None)], "pass@1", "clusters")
    assert ([one.sample for one in scored], unscored) == (["s/2", "s/0"], 1)


def row(**fields: object) -> Reported:
    from msgspec.structs import replace

    return replace(published.by_model()["phi-1 WR+Tile, 36K steps"][0], **fields)


def test_a_published_number_gets_an_interval_from_its_n_marked_as_derived() -> None:
    found = derive_summary(row())
    assert found is not None
    assert (found.value, found.n, found.origin) == (0.555, 164, "derived")
    assert [round(100 * end, 1) for end in (found.low, found.high)] == [47.9, 62.9]


@pytest.mark.parametrize(
    "fields",
    [{"n": None}, {"op": "<"}, {"protocol": "GPT-4 graded understanding score, percent"}, {"protocol": "average"}],
)
def test_no_interval_where_n_or_the_share_is_unknown(fields: dict[str, object]) -> None:
    assert derive_summary(row(**fields)) is None


def test_every_derived_interval_of_the_table_holds_its_value() -> None:
    found = [(one, derive_summary(one)) for one in published.load()]
    intervals = [(one, told) for one, told in found if told is not None]
    assert len(intervals) > 700
    assert all(told.low <= one.value / 100 <= told.high and told.low < told.high for one, told in intervals)


def trials(sample: int, *outcomes: float, draw: int = 0) -> Result:
    """A line whose metric "each" is a mean over its instructions."""
    mean = sum(outcomes) / len(outcomes)
    return Result(
        sample=f"s/{sample}", draw=draw, score=float(all(outcomes)), verdict="passed",
        metrics={"all": float(all(outcomes)), "each": mean}, trials={"each": outcomes},
    )  # fmt: skip


def test_a_mean_over_instructions_weighs_each_sample_by_its_own_and_clusters_them() -> None:
    results = [trials(0, 1.0, 1.0, 0.0), trials(1, 0.0), trials(2, 1.0, 1.0)]
    found = summarise(results, "each", "clusters")
    assert found.value == pytest.approx(4 / 6)  # not the mean of 2/3, 0 and 1
    assert (found.n, found.clusters) == (6, 3)
    expected = clustered_interval([1, 1, 0, 0, 1, 1], ["a", "a", "a", "b", "c", "c"])
    assert (found.low, found.high) == (expected.low, expected.high)
    assert summarise(results, "all", "clusters") == summarise(
        [line(0, 0.0), line(1, 0.0), line(2, 1.0)], "all", "clusters"
    )
    assert [sample.sample for sample in by_sample(results, "each", "clusters")[0]][:3] == ["s/0#1", "s/0#2", "s/0#3"]


def test_instructions_of_several_draws_stay_in_their_sample() -> None:
    results = [trials(i, float(i % 2), float((i + draw) % 3 == 0), draw=draw) for i in range(30) for draw in range(2)]
    found = summarise(results, "each", "clusters")
    assert (found.n, found.clusters) == (60, 30)
    values = [value for result in results for value in result.trials["each"]]
    expected = clustered_interval(values, [result.sample for result in results for _ in range(2)])
    assert found.low == pytest.approx(expected.low)
    assert found.high == pytest.approx(expected.high)


def test_instructions_that_agree_within_a_prompt_are_worth_fewer() -> None:
    apart = [trials(i, 1.0, 0.0) for i in range(100)]
    alike = [trials(i, *[float(i % 2)] * 2) for i in range(100)]
    assert summarise(apart, "each", "clusters").value == summarise(alike, "each", "clusters").value == 0.5
    assert summarise(alike, "each", "clusters").effective == pytest.approx(100, rel=0.05)
    assert summarise(apart, "each", "clusters").effective > 150
