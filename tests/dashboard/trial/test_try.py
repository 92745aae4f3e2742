"""`phizoo try`: from a folder to a row of the board in one command; again, it goes on; bad input is one line."""

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from zoo import settings
from zoo.cli import root
from zoo.registry import open_registry

SUITE = ("--suite", "arc_easy@lm-eval-quick3")


def labels() -> list[str]:
    with open_registry(readonly=True) as registry:
        return [checkpoint.label for checkpoint in registry.list(all_versions=True)]


def test_a_folder_becomes_a_row_and_again_reuses_all(tiny_phi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["try", str(tiny_phi), "--name", "mine", *SUITE]) == 0
    out = capsys.readouterr()
    assert "$ phizoo eval run mine:1 --task arc_easy@lm-eval-quick3 --engine transformers" in out.err
    assert "as completions: it has no chat template" in out.err
    assert "n=600" in out.out
    assert "phizoo eval compare mine:1" in out.out
    runs = sorted(settings.runs_dir().iterdir())
    assert root.run(["try", str(tiny_phi), "--name", "mine", *SUITE, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["checkpoint"] == "mine:1"
    assert data["cells"][0]["cell"]["n"] == 600
    assert len(data["next"]) == 3
    assert sorted(settings.runs_dir().iterdir()) == runs
    assert root.run(["try", "mine", *SUITE, "--dry-run"]) == 0
    assert root.run(["try", str(tiny_phi), *SUITE]) == 0  # the same bytes under another default name
    assert labels() == ["mine:1"]


def test_a_name_with_other_bytes_is_refused_before_anything_is_kept(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "mine")
    other = tmp_path / "mine"
    shutil.copytree(tiny_phi, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"resid_pdrop": 0.25}))
    assert root.run(["try", str(other), *SUITE]) == 2
    error = capsys.readouterr().err
    assert "the name mine is taken by other weights; give another one: --name NAME" in error
    assert labels() == ["mine:1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["./nothing"], "not a folder"),
        (["./nothing.gguf"], "no such file"),
        (["nothing"], '"nothing" is no checkpoint of the zoo, no folder or GGUF file, and no pip: or owner/name. All '),
        (["phi-1-smal"], '(nearest: "phi-1-small"), no folder'),
        (["phi-1-smal", "--dry-run"], '(nearest: "phi-1-small"), no folder'),
        (["./nothing", "--dry-run"], "no such folder or file"),
        (["nothing", "--suite", "suite:smal"], "small"),
        (["nothing", "--engine", "vlm"], '"vllm"'),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["try", *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]
    assert len(error) == 1


def test_a_dry_run_says_all_and_keeps_nothing(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(["try", str(tiny_phi), "--name", "mine", *SUITE, "--dry-run", "--json"]) == 0
    found = {finding["name"]: finding["detail"] for finding in json.loads(capsys.readouterr().out)}
    assert found["add"].startswith("mine: from the folder")
    assert "MiB of weights" in found["memory"]
    assert found[SUITE[1]].startswith("about ")
    assert found["then"].startswith("phizoo eval run mine --task arc_easy@lm-eval-quick3")
    assert not settings.runs_dir().exists()
    assert not (settings.home() / "zoo.db").exists()


def test_the_form_that_is_asked_for_counts(tiny_phi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["try", str(tiny_phi), "--name", "mine", *SUITE, "--chat", "--dry-run"]) == 1
    out = capsys.readouterr().out
    assert "WRONG    asked                  it has no chat template" in out
    assert root.run(["try", str(tiny_phi), "--name", "mine", *SUITE, "--chat"]) == 2
    assert "it has no chat template, so it is a base model; leave out --chat" in capsys.readouterr().err


def test_a_model_that_cannot_run_here_is_refused_before_it_is_added(
    tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny_phi, bare, ignore=shutil.ignore_patterns("token*"))
    assert root.run(["try", str(bare), *SUITE]) == 2
    assert "bare cannot be run here: it has no tokenizer" in capsys.readouterr().err
    assert root.run(["doctor", str(bare)]) == 1
    assert "WRONG    files                  it has no tokenizer" in capsys.readouterr().out
    monkeypatch.setattr("evals.checks.machine.free_memory", lambda: 10)
    assert root.run(["try", str(tiny_phi), "--name", "mine", *SUITE]) == 2
    assert "cannot be run here: " in capsys.readouterr().err
    assert not (settings.home() / "zoo.db").exists()


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("http://127.0.0.1:1/my-model", "http://127.0.0.1:1/my-model: nothing is there, or nothing answers"),
        ("https://huggingface.co/org/their-model", "their-model: from org/their-model at the newest commit of main"),
    ],
)
def test_a_dry_run_of_what_is_not_here_says_where_it_is(
    source: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root.run(["try", source, "--dry-run"])
    assert line in capsys.readouterr().out
    assert not (settings.home() / "zoo.db").exists()


def test_a_dry_run_asks_an_address_for_its_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "their.gguf").write_bytes(bytes(30_000_000))
    answer = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/their.gguf"
        assert root.run(["try", address, "--dry-run"]) == 0
        server.shutdown()
    assert f"their: from {address}, 0.03 GB to fetch" in capsys.readouterr().out
