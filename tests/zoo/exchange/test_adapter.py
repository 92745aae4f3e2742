"""LoRA adapters: the merged model has the logits of peft's own merge, and what does not fit its base is refused."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.cli import root
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.exchange.adapter import import_adapter
from zoo.exchange.adapter_tokenizer import read_vocabulary
from zoo.records import About
from zoo.registry import Registry, open_registry

# peft calls what this transformers deprecates, and warns of its own settings
COMMIT = "a" * 40
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture
def registry(tiny_phi: Path) -> Any:
    with open_registry() as opened:
        opened.add(tiny_phi, "base", About(licence="mit"))
        yield opened


def adapter(tiny_phi: Path, folder: Path, embeddings: bool | str = "auto", **settings: Any) -> Any:
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
    model.save_pretrained(folder, save_embedding_layers=embeddings)
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
    "a way to begin of a later version": (edit(init_lora_weights="osora"), "init_lora_weights is 'osora'"),
    "an expression of ranks": (edit(rank_pattern={r"layers\.[01]\.mlp\.fc1": 4}), "rank_pattern has the expression"),
    "an expression of factors": (edit(alpha_pattern={"fc1|q_proj": 3}), "alpha_pattern has the expression"),
    "a pattern that is none": (edit(alpha_pattern=[3]), "alpha_pattern' is"),
    "rank as text": (edit(r="4"), "'r' is '4'"),
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


@pytest.fixture
def other(tiny_phi: Path, tmp_path: Path) -> Path:
    """A model of the base's shape with other weights."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "other"
    shutil.copytree(tiny_phi, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.final_layernorm.weight.mul_(1.001)
    model.save_pretrained(folder)
    return folder


def place_in_cache(source: Path, repository: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Puts a folder's files into a hub cache as huggingface_hub does."""
    root = cache / f"models--{repository.replace('/', '--')}"
    (root / "blobs").mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for path in source.iterdir():
        blob = root / "blobs" / file_sha256(path)
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(blob)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))


