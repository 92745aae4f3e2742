"""Choosing: numpy's argmax, so that ties and lengths go as in the harness."""

import numpy
from hypothesis import given
from hypothesis import strategies as st

from evals.records import Choice, Sample
from evals.scoring.choices import judge

LOGPROBS = st.lists(st.sampled_from([-9.0, -6.0, -4.5, -3.0, -1.5]) | st.floats(-50, 0), min_size=4, max_size=4)
TEXTS = st.lists(st.text("abcé☃", min_size=1, max_size=9), min_size=4, max_size=4)


@given(LOGPROBS, TEXTS, st.integers(0, 3))
def test_the_three_metrics_are_the_harness_formulas(logprobs: list[float], texts: list[str], target: int) -> None:
    sample = Sample(id="x", question="?", choices=tuple(texts), target=target)
    read = tuple(Choice(logprob=value, tokens=1, greedy=False) for value in logprobs)
    told = judge(("acc", "acc_norm", "acc_bytes"))(sample, read).metrics
    sums = numpy.array(logprobs)
    characters = numpy.array([float(len(text)) for text in texts])
    sizes = numpy.array([float(len(text.encode())) for text in texts])
    assert told == {
        "acc": float(numpy.argmax(sums) == target),
        "acc_norm": float(numpy.argmax(sums / characters) == target),
        "acc_bytes": float(numpy.argmax(sums / sizes) == target),
    }


def test_only_the_metrics_asked_for_are_given_and_the_first_wins_a_tie() -> None:
    sample = Sample(id="x", question="?", choices=("a", "b"), target=0)
    read = (Choice(logprob=-1.0, tokens=1, greedy=False),) * 2
    assert judge(("acc",))(sample, read).metrics == {"acc": 1.0}
