"""The hub's cache is read before any network; its links are followed to the repository's own blobs only."""

import hashlib
from pathlib import Path

import pytest

from tests.gguf_files import gguf_bytes, small
from tests.hub_cache_files import COMMIT, cached_snapshot
from zoo.errors import ZooError
from zoo.exchange import hub
from zoo.exchange.huggingface import export, import_any, plan_import
from zoo.records import About
from zoo.registry import open_registry


@pytest.fixture
def cache(tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the tiny Phi as the repository lab/tiny, laid out as huggingface_hub does; no network."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)

    def offline(*_args: object) -> None:
        raise ZooError("the network was asked")

    monkeypatch.setattr(hub, "snapshot", offline)
    files = {path.name: path.read_bytes() for path in tiny_phi.iterdir()}
    files |= {"README.md": b"---\nlicense: mit\n---\nA model.", "model.gguf": b"GGUF", "photo.png": b"\x89PNG"}
    return cached_snapshot(tmp_path / "hf" / "hub", files)


def test_a_repository_comes_from_the_cache_before_any_network(cache: Path, tiny_phi: Path) -> None:
    with open_registry() as registry:
        checkpoint = import_any(registry, "lab/tiny", None, None, About())
        assert (checkpoint.label, checkpoint.licence) == ("tiny:1", "mit")
        assert checkpoint.source == f"hf://lab/tiny@{COMMIT}"
        names = {file.path for file in checkpoint.files}
        assert names == {path.name for path in tiny_phi.iterdir()} | {"README.md"}
        assert import_any(registry, "lab/tiny", None, COMMIT, About()) == checkpoint
        assert import_any(registry, str(cache), None, None, About()) == checkpoint
        assert "nothing to fetch" in plan_import("lab/tiny", None, None)[0][0]
        with pytest.raises(ZooError, match="the network was asked"):
            import_any(registry, "lab/tiny", None, "f" * 40, About())


def test_a_snapshot_without_all_its_weights_is_fetched(cache: Path) -> None:
    (cache / "model.safetensors").unlink()
    with open_registry() as registry, pytest.raises(ZooError, match="the network was asked"):
        import_any(registry, "lab/tiny", None, None, About())


@pytest.mark.parametrize("where", ["outside", "another repository", "the folder above"])
def test_a_link_out_of_the_blobs_is_refused(cache: Path, tmp_path: Path, where: str) -> None:
    root = cache.parents[1]
    place = {
        "outside": tmp_path,
        "another repository": root.parent / "models--x--y" / "blobs",
        "the folder above": root,
    }
    place[where].mkdir(parents=True, exist_ok=True)
    secret = place[where] / "secret.json"
    secret.write_text("{}")
    (cache / "extra.json").symlink_to(secret)
    with open_registry() as registry, pytest.raises(ZooError, match="link out of the cache"):
        import_any(registry, "lab/tiny", None, None, About())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_blob_with_other_bytes_than_its_digest_is_refused(cache: Path, name: str) -> None:
    blob = cache / name
    data = blob.read_bytes()
    (cache / name).resolve().write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with open_registry() as registry, pytest.raises(ZooError, match="not those of its digest"):
        import_any(registry, "lab/tiny", None, None, About())


def test_a_gguf_file_of_the_cache_is_read_in_place(cache: Path, tmp_path: Path) -> None:
    data = gguf_bytes(*small())
    blob = cache.parents[1] / "blobs" / hashlib.sha256(data).hexdigest()
    blob.write_bytes(data)
    (cache / "small.F32.gguf").symlink_to(f"../../blobs/{blob.name}")
    with open_registry() as registry:
        checkpoint = import_any(registry, str(cache / "small.F32.gguf"), "small", None, About())
        assert (checkpoint.quantisation, checkpoint.source) == ("F32", f"hf://lab/tiny@{COMMIT}")
        assert [file.sha256 for file in checkpoint.files] == [blob.name]
        (tmp_path / "out.gguf").write_bytes(data)
        (cache / "out.gguf").symlink_to(tmp_path / "out.gguf")
        with pytest.raises(ZooError, match="link out of the cache"):
            import_any(registry, str(cache / "out.gguf"), "out", None, About())


def test_the_same_files_come_from_the_cache_as_from_the_hub(cache: Path, tmp_path: Path) -> None:
    data = b"{{ messages[0]['content'] }}"
    blob = cache.parents[1] / "blobs" / hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    blob.write_bytes(data)
    for name in ("additional_chat_templates/rag.jinja", "onnx/config.json"):
        (cache / name).parent.mkdir()
        (cache / name).symlink_to(f"../../../blobs/{blob.name}")
    with open_registry() as registry:
        files = {file.path for file in import_any(registry, "lab/tiny", None, None, About()).files}
        assert "additional_chat_templates/rag.jinja" in files and "onnx/config.json" not in files
        (tmp_path / "x.jinja").write_bytes(data)
        (cache / "additional_chat_templates" / "x.jinja").symlink_to(tmp_path / "x.jinja")
        with pytest.raises(ZooError, match="link out of the cache"):
            import_any(registry, "lab/tiny", None, None, About())


def test_code_in_the_cache_is_left_out(cache: Path) -> None:
    (cache / "modeling.py").write_text("raise SystemExit")
    with open_registry() as registry:
        assert "modeling.py" not in {file.path for file in import_any(registry, "lab/tiny", None, None, About()).files}


def test_an_exported_folder_loads_with_equal_logits(tiny_phi: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
        export(registry, "tiny", tmp_path / "out")
    ids = torch.arange(1, 60)[None]
    before, after = (
        AutoModelForCausalLM.from_pretrained(path).eval()(ids).logits for path in (tiny_phi, tmp_path / "out")
    )
    assert torch.equal(before, after)
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("def add")["input_ids"]
