"""Files that lack a tensor of their model, or hold another one's, are refused before a loader makes something up."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from evals.engines.local.load import load_model
from zoo.admission import complete, gate
from zoo.errors import ZooError
from zoo.registry import open_registry

SMALL: dict[str, Any] = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
                         "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**SMALL, "tie_word_embeddings": False},
    "qwen3": {**SMALL, "head_dim": 8, "tie_word_embeddings": True},
    "gemma3_text": {**SMALL, "head_dim": 8},
    "gpt2": {"vocab_size": 96, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "mixtral": {**SMALL, "num_local_experts": 3},
    "mamba2": {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "num_heads": 8, "head_dim": 8,
               "state_size": 8, "n_groups": 1},
    "opt": {"vocab_size": 96, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
            "word_embed_proj_dim": 32},
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's work without the child, which takes seconds to import torch; `child` in a test's name: as it is."""
    monkeypatch.setenv("HF_DEACTIVATE_ASYNC_LOAD", "1")
    if "child" not in request.node.name:
        monkeypatch.setattr(complete, "_ask", lambda question, source: complete.lay_out(json.loads(question)))


def save(folder: Path, family: str, **more: Any) -> Path:
    """A small random model of a family as `save_pretrained` writes it."""
    torch.manual_seed(0)
    config = transformers.CONFIG_MAPPING[family](**{**FAMILIES[family], **more})
    model: Any = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return folder


def change(folder: Path, drop: str = "", **add: torch.Tensor) -> None:
    """Takes one tensor out of a folder's file, or puts others in."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    if drop:
        del tensors[drop]
    save_file({**tensors, **add}, file, metadata={"format": "pt"})


def inspect(folder: Path) -> None:
    inspected = gate.inspect_folder(folder)
    complete.check_complete(folder, inspected.config, inspected.headers)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_tensor_of_a_family_may_be_missing_at_the_door_or_at_load(tmp_path: Path, family: str) -> None:
    folder = save(tmp_path / "model", family)
    inspect(folder)
    first, second = (load_model(folder).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    stored = list(load_file(folder / "model.safetensors"))
    for name in [stored[0], stored[-1], *stored[1 :: max(1, len(stored) // 4)]]:
        whole = (folder / "model.safetensors").read_bytes()
        change(folder, drop=name)
        with pytest.raises(ZooError, match=r"lack|missing|layers|do not fit"):
            inspect(folder)
        with pytest.raises(ZooError, match=r"cannot be loaded"):
            load_model(folder)
        (folder / "model.safetensors").write_bytes(whole)


def test_a_declared_tie_is_no_missing_head_and_an_undeclared_one_is(tmp_path: Path) -> None:
    inspect(save(tmp_path / "tied", "llama", tie_word_embeddings=True))
    folder = save(tmp_path / "untied", "llama")
    change(folder, drop="lm_head.weight")
    with pytest.raises(ZooError, match=r"lack the tensor lm_head.weight \(1 in all\), and a loader would fill"):
        inspect(folder)
    with pytest.raises(ZooError, match=r"lack the tensor lm_head.weight"):
        load_model(folder)


@pytest.mark.parametrize(
    ("name", "shape", "stray"),
    [
        ("model.layers.0.self_attn.q_proj.bias", (32,), True),
        ("model.layers.1.self_attn.q_norm.weight", (8,), True),
        ("lm_head.bias", (96,), True),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", (4,), False),
        ("v_head.summary.weight", (1, 32), False),
        ("vision_tower.patch.weight", (4, 4), False),
    ],
)
def test_a_tensor_of_a_part_that_the_config_leaves_out_is_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], stray: bool
) -> None:
    folder = save(tmp_path / "model", "llama")
    change(folder, **{name: torch.ones(shape)})
    for check in (inspect, load_model):
        if stray:
            with pytest.raises(ZooError, match=rf"{name} is not part of the model"):
                check(folder)
        else:
            check(folder)


def test_layers_that_only_guess_further_tokens_are_left_alone(tmp_path: Path) -> None:
    """As GLM and DeepSeek store them behind the last layer."""
    family, sizes = "glm4_moe", {**SMALL, "moe_intermediate_size": 16, "n_routed_experts": 4, "num_experts_per_tok": 2}
    torch.manual_seed(0)
    config = transformers.CONFIG_MAPPING[family](**sizes, head_dim=8, n_group=1, topk_group=1)
    model: Any = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path / "model")
    change(tmp_path / "model", **{"model.layers.2.eh_proj.weight": torch.ones((32, 64))})
    file = tmp_path / "model" / "config.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "num_nextn_predict_layers": 0}))
    with pytest.raises(ZooError, match="of 3 layers"):
        inspect(tmp_path / "model")
    file.write_text(json.dumps({**values, "num_nextn_predict_layers": 1}))
    inspect(tmp_path / "model")
    load_model(tmp_path / "model")


@pytest.mark.parametrize(("family", "key", "value"), [("gpt2", "n_embd", 64), ("opt", "ffn_dim", 64)])
def test_other_shapes_than_the_configs_are_refused(tmp_path: Path, family: str, key: str, value: int) -> None:
    folder = save(tmp_path / "model", family)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    for check in (inspect, load_model):
        with pytest.raises(ZooError, match=r"has shape .* config.json describes"):
            check(folder)


@pytest.mark.parametrize("value", ["flash_attention_2", "eager", "sdpa", None])
def test_the_attention_of_a_config_has_no_effect(tmp_path: Path, value: str | None) -> None:
    folder = save(tmp_path / "model", "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_attn_implementation": value}))
    inspect(folder)
    assert load_model(folder).config._attn_implementation == "sdpa"


def test_the_child_refuses_at_add_and_nothing_enters(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "llama")
    change(folder, drop="lm_head.weight")
    with open_registry() as registry, pytest.raises(ZooError, match=rf"{folder}: its files lack the tensor lm_head"):
        registry.add(folder, "untied")
    with open_registry() as registry:
        assert not registry.list()
        assert registry.add(save(tmp_path / "whole", "llama"), "whole").notes == ""


def test_a_family_that_the_childs_transformers_lacks_is_left_to_loading_with_a_line(tmp_path: Path) -> None:
    note = complete.check_complete(tmp_path, {"model_type": "of_tomorrow"}, {})
    assert note.startswith("Not checked for missing tensors before loading: transformers 5")


def test_a_child_that_needs_too_much_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)")
    with pytest.raises(ZooError, match="takes too much"):
        complete._ask("{}", tmp_path)
