"""The files of zoo/published have every fact of the source table once, with a type and a possible value."""

import csv
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.talk_table import headline, talk_table
from zoo import published
from zoo.published.table import parse, parse_wide
from zoo.records import Reported

BASELINES = Path(__file__).parents[3].parent / "shared" / "data" / "baselines.csv"
HEADER = "model,benchmark,subset,protocol,shots,op,value,n,date,source\n"
# the source prints 7.0 billion for a model whose name says 2b
SIZE_MENDED = {"gemma-1.1-2b-it"}
# two local reruns that were never published
WITHOUT_ADDRESS = ("local BF16 greedy run", "independent EvalPlus rerun")
# printed values that no count of n gives, found in the sources themselves
NOT_A_COUNT = {("DeepSeek-Coder-6.7B-instruct", "humaneval", 78.9), ("Zephyr β-7B", "humaneval", 30.0)}


def test_every_baseline_with_a_public_source_is_published() -> None:
    if not BASELINES.is_file():
        pytest.skip("the collected baselines.csv is not here")
    with BASELINES.open(encoding="utf-8", newline="") as file:
        told = [fact for fact in csv.DictReader(file) if not fact["source"].startswith(WITHOUT_ADDRESS)]
    assert len(published.load()) >= len(told) == 1080
    left = list(published.load())
    for fact in told:
        row = next(row for row in left if same_number(row, fact))
        left.remove(row)
        if fact["train_tokens_b"]:
            assert billions(fact["train_tokens_b"]) in (row.unique_tokens, row.training_tokens)
        if row.model not in SIZE_MENDED:
            assert row.parameters == billions(fact["params_b"])


def same_number(row: Reported, fact: dict[str, str]) -> bool:
    digits = fact["shots"].split(" (CoT)")[0]
    model = published.read_models().get(fact["model"])
    return (
        (row.benchmark, row.subset, row.op) == (fact["benchmark"], fact["subset"], fact["op"])
        and row.value == float(fact["value"])
        and row.source.startswith(fact["source"])
        and (row.date == fact["date"] or not fact["date"])
        and row.shots == (int(digits) if digits.isdigit() else None)
        and (not fact["shots"].endswith("(CoT)") or row.protocol.endswith(", chain of thought"))
        and (
            row.model == (model.model if model else "") or fact["model"].startswith(row.model + " (row as in the talk")
        )
    )


def billions(text: str) -> float | None:
    return float(Decimal(text) * 10**9) if text else None


