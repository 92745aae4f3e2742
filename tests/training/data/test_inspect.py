"""The commands: each dataset is listed, each document's verdict told, each wrong use one line."""

import json

import pytest

from training.data.build import Made
from zoo.cli.root import run


def out(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    assert run(["data", *args]) == code
    told = capsys.readouterr()
    return told.out if code == 0 else told.err


def test_a_document_is_followed_from_stage_to_stage(code: Made, capsys: pytest.CaptureFixture[str]) -> None:
    out(capsys, "filter", "code", "--out", "best", "--keep", "0.1")
    told = json.loads(out(capsys, "why", "good/config.py", "--json"))
    assert [one["dataset"] for one in told["verdicts"]] == ["code", "best"]
    gathered, filtered = told["verdicts"]
    assert (gathered["kept"], filtered["kept"]) == (True, False)
    assert filtered["facts"]["score"] <= filtered["facts"]["threshold"]
    assert told["text"].startswith("A = 1")
    text = out(capsys, "why", told["id"])
    assert "dropped by filter: educational value below the threshold" in text


def test_a_dropped_file_tells_its_twin(code: Made, capsys: pytest.CaptureFixture[str]) -> None:
    lost = [one for one in json.loads(out(capsys, "list", "--json")) if one["name"] == "code"]
    assert lost[0]["stages"][0]["dropped"]["near duplicate"] == 1
    from training.data.build import folder_of
    from training.data.document import read_documents

    (twin,) = [one for one in read_documents(folder_of(code.dataset), "dropped") if one.reason == "near duplicate"]
    text = out(capsys, "why", twin.id)
    assert "twin: good/copy.py" in text
    assert "jaccard: 0." in text


def test_show_card_and_list(code: Made, capsys: pytest.CaptureFixture[str]) -> None:
    out(capsys, "filter", "code", "--out", "best")
    assert "code" in out(capsys, "list")
    shown = out(capsys, "show", "best", "--documents", "1")
    assert "--- highest:" in shown
    assert "--- lowest:" in shown
    card = out(capsys, "card", "code")
    assert "| files | 11 | 4 |" in card
    assert "- MIT" in card
    assert code.dataset.digest in card


def test_up_to_date_is_said(code: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert "code: up to date, 63 documents" in out(capsys, "gather", "python", "--out", "code")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("show", "cod"), 'no dataset "cod" (nearest: "code"). All datasets: phizoo data list'),
        (("why", "nothing"), 'no document "nothing" in any dataset'),
        (("filter", "code", "--out", "x", "--keep", "0.2", "--tokens", "5"), "exclude each other"),
        (("filter", "code", "--out", "Big Name"), "cannot be a name"),
        (("pack", "code", "--tokenizer", "code", "--out", "x"), "code holds documents, here tokenizer are needed"),
        (
            ("decontaminate", "code", "--against", "humanevil", "--out", "x"),
            'no task "humanevil" (nearest: "humaneval")',
        ),
    ],
)
def test_wrong_use_is_one_line(
    code: Made, args: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = out(capsys, *args, code=2)
    assert message in told
    assert "Traceback" not in told
