"""`phizoo models export --dequantise`: a GGUF leaves as a folder that enters again as full weights."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.gguf_files import tiny_llama
from zoo.cli.models import models
from zoo.errors import ZooError

pytestmark = [
    pytest.mark.skipif(find_spec("gguf") is None, reason="an extra: pip install 'phi-zoo[gguf]'"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models, list(arguments))


def test_dequantised_weights_enter_again(tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "home"))
    tiny_llama(tmp_path / "tiny.gguf", tiny_phi)
    assert run("add", str(tmp_path / "tiny.gguf"), "--name", "tiny").exit_code == 0
    assert run("export", "tiny", str(tmp_path / "as-it-is")).exit_code == 0
    assert {path.name for path in (tmp_path / "as-it-is").iterdir()} == {"tiny.gguf", "README.md"}
    assert run("export", "tiny", str(tmp_path / "full"), "--dequantise").exit_code == 0
    names = {path.name for path in (tmp_path / "full").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= names
    assert "tiny.gguf" not in names
    assert "dequantised to fp32" in (tmp_path / "full" / "README.md").read_text(encoding="utf-8")
    again = run("add", str(tmp_path / "full"), "--name", "full")
    assert again.exit_code == 0, again.output
    assert "\nfull:1" in run("list").output
    refused = run("export", "full", str(tmp_path / "more"), "--dequantise")
    assert isinstance(refused.exception, ZooError)
    assert "no GGUF file" in str(refused.exception)
    assert not (tmp_path / "more").exists()
