"""Every known attack with a folder is refused, with the file and the reason."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.admission.config import check_config
from zoo.admission.gate import check_path, inspect_folder
from zoo.errors import ZooError
from zoo.families import ACCEPTED
from zoo.phi_variants import phi_shapes
from zoo.registry import open_registry


class Danger:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch /tmp/pwned",))


def config(**told: Any) -> Callable[[Path], None]:
    """Changes config.json."""

    def change(folder: Path) -> None:
        held = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(held | told))

    return change


def write(name: str, data: bytes | str | dict[str, Any]) -> Callable[[Path], None]:
    """Writes one more file."""

    def change(folder: Path) -> None:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        told = json.dumps(data) if isinstance(data, dict) else data
        place.write_bytes(told if isinstance(told, bytes) else told.encode())

    return change


def zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "notes.txt", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Danger()))


def appended(name: str) -> Callable[[Path], None]:
    """Writes text with a zip archive behind it, which zip readers find from the end."""

    def change(folder: Path) -> None:
        (folder / name).write_text("{}\n" if name.endswith(".json") else "# Text\n" * 20)
        with zipfile.ZipFile(folder / name, "a") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Danger()))

    return change


def appended_to_weights(folder: Path) -> None:
    """Puts a zip archive into the last bytes of the last tensor, within what the header says."""
    import io

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Danger()))
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: -len(data.getvalue())] + data.getvalue())


def pickle_in_weights(folder: Path) -> None:
    """Makes the header's length begin with V, which a pickle reads as a text up to the next newline."""
    weights = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(weights[:8], "little")
    header, data = weights[8 : 8 + length], weights[8 + length :]
    header += b" " * ((0x56 - length) % 256)
    run = b"\n0" + pickle.dumps(Danger(), 0)
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + run + data[len(run) :])


