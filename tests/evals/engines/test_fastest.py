"""`--engine auto`: which engine it takes, why, and that the run's record names the real one."""

import json
from pathlib import Path

import pytest

from evals.engines import fastest
from evals.engines.fastest import fastest_engine
from evals.run_folder import read_header
from zoo import settings
from zoo.cli import root
from zoo.errors import ZooError
from zoo.families import FAMILIES
from zoo.registry import open_registry


def make_folder(folder: Path, family: str = "llama") -> Path:
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 300}
    (folder / "config.json").write_text(json.dumps({"model_type": family, **sizes}))
    (folder / "model.safetensors").touch()
    return folder


@pytest.mark.parametrize(
    ("gpus", "installed", "family", "engine", "reason"),
    [
        (0, {"vllm"}, "llama", "transformers", "fastest on a CPU"),
        (1, {"vllm"}, "llama", "vllm", "fastest on a GPU"),
        (1, {"vllm"}, "phi", "vllm", "fastest on a GPU"),
        (1, {"vllm"}, "mamba", "transformers", "not proven for the family mamba"),
        (1, set(), "llama", "transformers", "not installed"),
    ],
)
def test_a_folder_of_weights(
    gpus: int, installed: set[str], family: str, engine: str, reason: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(fastest.gpus, "count", lambda: gpus)
    monkeypatch.setattr(fastest, "_is_installed", lambda name: name in installed)
    name, why = fastest_engine(make_folder(tmp_path, family))
    assert name == engine
    assert reason in why


@pytest.mark.parametrize(
    ("installed", "readable", "engine"),
    [
        ({"gguf", "llama-cpp-python"}, True, "transformers"),
        ({"gguf", "llama-cpp-python"}, False, "llama_cpp"),
        ({"llama-cpp-python"}, True, "llama_cpp"),
        ({"gguf"}, True, "transformers"),
    ],
)
def test_a_gguf_file(
    installed: set[str], readable: bool, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evals.engines import gguf

    def check(file: Path) -> None:
        if not readable:
            raise ZooError(f"{file}: transformers ignores a tensor")

    monkeypatch.setattr(fastest, "_is_installed", lambda name: name in installed)
    monkeypatch.setattr(gguf, "check_readable", check)
    assert fastest._engine_of_file(tmp_path / "model.gguf")[0] == engine


def test_a_file_that_no_installed_engine_computes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evals.engines import gguf

    def refuse(file: Path) -> None:
        raise ZooError(f"{file}: transformers ignores a tensor")

    monkeypatch.setattr(fastest, "_is_installed", lambda name: name in ("gguf", "transformers"))
    monkeypatch.setattr(gguf, "check_readable", refuse)
    with pytest.raises(ZooError, match="ignores a tensor"):
        fastest._engine_of_file(tmp_path / "model.gguf")


def test_a_file_needs_no_library_to_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "_is_installed", lambda _name: False)
    assert fastest.pick_engine(FAMILIES["llama"], tmp_path / "model.gguf")[0] == "transformers"


def test_the_usual_engine_of_a_file_is_llama_cpp_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastest, "_is_installed", lambda name: name == "llama-cpp-python")
    assert fastest.usual_engine(FAMILIES["llama"], tmp_path / "model.gguf")[0] == "llama_cpp"
    assert fastest.usual_engine(FAMILIES["llama"], None) == fastest.pick_engine(FAMILIES["llama"], None)


@pytest.mark.parametrize(("family", "words"), [("bert", "is refused"), ("", "cannot be loaded")])
def test_no_model_is_refused(family: str, words: str, tmp_path: Path) -> None:
    if family:
        make_folder(tmp_path, family)
    with pytest.raises(ZooError, match=words):
        fastest_engine(tmp_path)


def test_a_run_says_which_engine_it_took_and_records_it(tiny_phi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
    arguments = [
        "eval",
        "run",
        "tiny",
        "--task",
        "mini_exercises",
        "--limit",
        "2",
        "--no-publish",
        "--json",
        "--engine",
    ]
    assert root.run([*arguments, "auto"]) == 0
    printed = capsys.readouterr()
    assert "tiny:1: engine transformers: the fastest on a CPU" in printed.err
    run = json.loads(printed.out)[0]["run"]
    assert read_header(settings.runs_dir() / run).backend.engine == "transformers"
    assert root.run([*arguments, "transformers"]) == 0  # the same run
    assert json.loads(capsys.readouterr().out)[0]["run"] == run


def test_auto_is_refused_on_a_cluster_and_for_an_endpoint(tiny_phi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
    arguments = ["eval", "run", "--task", "mini_exercises", "--engine", "auto"]
    assert root.run([*arguments, "tiny", "--ray", "auto"]) == 2
    assert "spread transformers or vllm, not auto" in capsys.readouterr().err
    assert root.run([*arguments, "endpoint:gpt-5"]) == 2
    assert "--engine openai_http" in capsys.readouterr().err
