"""Conditions on checkpoints and scores find the right rows, and cannot express anything else."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.db.condition import CHECKPOINTS, Resolve, parse_condition
from zoo.errors import ZooError
from zoo.records import About, Dataset, Parent, TrainedOn
from zoo.registry import Registry, open_registry


@pytest.fixture
def registry(db: str, tmp_path: Path, made: SimpleNamespace) -> Iterator[Registry]:
    """Three checkpoints: a small tagged one, its child trained on code, and a larger one of other licence."""
    with open_registry(db) as found:
        data = found.add_dataset(Dataset(name="code", digest="a" * 64, kind="tokens", documents=1, tokens=5))
        base = found.add(made.phi(tmp_path / "a", 1), "base", About(tags=("keep",), licence="mit", training_tokens=100))
        child = found.add(
            made.phi(tmp_path / "b", 2),
            "child",
            About(
                parents=(Parent(digest=base.digest, relation="finetune"),),
                datasets=(TrainedOn(digest=data.digest, tokens=5),),
                licence="mit",
                family="phi-mini",
            ),
        )
        large = found.add(
            made.phi(tmp_path / "c", 3, vocab_size=1000), "large", About(licence="apache-2.0", source="50%_off")
        )
        for one, value in ((base, 0.3), (child, 0.5), (large, 0.6)):
            run = f"run-{one.name}"
            scores = [
                made.score(one.digest, run, value),
                made.score(one.digest, run, value - 0.2, subset="clean"),
                made.score(one.digest, run, value + 0.3, metric="pass@10"),
                made.score(one.digest, run, value + 0.3, metric="bits_per_byte"),
            ]
            found.add_scores({"id": run, "checkpoint": one.digest}, made.protocol(), scores)
    with open_registry(db, readonly=True) as found:
        yield found


CONDITIONS = {
    "humaneval.low > 0.35": "child large",
    "humaneval.low > 0.35 and parameters < 10K": "child",
    "humaneval.value = 0.5": "child",
    "humaneval.clean.value >= 0.25": "child large",
    "humaneval.pass@10.value > 0.75": "child large",
    "humaneval.clean.high < 0.25": "base",
    "humaneval.n >= 164": "base child large",
    "humaneval.unscored > 0": "",
    "parameters >= 1.059e3 and parameters <= 1_059": "base child",
    "parameters > 1M": "",
    "tag = keep": "base",
    "tag != keep": "child large",
    "tag ~ EEP": "base",
    "parent = base": "child",
    "parent != base:1": "base large",
    "dataset = code": "child",
    "dataset = aaaaaaaa": "child",
    "dataset != code": "base large",
    "licence = mit and not name = base": "child",
    "name = base or name = large": "base large",
    "(name = base or name = large) and licence = 'mit'": "base",
    "name = base or name = large and licence = mit": "base",
    "NOT (licence = mit)": "large",
    "licence = MIT": "base child",
    "quantised = yes": "",
    "created < 2020-01-01": "",
    "created >= 2020-01-01 and parameters <= 500M and licence = Apache-2.0": "large",
    'family == "phi-mini"': "child",
    "name ~ AR": "large",
    "source ~ '%'": "large",
    "source ~ _": "large",
    "training_tokens > 0": "base",
    "created > 2020": "base child large",
    "name = 'x'' or ''1''=''1'": None,
    "name = x; drop table checkpoints": None,
    "": None,
    "parameters": None,
    "parameters <": None,
    "< 3": None,
    "parameters < abc": None,
    "parameters ~ 3": None,
    "tag < keep": None,
    "humaneval.low": None,
    "humaneval.mean > 0.1": None,
    "humaneval.low ~ 3": None,
    "mbpp.low > 0.1": None,
    "(name = base": None,
    "name = base)": None,
    "name = base large": None,
    "dataset = none": None,
    "parent = none": None,
    "name = 'open": None,
    "record = x": None,
    "(" * 100 + "name = base" + ")" * 100: None,
    "parameters > -1e400": None,
    "parameters < 1e308K": None,
    "parameters > ٣": None,
}


def test_a_condition_finds_what_it_says_or_is_refused_in_one_line(registry: Registry) -> None:
    for text, wanted in CONDITIONS.items():
        if wanted is not None:
            assert [found.name for found in registry.find([text])] == wanted.split(), text
            continue
        with pytest.raises(ZooError) as raised:
            registry.find([text])
        assert "\n" not in str(raised.value), text


def test_filters_and_several_conditions_must_all_hold(registry: Registry) -> None:
    assert [one.name for one in registry.find(licence="mit", max_parameters=2000)] == ["base", "child"]
    assert [one.name for one in registry.find(["licence = mit", "humaneval.low > 0.35"])] == ["child"]
    assert [one.name for one in registry.find(tag=("keep",), parent=None)] == ["base"]
    assert [one.name for one in registry.find(limit=2)] == ["base", "child"]
    with pytest.raises(ZooError, match="beyond 64 bits"):
        registry.find(limit=10**20)
    assert [one.name for one in registry.find(name="it's")] == []
    with pytest.raises(ZooError, match='nearest: "licence"'):
        registry.find(license="mit")
    with pytest.raises(ZooError, match="both kinds of quotes"):
        registry.find(name="'\"")


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("name", ["base", "child", "large"]),
        ("newest", ["large", "child", "base"]),
        ("parameters", ["base", "child", "large"]),
        ("humaneval.low", ["large", "child", "base"]),
        ("humaneval.clean.value", ["large", "child", "base"]),
        ("humaneval.bits_per_byte.high", ["base", "child", "large"]),  # of which less is better
        ("humaneval.overlapping.low", ["base", "child", "large"]),
    ],
)
def test_found_checkpoints_stand_in_the_order_asked_for(registry: Registry, order: str, names: list[str]) -> None:
    assert [one.name for one in registry.find(order=order)] == names
    assert [one.name for one in registry.find(order=order, limit=1)] == names[:1]
    assert [one.name for one in registry.find("licence = mit", order=order)] == [n for n in names if n != "large"]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("newst", 'no order "newst" .nearest: "newest"'),
        ("humanevl.low", "no scores of task 'humanevl' .nearest: \"humaneval\""),
        ("humaneval.lower", "no score field 'lower'"),
    ],
)
def test_an_unknown_order_is_an_error_with_the_nearest(registry: Registry, order: str, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        registry.find(order=order)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("abn_. <>=!~()'\"0123456789eKM;-%:@ "), max_size=60))
def test_whatever_is_typed_it_is_sql_of_ours_or_one_line(text: str) -> None:
    """No text of the user's ever stands in the SQL."""
    resolve = Resolve(lambda spec: "d" * 64, lambda spec: ["d" * 64], lambda: ("b",))
    try:
        made = parse_condition(text, resolve)
    except ZooError:
        return
    left = made.sql
    for key in sorted(made.values, key=len, reverse=True):
        left = left.replace(f":{key}", "?")
    words = set(left.replace("(", " ").replace(")", " ").replace(",", " ").split())
    ours = {f"c.{field}" for field in CHECKPOINTS.names} | {
        "AND",
        "OR",
        "NOT",
        "IN",
        "SELECT",
        "FROM",
        "WHERE",
        "LIKE",
        "ESCAPE",
        "'!'",
        "checkpoint_id",
        "checkpoint",
        "tags",
        "parents",
        "trained_on",
        "scores",
        "digest",
        "tag",
        "task",
        "subset",
        "metric",
        "headline",
        "1",
        "low",
        "value",
        "high",
        "n",
        "unscored",
        "c.id",
        "c.digest",
        "lower",
        "<",
        "<=",
        ">",
        ">=",
        "=",
        "!=",
        "?",
    }
    assert words <= ours