@pytest.mark.parametrize("place", ["folder", "cache", "zoo"])
def test_a_named_base_with_other_weights_is_refused_though_its_shape_fits(
    registry: Registry, tiny_phi: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    adapter(tiny_phi, tmp_path / "lora")
    named = str(other) if place == "folder" else "someone/other"
    if place == "cache":
        place_in_cache(other, named, monkeypatch, tmp_path / "cache")
    if place == "zoo":
        registry.add(other, "second", About(source=f"hf://{named}@{COMMIT}"))
    edit(base_model_name_or_path=named)(tmp_path / "lora")
    with pytest.raises(ZooError, match=r"another model than .*: model\.final_layernorm\.weight differs by 0\.001"):
        import_adapter(registry, tmp_path / "lora", "tuned", "base", About())
    assert "tuned" not in {checkpoint.name for checkpoint in registry.list()}


@pytest.mark.parametrize("place", ["folder", "cache", "zoo"])
def test_a_named_base_with_the_same_weights_is_proven(
    registry: Registry, tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    adapter(tiny_phi, tmp_path / "lora")
    half, named = tmp_path / "half", "someone/mirror"
    shutil.copytree(tiny_phi, half)
    AutoModelForCausalLM.from_pretrained(half, dtype=torch.bfloat16).save_pretrained(half)  # the same, rounded
    if place == "cache":
        place_in_cache(half, named, monkeypatch, tmp_path / "cache")
    if place == "zoo":
        registry.add(half, "second", About(source=f"hf://{named}@{COMMIT}"))
    edit(base_model_name_or_path=str(half) if place == "folder" else named)(tmp_path / "lora")
    checkpoint = import_adapter(registry, tmp_path / "lora", "tuned", "base", About())
    assert checkpoint.notes.endswith(", merged.")


@pytest.mark.parametrize(("settings", "fault"), [
    ({"base_model_name_or_path": "someone/base"}, ""),
    ({"base_model_name_or_path": "Someone/Base", "revision": "main"}, ""),
    ({"base_model_name_or_path": "someone/base", "revision": "b" * 40}, "someone/base at bbbbbbbbbbbb, and base:1 is"),
    ({"base_model_name_or_path": "someone/base-instruct"}, "its base is someone/base-instruct, and base:1 is someone"),
    ({"base_model_name_or_path": "/content/base"}, "unproven"),
    ({"base_model_name_or_path": None}, "unproven"),
    ({"base_model_name_or_path": "/content/" + "x" * 5000}, "unproven"),
])  # fmt: skip
def test_a_recorded_origin_is_held_against_the_named_one(
    tiny_phi: Path, tmp_path: Path, settings: dict[str, Any], fault: str
) -> None:
    adapter(tiny_phi, tmp_path / "lora")
    edit(**settings)(tmp_path / "lora")
    with open_registry() as registry:
        registry.add(tiny_phi, "base", About(source=f"hf://someone/base@{COMMIT}"))
        if fault in ("", "unproven"):
            notes = import_adapter(registry, tmp_path / "lora", "tuned", "base", About()).notes
            assert notes.endswith("whether base:1 is that base." if fault else ", merged.")
        else:
            with pytest.raises(ZooError, match=fault):
                import_adapter(registry, tmp_path / "lora", "tuned", "base", About())


def test_a_pair_for_a_head_that_is_stored_and_tied_is_refused(
    registry: Registry, tiny_phi: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_phi, tmp_path / "tied")
    weights = load_file(tmp_path / "tied" / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, tmp_path / "tied" / "model.safetensors", metadata={"format": "pt"})
    registry.add(tmp_path / "tied", "tied")
    adapter(tmp_path / "tied", tmp_path / "lora", embeddings=False, target_modules=["q_proj", "lm_head"])
    with pytest.raises(ZooError, match=r"lm_head\.weight, which is tied to model\.embed_tokens\.weight"):
        import_adapter(registry, tmp_path / "lora", "tuned", "tied", About())


def test_the_tokenizer_and_the_chat_template_of_the_adapter_are_the_merged_models(
    registry: Registry, tiny_phi: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    adapter(tiny_phi, tmp_path / "lora")
    tokenizer = AutoTokenizer.from_pretrained(tiny_phi)
    tokenizer.chat_template = "{% for message in messages %}<{{ message['content'] }}>{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "lora")
    checkpoint = import_adapter(registry, tmp_path / "lora", "tuned", "base", About())
    merged = AutoTokenizer.from_pretrained(registry.path(checkpoint))
    message = [{"role": "user", "content": "Hi"}]
    assert merged.apply_chat_template(message, tokenize=False) == "<Hi>"
    assert merged.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize(("tokens", "fault"), [(40, "was trained with more tokens"), (3, "")])
def test_tokens_beyond_the_bases_rows_are_refused(
    registry: Registry, tiny_phi: Path, tmp_path: Path, tokens: int, fault: str
) -> None:
    from transformers import AutoTokenizer

    adapter(tiny_phi, tmp_path / "lora")
    tokenizer = AutoTokenizer.from_pretrained(tiny_phi)
    tokenizer.add_tokens([f"<new {number}>" for number in range(tokens)])  # the base has 352 rows for 330 tokens
    tokenizer.save_pretrained(tmp_path / "lora")
    if fault:
        with pytest.raises(ZooError, match=fault):
            import_adapter(registry, tmp_path / "lora", "tuned", "base", About())
    else:
        assert import_adapter(registry, tmp_path / "lora", "tuned", "base", About())


def test_a_tokenizer_that_numbers_tokens_differently_is_refused(
    registry: Registry, tiny_phi: Path, tmp_path: Path
) -> None:
    adapter(tiny_phi, tmp_path / "lora")
    content = json.loads((tiny_phi / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (tmp_path / "lora" / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match="gives the token 'a' the number"):
        import_adapter(registry, tmp_path / "lora", "tuned", "base", About())


@pytest.mark.parametrize("content", [
    {"model": {"vocab": {}}, "added_tokens": [{"content": [], "id": 1}]}, {"model": {"vocab": [[["a"], 0.0]]}},
    {"model": {"vocab": {"a": True}}}, {"model": {"vocab": "a"}}, {"model": []},
])  # fmt: skip
def test_a_vocabulary_of_no_words_is_one_line(content: Any, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match=r"tokenizer\.json: (its vocabulary is not of words|has no vocabulary)"):
        read_vocabulary(tmp_path / "tokenizer.json")


def test_embeddings_that_were_resized_in_training_are_refused(
    registry: Registry, tiny_phi: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    peft = pytest.importorskip("peft", reason="peft proves the merge: pip install 'phi-zoo[test]'")
    torch.manual_seed(5)
    base = AutoModelForCausalLM.from_pretrained(tiny_phi)
    base.resize_token_embeddings(400)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    peft.get_peft_model(base, settings).save_pretrained(tmp_path / "lora", save_embedding_layers=True)
    with pytest.raises(ZooError, match="no part of a LoRA of linear layers"):
        import_adapter(registry, tmp_path / "lora", "tuned", "base", About())


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
