"""The quickstart is a list of ordinary commands: it stops where one fails or is stopped, and skips nothing."""

import json

import pytest

from zoo import settings
from zoo.cli import quickstart, root


def recorded(monkeypatch: pytest.MonkeyPatch, codes: dict[str, int]) -> list[str]:
    """Runs the quickstart with every command replaced by its exit code; gives the commands run."""
    ran: list[str] = []
    whole = root.run

    def run(args: list[str]) -> int:
        if args == ["quickstart"]:
            return whole(args)
        ran.append(" ".join(args))
        return next((code for words, code in codes.items() if ran[-1].startswith(words)), 0)

    monkeypatch.setattr(root, "run", run)
    with pytest.raises(SystemExit) if codes else pytest.MonkeyPatch.context():
        whole(["quickstart"])
    return ran


def test_every_command_is_run_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recorded(monkeypatch, {}) == list(quickstart.STEPS)


def test_the_time_of_each_section_is_kept_for_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(monkeypatch, {})
    seconds = json.loads((settings.home() / "quickstart.json").read_text())
    assert list(seconds) == sorted(["Data", "Train", "Register", "Evaluate", "Contamination", "Compare"])
    assert all(0 <= time < 60 for time in seconds.values())


def test_a_failing_command_ends_it_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = recorded(monkeypatch, {"train run phi-1-small-mini-base": 2})
    assert ran[-1] == "train run phi-1-small-mini-base"


def test_a_dry_run_runs_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["quickstart", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert all(f"$ phizoo {line}" in told for line in quickstart.STEPS)
