"""Phi's older weight formats are converted to today's, and the comparison of logits catches every wrong conversion."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.errors import ZooError
from zoo.exchange import phi_convert, phi_proof
from zoo.exchange.huggingface import import_any
from zoo.records import About
from zoo.registry import open_registry

SIZE, HEADS, LAYERS, VOCABULARY = 16, 2, 2, 48
MIXFORMER = {
    "model_type": "mixformer-sequential",
    "n_embd": SIZE * HEADS,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_inner": None,
    "n_positions": 64,
    "rotary_dim": SIZE // 2,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "vocab_size": VOCABULARY,
    "torch_dtype": "float32",
}
FUSED = {
    "model_type": "phi",
    "hidden_size": SIZE * HEADS,
    "intermediate_size": 4 * SIZE * HEADS,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "partial_rotary_factor": 0.5,
    "max_position_embeddings": 64,
    "layer_norm_eps": 1e-5,
    "vocab_size": VOCABULARY,
}


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Phi as today's transformers writes it: what every older form of it must become."""
    import torch
    from transformers import PhiConfig, PhiForCausalLM

    torch.manual_seed(0)
    config = PhiConfig(
        **{k: v for k, v in FUSED.items() if k != "model_type"}, bos_token_id=0, eos_token_id=0, initializer_range=0.3
    )
    folder = tmp_path_factory.mktemp("today")
    model = PhiForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():  # biases too: zeros would hide a wrong order
            parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder


def older(today: Path, folder: Path, form: str, config: dict[str, Any], shards: int = 1) -> Path:
    """The same weights in an older form, written from the formats' descriptions."""
    import torch
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True)
    tensors = load_file(today / "model.safetensors")
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if "q_proj" in name:
            parts = [tensors[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            if form == "fused":
                parts = [part.view(HEADS, 1, SIZE, *part.shape[1:]) for part in parts]
                joined = torch.cat(parts, dim=1).reshape(3 * HEADS * SIZE, *tensor.shape[1:])
            else:
                joined = torch.cat(parts)
            found[name.replace("q_proj", "query_key_value")] = joined.contiguous()
        elif "k_proj" not in name and "v_proj" not in name:
            found[name] = tensor
    if form != "fused":
        found = {_older_name(name, form): tensor for name, tensor in found.items()}
    names = sorted(found)
    for shard in range(shards):
        part = {name: found[name] for name in names[shard::shards]}
        file = "model.safetensors" if shards == 1 else f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        save_file(part, folder / file)
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {}}))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _older_name(name: str, form: str) -> str:
    for new, old in (
        ("model.embed_tokens", "transformer.embd.wte"),
        ("model.layers.", "transformer.h."),
        ("input_layernorm", "ln"),
        ("self_attn.query_key_value", "mixer.Wqkv"),
        ("self_attn.dense", "mixer.out_proj"),
        ("model.final_layernorm", "lm_head.ln"),
    ):
        name = name.replace(new, old)
    if name in ("lm_head.weight", "lm_head.bias"):
        name = name.replace("lm_head", "lm_head.linear")
    if form == "sequential":
        parts = name.split(".")
        if name.startswith("transformer.embd"):
            return f"layers.0.{'.'.join(parts[2:])}"
        if name.startswith("transformer.h"):
            return f"layers.{int(parts[2]) + 1}.{'.'.join(parts[3:])}"
        return f"layers.{LAYERS + 1}.{'.'.join(parts[1:])}"
    return name


FORMS = [("mixformer", MIXFORMER, 1), ("sequential", MIXFORMER, 1), ("fused", FUSED, 1), ("mixformer", MIXFORMER, 3)]


@pytest.mark.parametrize(("form", "config", "shards"), FORMS)
def test_every_older_form_becomes_the_very_same_tensors(
    today: Path, tmp_path: Path, form: str, config: dict[str, Any], shards: int
) -> None:
    import torch
    from safetensors.torch import load_file

    source = older(today, tmp_path / "old", form, config, shards)
    with open_registry() as registry:
        found = import_any(registry, str(source), "phi-x", None, About(), drop_code=False)
        folder = registry.path(found)
    assert form in found.notes
    assert "largest difference of logits" in found.notes
    wanted = load_file(today / "model.safetensors")
    held: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        held |= load_file(path)
    assert held.keys() == wanted.keys()
    assert all(torch.equal(held[name], wanted[name]) for name in wanted)
    assert found.architecture["partial_rotary_factor"] == 0.5
    assert found.parameters == sum(tensor.numel() for tensor in wanted.values())


