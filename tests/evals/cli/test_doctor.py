"""`phizoo doctor`: what is here, what is missing with its remedy, what is wrong by the exit code; nothing is fetched."""

import json
from pathlib import Path

import pytest

from evals.cli import doctor
from evals.datasets import load
from evals.sandbox.tiers import TierReport
from zoo import settings
from zoo.cli import root


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiers are tried for real in tests/evals/sandbox."""
    tier = TierReport(name="container", available=False, detail="no podman or docker on the path", remedy="install one")
    monkeypatch.setattr("evals.sandbox.probe", lambda: [tier])
    monkeypatch.setattr(doctor, "_datasets", lambda: [])


def findings(capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, dict[str, str]]:
    assert root.run(["doctor", "--json"]) == code
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)}


def test_an_empty_home_is_fine_and_stays_empty(capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(capsys)
    assert found["zoo"]["state"] == "ok"
    assert found["zoo"]["detail"].startswith("none yet")
    assert found["sandbox container"] == {
        "name": "sandbox container",
        "state": "missing",
        "detail": "no podman or docker on the path",
        "remedy": "install one",
    }
    assert not settings.home().exists()


def test_every_missing_package_has_its_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _name: None)
    found = findings(capsys)
    for package, (_, extra) in doctor.EXTRAS.items():
        assert found[package]["state"] == "missing"
        assert f"pip install 'phi-zoo[{extra}]'" in found[package]["remedy"]
    assert all(one["remedy"] for one in found.values() if one["state"] != "ok")


def test_a_damaged_zoo_is_wrong_and_the_exit_code_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    settings.home().mkdir(parents=True)
    (settings.home() / "zoo.db").write_bytes(b"not a database, though long enough to look like one" * 40)
    assert findings(capsys, code=1)["zoo"]["state"] == "wrong"
    assert root.run(["doctor"]) == 1
    assert "WRONG    zoo" in capsys.readouterr().out


def test_the_compiler_is_the_one_that_CC_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    found = findings(capsys)["C compiler"]
    assert (
        found["state"] == "missing" and "no no-such-compiler; with one" in found["detail"] and "CC=" in found["remedy"]
    )
    (tmp_path / "mine").write_text("#!/bin/sh\n")
    (tmp_path / "mine").chmod(0o755)
    monkeypatch.setenv("CC", f"{tmp_path / 'mine'} -O2")
    assert findings(capsys)["C compiler"] | {"name": ""} == {
        "name": "", "state": "ok", "detail": str(tmp_path / "mine"), "remedy": "",
    }  # fmt: skip


def test_a_full_disk_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_BYTES", 1 << 60)
    assert "free some space" in findings(capsys, code=1)["disk"]["remedy"]


def test_another_content_than_the_pinned_one_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    only = {("gsm8k", "test"): load.entry("gsm8k")}
    monkeypatch.setattr("evals.datasets.catalog.sets", lambda: only)
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "data.jsonl").write_text('{"question": "1 + 1", "answer": "#### 2"}\n')
    (found,) = doctor._datasets()
    assert (found.state, "gsm8k/test" in found.detail) == ("wrong", True)


def test_a_data_folder_that_is_none_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("evals.datasets.catalog.sets", dict)
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path / "nowhere"))
    (found,) = doctor._datasets()
    assert (found.state, "which is not a folder" in found.detail, "PHIZOO_DATA=FOLDER" in found.remedy) == (
        "wrong",
        True,
        True,
    )
    (tmp_path / "nowhere").mkdir()
    assert doctor._datasets()[0].state == "ok"


def test_families_are_counted_and_a_refusal_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    from zoo.families import FAMILIES

    assert root.run(["doctor", "--families"]) == 0
    lines = capsys.readouterr().out.splitlines()
    by_path = {
        path: [one.name for one in FAMILIES.values() if one.path == path] for path in ("tree", "plain", "refused")
    }
    held = len(by_path["tree"]) + len(by_path["plain"])
    assert lines[-1] == (
        f"{held} families held, {len(by_path['plain'])} of them by the plain path only; "
        f"{len(by_path['refused'])} refused"
    )
    page = Path("docs/engines.md").read_text()
    assert f"{held} of the {len(FAMILIES)} causal families" in page
    for path, title in (("tree", "fast where proven"), ("plain", "plain only")):
        assert f"| {title} ({len(by_path[path])}) | {', '.join(by_path[path])} |" in page
    for reason in {one.reason for one in FAMILIES.values() if one.reason}:
        names = [one.name for one in FAMILIES.values() if one.reason == reason]
        assert f"| refused ({len(names)}): {reason} | {', '.join(names)} |" in page
    assert any(line.startswith("refused (19), it reads the tokens that follow") and "bert" in line for line in lines)
    assert root.run(["doctor", "--families", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["path"] for row in rows} == {one.name: one.path for one in FAMILIES.values()}
