"""The best threshold of "no answer": the largest total over all thresholds, and what the script's own search gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.scoring.squad_threshold import at_best_threshold

SAMPLES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.4, 1.0]), st.integers(0, 6), st.booleans(), st.sampled_from(["", "x", "."])
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(SAMPLES)
def test_no_other_threshold_gives_more(samples: list[tuple[float, int, bool, str]]) -> None:
    scores, probabilities, answerable, texts = (list(column) for column in zip(*samples, strict=True))
    found = at_best_threshold(scores, probabilities, answerable, texts)

    def worth(at: int, answers: bool) -> float:
        if not answers:
            return 0.0 if answerable[at] else 1.0
        return scores[at] if answerable[at] else float(texts[at] == "")

    order = sorted(range(len(samples)), key=lambda at: (probabilities[at], at))
    totals = [sum(worth(at, place < cut) for place, at in enumerate(order)) for cut in range(len(samples) + 1)]
    assert sum(found) == pytest.approx(max(totals))
    assert all(0.0 <= value <= 1.0 for value in found)


def test_answers_of_punctuation_to_no_question_are_wrong_and_nothing_is_right() -> None:
    assert at_best_threshold([1.0, 1.0], [0.0, 0.5], [True, False], ["a", "."]) == [1.0, 1.0]  # taken back
    assert at_best_threshold([1.0, 1.0], [0.5, 0.0], [True, False], ["a", ""]) == [1.0, 1.0]  # said nothing
    assert at_best_threshold([1.0, 1.0], [0.5, 0.0], [True, False], ["a", "."]) == [0.0, 1.0]  # either, not both
