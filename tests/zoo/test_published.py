"""published.csv contains every fact of the source table once, with a type and a possible value."""

import csv
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.talk_table import headline, talk_table
from zoo import published
from zoo.records import Reported

BASELINES = Path(__file__).parents[2].parent / "shared" / "data" / "baselines.csv"
HEADER = "model,parameters,unique_tokens,training_tokens,date,benchmark,subset,protocol,shots,op,value,n,source,"
HEADER += "address,accessed\n"
GOOD = Reported(
    model="phi-1",
    parameters=1.3e9,
    unique_tokens=7e9,
    training_tokens=5.1e10,
    date="2023-06",
    benchmark="humaneval",
    subset="",
    protocol="pass@1",
    shots=0,
    op="=",
    value=50.6,
    n=164,
    source="arXiv 2306.11644v2 Table 1",
    address="https://arxiv.org/abs/2306.11644v2",
    accessed="2026-11-24",
)
# the source prints 7.0 billion for a model whose name says 2b
SIZE_MENDED = {"gemma-1.1-2b-it"}
# two local reruns that were never published
WITHOUT_ADDRESS = ("local BF16 greedy run", "independent EvalPlus rerun")
# printed values that no count of n gives, found in the sources themselves
NOT_A_COUNT = {("DeepSeek-Coder-6.7B-instruct", "humaneval", 78.9), ("Zephyr β-7B", "humaneval", 30.0)}


def changed(**fields: object) -> Reported:
    return msgspec.structs.replace(GOOD, **fields)


def test_every_baseline_with_a_public_source_is_published_in_order_before_rows_of_ours() -> None:
    if not BASELINES.is_file():
        pytest.skip("the collected baselines.csv is not here")
    with BASELINES.open(encoding="utf-8", newline="") as file:
        told = [fact for fact in csv.DictReader(file) if not fact["source"].startswith(WITHOUT_ADDRESS)]
    rows = published.load()
    assert len(rows) >= len(told) == 1080
    for row, fact in zip(rows, told, strict=False):
        assert (row.benchmark, row.subset, row.op) == (fact["benchmark"], fact["subset"], fact["op"])
        assert row.date == fact["date"] or not fact["date"]
        assert row.value == float(fact["value"])
        assert row.source.startswith(fact["source"])
        assert row.model == fact["model"] or fact["model"].startswith(row.model + " (row as in the talk")
        if fact["train_tokens_b"]:
            assert billions(fact["train_tokens_b"]) in (row.unique_tokens, row.training_tokens)
        elif row.model not in {"phi-1-small", "phi-2"}:  # another row of theirs has the figures
            assert row.unique_tokens is None is row.training_tokens
        if row.model not in SIZE_MENDED:
            assert row.parameters == billions(fact["params_b"])
        digits = fact["shots"].split(" (CoT)")[0]
        assert row.shots == (int(digits) if digits.isdigit() else None)
        if fact["shots"].endswith("(CoT)"):
            assert row.protocol.endswith(", chain of thought")


def billions(text: str) -> float | None:
    return float(Decimal(text) * 10**9) if text else None


def test_no_problem_in_our_file() -> None:
    rows = published.load()
    assert published.problems(rows) == []
    assert len(rows) >= 1080  # the baselines'; a row more is welcome, one less is a loss
    assert len(published.by_model()) == len({row.model for row in rows}) >= 221
    assert sum(map(len, published.by_model().values())) == len(rows)
    assert sum(row.op == "<" for row in rows) >= 5


def test_read_once() -> None:
    assert published.load() is published.load()


