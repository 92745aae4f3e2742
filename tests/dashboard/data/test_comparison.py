"""Comparisons on the page are paired and adjusted over all of them; the lift note says what is significant."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.data.comparison import CheckpointComparison, compare_checkpoints, default_pair, difference_text
from dashboard.data.notes import board_notes, headline_note, lift_note, lift_steps
from dashboard.data.source import load_board
from evals.results.compare import Comparison, compare
from evals.stats.paired import holm, mcnemar, paired_difference
from zoo.errors import ZooError
from zoo.registry import Registry, open_registry

NAMES = ("phi-1-small-mini-unfiltered:1", "phi-1-small-mini-base:1", "phi-1-small-mini:1")


@pytest.fixture
def registry(zoo: Path) -> Iterator[Registry]:
    with open_registry(readonly=True) as opened:
        yield opened


def test_every_checkpoint_is_paired_with_the_first(registry: Registry) -> None:
    comparisons = compare_checkpoints(registry, NAMES)
    assert {pair.checkpoint for pair in comparisons} == set(NAMES[1:])
    assert {pair.reference for pair in comparisons} == {NAMES[0]}
    mini = next(pair for pair in comparisons if pair.task == "mini_exercises" and pair.checkpoint == NAMES[2])
    assert mini.difference is not None
    assert (mini.kind, mini.difference.n, mini.difference.wins, mini.difference.losses) == ("paired", 320, 199, 0)
    assert len(mini.flips) == 199


def test_the_default_pair_is_the_newest_child_and_its_parent(registry: Registry) -> None:
    digests = {name: registry.get(name).digest for name in reversed(NAMES)}
    assert default_pair(registry, digests) == (NAMES[2], NAMES[1])
    assert default_pair(registry, digests, NAMES[1]) == (NAMES[1], NAMES[2])  # no parent: the newest other
    assert default_pair(registry, {NAMES[0]: digests[NAMES[0]]}) == (NAMES[0], NAMES[0])


def test_p_is_adjusted_over_all_lines(registry: Registry) -> None:
    comparisons = compare_checkpoints(registry, NAMES)
    raw = [pair.difference.p for pair in comparisons if pair.difference]
    assert [pair.p for pair in comparisons] == holm(raw)
    assert holm(raw) != raw
    assert len(comparisons) == 6


def test_an_unscored_sample_is_left_out_of_the_pairs(registry: Registry) -> None:
    (pair,) = compare_checkpoints(registry, NAMES[:2], ("mini_exercises",))
    assert pair.difference is not None
    assert pair.difference.n == 319
    assert "left out" in pair.note


def test_one_alone_is_compared_by_chat_and_as_completions(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare_checkpoints(registry, NAMES[2:]) == ()  # nothing was asked by chat

    def compare_shapes(*names: object, chat: bool, **options: object) -> Comparison:
        assert chat and names[1:3] == (NAMES[2], NAMES[2])
        return compare(registry, NAMES[2], NAMES[0], flips=True)

    monkeypatch.setattr("dashboard.data.comparison.compare", compare_shapes)
    pairs = compare_checkpoints(registry, NAMES[2:])
    assert {(pair.checkpoint, pair.reference) for pair in pairs} == {
        (f"{NAMES[2]}, completions", f"{NAMES[2]}, by chat")
    }
    assert all(pair.flips for pair in pairs if pair.task == "mini_exercises")


def test_unknown_checkpoint_is_an_error(registry: Registry) -> None:
    with pytest.raises(ZooError, match="phi-1-small-min"):
        compare_checkpoints(registry, [NAMES[0], "phi-1-small-minny"])


def test_lift_goes_step_by_step_and_the_whole_way(registry: Registry) -> None:
    steps = lift_steps(load_board(registry), registry)
    assert [(line.reference, line.checkpoint) for line in steps] == [NAMES[:2], NAMES[1:], (NAMES[0], NAMES[2])]
    assert "p <0.001, significant" in lift_note(steps, "Mini exercises")


@pytest.mark.parametrize(("wins", "verdict"), [(3, "not significant"), (30, "significant")])
def test_lift_says_when_it_is_not_significant(wins: int, verdict: str) -> None:
    difference = paired_difference([1.0] * wins + [0.0] * 50, [0.0] * (wins + 50))
    line = CheckpointComparison(
        checkpoint="b:1", reference="a:1", task="t", column="t", metric="m", kind="paired", value=0.1,
        reference_value=0.0, difference=difference, p=difference.p, runs=(), note="", flips=(),
    )  # fmt: skip
    note = lift_note([line], "Mini exercises")
    assert difference.p == pytest.approx(mcnemar(wins, 0))
    assert note.endswith(f", {verdict}.")
    assert difference_text(line) in note


def test_headline_of_the_talk_is_not_significant(registry: Registry) -> None:
    note = headline_note(load_board(registry))
    assert "55.5 against 51.2" in note
    assert "not significant by itself (z 0.78, unpaired)" in note


def test_notes_without_a_zoo_are_the_talks_alone() -> None:
    assert len(board_notes("talk", load_board(None))) == 1
    assert board_notes("own", load_board(None)) == ()
