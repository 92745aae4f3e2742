"""What a model's files say before it is run: its size, its kind, and which of a suite's tasks are asked by chat."""

import json
import shutil
from pathlib import Path

import pytest

from evals.checks.candidate import AskedForm, asked_form, by_form, find_candidate, of_checkpoint
from evals.suites import find_tasks
from zoo.errors import ZooError
from zoo.registry import open_registry

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def test_a_folder_is_read_without_entering_the_zoo(tiny_phi: Path, tmp_path: Path) -> None:
    candidate = find_candidate(str(tiny_phi))
    assert candidate.planned.shape.family == "phi"
    assert candidate.planned.context_tokens == 128
    assert candidate.file_bytes == (tiny_phi / "model.safetensors").stat().st_size
    assert candidate.has_template is False
    assert not (tmp_path / "home").exists()


def test_a_checkpoint_of_the_zoo_is_the_same_candidate(tiny_phi: Path, tmp_path: Path) -> None:
    chat = tmp_path / "phi-instruct"
    shutil.copytree(tiny_phi, chat)
    (chat / "chat_template.jinja").write_text(TEMPLATE)
    before = find_candidate(str(chat))
    with open_registry() as registry:
        after = of_checkpoint(registry.add(chat, "mine"), registry, chat.name)
    assert (after.planned.parameters, after.file_bytes) == (before.planned.parameters, before.file_bytes)
    assert asked_form(before.has_template, before.names) == asked_form(after.has_template, after.names)
    assert asked_form(after.has_template, after.names).by_chat
    assert find_candidate("mine").has_template


@pytest.mark.parametrize(
    ("has_template", "name", "by_chat"),
    [
        (True, "gemma-3-270m-it", True),
        (True, "Llama-2-7b-chat-hf", True),
        (True, "my-dpo", True),
        (True, "Qwen2.5-0.5B", False),  # a base model that ships a template
        (True, "sit-and-think", False),
        (False, "phi-1-instruct", False),
        (None, "phi-1-chat", False),
    ],
)
def test_a_chat_model_has_a_template_and_a_name_that_says_so(
    has_template: bool | None, name: str, by_chat: bool
) -> None:
    assert asked_form(has_template, [name]).by_chat is by_chat


def test_of_a_chat_model_bits_per_byte_stay_completions() -> None:
    tasks = find_tasks("suite:small")
    plain, chats = by_form(tasks, AskedForm(True, ""))
    assert {task.name for task in chats} == {"arc_easy", "hellaswag", "piqa"}
    assert {task.name for task in plain} == {"humaneval_bpb", "gsm8k_bpb", "hellaswag_bpb", "mmlu"}
    assert by_form(tasks, AskedForm(False, "")) == (tasks, [])
    assert by_form(find_tasks("mmlu@chat"), AskedForm(False, ""))[1]  # made for chats: never a completion


def test_what_is_not_here_is_one_line(tiny_phi: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"no such folder or file"):
        find_candidate("./nothing")
    with pytest.raises(ZooError, match=r"phizoo try org/model --dry-run"):
        find_candidate("org/model")
    with pytest.raises(ZooError, match=r'no checkpoint "phi-11"'):
        find_candidate("phi-11")
    refused = tmp_path / "code"
    shutil.copytree(tiny_phi, refused)
    (refused / "modeling.py").write_text("")
    with pytest.raises(ZooError, match=r"is Python code"):
        find_candidate(str(refused))
    config = json.loads((tiny_phi / "config.json").read_text())
    (refused / "modeling.py").unlink()
    (refused / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(ZooError, match=r"model_type bert is refused"):
        find_candidate(str(refused)).family()
