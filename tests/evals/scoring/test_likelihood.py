"""Bits per byte from the engine to the board: the run, its score, ranks, comparison, filters, exports."""

import json
import re
from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path

import pytest

from dashboard.board.build import build_board
from dashboard.board.cells import cell_text
from dashboard.board.export import as_csv, as_latex, as_markdown, html_page
from dashboard.board.ranks import column_ranks
from dashboard.board.view import View, select
from dashboard.data.comparison import compare_checkpoints, difference_text
from dashboard.data.scale import scale_points
from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts, Sample
from evals.results.compare import compare
from evals.results.publish import publish
from evals.results.ranking import combine_seeds, rank_columns
from evals.run import FinishedRun, RunOptions, evaluate
from evals.scoring.likelihood import bits_per_byte, join_pieces, judge
from evals.task import Task
from zoo.admission.scores import score_fault
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError
from zoo.exchange.card import model_card
from zoo.records import Score
from zoo.registry import Registry, open_registry

SIZE = 40


def samples() -> Iterator[Sample]:
    for number in range(SIZE):
        text = " " + "é" * (1 + number % 5)
        yield Sample(id=f"gold/{number}", question=f"q{number}", choices=(text,), target=0)


def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    return ((sample.question, sample.choices[0]),)


TASK = Task(
    name="gold", version=1, kind="likelihood", about="", protocol="olmo-bpb", samples=samples, pairs=pairs,
    prompt=lambda sample: sample.question, judge=judge, metrics=("bits_per_byte",), size=SIZE,
)  # fmt: skip


class Bits:
    """An engine for which an answer's bytes cost so many bits each, more or less; it reads an answer in two pieces."""

    def __init__(self, bits: float) -> None:
        self.bits = bits
        self.facts = Facts(
            engine="transformers", version="1", dtype="float32", device="cpu", context_tokens=64,
            identity={"bits": bits}, can_generate=False,
        )  # fmt: skip

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        for number, request in enumerate(requests):
            assert request.whole
            nats = (self.bits + 0.1 * (number * round(10 * self.bits) % 7)) * len(request.pairs[0][1].encode()) * log(2)
            pieces = tuple(Choice(logprob=-nats * part, tokens=1, greedy=False) for part in (0.25, 0.75))
            yield ChoiceScores(sample=request.sample, choices=pieces, prompt_tokens=3)

    def close(self) -> None:
        pass


def entered(registry: Registry, name: str, bits: float, folder: Path) -> FinishedRun:
    from tests.evals.results.test_compare import entered as enter

    checkpoint = enter(registry, name)
    done = evaluate(Bits(bits), TASK, (checkpoint.digest, checkpoint.label), folder, RunOptions())  # type: ignore[arg-type]
    publish(registry, done)
    return done


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry() as opened:
        for name, bits in (("poor", 2.0), ("good", 1.0), ("middling", 1.5)):
            entered(opened, name, bits, tmp_path / "runs")
        yield opened


def test_the_space_before_an_answer_is_a_byte_of_it() -> None:
    sample = Sample(id="s", question="q", choices=(" né",), target=0)
    pieces = (Choice(logprob=-4 * log(2), tokens=1, greedy=False), Choice(logprob=-4 * log(2), tokens=2, greedy=True))
    read = (join_pieces(pieces),)
    assert not read[0].greedy
    assert judge(sample, read).metrics == {"bits_per_byte": pytest.approx(2.0)}
    assert "4 bytes, 3 tokens" in judge(sample, read).detail
    assert bits_per_byte(log(2), 1) == 1


def test_a_run_is_neither_passed_nor_failed(tmp_path: Path) -> None:
    done = evaluate(Bits(1.0), TASK, ("c" * 64, "c:1"), tmp_path, RunOptions(limit=8, draws=3))  # type: ignore[arg-type]
    assert {result.verdict for result in done.results} == {"read"}
    assert [result.score for result in done.results[:3]] == pytest.approx([1.0, 1.3, 1.6])
    assert done.header.draws == 1  # nothing is drawn
    assert done.protocols[0].decoding == {}


def test_the_least_bits_rank_first_everywhere(registry: Registry) -> None:
    column = rank_columns(registry, "gold")[0]
    assert [row.checkpoint for row in column.rows] == ["good:1", "middling:1", "poor:1"]
    assert [(row.rank.first, row.rank.last) for row in column.rows] == [(1, 1), (2, 2), (3, 3)]
    assert [row.paired and row.paired.first for row in column.rows] == [1, 2, 3]
    assert column.resolution is not None
    assert column.resolution.paired is not None
    board = board_of(registry)
    (key,) = (column.key for column in board.columns)
    assert {row: standing.first for row, standing in column_ranks(board.rows, key).items()} == {
        "good:1": 1, "middling:1": 2, "poor:1": 3,
    }  # fmt: skip
    assert [row.label for row in select(board, View(suite="all", sort=key)).rows] == ["good:1", "middling:1", "poor:1"]
    least = View(suite="all", sort=key, descending=False)
    assert [row.label for row in select(board, least).rows] == ["poor:1", "middling:1", "good:1"]