def test_an_older_form_is_not_added_as_it_is(today: Path, tmp_path: Path) -> None:
    source = older(today, tmp_path / "old", "fused", FUSED)
    with open_registry() as registry, pytest.raises(ZooError, match=r"fused format.*phizoo models add"):
        registry.add(source, "phi-x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotary_dim": SIZE // 4},
        {"n_head": 2 * HEADS, "rotary_dim": SIZE // 2},
        {"layer_norm_epsilon": 0.1},
        {"rotary_dim": SIZE},
    ],
)
def test_a_config_of_other_weights_is_caught_by_the_logits_or_the_shapes(
    today: Path, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """The old forward pass is given the truth, the conversion the wrong config."""
    source = older(today, tmp_path / "old", "mixformer", MIXFORMER)
    right, lied = phi_convert.convert_config(MIXFORMER), phi_convert.convert_config(MIXFORMER | wrong)
    phi_convert.convert(source, tmp_path / "new", lied)
    import torch
    from transformers import PhiForCausalLM

    ids = torch.arange(12).view(1, 12)
    with torch.no_grad():
        new = PhiForCausalLM.from_pretrained(tmp_path / "new").train(False)(ids).logits
        old = phi_proof.old_logits(source, ids, right)
    assert float((new - old).abs().max()) > phi_proof.TOLERANCE


@pytest.mark.parametrize("mistake", ["head order", "q and k swapped", "plain chunk of a fused file"])
def test_a_wrong_order_of_rows_is_refused(
    today: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    source = older(today, tmp_path / "old", "fused", FUSED)
    split = phi_convert._split

    def wrong(file: str, tensor: Any, name: str, legacy: str, config: dict[str, Any]) -> Any:
        pieces = list(split(file, tensor, name, "mixformer" if "chunk" in mistake else legacy, config))
        if mistake == "head order":
            pieces = [piece._replace(spans=piece.spans[::-1]) for piece in pieces]
        elif mistake == "q and k swapped":
            names = [piece.name for piece in pieces]
            pieces = [piece._replace(name=names[at]) for piece, at in zip(pieces, (1, 0, 2), strict=True)]
        return pieces

    monkeypatch.setattr(phi_convert, "_split", wrong)
    with open_registry() as registry:
        with pytest.raises(ZooError, match=r"give different logits"):
            import_any(registry, str(source), "phi-x", None, About(), drop_code=False)
        assert registry.list() == []


def test_code_beside_the_weights_is_refused_unless_it_is_left_behind(today: Path, tmp_path: Path) -> None:
    config = MIXFORMER | {"auto_map": {"AutoModelForCausalLM": "modeling_mixformer.M"}}
    source = older(today, tmp_path / "old", "mixformer", config)
    with open_registry() as registry:
        with pytest.raises(ZooError, match=r"--drop-code"):
            import_any(registry, str(source), "phi-x", None, About(), drop_code=False)
        (source / "modeling_mixformer.py").write_text("print(1)")
        (source / "pytorch_model.bin").write_bytes(b"\x80\x04.")
        with pytest.raises(ZooError, match=r"modeling_mixformer.py: is Python code"):
            import_any(registry, str(source), "phi-x", None, About(), drop_code=False)
        found = import_any(registry, str(source), "phi-x", None, About(), drop_code=True)
        assert {file.path for file in found.files} == {"config.json", "model.safetensors"}
        assert "auto_map" not in found.architecture
        assert "modeling_mixformer.py" in found.notes


def test_a_tensor_of_another_model_and_a_config_without_sizes_are_refused(
    today: Path, tmp_path: Path, made: SimpleNamespace
) -> None:
    source = older(today, tmp_path / "old", "mixformer", MIXFORMER)
    made.safetensors(source / "other.safetensors", {"ghost.weight": ("F32", [1], bytes(4))})
    with open_registry() as registry:
        with pytest.raises(ZooError, match=r"ghost.weight belongs to none"):
            import_any(registry, str(source), "phi-x", None, About(), drop_code=False)
        (source / "config.json").write_text("{}")
        with pytest.raises(ZooError, match=r"n_embd is missing|hidden_size is missing"):
            import_any(registry, str(source), "phi-x", None, About(), drop_code=False)


def test_real_ids_are_written_for_a_real_vocabulary() -> None:
    today_config = phi_convert.convert_config(MIXFORMER | {"vocab_size": 51200})
    assert (today_config["bos_token_id"], today_config["eos_token_id"]) == (50256, 50256)
