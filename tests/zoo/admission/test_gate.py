"""Every known attack with a folder is refused, with the file and the reason."""

import os
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.zoo.admission.changes import Change, check_refused, write
from zoo.admission.gate import check_path, inspect_folder
from zoo.errors import ZooError
from zoo.published.phi_variants import phi_shapes
from zoo.registry import open_registry


class Danger:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch /tmp/pwned",))


def zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "notes.txt", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Danger()))


def appended(name: str) -> Change:
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


def template(text: str) -> Change:
    return write("tokenizer_config.json", {"chat_template": text})


ATTACKS: dict[str, tuple[Change, str]] = {
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
    "adapter of another model": (
        write("adapter_config.json", {"base_model_name_or_path": "evil/x"}),
        "weights that it names",
    ),
    "classes to import": (write("modules.json", '[{"type": "custom.Evil"}]'), "names classes"),
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
    "template file of another name": (write("more/x.jinja", "x"), "of a kind that is not allowed"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_could_run_or_lie_enters(tmp_path: Path, made: SimpleNamespace, attack: str) -> None:
    folder = made.phi(tmp_path / "x")
    change, reason = ATTACKS[attack]
    change(folder)
    check_refused(folder, tmp_path / "home", reason)


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
    index, said = INDEXES[lie]
    weight_map = index["weight_map"]
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
    inspected = inspect_folder(folder)
    assert len(inspected.paths) == 9
    assert inspected.warnings == ()
    assert inspected.parameters == 1059


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
        registry.gc(most=1.0, grace=0)
        assert registry.verify() == []


def test_a_folder_swapped_for_a_symlink_is_not_followed(tmp_path: Path) -> None:
    from zoo.admission.plain_file import open_inside

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
