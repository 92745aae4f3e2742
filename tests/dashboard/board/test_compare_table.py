"""The comparison as HTML: one row a protocol, verdicts in words, whiskers on one axis, a flip in place."""

import msgspec
import pytest

from dashboard.board.compare_table import FlipPage, FlipSide, in_order, outcome, reach, render_comparison
from dashboard.data.comparison import CheckpointComparison
from evals.stats.paired import paired_difference

HOSTILE = '<img src=x onerror="hacked()">'


def pair(won: int, lost: int, n: int, p: float | None, name: str = "openai", **changes: object) -> CheckpointComparison:
    first = [1.0] * won + [0.0] * (n - won)
    second = [0.0] * won + [1.0] * lost + [0.0] * (n - won - lost)
    fields: dict[str, object] = {
        "checkpoint": "b", "reference": "a", "task": "humaneval", "column": f"humaneval [{name}] pass@1",
        "metric": "pass@1", "kind": "paired", "value": won / n, "reference_value": lost / n,
        "difference": paired_difference(first, second), "p": p, "runs": ("r", "s"), "note": "", "flips": (),
    }  # fmt: skip
    return CheckpointComparison(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (pair(30, 2, 100, 0.001), "better"), (pair(2, 30, 100, 0.001), "worse"),
        (pair(9, 8, 100, 0.9), "undecided"), (pair(30, 2, 100, None), "untested"),
    ],
)  # fmt: skip
def test_a_row_is_judged_by_holms_p(one: CheckpointComparison, kind: str) -> None:
    assert outcome(one) == kind
    assert f'class="verdict {kind}"' in render_comparison([one])


def test_of_bits_per_byte_less_is_better_and_points_to_the_right() -> None:
    lower = pair(30, 2, 100, 0.001)
    assert lower.difference is not None
    less = msgspec.structs.replace(lower.difference, value=-0.2, low=-0.3, high=-0.1)
    bits = msgspec.structs.replace(lower, metric="bits_per_byte", difference=less)
    page = render_comparison([bits])
    assert outcome(bits) == "better" and "-0.200 [-0.300 to -0.100]" in page
    assert "--low:66.67%" in page  # right of the middle, which is at 50%


def test_two_protocols_are_two_rows_and_decided_ones_come_first() -> None:
    rows = [pair(9, 8, 100, 0.9), pair(30, 2, 100, 0.001, "bigcode")]
    assert [one.p for one in in_order(rows)] == [0.001, 0.9]
    page = render_comparison(rows)
    assert page.count("<tr class=") == 2 and "[openai] pass@1" in page and "[bigcode] pass@1" in page


def test_an_undecided_row_says_how_many_problems_would_decide() -> None:
    page = render_comparison([pair(9, 5, 100, 0.4)])
    assert "needs about " in page and "problems; has 100" in page


def test_every_interval_fits_the_axis_of_its_unit() -> None:
    rows = [pair(30, 2, 100, 0.001), pair(60, 1, 100, 0.001, "bigcode")]
    (half,) = reach(rows).values()
    assert all(one.difference and abs(100 * end) <= half for one in rows
               for end in (one.difference.low, one.difference.high))  # fmt: skip


def test_a_flip_stands_under_its_row_with_choices_numbered_from_one_and_the_right_one_marked() -> None:
    one = pair(30, 2, 100, 0.001, checkpoint=HOSTILE)
    sides = (FlipSide(name=HOSTILE, won=True, verdict="passed", text="", chose=1),
             FlipSide(name="a", won=False, verdict="failed", text="", chose=0))  # fmt: skip
    flip = FlipPage(key=one.column, title="HumanEval", first=HOSTILE, sample=HOSTILE, side="won", won=30, lost=2, place=3, of=30,
                    question=HOSTILE, choices=("a sock", HOSTILE), right=1, target="", sides=sides)  # fmt: skip
    page = render_comparison([one], flip)
    assert "<img" not in page
    assert "chose 1: «a sock»" in page and "3 of 30" in page and page.count("✓ right") == 1
    assert page.index("[openai]") < page.index('class="reader"')


def test_a_flip_of_a_text_that_is_only_weighed_names_no_choice() -> None:
    one = pair(30, 2, 100, 0.001)
    sides = (FlipSide(name="b", won=True, verdict="2.1 bits per byte", text=None),
             FlipSide(name="a", won=False, verdict="3.2 bits per byte", text=None))  # fmt: skip
    flip = FlipPage(key=one.column, title="GSM8K bpb", first="b", sample="0", side="won", won=30, lost=2, place=1, of=30,
                    question="Why?", choices=("So it is.",), right=0, target="", sides=sides)  # fmt: skip
    page = render_comparison([one], flip)
    assert page.count("So it is.") == 1 and "weighed" in page
    assert "chose" not in page and "right" not in page and "nothing written" not in page


def test_a_search_without_a_sample_says_so_and_keeps_its_words() -> None:
    one = pair(30, 2, 100, 0.001)
    flip = FlipPage(key=one.column, title="HumanEval", first="b", sample="", side="won", won=30, lost=2, place=0, of=0,
                    question="", choices=(), right=None, target="", sides=(), find='"><img', by_length=True,
                    problem="No sample here matches it.")  # fmt: skip
    page = render_comparison([one], flip)
    assert "<img" not in page and 'value="&quot;&gt;&lt;img"' in page and "No sample here matches it." in page
    assert 'data-act="order" aria-pressed="true"' in page and "0 of 0" in page