def test_the_talk_row_for_row() -> None:
    table = [
        (
            row.label,
            row.date,
            row.parameters,
            row.unique_tokens,
            row.humaneval and row.humaneval.value,
            row.mbpp and row.mbpp.value,
        )
        for row in talk_table()
        if row.part == "comparison"
    ]
    b = 1e9
    assert [(*row[:2], row[2] and round(row[2]), *row[3:]) for row in table] == [
        ("Codex-300M", "2021-07", 0.3 * b, 100 * b, 13.2, None),
        ("Codex-12B", "2021-07", 12 * b, 100 * b, 28.8, None),
        ("CodeGen-Mono-350M", "2022-03", 0.35 * b, 577 * b, 12.8, None),
        ("CodeGen-Mono-16.1B", "2022-03", 16_100_000_000, 577 * b, 29.3, 35.3),
        ("PaLM-Coder", "2022-04", 540 * b, 780 * b, 35.9, 47.0),
        ("CodeGeeX", "2022-09", 13 * b, 850 * b, 22.9, 24.4),
        ("GPT-3.5", "2022-11", 175 * b, None, 47.0, None),
        ("SantaCoder", "2022-12", 1.1 * b, 236 * b, 14.0, 35.0),
        ("GPT-4", "2023-03", None, None, 67.0, None),
        ("Replit", "2023-04", 2.7 * b, 525 * b, 21.9, None),
        ("Replit-Finetuned", "2023-04", 2.7 * b, 525 * b, 30.5, None),
        ("CodeGen2-1B", "2023-05", 1 * b, None, 10.3, None),
        ("CodeGen2-7B", "2023-05", 7 * b, None, 19.1, None),
        ("StarCoder", "2023-05", 15_500_000_000, 1000 * b, 33.6, 52.7),
        ("StarCoder-Prompted", "2023-05", 15_500_000_000, 1000 * b, 40.8, 49.5),
        ("PaLM 2-S", "2023-05", None, None, 37.6, 50.0),
        ("CodeT5+ 2B", "2023-05", 2 * b, 52 * b, 24.2, None),
        ("CodeT5+ 16B", "2023-05", 16 * b, 52 * b, 30.9, None),
        ("InstructCodeT5+ 16B", "2023-05", 16 * b, 52 * b, 35.0, None),
        ("WizardCoder", "2023-06", 16 * b, 1000 * b, 57.3, 51.8),
        ("Phi-1", "2023-06", 1.3 * b, 7 * b, 50.6, 55.5),
        ("Code Llama 34B", "2023-08", 34 * b, 2600 * b, 53.7, 56.2),
    ]


def test_the_table_comes_before_the_chart() -> None:
    assert [row.part for row in talk_table()] == ["comparison"] * 22 + ["weight reuse"] * 7


def test_the_weight_reuse_chart_as_whole_counts_of_164() -> None:
    chart = {row.model: row.humaneval for row in talk_table() if row.part == "weight reuse" and row.humaneval}
    solved = {model: round(cell.value * 164 / 100) for model, cell in chart.items()}
    assert solved == {
        "phi-1-small": 74,
        "phi-1 from scratch, 12K steps": 75,
        "phi-1 from scratch, 36K steps": 84,
        "phi-1 WR, 12K steps": 78,
        "phi-1 WR, 36K steps": 88,
        "phi-1 WR+Tile, 12K steps": 84,
        "phi-1 WR+Tile, 36K steps": 91,
    }
    assert all(cell.n == 164 for cell in chart.values())


def test_the_claim_in_three_rows() -> None:
    rows = headline()
    assert [row.label for row in rows] == ["Code Llama 34B", "Phi-1", "Phi-1 (WR + Tile)"]
    assert [row.humaneval and row.humaneval.value for row in rows] == [53.7, 50.6, 55.5]
    assert [row.mbpp and row.mbpp.value for row in rows] == [56.2, 55.5, None]


def test_n_is_right_wherever_a_greedy_value_can_tell() -> None:
    """A greedy score is a count over n: cut or rounded as printed, no other value is possible."""
    wrong = set()
    for row in published.load():
        if row.n is None or row.n > 500 or "greedy" not in row.protocol:
            continue
        count = round(row.value / 100 * row.n)
        near = min(abs(100 * k / row.n - row.value) for k in (count - 1, count, count + 1))
        if near > 0.1:
            wrong.add((row.model, row.benchmark, row.value))
    assert wrong == NOT_A_COUNT


