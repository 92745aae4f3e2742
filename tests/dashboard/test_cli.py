"""`phizoo leaderboard`: print, export, JSON, and what it refuses."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard import server
from zoo.cli.root import run


def test_prints_own_and_talk_rows(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["leaderboard", "--print", "--suite", "talk"]) == 0
    output = capsys.readouterr().out
    assert "0.0 [0.0–2.3] n=164" in output
    assert "50.6 [43.0–58.2] n=164 †" in output
    assert "phi-1-small-mini-unfiltered → phi-1-small-mini-base" in output
    assert "not significant by itself (z 0.78" in output


@pytest.mark.parametrize("ending", ["html", "md", "csv", "tex"])
def test_exports(zoo: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"table.{ending}"
    assert run(["leaderboard", "--out", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert "Code Llama 34B" in text
    assert "phi-1-small-mini:1" in text


def test_json_is_for_scripts(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["leaderboard", "--json", "--suite", "own"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert {column["origin"] for column in board["columns"]} == {"measured"}
    assert [row["label"] for row in board["rows"]] == [
        "phi-1-small-mini:1", "phi-1-small-mini-base:1", "phi-1-small-mini-unfiltered:1",
    ]  # fmt: skip


def test_a_sent_address_is_exported_as_it_was_seen(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = "http://127.0.0.1:8501/?suite=talk&search=codex&size=1B&size=no+limit&cell=x"
    assert run(["leaderboard", "--view", sent, "--json"]) == 0
    assert [row["label"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["Codex-12B"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "phi1", "--json"], '(nearest: "phi-1")'),
        (["--out", "table.xls"], ".html, .md, .csv, .tex"),
        (["--sort", "paramters", "--print"], '(nearest: "parameters")'),
        (["--view", "?suite=phi1", "--json"], '(nearest: "phi-1")'),
        (["--public"], "PHIZOO_PASSWORD"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["leaderboard", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ([], ""), (["--suite", "code", "--sort", "humaneval"], "/?suite=code&sort=humaneval"),
        (["--view", "http://127.0.0.1:8501/?suite=talk&search=codex"], "/?suite=talk&search=codex"),
        (["--search", "a b", "--every-metric"], "/?search=a+b&every=true"),
    ],
)  # fmt: skip
def test_the_page_opens_at_the_view_of_the_options(
    options: list[str], query: str, zoo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.execve", lambda *arguments: None)
    assert run(["leaderboard", "--port", "8437", *options]) == 0
    assert f"The leaderboard is at http://127.0.0.1:8437{query} (Ctrl-C" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suite", "cod"], '(nearest: "code")'), (["--sort", "humanevl"], '(nearest: "humaneval")'),
        (["--view", "?size=many"], "is no number; write it as 500M"), (["--view", "?sort=nonsense"], "sort"),
    ],
)  # fmt: skip
def test_the_page_is_not_opened_at_a_view_that_is_not_there(
    options: list[str], message: str, zoo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.execve", lambda *arguments: pytest.fail("the page was opened"))
    assert run(["leaderboard", *options]) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1] and "Traceback" not in error


def test_an_order_is_also_a_benchmark_and_a_wrong_one_lists_the_few(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["leaderboard", "--json", "--sort", "mini_exercises"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["label"] == "phi-1-small-mini:1"
    assert run(["leaderboard", "--json", "--sort", "humanevl"]) == 2
    error = capsys.readouterr().err
    assert '(nearest: "humaneval")' in error and "mini_exercises" in error and "--json" not in error


def test_short_password_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PHIZOO_PASSWORD", "short")
    assert run(["leaderboard", "--public"]) == 2
    assert "short" not in capsys.readouterr().err.replace("shorter", "")


def test_a_taken_port_is_an_error_before_the_server_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert run(["leaderboard", "--port", str(other.getsockname()[1])]) == 2
    message = capsys.readouterr().err
    assert "take another --port" in message
    assert message.count("\n") == 1


def test_server_is_bound_to_this_machine_unless_public() -> None:
    assert "--server.address=127.0.0.1" in server.server_command(8501, public=False)
    assert "--server.address=0.0.0.0" in server.server_command(8501, public=True)
    assert "--browser.gatherUsageStats=false" in server.server_command(8501, public=False)


def test_help_and_terminal_import_nothing_heavy() -> None:
    code = (
        "import sys, zoo.cli.root; assert zoo.cli.root.run(sys.argv[1:]) == 0;"
        "print([m for m in ('streamlit', 'pandas', 'altair', 'torch', 'numpy', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "leaderboard", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("[]")
    assert "phizoo leaderboard --out" in done.stdout
