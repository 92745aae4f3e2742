"""One datum all the way: raw text -> documents -> tokens -> weights -> registry -> run -> score -> cell.

Through the commands that a user types, at the smallest size, offline, in under a minute.
"""

import json
from typing import Any

import pytest

from zoo import settings
from zoo.cli import root
from zoo.registry import open_registry

STEPS = (
    "data gather python --name code --limit 150",
    "data filter code --name code-filtered",
    "data decontaminate code-filtered --task humaneval --name code-clean",
    "data synthesise exercises --name exercises --documents 300",
    "data tokenizer code-clean exercises --name tiny-bpe --vocabulary 512",
    "data pack code-clean exercises --tokenizer tiny-bpe --name tiny-tokens",
    "train run phi-1-small-tiny",
    "eval run phi-1-small-tiny --task mini_exercises",
)


def said(capsys: pytest.CaptureFixture[str], line: str) -> Any:
    """The JSON that a command prints."""
    capsys.readouterr()
    assert root.run(line.split()) == 0
    return json.loads(capsys.readouterr().out)


def test_the_walk_of_one_datum(capsys: pytest.CaptureFixture[str]) -> None:
    for line in STEPS:
        assert root.run(line.split()) == 0, (line, capsys.readouterr().err)
    with open_registry(readonly=True) as registry:
        # every stage accounts for every document it saw
        datasets = {dataset.name: dataset for dataset in registry.datasets()}
        for dataset in datasets.values():
            for stage in dataset.stages:
                assert stage.entered == stage.kept + sum(stage.dropped.values()), (dataset.name, stage)
        assert datasets["code-clean"].stages[-1].entered == datasets["code-filtered"].documents
        # the checkpoint can be walked back to the text it came from
        checkpoint = registry.get("phi-1-small-tiny")
        tokens = registry.dataset(checkpoint.datasets[0].digest)
        assert tokens.name == "tiny-tokens"
        assert checkpoint.training_tokens == checkpoint.datasets[0].tokens > 0
        assert {datasets["code-clean"].digest, datasets["exercises"].digest} <= set(tokens.parents)
        assert checkpoint.recipe_digest
        assert registry.recipe(checkpoint.recipe_digest)["name"] == "phi-1-small-tiny"
        assert registry.verify() == []
        # the score's evidence is the run's lines, one a sample
        (score,) = registry.scores(checkpoint=checkpoint.digest)
        lines = registry.results(score.run).read_bytes().splitlines()
        assert (score.task, score.n, len(lines), score.unscored) == ("mini_exercises", 320, 320, 0)
        assert score.low <= score.value <= score.high
    cell = f"{100 * score.value:.1f} [{100 * score.low:.1f}–{100 * score.high:.1f}] n=320"
    capsys.readouterr()
    assert root.run(["leaderboard", "--print"]) == 0
    board = capsys.readouterr().out
    assert "phi-1-small-tiny" in board
    assert cell.replace(" n=320", "") in board
    # the same commands again find their work done: nothing is made, trained or asked twice
    before = {path: path.stat().st_mtime_ns for path in settings.home().rglob("*") if path.is_file()}
    for line in STEPS:
        assert root.run(line.split()) == 0
    after = {path: path.stat().st_mtime_ns for path in settings.home().rglob("*") if path.is_file()}
    database = {"zoo.db", "zoo.db-wal", "zoo.db-shm", ".lock"}
    # of an object that is put again only the age changes: gc counts it from then on
    kept = {path for path in before if after.get(path) == before[path] or "objects" in path.parts}
    changed = {path.name for path in set(before) - kept}
    assert changed <= database
    assert {path.name for path in set(after) ^ set(before)} <= database
