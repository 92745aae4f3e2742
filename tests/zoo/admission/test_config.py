"""Configurations: what transformers writes enters as it is; what names code or absurd sizes is refused by key."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.zoo.admission.changes import Change, check_refused, config, write
from zoo.admission.config import check_config
from zoo.errors import ZooError
from zoo.families import ACCEPTED
from zoo.registry import open_registry

ATTACKS: dict[str, tuple[Change, str]] = {
    "auto_map": (config(auto_map={"AutoModel": "modeling.X"}), "names code to run (auto_map)"),
    "auto_map inside": (config(text_config={"auto_map": {"a": "b.C"}}), "names code to run (auto_map)"),
    "trust_remote_code": (config(trust_remote_code=True), "names code to run (trust_remote_code)"),
    "attention kernel from the hub": (config(attn_implementation="evil/kernel"), "could be fetched and run"),
    "internal attention": (config(_attn_implementation_internal="evil/kernel"), "private key"),
    "known private key with a repository": (config(_attn_implementation="evil/kernel:x"), "could be fetched and run"),
    "other private key": (config(_class_path="x"), "private key"),
    "unknown model": (config(model_type="evil"), "model_type 'evil' is not supported"),
    "model type of another kind": (config(model_type=["phi"]), "is not supported"),
    "absurd layers": (config(num_hidden_layers=10**9), "num_hidden_layers is 1000000000"),
    "absurd together": (config(hidden_size=10**6, intermediate_size=10**7, num_hidden_layers=1000), "parameters"),
    "negative size": (config(vocab_size=-1), "vocab_size is -1"),
    "size as text": (config(vocab_size="11"), "vocab_size is '11'"),
    "number without end": (write("config.json", '{"model_type":"phi","x":1e999}'), "not finite"),
    "number of 4000 digits": (write("config.json", '{"model_type":"phi","x":' + "9" * 4000 + "}"), "4000 digits"),
    "config twice": (write("config.json", '{"model_type":"phi","model_type":"gpt2"}'), "is a duplicate"),
    "config nested": (config(a=json.loads("[" * 30 + "]" * 30)), "nested more than"),
    "quantizer unknown": (config(quantization_config={"quant_method": "evil"}), "has the method 'evil'"),
    "quantizer with a path": (config(quantization_config={"quant_method": "gptq", "x": "a/b"}), "is a path"),
    "size over two lines": (config(vocab_size="one\ntwo"), "vocab_size is 'one\\ntwo', expected"),
    "temperature as text": (
        write("generation_config.json", {"temperature": "0.7"}),
        "temperature is '0.7', expected 0",
    ),
    "top_p over 1": (write("generation_config.json", {"top_p": 1.5}), "top_p is 1.5, expected 0 to 1"),
    "beams without end": (write("generation_config.json", {"num_beams": 10**9}), "num_beams is 1000000000"),
    "an end that is no token": (write("generation_config.json", {"eos_token_id": [1, "2"]}), "eos_token_id is '2'"),
    "an end below zero": (write("generation_config.json", {"eos_token_id": -7}), "eos_token_id is -7"),
    "rope factor 0": (config(rope_scaling={"rope_type": "linear", "factor": 0}), "factor is 0, expected"),
    "rope factor as text": (config(rope_scaling={"rope_type": "yarn", "factor": "4"}), "factor is '4', expected"),
    "rope factors of 10^300": (config(rope_scaling={"long_factor": [1.0, 1e300]}), "long_factor is 1e+300"),
    "rope of another kind": (config(rope_parameters={"rope_type": "a/b"}), "not the name of a rope"),
    "custom generation": (write("generation_config.json", {"custom_generate": "evil/repo"}), "custom_generate"),
    "tokenizer code": (write("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["a.B", None]}}), "auto_map"),
    "tokenizer class as a path": (write("tokenizer_config.json", {"tokenizer_class": "a.b/C"}), "tokenizer_class"),
    "other heads": (config(num_attention_heads=3), "do not divide"),
    "other width": (config(intermediate_size=64), "has shape [32, 8], config.json describes [64, 8]"),
    "other depth": (config(num_hidden_layers=2), "model.layers.1.input_layernorm.weight is missing"),
    "fewer layers than tensors": (config(num_hidden_layers=1, vocab_size=12), "has shape [11, 8]"),
    "code in a config deeper down": (write("sub/config.json", {"auto_map": {"A": "b.C"}}), "auto_map"),
    "code in any other JSON": (write("other.json", {"x": [{"auto_map": {"A": "b.C"}}]}), "auto_map"),
    "labels without end": (config(num_labels=10**9), "num_labels is 1000000000"),
    "size inside": (config(text_config={"vocab_size": 10**12}), "vocab_size is 1000000000000"),
    "size of an unknown kind": (config(expert_hidden_dim=10**12), "expert_hidden_dim is"),
    "rotary share": (config(partial_rotary_factor=1e9), "partial_rotary_factor is"),
    "rotary base": (config(rope_theta=0), "rope_theta is 0"),
    "positions": (config(max_position_embeddings=10**9), "max_position_embeddings is"),
    "architecture as a path": (config(architectures=["os.system"]), "architectures"),
    "activation as a path": (config(hidden_act="os.system"), "hidden_act"),
    "number type as a path": (config(torch_dtype="os.system"), "torch_dtype"),
    "quantizer as a text": (config(quantization_config="evil/x"), "has the method"),
    "quantizer with a path inside": (config(quantization_config={"quant_method": "gptq", "m": ["a/b"]}), "is a path"),
    "infinity for another number": (write("config.json", '{"model_type":"phi","rope_theta":Infinity}'), "rope_theta"),
    "no number for a clamp": (write("config.json", '{"model_type":"phi","time_step_limit":[0, NaN]}'), "not finite"),
    "size in a list": (config(intermediate_size=[32, 10**9]), "intermediate_size is 1000000000"),
    "experts from the hub": (config(_experts_implementation="evil/kernel"), "could be fetched and run"),
    "attention inside": (config(text_config={"_attn_implementation": "evil/kernel"}), "could be fetched and run"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_configuration_that_could_run_or_lie_is_refused(tmp_path: Path, made: SimpleNamespace, attack: str) -> None:
    folder = made.phi(tmp_path / "x")
    change, reason = ATTACKS[attack]
    change(folder)
    check_refused(folder, tmp_path / "home", reason)


PLAIN: dict[str, Change] = {
    "private keys that transformers writes": config(
        _name_or_path="microsoft/phi-2", _model_name_or_path="microsoft/phi-2", _sliding_window_pattern=6,
        _attn_implementation="flash_attention_2", _attn_implementation_autoset=True, _flash_attn_2_enabled=True,
        _experts_implementation="grouped_mm", _commit_hash="a" * 40, _num_labels=2, _remove_final_layer_norm=False,
    ),
    "ends as a list": config(eos_token_id=[1, 10]),
    "sizes for each layer": config(intermediate_sizes=[32, 64], layer_types=["full_attention"]),
    "infinity as transformers writes it": config(time_step_limit=[0.0, {"__float__": "Infinity"}]),
    "infinity as Python writes it": config(time_step_limit=[0.0, float("inf")]),
    "a layer counted from the end": config(feature_layer=-2),
    "additional templates": write("additional_chat_templates/rag.jinja", "{{ messages[0]['content'] }}"),
    "generation settings": write("generation_config.json", {"_from_model_config": True, "eos_token_id": [1, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_what_transformers_writes_enters_as_it_is(tmp_path: Path, made: SimpleNamespace, name: str) -> None:
    folder = made.phi(tmp_path / "x")
    PLAIN[name](folder)
    with open_registry() as registry:
        checkpoint = registry.add(folder, "x")
        stored = registry.path(checkpoint)
        for file in checkpoint.files:
            assert (stored / file.path).read_bytes() == (folder / file.path).read_bytes()


@pytest.mark.parametrize("part", ["whole", "text"])
def test_the_config_of_every_causal_family_enters(tmp_path: Path, part: str) -> None:
    import transformers

    refused = []
    for kind in ACCEPTED:
        try:
            config = transformers.CONFIG_MAPPING[kind]()
        except Exception:  # a class whose defaults its own validation refuses
            continue
        config = config.get_text_config(decoder=True) if part == "text" else config
        if config.model_type in ACCEPTED:
            config.save_pretrained(tmp_path)
            try:
                check_config(tmp_path / "config.json")
            except ZooError as error:
                refused.append((kind, str(error)))
    assert not refused
