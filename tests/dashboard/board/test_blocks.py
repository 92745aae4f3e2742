"""The two blocks of a view: dense, on one leading column, with what is left out counted."""

from types import SimpleNamespace

import pytest

from dashboard.board.blocks import MOST_COLUMNS, MOST_DASHES, MOST_DASHES_OF_A_TABLE, NEAREST, make_blocks, unused
from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.board.html_table import render_blocks
from dashboard.board.view import SUITES, View, select
from zoo import published

TASKS = ("humaneval", "mini_exercises", "arc_easy", "piqa", "winogrande", "boolq", "sciq", "copa", "siqa", "hellaswag")


@pytest.fixture(scope="module")
def whole(made: SimpleNamespace) -> Board:
    """Three models: one with every task, one with two, one with a task of its own, and the published table."""
    models = [made.checkpoint(name, number) for number, name in enumerate(("full", "half", "lone"))]
    under = {task: made.protocol(task, "x", prompts_sha256=f"{n:02x}" * 32) for n, task in enumerate(TASKS)}
    scores = [made.score(models[0], under[task], 0.5) for task in TASKS]
    scores += [made.score(models[1], under[task], 0.9) for task in TASKS[:2]]
    scores += [made.score(models[2], under["copa"], 0.1)]
    return build_board(models, scores, {one.fingerprint: one for one in under.values()}, reported=published.load())


@pytest.mark.parametrize("suite", SUITES)
def test_every_block_is_dense_and_has_no_empty_column(whole: Board, suite: str) -> None:
    view = View(suite=suite)
    blocks = make_blocks(select(whole, view), view)
    for block in (blocks.measured, blocks.reported):
        most = MOST_DASHES_OF_A_TABLE if SUITES[suite].sources else MOST_DASHES
        assert block.dashes <= most or len(block.columns) == 1
        assert len(block.columns) <= MOST_COLUMNS
        assert all(any(column.key in row.cells for row in block.rows) for column in block.columns)
        assert all(column.origin == block.origin for column in block.columns)


def test_the_lead_has_most_rows_and_the_best_stands_first(whole: Board) -> None:
    blocks = make_blocks(select(whole, View()), View())
    assert blocks.lead is not None and blocks.lead.benchmark in TASKS[:2]
    assert blocks.measured.columns[0].key == blocks.measured.lead
    assert [row.name for row in blocks.measured.rows] == ["half", "full"]
    assert unused(blocks.measured) == "8 more columns · without a score here: lone:1"


def test_published_rows_fold_to_the_nearest_and_what_is_hidden_is_counted(whole: Board) -> None:
    view = View(suite="code")
    shown = select(whole, view)
    folded, every = make_blocks(shown, view), make_blocks(shown, view, every_row=True, every_column=True)
    assert len(folded.reported.rows) == NEAREST
    assert folded.reported.more_rows == len(every.reported.rows) - NEAREST > 0
    assert folded.reported.studies > 0 == every.reported.more_rows
    assert all(row.weights for row in folded.reported.rows)


def test_a_sorted_column_leads_and_the_order_is_the_views(whole: Board) -> None:
    copa = next(column.key for column in whole.columns if column.benchmark == "copa" and column.origin == "measured")
    view = View(sort=copa, descending=False)
    blocks = make_blocks(select(whole, view), view)
    assert blocks.measured.lead == copa
    assert [row.name for row in blocks.measured.rows][:2] == ["lone", "full"]


def test_pinned_rows_stay_first(whole: Board) -> None:
    view = View(pinned=("full:1",))
    assert make_blocks(select(whole, view), view).measured.rows[0].name == "full"


def test_ranks_and_the_axis_stand_in_the_leading_column_alone(whole: Board) -> None:
    view = View()
    shown = select(whole, view)
    page = render_blocks(shown, make_blocks(shown, view), view)
    measured = page[: page.index("Reported elsewhere")]
    assert measured.count('class="rank"') == measured.count('class="measured lead at"') - 1 == 2  # one is the head
    assert measured.count('class="scale"') == 1


def test_beside_a_real_model_stand_published_ones_of_its_size_from_one_source(made: SimpleNamespace) -> None:
    model = made.checkpoint("smol", 9, parameters=135_000_000)
    under = [made.protocol(task, "lm-eval", metric="acc", samples=600) for task in ("arc_easy", "piqa", "hellaswag")]
    scores = [made.score(model, one, 0.5, n=600, clusters=600) for one in under]
    board = build_board([model], scores, {one.fingerprint: one for one in under}, reported=published.load())
    view = View()
    shown = select(board, view)
    blocks = make_blocks(shown, view)
    lead = next(column for column in blocks.reported.columns if column.key == blocks.reported.lead)
    assert lead.benchmark == "arc_easy"
    assert "HuggingFaceTB/SmolLM2-135M-Instruct" in {row.name for row in blocks.reported.rows}
    assert {column.source for column in blocks.reported.columns if column.benchmark != "mmlu"} == {lead.source}
    page = render_blocks(shown, blocks, view)
    assert 'class="rank"' not in page[: page.index("Reported elsewhere")]  # there is nothing to rank it among
    assert "EleutherAI&#x27;s prompt" in page and "n=600 of 1,838" not in page  # it is no fixed part
