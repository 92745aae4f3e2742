"""Imports from a hub (a local server here) are pinned, resumed and checked; the token stays with the hub."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import ZooError
from zoo.exchange import hub
from zoo.exchange.huggingface import import_any
from zoo.records import About
from zoo.registry import open_registry

COMMIT = "cb02e3e" + "0" * 33  # what the hub of conftest.py answers for


def imported(source: str = "microsoft/phi-2", revision: str | None = None) -> Any:
    with open_registry() as registry:
        return import_any(registry, source, None, revision, About(), drop_code=False)


def test_a_repository_is_pinned_checked_and_recorded(server: Any, tmp_path: Path) -> None:
    found = imported()
    assert (found.name, found.source, found.licence) == ("phi-2", f"hf://microsoft/phi-2@{COMMIT}", "mit")
    assert {file.path for file in found.files} == {"README.md", "config.json", "model.safetensors"}
    assert imported("phi-2").label == "phi-2:1"
    assert not [path for path, _, _ in server.asked if path.endswith((".py", ".png"))]
    assert all(f"/resolve/{COMMIT}/" in path for path, _, _ in server.asked if "/resolve/" in path)
    assert list((tmp_path / "home" / "incoming").iterdir()) == []


def test_the_token_stays_with_the_hub(server: Any) -> None:
    imported()
    told = {path.split("/")[1]: token for path, _, token in server.asked}
    assert told["api"] == told["microsoft"] == "Bearer hf_secret"
    assert told["cdn"] is None


def test_a_broken_download_goes_on_where_it_ended(server: Any) -> None:
    server.break_after = 1000
    with pytest.raises(ZooError, match="broken off"):
        imported()
    server.break_after = None
    server.asked.clear()
    assert imported().label == "phi-2:1"
    ranges = [asked for path, asked, _ in server.asked if path.endswith(".safetensors")]
    assert ranges == ["bytes=1000-"] * 2  # asked of the hub, and of where it sent us


def test_bytes_that_the_hub_does_not_list_are_refused(server: Any) -> None:
    server.spoil = True
    with pytest.raises(ZooError, match="are not those the hub lists"):
        imported()
    server.spoil = False
    assert imported().label == "phi-2:1"


def test_an_answer_for_another_commit_or_of_another_kind_is_refused(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZooError, match="the hub answers for"):
        imported(revision="f" * 40)
    assert imported(revision=COMMIT).label == "phi-2:1"
    for answer in ([], {"sha": COMMIT, "siblings": "x"}, {"sha": COMMIT, "siblings": [{"size": "x"}]}, {"sha": 1}):
        monkeypatch.setattr(server, "listing", lambda answer=answer: answer)
        with pytest.raises(ZooError, match=r"not a listing|names no commit") as raised:
            imported()
        assert "\n" not in str(raised.value)


def test_two_at_once_download_each_file_once(server: Any, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: hub.download(hub.snapshot("microsoft/phi-2", None), folder), range(2)))
    assert found == [folder] * 2
    weights = [path for path, _, _ in server.asked if path.startswith("/cdn")]
    assert len(weights) == 1


def test_an_unavailable_repository_is_reported_in_one_line(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZooError, match="does not exist"):
        imported("microsoft/phi-9")
    with pytest.raises(ZooError, match="is no folder here and no repository"):
        imported("../etc")
    server.files["pytorch_model.bin"] = server.files.pop("model.safetensors")
    with pytest.raises(ZooError, match=r"only a pickle \(pytorch_model\.bin\)"):
        imported()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ZooError, match="cannot be reached") as raised:
        imported()
    assert "\n" not in str(raised.value)
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(ZooError, match="begins with https"):
        imported()