def test_contamination_counts_have_their_own_n() -> None:
    subsets = {row.subset: row.n for row in published.load() if "tau=" in row.subset}
    assert subsets["similar at tau=0.95, n=71"] == 71
    assert subsets["non-similar at tau=0.80, n=48"] == 48
    assert len(subsets) == 12


def test_two_sources_may_disagree_but_one_source_tells_once() -> None:
    other = changed(value=49.4, source="another harness")
    assert published.problems([GOOD, other]) == []
    assert published.problems([GOOD, changed(value=49.4)]) == [
        "twice: phi-1, humaneval, , pass@1, 0, arXiv 2306.11644v2 Table 1"
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value": 100.1}, "not in 0..100"),
        ({"value": -0.1}, "not in 0..100"),
        ({"value": float("nan")}, "not in 0..100"),
        ({"op": "<", "value": 0.0}, "is meaningless"),
        ({"parameters": 1.3}, "1.3 parameters"),
        ({"parameters": float("inf")}, "inf parameters"),
        ({"training_tokens": 7.0}, "7.0 tokens"),
        ({"unique_tokens": 7.0}, "7.0 tokens"),
        ({"unique_tokens": 6e10}, "60000000000.0 unique tokens of 51000000000.0 seen"),
        ({"date": "2023-13"}, "not YYYY-MM"),
        ({"date": ""}, "not YYYY-MM"),
        ({"accessed": ""}, "access date '' is not YYYY-MM-DD"),
        ({"accessed": "2026-11"}, "not YYYY-MM-DD"),
        ({"accessed": "2023-05-30"}, "before 2023-06"),
        ({"address": ""}, "address '' is not https"),
        ({"address": "arXiv 2306.11644"}, "is not https"),
        ({"address": "http://127.0.0.1/x"}, "is not https"),
        ({"date": "June 2023"}, "not YYYY-MM"),
        ({"shots": -1}, "-1 shots"),
        ({"n": 0}, "n=0"),
        ({"n": 0, "benchmark": "mbpp"}, "n=0"),
        ({"n": 163}, "n=163, but it has 164"),
        ({"n": 164, "subset": "similar at tau=0.95, n=71"}, "n=164, but it has 71"),
        ({"source": " "}, "no model, benchmark, protocol or source"),
        ({"model": ""}, "no model, benchmark, protocol or source"),
    ],
)
def test_impossible_facts_are_refused(fields: dict[str, object], said: str) -> None:
    assert published.problems([GOOD]) == []
    found = published.problems([changed(**fields)])
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("phi-1,1300000000,,,2023-06,humaneval,,pass@1,0,=,high,164,paper,https://a.org/b,2026-11-24", "line 2"),
        ("phi-1,1300000000,,,2023-06,humaneval,,pass@1,0,>,50.6,164,paper,https://a.org/b,2026-11-24", "line 2"),
        ("phi-1,1300000000,,,2023-06,humaneval,,pass@1,0,=,506,164,paper,https://a.org/b,2026-11-24", "not in 0..100"),
        ("phi-1,1300000000,,,2023-06,humaneval,,pass@1,0.5,=,50.6,164,paper,https://a.org/b,2026-11-24", "line 2"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        published.parse(HEADER + line + "\n")


@given(st.floats(0, 100), st.sampled_from([None, 164]), st.sampled_from([None, 0, 3]))
def test_what_is_written_is_read(value: float, n: int | None, shots: int | None) -> None:
    row = changed(value=value, n=n, shots=shots, model='a "quoted", name')
    fields = msgspec.structs.asdict(row)
    text = HEADER + ",".join(
        '"' + str("" if told is None else told).replace('"', '""') + '"' for told in fields.values()
    )
    assert published.parse(text) == (row,)
