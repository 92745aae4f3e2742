"""`phizoo eval items`: which samples decide, and which look mislabelled."""

import json
from typing import Any

import pytest

from evals.decisions.items import find_items
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError

N = 30


@pytest.fixture
def eight(made_up: Any) -> Any:
    """Eight models of rising strength; all pass sample 0, none sample 1, and only the weaker four sample 2."""
    for model in range(8):
        scores = [float(number % 8 <= model) for number in range(N)]
        scores[:4] = [1.0, 0.0, float(model < 4), float(model >= 4)]
        logprobs = [(-2.0, -1.0) if score == 0 else (-1.0, -2.0) for score in scores]
        made_up.score(f"m{model}", scores, lines={"logprobs": logprobs})
    return made_up


def test_kinds(eight: Any) -> None:
    found = find_items(eight.registry, "arc_easy")
    kinds = {item.sample: item for item in found.items}
    assert kinds["arc_easy/0"].kind == "all pass"
    assert kinds["arc_easy/3"].kind == "decides"
    assert kinds["arc_easy/3"].discrimination > 0.5
    suspect = kinds["arc_easy/2"]
    assert suspect.kind == "suspect"
    assert suspect.discrimination < 0
    assert any("weaker models" in reason for reason in suspect.reasons)
    assert any("'choice 2'" in reason for reason in suspect.reasons)
    assert found.models[0] == "m7:1"
    assert sum(found.counts.values()) == N


def test_the_command_lists_suspects_first(eight: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["eval", "items", "arc_easy"]) == 0
    out = capsys.readouterr().out
    assert "8 models, 30 samples" in out
    assert phizoo(["eval", "items", "arc_easy", "--kind", "all-pass", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {item["kind"] for item in data["items"]} == {"all pass"}
    assert data["counts"]["all pass"] == len(data["items"])
    assert phizoo(["eval", "items", "arc_easy", "m0", "m1", "--limit", "0"]) == 0


def test_two_models_with_samples_are_needed(made_up: Any) -> None:
    made_up.score("a", [1.0, 0.0])
    with pytest.raises(ZooError, match="not two"):
        find_items(made_up.registry, "arc_easy")
