"""The board: a column is a protocol, measured and published apart, every number with its interval."""

import csv
import io
from types import SimpleNamespace

import pytest
from msgspec import structs

from dashboard.board.build import build_board
from dashboard.board.cells import Board, at_chance, cell_text, overlap_notes, overlap_text
from dashboard.board.export import as_csv, as_data, as_latex, as_markdown
from dashboard.board.html_table import cell_tooltip, render_table
from dashboard.board.ranks import board_ranks
from dashboard.board.terminal import show
from dashboard.board.view import View, select
from dashboard.escape import latex, markdown
from evals.stats.summary import derive_summary
from tests.talk_table import talk_table
from zoo import published
from zoo.records import ModelFacts, Score, Split


def by_origin(made: Board, origin: str) -> list[str]:
    return [column.key for column in made.columns if column.origin == origin]


def test_two_protocols_never_share_a_column(made: SimpleNamespace) -> None:
    mini = made.checkpoint()
    protocols = [
        made.protocol(),
        made.protocol(name="bigcode"),
        made.protocol(task_version=2),
        made.protocol(shots=3),
        made.protocol(prompts_sha256="cd" * 32),
        made.protocol(decoding={"temperature": 0.2}),
    ]
    scores = [made.score(mini, protocol, value=number / 10) for number, protocol in enumerate(protocols)]
    board = build_board([mini], scores, {p.fingerprint: p for p in protocols})
    assert len(board.columns) == len(protocols)
    assert {column.benchmark for column in board.columns} == {"humaneval"}
    assert sorted(cell.value for cell in board.rows[0].cells.values()) == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]


