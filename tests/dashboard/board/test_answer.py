"""The best of the rows shown, in a sentence that claims no more than the ranks do."""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from dashboard.board.answer import answers, leak_notes, left_out
from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.board.view import View, select
from zoo.records import ModelFacts

OPEN = ModelFacts(licence="mit", kind="base", weights="open")


def board(made: SimpleNamespace, *values: float, **facts: object) -> Board:
    rows = [
        made.reported(f"m{number}", value, facts=OPEN, **{"one_protocol": True, **facts})
        for number, value in enumerate(values)
    ]
    return build_board(reported=rows)


def test_one_is_first_with_certainty_only_if_all_others_are_proven_lower(made: SimpleNamespace) -> None:
    (answer,) = answers(board(made, 80.0, 30.0, 20.0))
    assert answer.certain and answer.ranked == 3
    assert answer.text == (
        "HumanEval (a paper, Table 1, reported): m0 80.0 [73.2–85.4] n=164 is first of 3, with certainty; "
        "next m1 30.0 [23.5–37.4] n=164."
    )
    (answer,) = answers(board(made, 50.0, 48.0, 20.0))
    assert not answer.certain and len(answer.leaders) == 2
    assert "2 of 3 cannot be told apart at the top: m0 50.0" in answer.text and "164 samples tell" in answer.text


def test_a_model_whose_other_row_is_lower_is_not_first_with_certainty(made: SimpleNamespace) -> None:
    rows = [
        made.reported("twice", 80.0, facts=OPEN, variant="float16, row 1 of 2"),
        made.reported("twice", 10.0, facts=OPEN, variant="bfloat16, row 2 of 2"),
        made.reported("once", 30.0, facts=OPEN),
    ]
    (answer,) = answers(build_board(reported=rows))
    assert not answer.certain and "with certainty" not in answer.text
    assert "but the same model also has twice (bfloat16, row 2 of 2) 10.0" in answer.text


def test_many_leaders_are_counted(made: SimpleNamespace) -> None:
    (answer,) = answers(board(made, *[50.0 + n / 10 for n in range(6)]))
    assert (
        answer.text.startswith("HumanEval (a paper, Table 1, reported): 6 of 6 cannot") and "and 3 more." in answer.text
    )
    assert answer.leaders[0] == next(
        row.key for row in board(made, *[50.0 + n / 10 for n in range(6)]).rows if row.name == "m5"
    )


def test_one_row_alone_wins_nothing(made: SimpleNamespace) -> None:
    (answer,) = answers(board(made, 50.0))
    assert not answer.certain and ": m0 50.0 [42.4–57.6] n=164; no other model has a score" in answer.text


def test_measured_and_reported_are_answered_apart(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(licence="unknown"), made.protocol()
    whole = build_board(
        [mini], [made.score(mini, under, 0.9)], {under.fingerprint: under}, reported=[made.reported(facts=OPEN)]
    )
    measured, reported = answers(whole)
    assert (measured.origin, reported.origin) == ("measured", "reported")
    assert "mini:1 90.0" in measured.text and measured.text.endswith("Check before use: its licence is not known.")


def test_a_model_that_nobody_can_take_is_no_answer(made: SimpleNamespace) -> None:
    ablation = made.reported("ablation", 90.0)
    (answer,) = answers(build_board(reported=[ablation, made.reported("open", 50.0, facts=OPEN)]))
    assert ": open 50.0" in answer.text
    assert answers(build_board(reported=[ablation])) == ()


def test_a_column_of_one_protocol_leads(made: SimpleNamespace) -> None:
    many = [made.reported(f"m{number}", 50.0, facts=OPEN) for number in range(3)]
    one = made.reported("one", 40.0, facts=OPEN, source="a board", one_protocol=True)
    (answer,) = answers(build_board(reported=[*many, one]))
    assert "a board" in answer.text


def test_a_table_of_many_papers_answers_nothing(made: SimpleNamespace) -> None:
    source = "arXiv 2306.11644v2 Table 1"
    assert answers(board(made, 80.0, 20.0, source=source)) == ()
    assert answers(board(made, 80.0, 20.0, n=None)) == ()
    assert answers(Board(columns=(), rows=())) == ()


@pytest.mark.parametrize(
    ("view", "notes"),
    [
        (View(suite="all"), ()),
        (View(suite="all", sizes=(None, 2e9)), ("1 more model would be here if its size were known.",)),
        (View(suite="all", licences=("mit",)), ("1 more model would be here if its licence were known.",)),
        (View(suite="all", licences=("mit", "unknown")), ()),
        (View(suite="all", sizes=(None, 5e8)), ("1 more model would be here if its size were known.",)),
        (View(suite="all", style="chat"), ("1 more model would be here if its kind were known.",)),
        (View(suite="all", search="known", style="chat"), ()),
        (
            View(suite="all", where="licence = mit and parameters < 2B"),
            (
                "1 more model could be here: the number of parameters that the condition names is not known.",
                "1 more model could be here: the licence that the condition names is not known.",
            ),
        ),
        (View(suite="all", where="name = known"), ()),
    ],
)
def test_what_is_left_out_because_it_is_not_known_is_counted(
    made: SimpleNamespace, view: View, notes: tuple[str, ...]
) -> None:
    rows = [made.reported("known", facts=OPEN), made.reported("nameless", facts=ModelFacts(), parameters=None)]
    assert left_out(build_board(reported=rows), view) == notes
    assert all(row.name != "nameless" for row in select(build_board(reported=rows), view).rows) or not notes


def test_of_columns_with_as_many_rows_the_one_that_tells_most_apart_leads(made: SimpleNamespace) -> None:
    models = [made.checkpoint(name, number) for number, name in enumerate(("low", "high"))]
    alike, apart = made.protocol(), made.protocol("mini_exercises", "phizoo", prompts_sha256="cd" * 32)
    scores = [made.score(model, alike, 0.5) for model in models]
    scores += [made.score(model, apart, value) for model, value in zip(models, (0.1, 0.9), strict=True)]
    whole = build_board(models, scores, {one.fingerprint: one for one in (alike, apart)})
    (answer,) = answers(whole)
    assert answer.text.startswith("Mini exercises") and "high:1 90.0" in answer.text and answer.certain


def test_what_a_named_model_saw_in_training_is_said(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    whole = build_board([mini], [made.score(mini, under, 0.9)], {under.fingerprint: under})
    (column,), (row,) = whole.columns, whole.rows
    assert leak_notes((row,), column) == ()
    leaked = replace(row.cells[column.key], overlaps=12, samples=164, clean=76.6)
    saw = replace(row, cells={column.key: leaked})
    assert leak_notes((saw,), column) == ("⚑ mini:1: 12 of 164 seen in training; 76.6 on the unseen.",)
