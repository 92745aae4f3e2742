"""`phizoo eval showcase`: chat models are asked by their templates, base models are left out, answers are kept."""

import json
import shutil
from pathlib import Path

import pytest

from evals import showcase
from evals.showcase import PROMPTS
from zoo.cli import root
from zoo.registry import open_registry

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


@pytest.fixture
def zoo(tiny_phi: Path, tmp_path: Path) -> None:
    """A base model and a chat model."""
    chat = tmp_path / "chat"
    shutil.copytree(tiny_phi, chat)
    (chat / "chat_template.jinja").write_text(TEMPLATE)
    with open_registry() as registry:
        registry.add(tiny_phi, "base")
        registry.add(chat, "talker")


@pytest.mark.usefixtures("zoo")
def test_every_chat_model_is_asked_once_and_its_answers_are_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert root.run(["eval", "showcase", "--max-tokens", "4", "--json"]) == 0
    shown = capsys.readouterr()
    assert "4/4 samples" in shown.err and "%" not in shown.err  # no score, so none beside the bar
    answers = json.loads(shown.out)
    assert [answer["prompt"] for answer in answers] == [prompt.name for prompt in PROMPTS]
    assert {answer["model"] for answer in answers} == {"talker:1"}
    assert answers[0]["check"] in ("right", "wrong", "no speed") and answers[1]["check"] == ""
    assert list(showcase.newest(showcase.read_showcases(showcase.folder()))) == ["talker:1"]
    from evals.engines.transformers_local import TransformersLocal

    def never(*_: object) -> None:
        raise AssertionError("a kept answer was asked again")

    monkeypatch.setattr(TransformersLocal, "_load", never, raising=False)
    assert root.run(["eval", "showcase", "talker", "--max-tokens", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == answers
    assert root.run(["eval", "runs"]) == 0
    assert "No runs yet" in capsys.readouterr().out  # a showcase is no run


@pytest.mark.usefixtures("zoo")
def test_a_base_model_is_left_out_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["eval", "showcase", "base", "talker", "--max-tokens", "4"]) == 0
    printed = capsys.readouterr()
    assert "base:1 is left out" in printed.err and "chat template" in printed.err
    assert "28 m/s" in printed.out and "talker:1 (transformers)" in printed.out
    assert max(map(len, printed.out.splitlines())) <= 80
    assert root.run(["eval", "showcase", "base"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "no model was asked" in printed.err
    assert root.run(["eval", "showcase", "talker", "base", "--engine", "transformer"]) == 2
    (line,) = capsys.readouterr().err.splitlines()  # not one a model
    assert 'no engine "transformer" (nearest: "transformers")' in line


def test_an_empty_zoo_says_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["eval", "showcase"]) == 2
    assert "no chat model; next: phizoo models add" in capsys.readouterr().err
    assert root.run(["eval", "showcase", "nobody"]) == 2
