"""GGUF files as checkpoints: the facts that are read from them, and the files that may not enter."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gguf_files import gguf_bytes, small
from zoo.admission.gguf import inspect_gguf, name_quantisation
from zoo.admission.safetensors_header import Header, Tensor
from zoo.cli import root
from zoo.errors import ZooError
from zoo.registry import open_registry


def write(path: Path, tensors: dict[str, Any] | None = None, **changes: Any) -> Path:
    values, known = small(**changes)
    path.write_bytes(gguf_bytes(values, known if tensors is None else tensors))
    return path


def test_the_facts_of_a_small_file(tmp_path: Path) -> None:
    model = inspect_gguf(write(tmp_path / "a.gguf"))
    assert model.config == {
        "model_type": "llama", "max_position_embeddings": 64, "num_hidden_layers": 1, "hidden_size": 8,
        "num_attention_heads": 2, "eos_token_id": 0, "vocab_size": 4, "tie_word_embeddings": True,
    }  # fmt: skip
    assert (model.quantisation, model.parameters) == ("F32", 40)


@pytest.mark.parametrize(("changes", "reason"), [
    ({"general.architecture": (8, "bert")}, "'bert' is not supported"),
    ({"general.architecture": (4, 7)}, "'7' is not supported"),
    ({"general.type": (8, "adapter")}, "of the type 'adapter'"),
    ({"split.count": (2, 3)}, "--merge .*/a-00001-of-00003.gguf a.gguf$"),
    ({"split.count": (8, "three")}, "--merge .*/a-00001-of-0000N.gguf a.gguf$"),
    ({"tokenizer.ggml.tokens": None}, "has no vocabulary"),
    ({"tokenizer.ggml.tokens": (9, (8, ["<end>", "a", "b", "b"]))}, "spelled the same"),
    ({"tokenizer.ggml.token_type": (9, (5, [3, 1]))}, "not a list of 4"),
    ({"tokenizer.ggml.eos_token_id": (4, 4)}, "is no token"),
    ({"llama.context_length": None}, "llama.context_length is None"),
    ({"llama.block_count": (8, "1")}, "expected a number"),
    ({"llama.attention.sliding_window": (9, (8, ["a"]))}, "expected a number"),
    ({"llama.attention.head_count_kv": (9, (7, [True]))}, "expected a number"),
    ({"llama.attention.head_count_kv": (9, (4, []))}, "expected a number"),
    ({"llama.block_count": (4, 2)}, "describe 2 layers"),
    ({"llama.block_count": (10, 2**62)}, "describe 4611686018427387904 layers"),  # no memory for so many numbers
    ({"llama.block_count": (6, 1.5)}, "describe 1.5 layers"),
    ({"llama.embedding_length": (4, 16)}, "of 16"),
    ({"tokenizer.chat_template": (8, "{{ ''.__class__ }}")}, "chat template"),
    ({"tokenizer.chat_template.tool_use": (8, "{% include 'x' %}")}, "chat template"),
])  # fmt: skip
def test_a_file_that_may_not_enter(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ZooError, match=reason):
        inspect_gguf(write(tmp_path / "a.gguf", **changes))


@pytest.mark.parametrize("name", ["small-00001-of-00002.gguf", "small-00002-of-00002.gguf"])
def test_a_part_of_a_split_model_is_refused_with_the_command_that_joins_them(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    write(folder / "small-00001-of-00002.gguf", **{"split.count": (2, 2)})
    only_split = {"split.no": (2, 1), "split.count": (2, 2)}  # later parts have no other keys
    (folder / "small-00002-of-00002.gguf").write_bytes(gguf_bytes(only_split, small()[1]))
    line = rf"llama-gguf-split --merge {folder}/small-00001-of-00002\.gguf small\.gguf"
    with open_registry() as registry:
        for source in (folder / name, folder):
            with pytest.raises(ZooError, match=line):
                registry.add(source, "small")


def test_a_size_that_would_exhaust_memory_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gguf", **{"llama.context_length": (10, 2**40)})
    with open_registry() as registry, pytest.raises(ZooError, match="max_position_embeddings"):
        registry.add(path, "a")


def header(file_type: int, **dtypes: str) -> Header:
    names = {"embedding": "token_embd.weight", "inner": "blk.0.ffn_up.weight", "norm": "blk.0.attn_norm.weight"}
    shapes = {"embedding": (256, 1000), "inner": (256, 256), "norm": (256,)}
    tensors = tuple(Tensor(names[part], dtype, shapes[part], 0, 1) for part, dtype in dtypes.items())
    return Header(tensors, {"general.file_type": file_type}, 0)


@pytest.mark.parametrize(("file_type", "inner", "name"), [
    (3, "Q4_1", "Q4_1"), (15, "Q4_K", "Q4_K_M"), (1, "F16", "F16"), (15, "Q8_0", "Q8_0"), (1024, "Q5_0", "Q5_0"),
])  # fmt: skip
def test_the_name_of_a_quantisation(file_type: int, inner: str, name: str) -> None:
    assert name_quantisation(header(file_type, embedding="Q6_K", inner=inner, norm="F32")) == name


def test_import_list_show_find_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> str:
        assert root.run(words) == 0
        return capsys.readouterr().out

    path = write(tmp_path / "a.gguf", **{"general.license": (8, "mit")})
    assert f"from the file {path}" in run("models", "add", str(path), "--name", "small", "--dry-run")
    run("models", "import", str(path), "--name", "small")
    record = json.loads(run("models", "show", "small", "--json"))
    assert (record["quantisation"], record["parameters"], record["licence"]) == ("F32", 40, "mit")
    assert [file["path"] for file in record["files"]] == ["a.gguf"]
    assert "F32" in run("models", "list") and "quantisation    F32" in run("models", "show", "small")
    assert "small:1" in run("models", "find", "--where", "quantisation = 'F32'")
    assert "small:1" not in run("models", "find", "--where", "quantisation = 'Q4_1'")
    run("models", "export", "small", str(tmp_path / "out"))
    assert (tmp_path / "out" / "a.gguf").read_bytes() == path.read_bytes()
    assert "Quantisation | F32" in (tmp_path / "out" / "README.md").read_text()


def test_what_lies_beside_a_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    write(tmp_path / "f" / "a.gguf")
    with open_registry() as registry:
        (tmp_path / "f" / "README.md").write_text("A model.")
        assert registry.add(tmp_path / "f", "a").quantisation == "F32"
        (tmp_path / "f" / "config.json").write_text("{}")
        with pytest.raises(ZooError, match="beside the GGUF file"):
            registry.add(tmp_path / "f", "a")


def test_a_key_that_names_code_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gguf", **{"general.auto_map": (8, "modeling.Model")})
    with open_registry() as registry, pytest.raises(ZooError, match="names code to run"):
        registry.add(path, "a")


def test_a_gguf_file_is_pushed_and_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_registry() as registry:
        added = registry.add(write(tmp_path / "a.gguf"), "small")
    (tmp_path / "other").mkdir()
    assert root.run(["models", "push", "small", str(tmp_path / "other")]) == 0
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "third"))
    assert root.run(["models", "pull", "small", str(tmp_path / "other")]) == 0
    with open_registry() as registry:
        pulled = registry.get("small")
    assert (pulled.digest, pulled.quantisation, pulled.parameters) == (added.digest, "F32", 40)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "a.gguf")
    (tmp_path / "b.gguf").symlink_to(tmp_path / "a.gguf")
    with open_registry() as registry, pytest.raises(ZooError, match="symlink"):
        registry.add(tmp_path / "b.gguf", "b")
