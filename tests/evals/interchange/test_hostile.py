"""Hostile and damaged result files: each is refused in one line, nothing is kept, and nothing is unpacked to disk."""

import hashlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.evals.interchange.test_real_files import DATA
from zoo.admission import result_files
from zoo.admission.result_files import JsonArchive
from zoo.cli import root
from zoo.published.reported_here import load_reported
from zoo.registry import open_registry


def refused(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that `phizoo eval import` says of a file that it refuses."""
    assert root.run(["eval", "import", str(path), "--model", "x"]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1, said
    with open_registry() as registry:
        assert not registry.runs()
    assert not load_reported()
    return said


def archive(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members.items():
            target.writestr(name, data, **options)
    return path


def log_members() -> dict[str, bytes]:
    log = json.loads((DATA / "inspect" / "sums.json").read_text())
    samples = log.pop("samples")
    members = {f"samples/{sample['id']}_epoch_1.json": json.dumps(sample).encode() for sample in samples}
    return {"header.json": json.dumps(log).encode(), **members}


def test_a_sound_archive_is_taken_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["eval", "import", str(archive(tmp_path / "x.eval", log_members()))]) == 0
    assert "sums [inspect_ai 0.3.285 elsewhere] match  50.0" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../x.json", "/etc/x.json", "samples/../../x.json", "a\\b.json", "samples/\x1b.json"])
def test_names_that_lead_out(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a name that leads out" in refused(archive(tmp_path / "x.eval", {**log_members(), name: b"{}"}), capsys)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["x.eval"]


def test_bombs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = {"samples/bomb_epoch_1.json": b'"' + b"0" * (4 << 20) + b'"'}
    assert "expands more than" in refused(archive(tmp_path / "a.eval", {**log_members(), **bomb}), capsys)
    monkeypatch.setattr(result_files, "MEMBER_BYTES", 1 << 20)
    assert "more than 1,048,576" in refused(archive(tmp_path / "b.eval", {**log_members(), **bomb}), capsys)
    monkeypatch.setattr(result_files, "ARCHIVE_BYTES", 1000)
    assert "bytes unpacked" in refused(archive(tmp_path / "c.eval", log_members()), capsys)
    monkeypatch.setattr(result_files, "MEMBERS", 3)
    assert "members; expected at most 3" in refused(archive(tmp_path / "d.eval", log_members()), capsys)


def test_a_member_longer_than_it_says_is_not_unpacked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = archive(tmp_path / "x.eval", {**log_members(), "samples/z_epoch_1.json": b"[" + b"0," * 50_000 + b"0]"})
    data = path.read_bytes()
    real = struct.pack("<I", 100_003)
    assert data.count(real) == 2  # in the member's own header and in the archive's directory
    path.write_bytes(data.replace(real, struct.pack("<I", 90)))
    with JsonArchive(path) as opened, pytest.raises(Exception, match="its size or checksum"):
        opened.read("samples/z_epoch_1.json")
    assert "its size or checksum" in refused(path, capsys)


def test_a_member_that_stands_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = archive(tmp_path / "x.eval", log_members())
    with zipfile.ZipFile(path, "a") as target, pytest.warns(UserWarning, match="Duplicate name"):
        target.writestr("header.json", b"{}")
    assert "stands twice" in refused(path, capsys)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"no archive"])
def test_what_is_no_archive(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.eval").write_bytes(data)
    refused(tmp_path / "x.eval", capsys)


def changed_log(change: Any) -> bytes:
    log = json.loads((DATA / "inspect" / "sums.json").read_text())
    change(log)
    return json.dumps(log).encode()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda log: log["samples"].append(log["samples"][0]), "twice"),
        (lambda log: log["samples"].pop(), "names 6 samples and has 5"),
        (lambda log: log["samples"].clear(), "no samples"),
        (lambda log: log["samples"][0].update(epoch=10**12), "twice or out of range"),
        (lambda log: log["samples"][0].update(epoch="x"), "cannot be read as results"),
        (lambda log: log["samples"][0]["scores"]["match"].update(value=float("nan")), "not scored"),
        (lambda log: log["eval"].update(task="a\x1b[31mb"), "expected printable text"),
        (lambda log: log["eval"].update(task_version=1e300), "version"),
        (lambda log: log["plan"]["config"].update(temperature=float("inf")), "temperature"),
        (lambda log: log["plan"]["config"].update(seed=1 << 70), "seed"),
        (lambda log: log["eval"].update(created="9999-12-31T23:59:59+00:00"), "date"),
        (lambda log: log.update(eval=[]), "cannot be read as results"),
    ],
)
def test_logs_with_nonsense(change: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_bytes(changed_log(change))
    assert told in refused(tmp_path / "x.json", capsys)


def record(samples: bool = False, **changes: Any) -> dict[str, Any]:
    """A record of Every Eval Ever with one number, as a leaderboard has it."""
    result = {
        "evaluation_name": "mmlu", "evaluation_result_id": "acc",
        "source_data": {"dataset_name": "mmlu", "source_type": "url", "url": ["https://example.org/board"]},
        "metric_config": {"lower_is_better": False, "metric_name": "acc", "score_type": "continuous", "min_score": 0,
                          "max_score": 1},
        "score_details": {"score": 0.5, "uncertainty": {"num_samples": 14042}},
    }  # fmt: skip
    for path, value in changes.items():
        place, _, name = path.rpartition("__")
        target: Any = result
        for part in place.split("__") if place else ():
            target = target[part]
        target[name] = value
    return {
        "schema_version": "0.3.0", "evaluation_id": "e", "retrieved_timestamp": "1796000000",
        "source_metadata": {"source_name": "A board", "source_type": "documentation",
                            "source_organization_name": "O", "evaluator_relationship": "third_party"},
        "eval_library": {"name": "lm_eval", "version": "0.4.9"},
        "model_info": {"name": "Other 7B", "id": "org/other-7b",
                       "additional_details": {"deployment_type": "unknown", "model_availability": "open_weights",
                                              "num_parameters": "7000000000"}},
        "evaluation_results": [result],
        **({"detailed_evaluation_results": {"format": "jsonl", "file_path": "data/../../../etc/passwd"}} if samples else {}),
    }  # fmt: skip


def test_a_board_becomes_reported_rows_with_protocol_and_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        told = record(score_details__score=0.5 + number / 10)
        told["model_info"]["name"] = f"Other {number}"
        (tmp_path / f"{number}.json").write_text(json.dumps(told))
    assert root.run(["eval", "import", str(tmp_path)]) == 0
    assert "3 reported numbers of 3 models, 3 of them new" in capsys.readouterr().out
    assert root.run(["eval", "import", str(tmp_path)]) == 0
    assert "0 of them new" in capsys.readouterr().out
    row = load_reported()[0]
    assert (row.model, row.benchmark, row.value, row.n, row.parameters) == ("Other 0", "mmlu", 50.0, 14042, 7e9)
    assert (row.protocol, row.source) == ("acc, lm_eval 0.4.9", "A board (Every Eval Ever)")
    assert (row.date, row.accessed, row.address) == ("2026-11", "2026-11-30", "https://example.org/board")
    assert len(load_reported()) == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"score_details__score": 7.0}, "no number that is a share"),
        ({"score_details__score": -0.1}, "no number that is a share"),
        ({"metric_config__lower_is_better": True}, "no number that is a share"),
        ({"metric_config__max_score": "Infinity"}, "no number that is a share"),
        ({"score_details__uncertainty": {"num_samples": 10**15}}, "cannot be right"),
        ({"score_details__uncertainty": {"num_samples": -3}}, "cannot be right"),
        ({"score_details__score": "x"}, "cannot be read as results"),
        ({"evaluation_name": "a\u202eb"}, "expected printable text"),
    ],
)
def test_records_with_nonsense(
    changes: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text(json.dumps(record(**changes)))
    assert root.run(["eval", "import", str(tmp_path / "x.json")]) == 2
    said = capsys.readouterr().err.strip()
    assert told in said and len(said.splitlines()) == 1
    assert not load_reported()


def sample(**changes: Any) -> dict[str, Any]:
    return {
        "schema_version": "0.3.0", "evaluation_id": "e", "model_id": "org/other-7b", "evaluation_name": "mmlu",
        "evaluation_result_id": "acc", "sample_id": "1", "interaction_type": "single_turn",
        "input": {"raw": "Q", "reference": ["A"]}, "output": {"raw": ["A"]}, "answer_attribution": [],
        "evaluation": {"score": 1.0, "is_correct": True}, **changes,
    }  # fmt: skip


def with_samples(folder: Path, rows: list[dict[str, Any]], **detail: Any) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    told = record(samples=True)
    sha256 = hashlib.sha256(data).hexdigest()
    told["detailed_evaluation_results"] |= {"checksum": sha256, "total_rows": len(rows), **detail}
    (folder / "x.json").write_text(json.dumps(told))
    (folder / "x_samples.jsonl").write_bytes(data)
    return folder / "x.json"


def test_the_samples_beside_a_record_are_read_and_no_path_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [sample(sample_id=str(number), evaluation={"score": number % 2, "is_correct": False}) for number in range(8)]
    assert root.run(["eval", "import", str(with_samples(tmp_path, rows)), "--model", "x"]) == 0
    assert "mmlu [lm_eval 0.4.9 elsewhere] acc  50.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "detail", "told"),
    [
        ([sample()], {"checksum": "0" * 64}, "the sha256"),
        ([sample()], {"total_rows": 2}, "has 1 rows"),
        ([sample(), sample()], {}, "twice"),
        ([sample(model_id="org/mine")], {}, "another evaluation or model"),
        ([sample(evaluation_result_id="f1")], {}, "belongs to no result"),
        ([sample(evaluation={"score": 1e308, "is_correct": True})], {}, "expected 0 to 1"),
        ([sample(evaluation={"score": -1, "is_correct": True})], {}, "expected 0 to 1"),
        ([sample(sample_id="a\nb")], {}, "expected printable text"),
        ([sample(input=None)], {}, "cannot be read as results"),
    ],
)
def test_samples_with_nonsense(
    rows: list[dict[str, Any]], detail: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(with_samples(tmp_path, rows, **detail), capsys)


def test_a_number_that_is_not_json_in_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = with_samples(tmp_path, [sample(evaluation={"score": float("nan"), "is_correct": True})])
    assert "is not JSON" in refused(path, capsys)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(64) + b"PAR1", b"{}"])
def test_what_is_no_parquet(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "details_x_2026-01-01T10-00-00.parquet").write_bytes(data)
    assert "no Parquet" in refused(tmp_path / "details_x_2026-01-01T10-00-00.parquet", capsys)


def test_columns_that_are_not_lightevals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pyarrow import Table, parquet

    path = tmp_path / "details_x_2026-01-01T10-00-00.parquet"
    parquet.write_table(Table.from_pylist([{"a": 1}]), path)
    assert "read are 0.4 to 0.13" in refused(path, capsys)


def test_lines_that_are_not_olmo_evals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x-predictions.jsonl"
    for text, told in (
        ("", "holds no samples"),
        ('{"a": 1}\n', "without doc_id"),
        ("[]\n", "without doc_id"),
        ("{", "not JSON"),
    ):
        path.write_text(text)
        assert told in refused(path, capsys)
