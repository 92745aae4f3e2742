"""The facts of a published model stand once, under each of its names, and an empty fact is unknown."""

from pathlib import Path

import pytest

from zoo.published.models import PublishedModel, by_name, model_problems, parse_models, read_models, write_models
from zoo.records import ModelFacts

HEADER = ",".join(PublishedModel.__struct_fields__)


def test_no_problem_in_our_file() -> None:
    models = {model.model: model for model in read_models().values()}
    assert model_problems(models.values()) == []
    assert len(models) >= 1280


def test_a_model_has_three_kinds_of_names() -> None:
    model = PublishedModel(model="phi-2", also="phi-2-2.7B; Phi 2", repository="microsoft/phi-2")
    assert model.names == ("phi-2", "phi-2-2.7B", "Phi 2", "microsoft/phi-2")
    assert set(by_name([model]).values()) == {model}


def test_what_is_not_known_is_empty() -> None:
    (model,) = parse_models(f"{HEADER}\nphi-9{',' * 11}\n")
    assert model.facts == ModelFacts() and model.parameters is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a,,,many,,,,,,,,", "line 2: .*float"),
        ("a,,,1,,,,,,,,", "1.0 parameters"),
        ("a,,,1e9,6e10,5e10,,,,,,", "unique tokens of"),
        ("a,,,,,,2023,,,,,", "release '2023' is not YYYY-MM"),
        ("a,,x,,,,,,,,,", "repository 'x' is not owner/name"),
        ("a,,,,,,,MIT,,,,", "licence 'MIT' is not a name in lower case"),
        ("a,,,,,,,,tuned,,,", "line 2: .*enum"),
        ("a,,,,,,,,,ajar,,", "line 2: .*enum"),
        ("a,,o/a,,,,,,,closed,,", "closed weights with a repository"),
        ("a,b,,,,,,,,,,\nb,,,,,,,,,,,", "two models have the name 'b'"),
        ("a,,,,,,,mit,,,,", "a licence without the address at which it was read"),
        ("a,,,,,,,mit,,,,card", "'card' is not https"),
        (",,,,,,,,,,,", "line 2: .*model|no name"),
    ],
)
def test_an_impossible_model_is_named(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_models(f"{HEADER}\n{line}\n")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    models = [
        PublishedModel(
            model='a "quoted", name',
            parameters=1.3e9,
            training_tokens=5.1e10,
            licence="mit",
            kind="base",
            facts_from="https://a.org/b",
        ),
        PublishedModel(
            model="b", also="c;d", repository="o/b", released="2024-09", weights="open", quantisation="4bit"
        ),
    ]
    write_models(models, tmp_path / "models.csv")
    assert parse_models((tmp_path / "models.csv").read_text(encoding="utf-8")) == models
