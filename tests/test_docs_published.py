"""The scripts that write files of zoo/published: run again, they write what is there."""

import doctest
import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest

from zoo.published import PublishedModel, Source, read_models
from zoo.published.sources import PrintedColumn
from zoo.published.table import FOLDER

ROOT = Path(__file__).resolve().parents[1]
CARD = """
# A card

| Benchmark | Metric | Gemma 2 PT 2B | Gemma 2 PT 9B |
| --- | --- | --- | --- |
| [MMLU][mmlu] | 5-shot, top-1 | **51.3** | 71.3 |
| [HellaSwag](https://a.org) | 10-shot | 73.0 | 81.9 |

| Benchmark | Metric | Gemma 2 IT 2B |
| --- | --- | --- |
| [MMLU][mmlu] | 5-shot, top-1 | 1.0 |
"""
TABLE = ROOT.parent / "shared" / "data" / "openllm_v2.tsv"
HEADER = "model\tparams_billions\tarchitecture\tprecision\tIFEval\tBBH\tMATH_lvl5\tGPQA\tMUSR\tMMLU_PRO\n"


def script(name: str) -> Any:
    """A script of docs/published as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "published" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_small_models_and_the_phi_line_are_kept_and_double_rows_marked(tmp_path: Path) -> None:
    open_llm = script("open_llm")
    lines = [
        "a/small-1B\t1.1\tX\tbfloat16\t0.1\t0.2\t0.0\t0.25\t\t0.1", "a/large\t4.1\tX\tfloat16\t0.1\t0.2\t0.3\t0.4\t0.5\t0.6",
        "a/small-1B\t1.12\tX\tfloat16\t0.3\t0.2\t0.0\t0.25\t0.3\t0.1", "a/nothing\t-1\tX\tfloat16\t0.1\t0.2\t0.3\t0.4\t0.5\t0.6",
        "microsoft/phi-99\t14.66\tX\tfloat16\t0.0585\t0.2\t0.3\t0.4\t0.5\t0.6", "a/y-7B-it\t3.5\tX\t4bit\t1.0\t0.2\t0.3\t0.4\t0.5\t0.6",
    ]  # fmt: skip
    path = tmp_path / "table.tsv"
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    kept = open_llm.read(path)
    assert list(kept) == ["a/small-1B", "a/y-7B-it", "microsoft/phi-99"]
    assert open_llm.wide(kept) == [
        ["a/small-1B", "bfloat16, row 1 of 2", "10", "20", "0", "25", "", "10"],
        ["a/small-1B", "float16, row 2 of 2", "30", "20", "0", "25", "30", "10"],
        ["a/y-7B-it", "", "100", "20", "30", "40", "50", "60"],
        ["microsoft/phi-99", "", "5.85", "20", "30", "40", "50", "60"],
    ]
    new = {model.model: model for model in open_llm.add_models(kept) if model.model in kept}
    assert new["a/small-1B"].parameters == 1.12e9 and new["microsoft/phi-99"].parameters == 1.466e10
    assert new["a/y-7B-it"].parameters is None
    assert (new["a/y-7B-it"].kind, new["a/y-7B-it"].quantisation, new["a/small-1B"].kind) == ("chat", "4bit", "")
    assert {model.licence for model in new.values()} == {""} and {model.weights for model in new.values()} == {"open"}


def test_the_open_llm_file_is_what_its_script_writes() -> None:
    if not TABLE.is_file():
        pytest.skip("the collected openllm_v2.tsv is not here")
    open_llm = script("open_llm")
    kept = open_llm.read(TABLE)
    columns = (FOLDER / "openllm_v2.csv").read_text(encoding="utf-8").splitlines()
    assert len(columns) == 1 + sum(map(len, kept.values()))
    assert [row[0] for row in open_llm.wide(kept)] == [line.split(",")[0] for line in columns[1:]]
    assert {model.model for model in open_llm.add_models(kept)} == {model.model for model in read_models().values()}


def card_source(models: dict[str, str], *printed: str) -> Source:
    columns = {label.split(",")[0]: PrintedColumn(benchmark="b", protocol="score", printed=label) for label in printed}
    return Source(
        title="t", address="https://a.org/b", accessed="2026-11-30", licence="mit", models=models, columns=columns
    )


def test_a_card_gives_the_numbers_of_its_models_and_rows() -> None:
    card = script("card")
    source = card_source(
        {"Gemma 2 PT 2B": "small", "Gemma 2 PT 9B": "large"}, "MMLU, 5-shot, top-1", "HellaSwag, 10-shot"
    )
    assert card.table(CARD, source) == [["small", "", "51.3", "73.0"], ["large", "", "71.3", "81.9"]]


@pytest.mark.parametrize(
    ("models", "printed", "said"),
    [
        ({"Gemma 2 PT 2B": "small"}, ("MMLU, 5-shot, top-1", "ARC-c, 25-shot"), "no number for ARC-c"),
        ({"Gemma 2 PT 2B": "small", "Gemma 3": "other"}, ("MMLU, 5-shot, top-1",), "no number for other"),
        ({"Gemma 2 PT 2B": "small", "Gemma 2 IT 2B": "small"}, ("MMLU, 5-shot, top-1",), "prints 51.3 and 1.0"),
        ({"Gemma 2 PT 2B": "small"}, ("MMLU, 0-shot",), "no number for MMLU, small"),
    ],
)
def test_what_a_card_does_not_have_is_an_error(models: dict[str, str], printed: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        script("card").table(CARD, card_source(models, *printed))


def test_the_facts_of_families_are_in_the_table() -> None:
    facts = script("facts")
    models = list({model.model: model for model in read_models().values()}.values())
    assert facts.fill(models, facts.read_facts()) == models
    assert sum(bool(model.licence) for model in models) >= 145


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (PublishedModel(model="o/a-3b"), ""),
        (PublishedModel(model="b", repository="o/a-3b"), ""),
        (PublishedModel(model="someone/a-3b"), "no model fits o/a-"),
        (
            PublishedModel(model="o/a-3b", licence="gemma", facts_from="https://a.org/b"),
            "licence gemma, its family mit",
        ),
        (PublishedModel(model="o/a-3b", kind="chat"), "kind chat, its family base"),
    ],
)
def test_a_family_fills_what_is_empty_and_says_what_differs(model: PublishedModel, said: str) -> None:
    facts = script("facts")
    family = facts.FamilyFacts(models="o/a-[0-9]+b", licence="mit", kind="base", source="card")
    given = facts.Facts(sources={"card": "https://a.org/card"}, families=(family,))
    if said:
        with pytest.raises(ValueError, match=said):
            facts.fill([model], given)
        return
    (filled,) = facts.fill([model], given)
    assert (filled.licence, filled.kind, filled.facts_from) == ("mit", "base", "https://a.org/card")
    twice = msgspec.structs.replace(given, families=(family, msgspec.structs.replace(family, models="o/.*")))
    with pytest.raises(ValueError, match="fits o/a-"):
        facts.fill([model], twice)


@pytest.mark.parametrize("name", ["card", "open_llm", "facts"])
def test_the_examples_in_the_scripts(name: str) -> None:
    assert doctest.testmod(script(name)).failed == 0