def test_measured_and_published_of_one_benchmark_stand_apart(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    board = build_board([mini], [made.score(mini, under, 0.5)], {under.fingerprint: under}, reported=[made.reported()])
    measured, reported = board.columns
    assert (measured.origin, reported.origin) == ("measured", "reported")
    assert measured.benchmark == reported.benchmark
    assert "does not publish" in reported.comparable
    own, other = board.rows
    assert own.own and set(own.cells) == {measured.key}
    assert not other.own and set(other.cells) == {reported.key}


def test_published_protocols_and_sources_are_columns_of_their_own(made: SimpleNamespace) -> None:
    rows = [
        made.reported(),
        made.reported(value=40.0, protocol="pass@1 greedy"),
        made.reported(value=41.0, shots=3),
        made.reported(value=42.0, source="another paper"),
        made.reported(value=43.0, subset="similar at tau=0.95, n=71", n=71),
    ]
    board = build_board(reported=rows)
    assert len(board.columns) == 5
    assert len(board.rows) == 1
    assert len(board.rows[0].cells) == 5


def test_zero_of_164_has_an_upper_bound(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    score = made.score(mini, under, 0.0, low=0.0, high=0.022888)
    (row,) = build_board([mini], [score], {under.fingerprint: under}).rows
    assert [cell_text(cell) for cell in row.cells.values()] == ["0.0 [0.0–2.3] n=164 (covers 90–99%, not 95%)"]


def test_published_interval_is_derived_and_marked(made: SimpleNamespace) -> None:
    ((with_n,), (without_n,), (bound,)) = (
        build_board(reported=[row]).rows[0].cells.values()
        for row in (made.reported(), made.reported(n=None), made.reported(value=3.0, op="<"))
    )
    assert (with_n.derived, cell_text(with_n)) == (True, "51.2 [43.6–58.7] n=164 †")
    assert (without_n.derived, without_n.low, cell_text(without_n)) == (False, None, "51.2 †")
    assert (bound.low, cell_text(bound)) == (None, "<3.0 n=164 †")


def test_missing_is_a_dash_and_unscored_is_counted(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    (row,) = build_board([mini], [made.score(mini, under, 0.5, unscored=7)], {under.fingerprint: under}).rows
    (cell,) = row.cells.values()
    assert cell_text(cell).endswith("(7 unscored: 48.0 to 52.0)")
    assert cell_text(None) == "–"


def test_thoughts_without_an_end_are_counted_in_the_cell_and_the_exports(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    board = build_board([mini], [made.score(mini, under, 0.5, unfinished=12)], {under.fingerprint: under})
    (cell,) = board.rows[0].cells.values()
    assert cell_text(cell).endswith("(12 unfinished)")
    assert "(12 unfinished)" in as_latex(board) and "12 unfinished" in as_markdown(board)
    (line,) = csv.DictReader(io.StringIO(as_csv(board)))
    assert line["unfinished"] == "12"


def test_disputed_verdicts_are_counted_in_the_cell_and_the_exports(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    board = build_board([mini], [made.score(mini, under, 0.5, disputed=2)], {under.fingerprint: under})
    (cell,) = board.rows[0].cells.values()
    assert cell_text(cell).endswith("(2 disputed)")
    assert "(2 disputed)" in as_latex(board) and "2 disputed" in as_markdown(board)
    (line,) = csv.DictReader(io.StringIO(as_csv(board)))
    assert line["disputed"] == "2"


def test_sandbox_tier_is_in_the_cell_and_the_head(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    score = made.score(mini, under, 0.5)
    board = build_board([mini], [score], {under.fingerprint: under}, tiers={score.run: "strong"})
    assert board.columns[0].tiers == ("strong",)
    assert next(iter(board.rows[0].cells.values())).tier == "strong"


def test_largest_run_counts_then_the_newest(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    scores = [
        made.score(mini, under, 0.1, run="old", created="2026-01-01"),
        made.score(mini, under, 0.2, run="new", created="2026-02-01"),
        made.score(mini, under, 0.9, run="few", n=5, created="2026-03-01"),
    ]
    (row,) = build_board([mini], scores, {under.fingerprint: under}).rows
    assert [cell.run for cell in row.cells.values()] == ["new"]


def test_clean_subset_shows_how_far_the_number_moved(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    scores = [made.score(mini, under, 0.5), made.score(mini, under, 0.3, subset="clean", n=93)]
    (row,) = build_board([mini], scores, {under.fingerprint: under}, subset="clean").rows
    (cell,) = row.cells.values()
    assert (cell.n, round(cell.value), round(cell.moved or 0)) == (93, 30, -20)


def test_a_cell_says_what_searches_of_the_training_data_say(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    whole = made.score(mini, under, 0.5)
    clean = made.score(mini, under, 0.3, low=0.2, high=0.4, subset="clean", n=93)
    seen = made.score(mini, under, 0.8, subset="overlapping", n=71)
    why = "no training data is recorded for base:1"

    def shown(scores: list[Score], split: Split | None) -> tuple[str, str, str]:
        splits = {whole.run: split} if split else {}
        board = build_board([mini], [whole, *scores], {under.fingerprint: under}, splits=splits)
        (cell,) = board.rows[0].cells.values()
        return overlap_text(cell), cell_tooltip(cell).rpartition(" · ")[2], " ".join(overlap_notes(board))

    assert shown([clean, seen], Split(run=whole.run, samples=164, overlapping=71)) == (
        "71 of 164 in training data; without them 30.0 [20.0–40.0] n=93",
        "71 of 164 in training data; without them 30.0 [20.0–40.0] n=93",
        "",
    )
    empty = Split(run=whole.run, samples=164, overlapping=0)
    assert shown([], empty)[:2] == ("0 of 164 in training data, searched in full",) * 2
    text, tooltip, notes = shown([seen], Split(run=whole.run, samples=164, overlapping=71, unsearched=why))
    assert text == "71 of 164 in training data; not searched in full"
    assert tooltip == f"{text}: {why}"
    assert notes == f"{mini.label} {under.task}: not searched in full: {why}"
    text, tooltip, notes = shown([], None)
    assert (text, tooltip) == ("", "not searched for in training data")
    assert "its samples were not searched for" in notes


def test_the_clean_view_takes_the_run_of_the_main_cell(made: SimpleNamespace) -> None:
    """Not the run with the fewest flags, whose clean part is the largest."""
    mini, under = made.checkpoint(), made.protocol()
    scores = [
        made.score(mini, under, 0.9, run="old", created="2026-01-01"),
        made.score(mini, under, 0.9, run="old", subset="clean", n=160, created="2026-01-01"),
        made.score(mini, under, 0.5, run="new", created="2026-02-01"),
        made.score(mini, under, 0.3, run="new", subset="clean", n=93, created="2026-02-01"),
    ]
    for subset, run, n in (("all", "new", 164), ("clean", "new", 93)):
        (row,) = build_board([mini], scores, {under.fingerprint: under}, subset=subset).rows  # type: ignore[arg-type]
        assert [(cell.run, cell.n) for cell in row.cells.values()] == [(run, n)]
    (row,) = build_board([mini], scores[:3], {under.fingerprint: under}, subset="clean").rows
    assert row.cells == {}  # the main run has no clean part, so nothing is shown


def test_score_of_an_unknown_protocol_is_shown_as_such(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    (column,) = build_board([mini], [made.score(mini, under, 0.5)], {}).columns
    assert "not in this zoo" in column.protocol
    assert column.fingerprint == under.fingerprint


def test_one_metric_of_a_task_is_the_main_one(made: SimpleNamespace) -> None:
    mini = made.checkpoint()
    both = [made.protocol("arc_easy", "lm-eval", metric=metric, decoding={}) for metric in ("acc_norm", "acc")]
    board = build_board(
        [mini], [made.score(mini, protocol, 0.3) for protocol in both], {p.fingerprint: p for p in both}
    )
    assert {column.metric: column.main for column in board.columns} == {"acc": True, "acc_norm": False}
    assert "log-probabilities" in board.columns[0].protocol


def test_the_main_column_is_the_metric_that_the_task_names_first(made: SimpleNamespace) -> None:
    """As in `eval compare`: MMLU's cloze form is read per character, the letters' form is not."""
    mini = made.checkpoint()
    protocols = [made.protocol(task="mmlu", name="cloze-quick3", metric=metric) for metric in ("acc", "acc_norm")]
    scores = [made.score(mini, one, task="mmlu", metric=one.metric, value=0.3) for one in protocols]
    board = build_board([mini], scores, {p.fingerprint: p for p in protocols})
    assert {column.metric: column.main for column in board.columns} == {"acc": False, "acc_norm": True}


def test_other_shots_are_not_comparable(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol("mmlu", "lm-eval", metric="acc", shots=5)
    row = made.reported(benchmark="mmlu", shots=2)
    board = build_board([mini], [made.score(mini, under, 0.3)], {under.fingerprint: under}, reported=[row])
    assert "2-shot there, 5-shot here" in board.columns[1].comparable


def test_talk_rows_stand_row_for_row_in_one_column_a_benchmark() -> None:
    board = build_board(reported=published.load())
    talk = {column.benchmark: column.key for column in board.columns if column.talk}
    assert set(talk) == {"humaneval", "mbpp"}
    shown = [row for row in board.rows if row.talk]
    expected = talk_table()
    assert [row.label for row in shown] == [row.label for row in expected]
    for row, fact in zip(shown, expected, strict=True):
        for benchmark, printed in (("humaneval", fact.humaneval), ("mbpp", fact.mbpp)):
            cell = row.cells.get(talk[benchmark])
            assert (cell and (cell.value, cell.source)) == (printed and (printed.value, printed.source))
        assert (row.parameters, row.training_tokens, row.date) == (fact.parameters, fact.training_tokens, fact.date)
        assert row.unique_tokens == fact.unique_tokens


@pytest.mark.parametrize(("released", "date"), [("2023-02", "2023-02"), ("", "2023-06")])
def test_a_model_is_dated_by_its_release_not_by_a_later_table(made: SimpleNamespace, released: str, date: str) -> None:
    (row,) = build_board(reported=[made.reported(date="2023-06", facts=ModelFacts(released=released))]).rows
    assert (row.date, row.released) == (date, released)


def test_no_published_number_is_lost_or_overwritten() -> None:
    board = build_board(reported=published.load())
    shown = sorted((row.name, cell.value, cell.source) for row in board.rows for cell in row.cells.values())
    assert shown == sorted((row.model, row.value, row.source) for row in published.load())


def test_no_rank_and_no_resolution_where_each_number_has_its_own_paper() -> None:
    board = build_board(reported=published.load())
    mixed = {column.key for column in board.columns if column.mixed}
    assert mixed >= {column.key for column in board.columns if column.talk}
    assert {c.source for c in board.columns if c.mixed and not c.talk} == {'Microsoft Research blog "Phi-2" Table 2'}
    ranks = board_ranks(board)
    assert not any(ranks[key] for key in mixed)
    assert any(ranks[column.key] for column in board.columns if column.source.startswith("evalplus"))
    assert all(column.resolves is None for column in board.columns if column.mixed)


def test_the_board_derives_an_interval_where_compare_does() -> None:
    rows = published.load()
    expected = [(row.model, row.source, row.value, derive_summary(row)) for row in rows]
    cells = [(row.name, cell) for row in build_board(reported=rows).rows for cell in row.cells.values()]
    assert sorted((name, cell.source, cell.value, cell.derived, cell.low or 0.0) for name, cell in cells) == sorted(
        (*fact, summary is not None, 100 * summary.low if summary else 0.0) for *fact, summary in expected
    )
    graded = [row for row in rows if row.benchmark == "unconventional_50" or row.protocol.startswith("average")]
    assert len(graded) > 20 and not any(map(derive_summary, graded))


def test_a_cell_says_what_guessing_scores(made: SimpleNamespace) -> None:
    mini = made.checkpoint()
    under = [
        made.protocol("arc_easy", "lm-eval", metric="acc", decoding={}),
        made.protocol("boolq", "lm-eval", metric="acc", decoding={}),
        made.protocol(),
    ]
    scores = [made.score(mini, one, value) for one, value in zip(under, (0.27, 0.7, 0.0), strict=True)]
    rows = [made.reported(benchmark="winogrande", protocol="accuracy", value=51.0, n=1267)]
    board = build_board([mini], scores, {one.fingerprint: one for one in under}, reported=rows)
    cells = {c.benchmark: row.cells[c.key] for c in board.columns for row in board.rows if c.key in row.cells}
    assert {name: cell.chance for name, cell in cells.items()} == {
        "arc_easy": 25.0, "boolq": 50.0, "humaneval": None, "winogrande": 50.0,
    }  # fmt: skip
    assert [name for name, cell in cells.items() if at_chance(cell)] == ["arc_easy", "winogrande"]
    assert cell_text(cells["arc_easy"]) == "27.0 [20.0–34.0] n=164 (at chance)"
    page = render_table(board)
    assert page.count('class="guess">at chance') == 2 and page.count("--c:50.0%") == 2
    assert [row["at_chance"] for row in csv.DictReader(io.StringIO(as_csv(board)))].count("True") == 2
    assert [cell["at_chance"] for row in as_data(board)["rows"] for cell in row["cells"].values()].count(True) == 2
    assert as_latex(board).count("at\\ chance") == 2 == as_markdown(board).count("(at chance)")


def test_the_headline_has_the_talks_dataset_sizes_and_the_tokens_seen() -> None:
    shown = select(build_board(reported=published.load()), View(suite="headline"))
    assert [(row.label, row.unique_tokens, row.training_tokens) for row in shown.rows] == [
        ("Code Llama 34B", 2.6e12, 2.6e12),
        ("Phi-1", 7e9, 5.1e10),
        ("Phi-1 (WR + Tile)", 7e9, 7.55e10),
    ]
    output = io.StringIO()
    show(shown, file=output)
    phi = next(line for line in output.getvalue().splitlines() if "Phi-1 (WR + Tile)  " in line)
    assert phi.split()[4:8] == ["1.3B", "7B", "75.5B", "2023-12"]


def test_an_own_row_has_the_size_of_its_data(made: SimpleNamespace) -> None:
    mini = made.checkpoint()
    (row,) = build_board([mini], unique_tokens={mini.digest: 5}).rows
    assert (row.unique_tokens, row.training_tokens) == (5, 1_000_000)
    assert build_board([mini]).rows[0].unique_tokens is None


def test_empty_zoo_is_an_empty_board() -> None:
    assert build_board() == Board(columns=(), rows=())


def test_a_pulled_score_is_never_shown_as_measured_here(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    score = structs.replace(made.score(mini, under, 0.5), measured_at="s3://team/zoo")
    board = build_board([mini], [score], {under.fingerprint: under})
    (cell,) = board.rows[0].cells.values()
    note = "measured elsewhere: s3://team/zoo"
    for text in (cell_text(cell), cell_tooltip(cell), render_table(board)):
        assert note in text and "measured here" not in text
    assert markdown(note) in as_markdown(board) and latex(note) in as_latex(board)
    (row,) = csv.DictReader(io.StringIO(as_csv(board)))
    assert (row["origin"], row["measured_at"]) == ("measured elsewhere", "s3://team/zoo")