def test_no_problem_in_our_file() -> None:
    rows = published.load()
    assert published.problems(rows) == []
    assert len(rows) >= 7600  # a row more is welcome, one less is a loss
    assert len(published.by_model()) == len({row.model for row in rows}) >= 1280
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


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("phi-1,humaneval,,pass@1,0,,high,164,2023-06,phi1_table1", "line 2: .*float"),
        ("phi-1,humaneval,,pass@1,0,>,50.6,164,2023-06,phi1_table1", "line 2: .*enum"),
        ("phi-1,humaneval,,pass@1,0,,506,164,2023-06,phi1_table1", "not in 0..100"),
        ("phi-1,humaneval,,pass@1,0.5,,50.6,164,2023-06,phi1_table1", "line 2: .*int"),
        ("phi-1,humaneval,,pass@1,0,,50.6,164,2023-06,nowhere", "line 2: source 'nowhere' is not in sources.toml"),
        ("phi-1,humaneval,,pass@1,0,,50.6,164,2023-06", "line 2: 10 fields are expected"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(HEADER + line + "\n")


def test_another_header_is_named() -> None:
    with pytest.raises(ValueError, match="line 1: expected the header model,benchmark"):
        parse("model,value\nphi-1,50.6\n")


@given(st.floats(0, 100), st.sampled_from([None, 164]), st.sampled_from([None, 0, 3]), st.sampled_from(["=", "<"]))
def test_what_is_written_is_read(value: float, n: int | None, shots: int | None, op: str) -> None:
    assume(op == "=" or value > 0)
    row = msgspec.structs.replace(published.by_model()["phi-1"][0], value=value, n=n, shots=shots, op=op)
    assert row.source == published.read_sources()["phi1_table1"].title
    assert parse(published.write_rows([row], "phi1_table1")) == (row,)


def test_a_row_has_the_facts_of_its_model_whatever_name_the_source_gives_it() -> None:
    lines = "".join(f"{name},humaneval_plus,,pass@1 greedy,0,,45,164,,evalplus\n" for name in ("phi-2-2.7B",))
    (row,) = parse(HEADER + lines)
    assert (row.model, row.parameters, row.facts.repository) == ("phi-2", 2.7e9, "microsoft/phi-2")
    (unknown,) = parse(HEADER + "nobody,humaneval_plus,,pass@1 greedy,0,,45,164,,evalplus\n")
    assert (unknown.model, unknown.parameters, unknown.facts.licence, unknown.date) == ("nobody", None, "", "")


def test_a_wide_line_is_a_row_for_each_of_its_numbers() -> None:
    source = published.read_sources()["openllm_v2"]
    text = f"model,variant,{','.join(source.columns)}\nmicrosoft/phi-1,,20.68,31.39,,26.51,35.25,11.62\n"
    rows = list(parse_wide(text, "openllm_v2", published.read_models(), published.read_sources()))
    assert [(row.benchmark, row.value, row.n) for row in rows] == [
        ("ifeval", 20.68, 541), ("bbh", 31.39, 5761), ("gpqa", 26.51, 493), ("musr", 35.25, 756),
        ("mmlu_pro", 11.62, 12032),
    ]  # fmt: skip
    assert {row.model for row in rows} == {"phi-1"} and all(row.one_protocol for row in rows)


def test_every_published_row_can_be_opened_and_its_licence_is_named() -> None:
    for row in published.load():
        assert urlsplit(row.address).scheme == "https" and urlsplit(row.address).netloc
        assert row.licence and row.accessed and row.model in published.read_models()
    assert {row.source for row in published.load()} == {source.title for source in published.read_sources().values()}


def test_one_protocol_from_phi_1_to_phi_4_mini() -> None:
    line = {"phi-1", "phi-1.5", "phi-2", "Phi-3-mini-4k-instruct", "Phi-3-mini-128k-instruct", "Phi-3.5-mini-instruct",
            "Phi-4-mini-instruct", "microsoft/phi-4"}  # fmt: skip
    rows = [row for row in published.load() if row.source == "Open LLM Leaderboard v2"]
    assert line <= {row.model for row in rows}
    assert len({row.model for row in rows}) >= 1070 and len(rows) >= 6500
    for benchmark in ("ifeval", "bbh", "math", "gpqa", "musr", "mmlu_pro"):
        assert len({(row.protocol, row.shots, row.subset) for row in rows if row.benchmark == benchmark}) == 1


def test_the_chooser_of_today_finds_todays_models() -> None:
    """Gemma 2 and 3, SmolLM2, Qwen2.5, Llama 3.2 and Phi-4-mini, with their licences."""
    licences = {
        "google/gemma-2-2b": "gemma", "Gemma-3-270M-pt": "gemma", "Gemma-3-1B-it": "gemma",
        "HuggingFaceTB/SmolLM2-135M": "apache-2.0", "HuggingFaceTB/SmolLM2-360M": "apache-2.0",
        "Qwen/Qwen2.5-0.5B": "apache-2.0", "Qwen2.5-3B": "other", "Llama-3.2-1B": "llama3.2",
        "Phi-4-mini-instruct": "mit", "phi-1": "mit", "phi-2": "mit", "Qwen3-1.7B-Base": "apache-2.0",
    }  # fmt: skip
    assert {name: published.by_model()[name][0].facts.licence for name in licences} == licences


def test_rows_of_a_model_that_stands_twice_in_one_source_are_marked() -> None:
    rows = published.by_model()["HuggingFaceTB/SmolLM2-135M-Instruct"]
    strict = {row.variant: row.value for row in rows if row.benchmark == "ifeval" and row.variant}
    assert strict == {"float16, row 1 of 2": 5.93, "bfloat16, row 2 of 2": 28.83}