def hard_linked(folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("x")
    os.link(folder.parent / "secret.txt", folder / "notes.txt")


def split(folder: Path) -> None:
    """Puts one tensor into a second file that no loader looks for."""
    from tests.zoo.conftest import phi_tensors, safetensors

    tensors = phi_tensors(0)
    last = tensors.popitem()
    safetensors(folder / "model.safetensors", tensors)
    safetensors(folder / "more.safetensors", dict([last]))


def whole_numbers(folder: Path) -> None:
    from tests.zoo.conftest import phi_tensors, safetensors

    tensors = {name: ("U8", shape, data[::4]) for name, (_, shape, data) in phi_tensors(0).items()}
    safetensors(folder / "model.safetensors", tensors)


def linked(folder: Path) -> None:
    (folder / "README.md").symlink_to("/etc/passwd")


def linked_folder(folder: Path) -> None:
    (folder / "more").symlink_to("/etc")


def template(text: str) -> Callable[[Path], None]:
    return write("tokenizer_config.json", {"chat_template": text})


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle .bin": (write("pytorch_model.bin", pickle.dumps(Danger())), "pytorch_model.bin: is a pickle"),
    "pickle .pt": (write("x.pt", b"x"), "x.pt: is a pickle"),
    "pickle .pkl in a folder": (write("more/x.pkl", b"x"), "more/x.pkl: is a pickle"),
    "pickle called json": (write("extra.json", pickle.dumps(Danger())), "extra.json: is a pickle by its first bytes"),
    "pickle called txt, protocol 0": (write("a.txt", pickle.dumps(Danger(), 0)), "a.txt: is a pickle by its opcodes"),
    "pickle called safetensors": (write("x.safetensors", pickle.dumps(Danger(), 4)), "x.safetensors"),
    "zip called txt": (zipped, "notes.txt: is a zip archive"),
    "zip called safetensors": (write("x.safetensors", b"PK\x03\x04" + bytes(50)), "x.safetensors"),
    "python": (write("modeling_phi.py", "print(1)"), "modeling_phi.py: is Python code"),
    "script called txt": (write("a.txt", "#!/bin/sh\n"), "a.txt: is a script"),
    "shared library": (write("x.so", b"\x7fELF"), "x.so: is of a kind"),
    "numpy archive": (write("x.npz", b"PK"), "x.npz: is of a kind"),
    "hidden file": (write(".hidden.json", "{}"), "may not enter"),
    "symlink to a file": (linked, "README.md: is a symlink"),
    "symlink to a folder": (linked_folder, "more: is a symlink"),
    "pipe": (lambda folder: os.mkfifo(folder / "a.txt"), "a.txt: is not a regular file"),
    "names that differ in case": (lambda f: [write(n, "x")(f) for n in ("a.md", "A.md")] and None, "only in case"),
    "backslash": (write("a\\b.txt", "x"), "may not enter"),
    "control character": (write("a\nb.txt", "x"), "may not enter"),
    "long path": (write("/".join(["a" * 100] * 3) + "/x.txt", "x"), "longer than 255"),
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
    "size as text": (config(vocab_size="11"), "vocab_size is 11"),
    "number without end": (write("config.json", '{"model_type":"phi","x":1e999}'), "not finite"),
    "number of 4000 digits": (write("config.json", '{"model_type":"phi","x":' + "9" * 4000 + "}"), "4000 digits"),
    "config twice": (write("config.json", '{"model_type":"phi","model_type":"gpt2"}'), "is a duplicate"),
    "config nested": (config(a=json.loads("[" * 30 + "]" * 30)), "nested more than"),
    "quantizer unknown": (config(quantization_config={"quant_method": "evil"}), "has the method 'evil'"),
    "quantizer with a path": (config(quantization_config={"quant_method": "gptq", "x": "a/b"}), "is a path"),
    "custom generation": (write("generation_config.json", {"custom_generate": "evil/repo"}), "custom_generate"),
    "tokenizer code": (write("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["a.B", None]}}), "auto_map"),
    "tokenizer class as a path": (write("tokenizer_config.json", {"tokenizer_class": "a.b/C"}), "tokenizer_class"),
    "other heads": (config(num_attention_heads=3), "do not divide"),
    "other width": (config(intermediate_size=64), "has shape [32, 8], config.json describes [64, 8]"),
    "other depth": (config(num_hidden_layers=2), "model.layers.1.input_layernorm.weight is missing"),
    "fewer layers than tensors": (config(num_hidden_layers=1, vocab_size=12), "has shape [11, 8]"),
    "template that reaches out": (template("{{ ''.__class__ }}"), "accesses __class__"),
    "template by subscript": (template("{{ messages['__class__'] }}"), "private name"),
    "template by filter": (template("{{ messages|attr('x') }}"), "filter attr"),
    "template by map": (template("{{ messages|map(attribute='__class__')|list }}"), "private name"),
    "template that imports": (template("{% include '/etc/passwd' %}"), "uses include"),
    "template too long": (template("x" * 70_000), "more than 65,536"),
    "template without end": (
        template("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
        "needs too much time",
    ),
    "template that floods": (
        template("{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}"),
        "needs too much time",
    ),
    "template broken": (template("{% if %}"), "cannot be parsed"),
    "template in a list": (
        write("tokenizer_config.json", {"chat_template": [{"name": "a", "template": "{{ x.__init__ }}"}]}),
        "accesses __init__",
    ),
    "template file": (write("chat_template.jinja", "{{ self.__init__.__globals__ }}"), "accesses __"),
    "shard without index": (
        lambda f: (f / "model.safetensors").rename(f / "model-00001-of-00001.safetensors") and None,
        "index.json is missing",
    ),
    "weights in two files without index": (split, "more.safetensors: a loader finds only model.safetensors"),
    "weights under another name": (
        lambda f: (f / "model.safetensors").rename(f / "weights.safetensors") and None,
        "a loader finds only model.safetensors",
    ),
    "weights that are no floats": (whole_numbers, "is U8, but config.json has no quantization_config"),
    "index of another form": (
        write("model.safetensors.index.fp16.json", {"weight_map": {"a": "../x"}}),
        "files other than",
    ),
    "index of pickles": (write("pytorch_model.bin.index.json", {"weight_map": {"a": "../x.bin"}}), "files other than"),
    "index with odd metadata": (
        write("model.safetensors.index.json", {"metadata": "x", "weight_map": {}}),
        "is not named by",
    ),
    "pickle without its mark": (write("vocab.txt", pickle.dumps(Danger(), 4)[2:]), "a pickle by its opcodes"),
    "pickle without mark and frame": (write("x.model", pickle.dumps(Danger(), 4)[11:]), "a pickle by its opcodes"),
    "pickle behind a text": (write("README.md", b"VHello\n0" + pickle.dumps(Danger(), 0)), "a pickle by its opcodes"),
    "pickle in the weights": (pickle_in_weights, "model.safetensors: is a pickle by its opcodes"),
    "zip behind a text": (appended("README.md"), "README.md: is a zip archive by its end"),
    "zip behind JSON": (appended("x.json"), "x.json: is a zip archive by its end"),
    "zip in the weights": (appended_to_weights, "model.safetensors: is a zip archive by its end"),
    "tar": (write("x.txt", bytes(257) + b"ustar" + bytes(300)), "a tar archive"),
    "hard link": (hard_linked, "notes.txt: has 2 names (hard links)"),
    "name that ends with a dot": (write("a./x.txt", "x"), "may not enter"),
    "no JSON": (write("extra.json", "{"), "is not plain JSON"),
    "vocabulary with a word twice": (write("vocab.json", '{"a": 1, "a": 2}'), "is a duplicate"),
    "code in a config deeper down": (write("sub/config.json", {"auto_map": {"A": "b.C"}}), "auto_map"),
    "code in any other JSON": (write("other.json", {"x": [{"auto_map": {"A": "b.C"}}]}), "auto_map"),
    "adapter of another model": (
        write("adapter_config.json", {"base_model_name_or_path": "evil/x"}),
        "weights that it names",
    ),
    "classes to import": (write("modules.json", '[{"type": "custom.Evil"}]'), "names classes"),
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
    "template that spells a private name": (template("{{ ''['_'*2~'class'~'_'*2] }}"), "reaches out"),
    "template that formats one": (template("{{ '{0.__class__}'.format(1) }}"), "reaches out"),
    "template with a power": (template("{{ 10**10**8 }}"), "uses a power"),
    "template with a loop too long": (template("{% for i in range(10**9) %}x{% endfor %}"), "power"),
    "template with a range too long": (
        template("{% for i in range(1000000000) %}x{% endfor %}"),
        "needs too much time",
    ),
    "template that calls itself": (template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), "needs too much time"),
    "template that waits for a system message": (
        template(
            "{% if messages and messages[0].role == 'system' %}{% for a in range(99999) %}{% for b in range(99999) %}"
            "{% endfor %}{% endfor %}{% endif %}"
        ),
        "needs too much time",
    ),
    "template in any JSON": (write("x.json", {"chat_template": "{{ x.__init__ }}"}), "accesses __init__"),
    "template among additional ones": (
        write("additional_chat_templates/rag.jinja", "{{ self.__init__.__globals__ }}"),
        "accesses __",
    ),
    "folder of templates with another file": (write("additional_chat_templates/x.py", "1"), "is Python code"),
    "pickle called a picture": (write("card.png", pickle.dumps(Danger(), 0)), "card.png: is a pickle by its opcodes"),
    "program called a picture": (write("card.jpg", b"\x7fELF"), "card.jpg: is a program"),
    "zip called onnx": (appended("model.onnx"), "model.onnx: is a zip archive"),
    "hidden picture": (write(".card.png", b"\x89PNG"), "may not enter"),
    "TensorFlow's weights": (write("tf_model.h5", b"\x89HDF"), "tf_model.h5: is"),
    "infinity for another number": (write("config.json", '{"model_type":"phi","rope_theta":Infinity}'), "rope_theta"),
    "no number for a clamp": (write("config.json", '{"model_type":"phi","time_step_limit":[0, NaN]}'), "not finite"),
    "size in a list": (config(intermediate_size=[32, 10**9]), "intermediate_size is 1000000000"),
    "experts from the hub": (config(_experts_implementation="evil/kernel"), "could be fetched and run"),
    "attention inside": (config(text_config={"_attn_implementation": "evil/kernel"}), "could be fetched and run"),
    "template file of another name": (write("more/x.jinja", "x"), "of a kind that is not allowed"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_could_run_or_lie_enters(tmp_path: Path, made: SimpleNamespace, attack: str) -> None:
    folder = made.phi(tmp_path / "x")
    change, said = ATTACKS[attack]
    change(folder)
    with open_registry() as registry:
        with pytest.raises(ZooError) as raised:
            registry.add(folder, "x")
        assert registry.list() == []
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    store = tmp_path / "home" / "store"
    assert not [path for path in store.rglob("*") if path.is_file()]


BESIDE = {
    "card.png": b"\x89PNG\r\n\x1a\n", "assets/loss.JPG": b"\xff\xd8\xff", "assets/plan.svg": b"<svg/>",
    "model.Q4_0.gguf": b"GGUF" + bytes(20), "onnx/model.onnx": b"\x08\x08", "onnx/model.onnx_data": bytes(70_000_000),
    "flax_model.msgpack": b"\x82\xa1a", "runs/events.out.tfevents.170.host.1.0": b"\x18" + bytes(30),
}  # fmt: skip


def test_pictures_and_other_formats_stay_outside_with_a_line(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        alone = registry.add(made.phi(tmp_path / "alone"), "alone")
        folder = made.phi(tmp_path / "x")
        for name, data in BESIDE.items():
            write(name, data)(folder)
        checkpoint = registry.add(folder, "x")
        assert checkpoint.digest == alone.digest and alone.notes == ""
        assert checkpoint.notes.startswith("Left out: assets/loss.JPG, assets/plan.svg, card.png, flax_model.msgpack, ")
        assert "and 3 more" in checkpoint.notes
        assert registry.add(folder.as_uri(), "y").digest == alone.digest


def test_what_stays_outside_of_a_source_may_not_be_in_a_checkpoint(tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "x")
    write("card.png", b"\x89PNG")(folder)
    with pytest.raises(ZooError, match=r"card.png: is of a kind that is not allowed"):
        inspect_folder(folder)


PLAIN: dict[str, Callable[[Path], None]] = {
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


INDEXES: dict[str, tuple[dict[str, Any], str]] = {
    "outside": ({"weight_map": {"a": "../x.safetensors"}}, "which is not in the folder"),
    "missing": ({"weight_map": {"a": "model-00002.safetensors"}}, "which is not in the folder"),
    "not an object": ({"weight_map": ["a"]}, "not an object"),
    "of numbers": ({"weight_map": {"a": 1}}, "not an object"),
    "extra tensor": ({"weight_map": {"ghost": "model.safetensors"}}, "says that tensor ghost"),
}


@pytest.mark.parametrize("lie", INDEXES)
def test_an_index_that_lies_is_refused(tmp_path: Path, made: SimpleNamespace, lie: str) -> None:
    folder = made.phi(tmp_path / "x")
    told, said = INDEXES[lie]
    weight_map = told["weight_map"]
    if isinstance(weight_map, dict):
        weight_map = dict.fromkeys(phi_shapes(made.CONFIG), "model.safetensors") | weight_map
    write("model.safetensors.index.json", {"weight_map": weight_map})(folder)
    with pytest.raises(ZooError) as error:
        inspect_folder(folder)
    assert said in str(error.value)


def test_an_index_with_another_total_and_a_shard_too_many_are_refused(tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "x")
    weight_map = dict.fromkeys(phi_shapes(made.CONFIG), "model.safetensors")
    write("model.safetensors.index.json", {"weight_map": weight_map, "metadata": {"total_size": 1}})(folder)
    with pytest.raises(ZooError, match="have 1 bytes"):
        inspect_folder(folder)
    write("model.safetensors.index.json", {"weight_map": weight_map})(folder)
    inspect_folder(folder)
    made.safetensors(folder / "extra.safetensors", {"inv_freq": ("F32", [1], bytes(4))})
    with pytest.raises(ZooError, match="is not named by"):
        inspect_folder(folder)


def test_a_tensor_in_two_files_is_refused(tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "x")
    made.safetensors(folder / "more.safetensors", {"lm_head.bias": ("F32", [11], bytes(44))})
    with pytest.raises(ZooError, match="is also in another file"):
        inspect_folder(folder)


def test_an_honest_folder_enters_with_all_its_small_files(tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "x", _name_or_path="microsoft/phi-2", _attn_implementation="sdpa")
    chat = (
        "{% for m in messages %}{% generation %}{{ m['content'] | tojson }}{% endgeneration %}{% break %}{% endfor %}"
    )
    write("tokenizer_config.json", {"chat_template": chat, "tokenizer_class": "CodeGenTokenizer"})(folder)
    for name in ("LICENSE", "README.md", "merges.txt", "vocab.json", "training_curves.jsonl", "recipe.toml"):
        write(name, "{}")(folder)
    held = inspect_folder(folder)
    assert len(held.paths) == 9
    assert held.warnings == ()
    assert held.parameters == 1059


HONEST = """{% for message in messages %}{% if message['role'] == 'system' %}<|system|>{{ message.content|trim }}
{% elif message.tool_calls %}{% for call in message.tool_calls %}{{ call.function.name }}({{ call.function.arguments|tojson }})
{% endfor %}{% else %}<|{{ message['role'] }}|>{{ message['content'] + eos_token }}{% endif %}{% endfor %}
{%- if tools is defined and tools %}{{ tools|tojson(indent=2) }}{% endif %}
{%- set state = namespace(last=none) %}{% for m in messages[::-1] if m.role == 'user' %}{% set state.last = m %}{% endfor %}
{%- if add_generation_prompt %}{% generation %}<|assistant|>{% endgeneration %}{% endif %}
{%- if not messages %}{{ raise_exception('no messages') }}{% endif %}{{ strftime_now('%Y') }}"""


def test_an_honest_template_enters(tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "x")
    template(HONEST)(folder)
    assert "tokenizer_config.json" in inspect_folder(folder).paths


def test_the_stores_own_folder_and_one_handed_over_may_be_of_hard_links(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        first = registry.add(made.phi(tmp_path / "a", 1), "one", link=True)
        assert (tmp_path / "a" / "model.safetensors").samefile(registry.path("one") / "model.safetensors")
        with pytest.raises(ZooError, match="hard links"):
            registry.add(tmp_path / "a", "two")
        assert registry.add(registry.path("one"), "two").digest == first.digest
        registry.gc()
        assert registry.verify() == []


def test_a_folder_swapped_for_a_symlink_is_not_followed(tmp_path: Path) -> None:
    from zoo.plain_file import open_inside

    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "x.txt").write_text("secret")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "sub").symlink_to(tmp_path / "else")
    with pytest.raises(ZooError, match="a part of the path is a symlink"):
        open_inside(tmp_path / "x", "sub/x.txt")


def test_a_model_of_nothing_but_nan_is_warned_of(tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "x")
    tensors = made.phi_tensors(1)
    tensors["lm_head.bias"] = ("F32", [11], b"\x00\x00\xc0\x7f" * 11)
    made.safetensors(folder / "model.safetensors", tensors)
    assert inspect_folder(folder).warnings == ("model.safetensors: tensor lm_head.bias holds nothing but NaN",)


def test_a_tied_head_and_buffers_are_not_counted_twice(tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "x", tie_word_embeddings=True)
    assert inspect_folder(folder).parameters == 1059 - 88
    tensors = made.phi_tensors(0) | {"model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", [2], bytes(8))}
    made.safetensors(made.phi(tmp_path / "y") / "model.safetensors", tensors)
    assert inspect_folder(tmp_path / "y").parameters == 1059


@pytest.mark.parametrize(
    "path", ["/etc/x.json", "../x.json", "a/../x.json", "a//x.json", "C:x.json", "./x.json", "a\0.json"]
)
def test_a_path_that_leaves_is_refused(path: str) -> None:
    with pytest.raises(ZooError, match="may not enter"):
        check_path(path)