def board_of(registry: Registry):  # type: ignore[no-untyped-def]
    return build_board(registry.list(all_versions=True), registry.scores(chosen=True), registry.protocols())


def test_cells_are_in_bits_and_exports_mark_that_less_is_better(registry: Registry) -> None:
    board = board_of(registry)
    (column,) = board.columns
    cell = next(row.cells[column.key] for row in board.rows if row.label == "good:1")
    assert 1.2 < cell.value < 1.4
    assert cell.chance is None
    assert cell_text(cell).startswith(f"{cell.value:.3f} [{cell.low:.3f}–{cell.high:.3f}] n=40")
    assert column.resolves is not None
    assert 0 < column.resolves < 0.5
    page = html_page(board)
    assert 'data-lower="true"' in page
    assert "bits per byte, less is better" in page
    assert f"{cell.value:.3f}" in as_latex(board)
    assert "bits_per_byte ↓" in as_markdown(board)
    assert f",{cell.value}," in as_csv(board)


def test_the_fewer_bits_are_better_in_a_comparison(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = compare(registry, "good", "poor", flips=True).rows
    assert row.kind == "paired"
    assert row.difference is not None
    assert row.difference.value == pytest.approx(-1.0, abs=0.1)
    assert (row.difference.wins, row.difference.losses) == (SIZE, 0)
    assert row.difference.p < 0.001
    (pair,) = compare_checkpoints(registry, ["good", "poor"])
    assert difference_text(pair).startswith("+")
    assert phizoo(["eval", "compare", "good", "poor", "--flips"]) == 0
    out = capsys.readouterr().out
    assert "bits_per_byte ↓" in out
    assert "good:1 is better" in out
    assert "better with good:1, 40 samples" in out


def test_bits_are_found_sorted_and_told_by_the_commands(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert [one.name for one in registry.find(["gold.high < 1.6"])] == ["good"]
    assert phizoo(["models", "show", "good"]) == 0
    # 1.3025 to the last bit, which Python 3.12 sums in another way
    assert re.search(r"bits_per_byte: 1\.30[23] \[1\.237–1\.368\] n=40", capsys.readouterr().out)
    assert phizoo(["eval", "ranks", "gold"]) == 0
    assert " bits per byte, 0.1" in capsys.readouterr().out  # what is resolved, in the unit
    assert "bits_per_byte (all, 95% interval 1.237" in model_card(registry, "good")
    board = board_of(registry)
    points = {point.name: point.front for point in scale_points(board, board.columns, "parameters")}
    assert points == {"good:1": True, "middling:1": False, "poor:1": False}


def test_a_score_may_be_above_one_but_not_below_nought(registry: Registry) -> None:
    score = next(one for one in registry.scores() if one.value > 1.5)
    assert score_fault(score) == ""
    assert "0 <= low" in score_fault(Score(**{**fields(score), "low": -1.0}))
    assert "finite" in score_fault(Score(**{**fields(score), "high": float("inf")}))
    assert "<= 1" in score_fault(Score(**{**fields(score), "metric": "acc"}))
    assert (score.worst, score.best) == (score.value, score.value)
    part = Score(**{**fields(score), "unscored": 1})
    assert (part.worst, part.best) == (None, None)


def fields(score: Score) -> dict[str, object]:
    import msgspec

    return msgspec.structs.asdict(score)


def test_seeds_of_bits_become_one_number(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = combine_seeds(registry, ["good", "middling", "poor"])
    assert row.metric == "bits_per_byte"
    assert row.combined.value > 1.5
    assert phizoo(["eval", "ranks", "--seeds", "good", "middling", "poor"]) == 0
    assert "bits per byte between seeds" in capsys.readouterr().out


def test_power_is_in_the_unit(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["eval", "tasks", "--power", "jeopardy_bpb"]) == 0
    assert "no score here" in capsys.readouterr().out
    assert phizoo(["eval", "tasks", "--power", "jeopardy_bpb", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["resolution"] is None


def test_an_answer_without_a_number_is_unscored(tmp_path: Path) -> None:
    class Broken(Bits):
        def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
            for request in requests:
                piece = Choice(logprob=float("nan"), tokens=1, greedy=False)
                yield ChoiceScores(sample=request.sample, choices=(piece,))

    done = evaluate(Broken(1.0), TASK, ("c" * 64, "c:1"), tmp_path, RunOptions())  # type: ignore[arg-type]
    assert {result.verdict for result in done.results} == {"unscored"}
    with open_registry() as opened, pytest.raises(ZooError, match="not finite"):
        publish(opened, done)
