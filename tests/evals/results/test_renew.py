"""What is derived from runs is renewed in the database: seeds, strata, splits; every reader then says the same."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dashboard.board.cells import cell_text
from dashboard.data.source import load_board
from evals.records import Facts, Result, Run
from evals.results.publish import publish, scores
from evals.results.renew import Renewed, renew
from evals.run import FinishedRun
from zoo.cli import root
from zoo.exchange.card import model_card
from zoo.records import ProtocolRecord, Score
from zoo.registry import Registry, open_registry

RECORD = ProtocolRecord(
    task="humaneval", task_version=1, name="openai t=0.2 p=0.95", metric="pass@1", shots=0, prompt="",
    prompts_sha256="a" * 64, samples=40, decoding={"temperature": 0.2, "top_p": 0.95},
)  # fmt: skip
MMLU = ProtocolRecord(
    task="mmlu", task_version=1, name="lm-eval-5", metric="acc", shots=5, prompt="", prompts_sha256="b" * 64,
    samples=14042, decoding={},
)  # fmt: skip


def finished(registry: Registry, folder: Path, right: int, seed: int) -> FinishedRun:
    checkpoint = registry.get("tiny")
    results = tuple(
        Result(sample=f"s{i}", draw=0, score=float(i < right), metrics={"pass@1": float(i < right)}) for i in range(40)
    )
    facts = Facts(engine="transformers", version="1", dtype="float32", device="cpu", context_tokens=1)
    header = Run(
        id=f"seed {seed}".encode().hex().ljust(64, "0"), checkpoint=checkpoint.digest,
        checkpoint_label=checkpoint.label, task=RECORD.task, protocol=msgspec.to_builtins(RECORD),
        fingerprint=RECORD.fingerprint, backend=facts, seed=seed, draws=1, limit=None, samples=40, hardware={},
        versions={}, commit="",
    )  # fmt: skip
    path = folder / f"{header.id}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(result) + b"\n" for result in results))
    return FinishedRun(header=header, protocols=(RECORD,), results=results, path=path)


def stored(registry: Registry) -> list[Any]:
    """All rows of the scores with their numbers: a row that was written again has another."""
    return list(registry.database.rows("SELECT * FROM scores ORDER BY id"))


def test_pulled_seeds_are_combined_and_stay_apart_from_our_own(
    tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
        for seed, right in enumerate((20, 22)):
            publish(registry, finished(registry, tmp_path, right, seed))
        registry.database.run("DELETE FROM scores WHERE seeds > 1")  # as an older version left them
    assert root.run(["models", "push", "tiny", str(tmp_path / "remote")]) == 0
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "theirs"))
    assert root.run(["models", "pull", "tiny", str(tmp_path / "remote")]) == 0
    capsys.readouterr()
    assert root.run(["models", "show", "tiny"]) == 0
    shown = capsys.readouterr().out
    assert all(words in shown for words in ("52.5", "2 seeds", "measured elsewhere"))
    readers = (["ranks", "humaneval"], ["compare", "tiny", "tiny"])
    for words in readers:
        assert root.run(["eval", *words]) == 0
        assert f"measured elsewhere: {tmp_path / 'remote'}" in capsys.readouterr().out, words
    with open_registry() as registry:
        before = stored(registry)
        assert renew(registry) == Renewed()
        assert stored(registry) == before
        publish(registry, finished(registry, tmp_path, 24, 2))
    assert root.run(["models", "show", "tiny"]) == 0
    shown = capsys.readouterr().out
    assert "60.0" in shown and "seeds" not in shown and "measured elsewhere" not in shown


def test_seeds_of_an_old_zoo_are_combined_and_a_second_call_changes_nothing(tiny_phi: Path, tmp_path: Path) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
        for seed, right in enumerate((20, 22, 18)):
            run = finished(registry, tmp_path, right, seed)
            registry.add_scores(msgspec.to_builtins(run.header), RECORD, scores(run), run.path)
        assert [score.seeds for score in registry.scores("tiny", chosen=True)] == [1]
        assert renew(registry) == Renewed(combined=1)
        (score,) = registry.scores("tiny", chosen=True)
        assert (score.seeds, score.value, score.run) == (3, 0.5, score.runs[-1])
        before = stored(registry)
        assert renew(registry, "tiny") == Renewed()
        assert stored(registry) == before


def test_stored_clusters_of_mmlu_become_strata_for_every_reader(
    tiny_phi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        checkpoint = registry.add(tiny_phi, "tiny")
        score = Score(
            checkpoint=checkpoint.digest, run="old", task="mmlu", protocol=MMLU.fingerprint, metric="acc", value=0.487,
            low=0.443, high=0.531, n=14042, clusters=57, unscored=0,
        )  # fmt: skip
        registry.add_scores({"id": "old", "checkpoint": checkpoint.digest, "samples": 14042}, MMLU, [score])
        assert "[44.3–53.1]" in model_card(registry, "tiny")
    assert root.run(["eval", "runs", "--renew", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"combined": 0, "intervals": 1, "splits": 0}
    with open_registry() as registry:
        before = stored(registry)
        card = model_card(registry, "tiny")
        (cell,) = [cell for row in load_board(registry).rows if row.own for cell in row.cells.values()]
        assert registry.find("mmlu.low > 0.475")
        assert not registry.find("mmlu.value > 0.49")
    assert root.run(["models", "show", "tiny"]) == 0
    for text in (capsys.readouterr().out, card, cell_text(cell)):
        assert "48.7 [47.9–49.5]" in text
    assert root.run(["eval", "runs", "--renew"]) == 0
    assert "all derived scores are up to date" in capsys.readouterr().out
    with open_registry() as registry:
        assert stored(registry) == before


def test_an_upgrade_renews(tiny_phi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = Score(
        checkpoint="", run="old", task="mmlu", protocol=MMLU.fingerprint, metric="acc", value=0.487, low=0.443,
        high=0.531, n=14042, clusters=57, unscored=0,
    )  # fmt: skip
    with open_registry() as registry:
        digest = registry.add(tiny_phi, "tiny").digest
        score = msgspec.structs.replace(old, checkpoint=digest)
        registry.add_scores({"id": "old", "checkpoint": digest, "samples": 14042}, MMLU, [score])
    assert root.run(["models", "upgrade"]) == 0
    assert "intervals 1" in capsys.readouterr().err
    with open_registry() as registry:
        assert registry.scores("tiny")[0].clusters == 14042


def test_checkpoint_without_renew_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["eval", "runs", "--checkpoint", "tiny"]) == 2
    assert "--checkpoint needs --renew" in capsys.readouterr().err
