"""LoRA adapters: the merged model has the logits of peft's own merge, and what does not fit its base is refused."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.cli import root
from zoo.errors import ZooError
from zoo.exchange.adapter import import_adapter
from zoo.records import About
from zoo.registry import Registry, open_registry

# peft calls what this transformers deprecates, and warns of its own settings
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture
def registry(tiny_phi: Path) -> Any:
    with open_registry() as opened:
        opened.add(tiny_phi, "base", About(licence="mit"))
        yield opened


def adapter(tiny_phi: Path, folder: Path, **settings: Any) -> Any:
    """Writes a random adapter with peft; the model that peft merges it into."""
    import torch
    from transformers import AutoModelForCausalLM

    peft = pytest.importorskip("peft", reason="peft proves the merge: pip install 'phi-zoo[test]'")
    torch.manual_seed(5)
    asked = {"r": 4, "lora_alpha": 12, "target_modules": ["q_proj", "v_proj", "fc1"], "task_type": "CAUSAL_LM"}
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_phi), peft.LoraConfig(**{**asked, **settings})
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return model.merge_and_unload().eval()


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.arange(1, 60)[None] % 300).logits


@pytest.mark.parametrize("settings", [
    {}, {"use_rslora": True}, {"target_modules": "all-linear"},
    {"rank_pattern": {"fc1": 2}, "alpha_pattern": {"fc1": 3}}, {"layers_to_transform": [1]},
], ids=["plain", "rslora", "all-linear", "patterns", "one layer"])  # fmt: skip
def test_the_merged_model_has_the_logits_of_pefts_own_merge(
    registry: Registry, tiny_phi: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    merged = adapter(tiny_phi, tmp_path / "lora", **settings)
    checkpoint = import_adapter(registry, tmp_path / "lora", "tuned", "base", About())
    ours = AutoModelForCausalLM.from_pretrained(registry.path(checkpoint)).eval()
    assert torch.allclose(logits(ours), logits(merged), atol=1e-6)
    plain = AutoModelForCausalLM.from_pretrained(tiny_phi).eval()
    assert not torch.allclose(logits(ours), logits(plain), atol=1e-2)
    base = registry.get("base")
    assert [(parent.digest, parent.relation) for parent in checkpoint.parents] == [(base.digest, "finetune")]
    assert checkpoint.licence == "mit" and registry.recipe(str(checkpoint.recipe_digest))["adapter"]["lora_alpha"]
    assert {file.path for file in checkpoint.files} == {file.path for file in base.files}


def edit(**settings: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    return change


def rename(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = data[8 : 8 + length].replace(old.encode(), new.encode())
        path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length :])

    return change


REFUSED = {
    "code": (edit(auto_mapping={"base_model_class": "X"}), "names code to run"),
    "private key": (edit(_hidden="x"), "private key"),
    "another method": (edit(peft_type="IA3"), "only LORA"),
    "dora": (edit(use_dora=True), "use_dora"),
    "modules to save": (edit(modules_to_save=["lm_head"]), "modules_to_save"),
    "a setting of a later version": (edit(use_new_trick=True), "use_new_trick"),
    "biases": (edit(bias="all"), "bias is 'all'"),
    "pissa": (edit(init_lora_weights="pissa"), "init_lora_weights is 'pissa'"),
    "rank as text": (edit(r="4"), "r is 4"),
    "another rank": (edit(r=8), "at rank 8"),
    "a module that the base lacks": (rename("layers.1.mlp.fc1", "layers.7.mlp.fc1"), "layers.7.mlp.fc1, which base:1 lacks"),
    "half a pair": (rename("layers.1.mlp.fc1.lora_A", "layers.1.mlp.fc3.lora_A"), "only one of lora_A and lora_B"),
    "a target without pairs": (edit(target_modules=["q_proj", "v_proj", "fc1", "fc2"]), "lacks a pair for model.layers"),
    "a target of another family": (edit(target_modules=["q_proj", "v_proj", "fc1", "gate_proj"]), "names gate_proj"),
    "a tensor of another kind": (rename("fc1.lora_A.weight", "fc1.lora_magnitude"), "no part of a LoRA"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_an_adapter_that_cannot_be_merged_is_refused(
    registry: Registry, tiny_phi: Path, tmp_path: Path, kind: str
) -> None:
    adapter(tiny_phi, tmp_path / "lora")
    change, reason = REFUSED[kind]
    change(tmp_path / "lora")
    with pytest.raises(ZooError, match=reason):
        import_adapter(registry, tmp_path / "lora", "tuned", "base", About())
    assert [one.label for one in registry.list()] == ["base:1"]


def test_a_pickle_and_a_missing_base_are_refused(
    registry: Registry, tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "lora"
    adapter(tiny_phi, folder)
    assert root.run(["models", "import", str(folder), "--name", "tuned"]) == 2
    assert "--base" in capsys.readouterr().err
    assert root.run(["models", "import", str(folder), "--name", "tuned", "--base", "base"]) == 0
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ZooError, match=r"has no adapter_model\.safetensors"):
        import_adapter(registry, folder, "tuned", "base", About())
